//! `POST /v1/wallets/{id}/cash-out`

use api_conventions::{CommandEnvelope, PathId, Problem};
use axum::extract::State;
use axum::response::Response;
use domain::{AccountId, Command};

use super::movement_body::NewMovement;
use super::{cash_of, wallet_of};
use crate::answer::respond;
use crate::ledger::post::{EntryInLedger, in_ledger};
use crate::limits::MOVEMENT_BODY_BYTES_MAX;
use crate::state::ApiState;
use crate::submission::submit;

/// Pay out of a wallet
///
/// Its balance falls by the amount, and so does `wallets:cash:<CCY>`.
#[utoipa::path(
    post, path = "/v1/wallets/{id}/cash-out", tag = "wallets", request_body = NewMovement,
    params(
        ("id" = String, Path, description = "The wallet: the id of its account",
         example = "acc_7h455vb4pex5vsknk084sn02q0"),
    ),
    responses(
        (status = 201, description = "Posted", body = EntryInLedger<'_>),
        (status = 200, description = "The same entry was there already", body = EntryInLedger<'_>),
        (status = 404, description = "`account-not-found`, `not-found`"),
        (status = 409, description = "`insufficient-funds`, `account-frozen`, `account-closed`, \
                                      `external-ref-taken`, `idempotency-key-in-use`"),
        (status = 422, description = "`invalid-request`, `currency-mismatch`, \
                                      `idempotency-key-reused`"),
    )
)]
pub(crate) async fn cash_out(
    State(api): State<ApiState>,
    PathId(wallet): PathId<AccountId>,
    envelope: CommandEnvelope<MOVEMENT_BODY_BYTES_MAX>,
) -> Result<Response, Problem> {
    let movement = envelope.json::<NewMovement>()?.alone()?;
    let ledger = envelope.caller.merchant_id;
    let profile = wallet_of(&api.store, ledger, wallet).await?.profile;
    let cash = cash_of(&api.store, &envelope, profile.currency).await?;
    let command = Command::PostEntry(movement.entry(ledger, wallet, cash)?);
    Ok(respond(&submit(&api.store, envelope, command, in_ledger).await?))
}
