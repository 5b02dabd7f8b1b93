//! `POST /v1/wallets/{id}/reserve`

use std::collections::BTreeMap;

use api_conventions::{CommandEnvelope, DecimalText, FieldErrors, PathId, Problem};
use axum::extract::State;
use axum::response::Response;
use domain::holds::CreateHold;
use domain::{AccountId, Command, Timestamp};
use serde::Deserialize;
use utoipa::ToSchema;

use super::movement_body::{Movement, NewMovement, pair};
use super::{cash_of, wallet_of};
use crate::answer::respond_with_version;
use crate::holds::create::{HoldInLedger, held};
use crate::ledger::details_body::checked_time;
use crate::ledger::place::Place;
use crate::limits::MOVEMENT_BODY_BYTES_MAX;
use crate::state::ApiState;
use crate::submission::submit;

/// Money of a wallet to be reserved.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewWalletReservation, example = json!({
    "external_ref": "ride-17", "amount": "20.00", "currency": "USD",
    "expires_at": "2026-11-28T00:00:00Z"
}))]
pub(crate) struct NewReservation {
    /// What the ledger calls it; names one hold, for ever.
    #[schema(example = "ride-17", min_length = 1, max_length = 255)]
    external_ref: String,
    /// How much at the most, above zero and at most 9007199254740991 minor units.
    #[schema(value_type = String, example = "20.00")]
    amount: DecimalText,
    /// The wallet's currency.
    #[schema(example = "USD", min_length = 3, max_length = 3)]
    currency: String,
    /// When it ends by itself: within a year. Never where it is not given.
    #[schema(format = DateTime, example = "2026-11-28T00:00:00Z")]
    expires_at: Option<String>,
    /// What statements say of what is settled.
    #[schema(min_length = 1, max_length = 255)]
    description: Option<String>,
    /// What to find it by: at most 50 keys of up to 64 characters, with values of up to 500.
    metadata: Option<BTreeMap<String, String>>,
}

/// Reserve money of a wallet
///
/// Holds it, to be paid out of the wallet later: until then it cannot be spent otherwise. `settle`
/// pays it out, `release` lets it go.
#[utoipa::path(
    post, path = "/v1/wallets/{id}/reserve", tag = "wallets", request_body = NewReservation,
    params(
        ("id" = String, Path, description = "The wallet: the id of its account",
         example = "acc_7h455vb4pex5vsknk084sn02q0"),
    ),
    responses(
        (status = 201, description = "Held", body = HoldInLedger<'_>,
         headers(("ETag" = String, description = "The hold's version"))),
        (status = 200, description = "The same hold was there already", body = HoldInLedger<'_>),
        (status = 404, description = "`account-not-found`, `not-found`"),
        (status = 409, description = "`insufficient-funds`, `account-frozen`, `account-closed`, \
                                      `hold-ref-taken`, `idempotency-key-in-use`"),
        (status = 422, description = "`invalid-request`, `currency-mismatch`, \
                                      `hold-end-out-of-range`, `idempotency-key-reused`"),
    )
)]
pub(crate) async fn reserve(
    State(api): State<ApiState>,
    PathId(wallet): PathId<AccountId>,
    envelope: CommandEnvelope<MOVEMENT_BODY_BYTES_MAX>,
) -> Result<Response, Problem> {
    let (movement, expires_at) = envelope.json::<NewReservation>()?.checked()?;
    let ledger = envelope.caller.merchant_id;
    let profile = wallet_of(&api.store, ledger, wallet).await?.profile;
    let cash = cash_of(&api.store, &envelope, profile.currency).await?;
    let Movement { external_ref, amount, details } = movement;
    let postings = pair(amount, wallet, cash)?;
    let hold = CreateHold::new(ledger, external_ref, details, postings, expires_at);
    let answer = submit(&api.store, envelope, Command::CreateHold(hold), held);
    Ok(respond_with_version(&answer.await?))
}

impl NewReservation {
    fn checked(self) -> Result<(Movement, Option<Timestamp>), Problem> {
        let Self { external_ref, amount, currency, expires_at, description, metadata } = self;
        let mut errors = FieldErrors::new();
        let expires_at = checked_time(&mut errors, Place::Body, "expires_at", expires_at);
        let movement = NewMovement { external_ref, amount, currency, description, metadata };
        let movement = movement.checked(&mut errors);
        errors.finish(|| Some((movement?, expires_at?)))
    }
}
