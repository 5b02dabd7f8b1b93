//! `GET /v1/ledger/entries/{id}`

use api_conventions::{Caller, DecimalText, IfNoneMatch, PathId, Problem, StrictQuery};
use axum::extract::State;
use axum::response::Response;
use domain::{AccountId, EntryId, StreamVersion};
use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use sqlx::types::Json as JsonColumn;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{EntryRow, EntrySummary};
use crate::position::MinPosition;
use crate::read_model::ReadModel;
use crate::row_values::{currency, decimal};
use crate::shown::Shown;
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
struct ShownEntry {
    #[sqlx(flatten)]
    entry: EntryRow,
    postings: JsonColumn<Vec<PostingRow>>,
}

#[derive(Deserialize)]
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

/// The postings are found by one key of the statements' index for each account of the entry.
const SHOW: &str = "
    select model.position as model_position, model.state as model_state,
        model.version as model_version, entry_id is not null as found, entry_id, ledger,
        external_ref, description, metadata, effective_at, late_for, payment_id, dispute_id,
        hold_id, replaces, reverses, reversals, reversed_by, posting_count, entry.version,
        entry.position, entry.recorded_at,
        (select json_agg(json_build_object('account_id', account_id, 'direction', direction,
                'amount_minor', amount_minor, 'currency', currency) order by posting_index)
            from unnest(entry.account_ids) as named (account_id)
            join read.postings using (account_id)
            where postings.position = entry.position) as postings
    from read.checkpoint as model
    left join read.entries as entry on entry_id = $2 and ($3::uuid is null or ledger = $3)
    where projection = $1";

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
    let model = ReadModel::LedgerBalance;
    let Shown { row, standing } =
        Shown::<ShownEntry>::by_key(SHOW, id.uuid(), model, &api, &caller, min).await?;
    let Some(row) = row else { return Ok(standing.said_in(Problem::not_found())) };
    let ShownEntry { entry: row, postings: JsonColumn(postings) } = row;
    let postings = postings.into_iter().map(EntryPosting::try_from).collect::<Result<_, _>>()?;
    let version = StreamVersion::from_number(row.version);
    let entry = Entry { summary: EntrySummary::from(row), postings };
    Ok(standing.said_in(has.answer(version, entry)))
}
