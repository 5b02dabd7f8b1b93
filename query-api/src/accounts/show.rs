//! `GET /v1/accounts/{id}`

use api_conventions::{Caller, IfNoneMatch, PathId, Problem, StrictQuery, etag_at};
use axum::extract::State;
use axum::response::Response;
use domain::{AccountId, StreamVersion};

use super::{Account, AccountRow};
use crate::position::MinPosition;
use crate::read_model::ReadModel;
use crate::shown::Shown;
use crate::state::{ApiState, NoParameters};

const SHOW: &str = "
    select model.position as model_position, model.state as model_state,
        model.version as model_version, account_id is not null as found, account_id, ledger, code, name, type, normal_side, currency, parent, metadata,
        status, min_balance_minor, max_balance_minor, clearing_threshold_minor,
        clearing_max_age_hours, uncleared_since, balance_minor, debits_posted, credits_posted,
        debits_pending, credits_pending, account.version,
        opened_at, opened_position, account.updated_at, updated_position
    from read.checkpoint as model
    left join read.accounts as account on account_id = $2 and ($3::uuid is null or ledger = $3)
    where projection = $1";

/// Show an account
///
/// The account with its balance. Its `ETag` changes with every posting; sent as `If-Match` with a
/// command, only the account's version, with which it begins, is compared.
#[utoipa::path(
    get, path = "/v1/accounts/{id}", tag = "accounts",
    params(
        ("id" = String, Path, description = "The account",
         example = "acc_7h455vb4pex5vsknk084sn02q0"),
        ("If-None-Match" = Option<String>, Header, description = "`ETag`s that need no answer",
         example = "\"1.42\""),
    ),
    responses(
        (status = 200, description = "The account", body = Account,
         headers(("ETag" = String, description = "Version and position of the last change"))),
        (status = 304, description = "It is as `If-None-Match` says"),
        (status = 404, description = "`not-found`: unknown, or another merchant's"),
    )
)]
pub(crate) async fn show_account(
    State(api): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<AccountId>,
    StrictQuery(NoParameters {}): StrictQuery<NoParameters>,
    has: IfNoneMatch,
    min: MinPosition,
) -> Result<Response, Problem> {
    let model = ReadModel::LedgerBalance;
    let Shown { row, standing } =
        Shown::<AccountRow>::by_key(SHOW, id.uuid(), model, &api, &caller, min).await?;
    let Some(row) = row else { return Ok(standing.said_in(Problem::not_found())) };
    let tag = etag_at(StreamVersion::from_number(row.version), row.updated_position);
    let account = Account::try_from(row)?;
    Ok(standing.said_in(has.answer_tagged(tag, account)))
}
