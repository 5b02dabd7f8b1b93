//! `POST /v1/accounts/{id}/unfreeze`

use api_conventions::{CommandEnvelope, PathId, Problem};
use axum::extract::State;
use axum::response::Response;
use domain::accounts::UnfreezeAccount;
use domain::{AccountId, Command};

use super::{AccountStatusChange, status_changed};
use crate::answer::respond_with_version;
use crate::limits::EMPTY_BODY_BYTES_MAX;
use crate::state::ApiState;
use crate::submission::submit;
use crate::versions::expected_versions;

/// Unfreeze an account
///
/// Lets a frozen account take postings again.
#[utoipa::path(
    post, path = "/v1/accounts/{id}/unfreeze", tag = "accounts",
    params(
        ("id" = String, Path, description = "The account",
         example = "acc_7h455vb4pex5vsknk084sn02q0"),
        ("If-Match" = Option<String>, Header,
         description = "Versions (`ETag`s) at which to do it; at any other: 412",
         example = "\"1\""),
    ),
    responses(
        (status = 200, description = "Open again", body = AccountStatusChange,
         headers(("ETag" = String, description = "The account's version"))),
        (status = 404, description = "`account-not-found`, `not-found`"),
        (status = 409, description = "`account-open`, `account-closed`, \
                                      `idempotency-key-in-use`"),
        (status = 412, description = "`precondition-failed`: another version than `If-Match` says"),
        (status = 422, description = "`invalid-request`, `system-account`, `mechanism-account`, \
                                      `idempotency-key-reused`"),
    )
)]
pub(crate) async fn unfreeze_account(
    State(api): State<ApiState>,
    PathId(account_id): PathId<AccountId>,
    envelope: CommandEnvelope<EMPTY_BODY_BYTES_MAX>,
) -> Result<Response, Problem> {
    envelope.no_body()?;
    let command = Command::UnfreezeAccount(UnfreezeAccount {
        ledger: envelope.caller.merchant_id,
        account_id,
        expected_versions: expected_versions(envelope.if_match.as_ref()),
    });
    Ok(respond_with_version(&submit(&api.store, envelope, command, status_changed).await?))
}
