//! `POST /v1/wallets/{id}/release`

use api_conventions::{CommandEnvelope, FieldErrors, PathId, Problem};
use axum::extract::State;
use axum::response::Response;
use domain::holds::VoidHold;
use domain::{AccountId, Command};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{reserved_of, wallet_of};
use crate::answer::respond_with_version;
use crate::holds::void::{VoidedHold, voided};
use crate::limits::RESERVATION_BODY_BYTES_MAX;
use crate::state::ApiState;
use crate::submission::submit;

/// A reservation to be let go.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewWalletRelease, example = json!({"hold": "hld_01h455tz8kexrbq3m5rv7r8w0d"}))]
pub(crate) struct NewRelease {
    /// The hold that `reserve` made.
    #[schema(example = "hld_01h455tz8kexrbq3m5rv7r8w0d")]
    hold: String,
}

/// Release reserved money
///
/// Lets go of what is left of a reservation. What was settled of it stays settled.
#[utoipa::path(
    post, path = "/v1/wallets/{id}/release", tag = "wallets", request_body = NewRelease,
    params(
        ("id" = String, Path, description = "The wallet: the id of its account",
         example = "acc_7h455vb4pex5vsknk084sn02q0"),
    ),
    responses(
        (status = 200, description = "Let go", body = VoidedHold,
         headers(("ETag" = String, description = "The hold's version"))),
        (status = 404, description = "`account-not-found`, `hold-not-found`, `not-found`"),
        (status = 409, description = "`hold-posted`, `hold-voided`, `hold-expired`, \
                                      `idempotency-key-in-use`"),
    )
)]
pub(crate) async fn release(
    State(api): State<ApiState>,
    PathId(wallet): PathId<AccountId>,
    envelope: CommandEnvelope<RESERVATION_BODY_BYTES_MAX>,
) -> Result<Response, Problem> {
    let body: NewRelease = envelope.json()?;
    let mut errors = FieldErrors::new();
    let hold_id = errors.check("/hold", body.hold.parse());
    let hold_id = errors.finish(|| hold_id)?;
    let ledger = envelope.caller.merchant_id;
    let wallet = wallet_of(&api.store, ledger, wallet).await?;
    let hold = reserved_of(&api.store, &wallet, hold_id).await?;
    let command = Command::VoidHold(VoidHold::new(ledger, hold_id, Some(&*hold)));
    Ok(respond_with_version(&submit(&api.store, envelope, command, voided).await?))
}
