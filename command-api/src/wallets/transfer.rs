//! `POST /v1/wallets/{id}/transfer`

use std::collections::BTreeMap;

use api_conventions::{CommandEnvelope, DecimalText, FieldErrors, INVALID_VALUE, PathId, Problem};
use axum::extract::State;
use axum::response::Response;
use domain::{AccountId, Command};
use serde::Deserialize;
use utoipa::ToSchema;

use super::movement_body::{Movement, NewMovement};
use super::wallet_of;
use crate::answer::respond;
use crate::ledger::post::{EntryInLedger, in_ledger};
use crate::limits::MOVEMENT_BODY_BYTES_MAX;
use crate::state::ApiState;
use crate::submission::submit;

/// Money that goes from one wallet to another.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewWalletTransfer, example = json!({
    "external_ref": "transfer-17", "to": "acc_2m1zq4x8kd9rj5b7c3wfhvt6gy",
    "amount": "12.50", "currency": "USD"
}))]
pub(crate) struct NewTransfer {
    /// The wallet that it goes to: the id of its account.
    #[schema(example = "acc_2m1zq4x8kd9rj5b7c3wfhvt6gy")]
    to: String,
    /// What the ledger calls it; names one entry, for ever.
    #[schema(example = "transfer-17", min_length = 1, max_length = 255)]
    external_ref: String,
    /// How much, above zero and at most 9007199254740991 minor units.
    #[schema(value_type = String, example = "12.50")]
    amount: DecimalText,
    /// The currency of both wallets.
    #[schema(example = "USD", min_length = 3, max_length = 3)]
    currency: String,
    /// What statements say of it.
    #[schema(min_length = 1, max_length = 255)]
    description: Option<String>,
    /// What to find it by: at most 50 keys of up to 64 characters, with values of up to 500.
    metadata: Option<BTreeMap<String, String>>,
}

/// Transfer between wallets
///
/// Moves money from this wallet to another of the same ledger and currency.
#[utoipa::path(
    post, path = "/v1/wallets/{id}/transfer", tag = "wallets", request_body = NewTransfer,
    params(
        ("id" = String, Path, description = "The wallet that pays: the id of its account",
         example = "acc_7h455vb4pex5vsknk084sn02q0"),
    ),
    responses(
        (status = 201, description = "Posted", body = EntryInLedger<'_>),
        (status = 200, description = "The same entry was there already", body = EntryInLedger<'_>),
        (status = 404, description = "`account-not-found` of either wallet, `not-found`"),
        (status = 409, description = "`insufficient-funds`, `balance-above-maximum`, \
                                      `account-frozen`, `account-closed`, `external-ref-taken`, \
                                      `idempotency-key-in-use`"),
        (status = 422, description = "`invalid-request`, `currency-mismatch`, \
                                      `idempotency-key-reused`"),
    )
)]
pub(crate) async fn transfer(
    State(api): State<ApiState>,
    PathId(from): PathId<AccountId>,
    envelope: CommandEnvelope<MOVEMENT_BODY_BYTES_MAX>,
) -> Result<Response, Problem> {
    let (to, movement) = envelope.json::<NewTransfer>()?.checked(from)?;
    let ledger = envelope.caller.merchant_id;
    wallet_of(&api.store, ledger, from).await?;
    wallet_of(&api.store, ledger, to).await?;
    let command = Command::PostEntry(movement.entry(ledger, from, to)?);
    Ok(respond(&submit(&api.store, envelope, command, in_ledger).await?))
}

impl NewTransfer {
    fn checked(self, from: AccountId) -> Result<(AccountId, Movement), Problem> {
        let Self { to, external_ref, amount, currency, description, metadata } = self;
        let mut errors = FieldErrors::new();
        let to: Option<AccountId> = errors.check("/to", to.parse());
        if to == Some(from) {
            errors.add("/to", INVALID_VALUE, "expected another wallet");
        }
        let movement = NewMovement { external_ref, amount, currency, description, metadata };
        let movement = movement.checked(&mut errors);
        errors.finish(|| Some((to?, movement?)))
    }
}
