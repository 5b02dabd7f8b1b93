//! `GET /v1/ledger/entries/{id}`

use api_conventions::{Caller, DecimalText, IfNoneMatch, PathId, Problem, StrictQuery};
use axum::extract::State;
use axum::response::Response;
use domain::{AccountId, EntryId, StreamVersion};
use serde::Serialize;
use sqlx::FromRow;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{EntryRow, EntrySummary};
use crate::caller_scope::visible_to;
use crate::database::refused;
use crate::position::MinPosition;
use crate::row_values::{currency, decimal};
use crate::snapshot::{ReadModel, Snapshot};
use crate::state::{ApiState, NoParameters};

/// An entry with what it moved.
#[derive(Serialize, ToSchema)]
pub(crate) struct Entry {
    #[serde(flatten)]
    summary: EntrySummary,
    /// What it moved, in the order in which it was given: debits and credits are equal in every
    /// currency.
    postings: Vec<EntryPosting>,
}

/// One amount on one side of one account.
#[derive(Serialize, ToSchema)]
#[schema(as = Posting)]
pub(crate) struct EntryPosting {
    /// The account.
    #[schema(value_type = String, example = "acc_7h455vb4pex5vsknk084sn02q0")]
    account: AccountId,
    /// The side: `debit` or `credit`.
    #[schema(example = "debit")]
    direction: String,
    /// The amount, above zero.
    #[schema(value_type = String, example = "10.00")]
    amount: DecimalText,
    /// The account's currency.
    #[schema(example = "USD")]
    currency: String,
}

#[derive(FromRow)]
struct PostingRow {
    account_id: Uuid,
    direction: String,
    amount_minor: i64,
    currency: String,
}

impl TryFrom<PostingRow> for EntryPosting {
    type Error = Problem;

    fn try_from(row: PostingRow) -> Result<Self, Problem> {
        let amount = decimal(row.amount_minor, currency(&row.currency)?);
        let account = AccountId::from_uuid(row.account_id);
        Ok(Self { account, direction: row.direction, amount, currency: row.currency })
    }
}

const SHOW: &str = "
    select entry_id, ledger, external_ref, description, metadata, reverses, reversed_by,
        posting_count, version, position, recorded_at
    from read.entries
    where entry_id = $1 and ($2::uuid is null or ledger = $2)";

/// One key of the statements' index for each account of the entry.
const POSTINGS: &str = "
    select account_id, direction, amount_minor, currency
    from (select position, unnest(account_ids) as account_id from read.entries where entry_id = $1)
        as entry
    join read.postings using (account_id, position)
    order by posting_index";

/// Show an entry
///
/// The entry with its postings, and what it reverses or was reversed by.
#[utoipa::path(
    get, path = "/v1/ledger/entries/{id}", tag = "ledger",
    params(
        ("id" = String, Path, description = "The entry",
         example = "ent_01h455vb4pex5vsknk084sn02q"),
        ("If-None-Match" = Option<String>, Header, description = "`ETag`s that need no answer",
         example = "\"1\""),
    ),
    responses(
        (status = 200, description = "The entry", body = Entry,
         headers(("ETag" = String, description = "The entry's version"))),
        (status = 304, description = "It is as `If-None-Match` says"),
        (status = 404, description = "`not-found`: unknown, or another merchant's"),
    )
)]
pub(crate) async fn show_entry(
    State(api): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<EntryId>,
    StrictQuery(NoParameters {}): StrictQuery<NoParameters>,
    has: IfNoneMatch,
    min: MinPosition,
) -> Result<Response, Problem> {
    let mut snapshot = Snapshot::of(ReadModel::LedgerBalance, &api, min).await?;
    let row: Option<EntryRow> = sqlx::query_as(SHOW)
        .bind(id.uuid())
        .bind(visible_to(&caller))
        .fetch_optional(snapshot.db())
        .await
        .map_err(refused)?;
    let Some(row) = row else { return Ok(snapshot.answer(Problem::not_found())) };
    let postings: Vec<PostingRow> = sqlx::query_as(POSTINGS)
        .bind(row.entry_id)
        .fetch_all(snapshot.db())
        .await
        .map_err(refused)?;
    let postings = postings.into_iter().map(EntryPosting::try_from).collect::<Result<_, _>>()?;
    let version = StreamVersion::from_number(row.version);
    let entry = Entry { summary: EntrySummary::from(row), postings };
    Ok(snapshot.answer(has.answer(version, entry)))
}
