//! `GET /v1/accounts/{id}/statement`

use api_conventions::{Caller, DecimalText, ListQuery, Page, PageParameters, PathId, Problem};
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use domain::{AccountId, EntryId, Timestamp};
use event_store::log::WideMinor;
use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use time::OffsetDateTime;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::caller_scope::visible_to;
use crate::database::refused;
use crate::log::{TimeRange, TimeRangeParameters};
use crate::position::MinPosition;
use crate::read_model::ReadModel;
use crate::row_values::{currency, decimal, timestamp};
use crate::snapshot::Snapshot;
use crate::state::ApiState;

/// What one posting did to the account.
#[derive(Serialize, ToSchema)]
pub(crate) struct StatementLine {
    /// The entry that has the posting.
    #[schema(value_type = String, example = "ent_01h455vb4pex5vsknk084sn02q")]
    entry: EntryId,
    /// What the ledger calls the entry.
    #[schema(example = "order-1042")]
    external_ref: String,
    /// What it says of itself.
    #[schema(required, example = "Order 1042")]
    description: Option<String>,
    /// The side: `debit` or `credit`.
    #[schema(example = "debit")]
    direction: String,
    /// The amount, above zero.
    #[schema(value_type = String, example = "10.00")]
    amount: DecimalText,
    /// The currency of both amounts, which is the account's.
    #[schema(example = "USD")]
    currency: String,
    /// The account's balance right after the posting.
    #[schema(value_type = String, example = "75.00")]
    balance: DecimalText,
    /// The entry's position in the log.
    #[schema(example = 42)]
    position: i64,
    /// When it takes effect: when it was posted, unless its poster said otherwise.
    #[schema(value_type = String, format = DateTime)]
    effective_at: Timestamp,
    /// When it was posted.
    #[schema(value_type = String, format = DateTime)]
    recorded_at: Timestamp,
}

/// The last line of a page. An entry may have several postings of one account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AfterLine {
    position: i64,
    index: i16,
}

#[derive(FromRow)]
struct LineRow {
    entry_id: Uuid,
    external_ref: String,
    description: Option<String>,
    direction: String,
    amount_minor: i64,
    currency: String,
    balance_after_minor: WideMinor,
    position: i64,
    posting_index: i16,
    effective_at: Option<OffsetDateTime>,
    recorded_at: OffsetDateTime,
}

impl LineRow {
    fn key(&self) -> AfterLine {
        AfterLine { position: self.position, index: self.posting_index }
    }
}

impl TryFrom<LineRow> for StatementLine {
    type Error = Problem;

    fn try_from(row: LineRow) -> Result<Self, Problem> {
        let currency = currency(&row.currency)?;
        Ok(Self {
            entry: EntryId::from_uuid(row.entry_id),
            external_ref: row.external_ref,
            description: row.description,
            direction: row.direction,
            amount: decimal(row.amount_minor, currency),
            currency: row.currency,
            balance: decimal(row.balance_after_minor, currency),
            position: row.position,
            effective_at: timestamp(row.effective_at.unwrap_or(row.recorded_at)),
            recorded_at: timestamp(row.recorded_at),
        })
    }
}

const VISIBLE: &str = "
    select exists (select from read.accounts
        where account_id = $1 and ($2::uuid is null or ledger = $2))";

/// One range of the index by account and position, wherever the page begins, and the entries of that page.
const LINES: &str = "
    select entry_id, entries.external_ref, entries.description, entries.effective_at, line.direction,
        line.amount_minor, line.currency, line.balance_after_minor, line.position,
        line.posting_index, line.recorded_at
    from (
        select * from read.postings
        where account_id = $1 and (position, posting_index) < ($2, $3)
            and position > $4 and position <= $5
        order by position desc, posting_index desc
        limit $6
    ) as line
    join read.entries using (entry_id)
    order by line.position desc, line.posting_index desc";

/// Read an account's statement
///
/// Every posting to the account with the balance after it, newest first. A page costs the same
/// wherever in the statement it is.
#[utoipa::path(
    get, path = "/v1/accounts/{id}/statement", tag = "accounts",
    params(
        ("id" = String, Path, description = "The account",
         example = "acc_7h455vb4pex5vsknk084sn02q0"),
        TimeRangeParameters, PageParameters,
    ),
    responses(
        (status = 200, description = "A page", body = Page<StatementLine>),
        (status = 404, description = "`not-found`: unknown, or another merchant's"),
    )
)]
pub(crate) async fn read_statement(
    State(api): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<AccountId>,
    query: ListQuery<TimeRangeParameters, AfterLine>,
    min: MinPosition,
) -> Result<Response, Problem> {
    let min = min.at_least(query.filters.demanded(&api).await?);
    let mut snapshot = Snapshot::of(ReadModel::LedgerBalance, &api, min).await?;
    let visible: bool = sqlx::query_scalar(VISIBLE)
        .bind(id.uuid())
        .bind(visible_to(&caller))
        .fetch_one(snapshot.db())
        .await
        .map_err(refused)?;
    if !visible {
        return Ok(snapshot.answer(Problem::not_found()));
    }
    let range = TimeRange::of(&query.filters, snapshot.db()).await.map_err(refused)?;
    let after = query.after.unwrap_or(AfterLine { position: i64::MAX, index: i16::MAX });
    let rows: Vec<LineRow> = sqlx::query_as(LINES)
        .bind(id.uuid())
        .bind(after.position)
        .bind(after.index)
        .bind(range.after.number())
        .bind(range.up_to.number())
        .bind(i64::try_from(query.rows_to_read()).unwrap_or(i64::MAX))
        .fetch_all(snapshot.db())
        .await
        .map_err(refused)?;
    let keyed = rows.into_iter().map(|row| Ok((row.key(), StatementLine::try_from(row)?)));
    let rows: Vec<(AfterLine, StatementLine)> = keyed.collect::<Result<_, Problem>>()?;
    let page = Page::of(rows, query.limit, |(key, _)| *key, |(_, line)| line);
    Ok(snapshot.answer(Json(page)))
}
