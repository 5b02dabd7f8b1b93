//! `POST /v1/wallets/{id}/settle`

use api_conventions::{CommandEnvelope, DecimalText, FieldErrors, PathId, Problem};
use axum::extract::State;
use axum::response::Response;
use domain::holds::PostHold;
use domain::ledger::{Details, Part};
use domain::{AccountId, Command, Currency, HoldId};
use serde::Deserialize;
use utoipa::ToSchema;

use super::{reserved_of, wallet_of};
use crate::answer::respond;
use crate::holds::post::{HoldPosting, posted};
use crate::limits::RESERVATION_BODY_BYTES_MAX;
use crate::state::ApiState;
use crate::submission::submit;

/// A reservation to be paid out, or a part of it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewWalletSettlement, example = json!({
    "hold": "hld_01h455tz8kexrbq3m5rv7r8w0d", "amount": "17.20"
}))]
pub(crate) struct NewSettlement {
    /// The hold that `reserve` made.
    #[schema(example = "hld_01h455tz8kexrbq3m5rv7r8w0d")]
    hold: String,
    /// How much of it, in the wallet's currency; all that is left where it is not given. What is left
    /// then stays reserved until it is settled or released.
    #[schema(value_type = Option<String>, example = "17.20")]
    amount: Option<DecimalText>,
}

/// Settle reserved money
///
/// Pays out what is reserved, or a part of it; several parts one after the other.
#[utoipa::path(
    post, path = "/v1/wallets/{id}/settle", tag = "wallets", request_body = NewSettlement,
    params(
        ("id" = String, Path, description = "The wallet: the id of its account",
         example = "acc_7h455vb4pex5vsknk084sn02q0"),
    ),
    responses(
        (status = 201, description = "Posted", body = HoldPosting<'_>),
        (status = 404, description = "`account-not-found`, `hold-not-found`, `not-found`"),
        (status = 409, description = "`hold-posted`, `hold-voided`, `hold-expired`, \
                                      `amount-above-held`, `account-frozen`, `account-closed`, \
                                      `idempotency-key-in-use`"),
    )
)]
pub(crate) async fn settle(
    State(api): State<ApiState>,
    PathId(wallet): PathId<AccountId>,
    envelope: CommandEnvelope<RESERVATION_BODY_BYTES_MAX>,
) -> Result<Response, Problem> {
    let body: NewSettlement = envelope.json()?;
    let ledger = envelope.caller.merchant_id;
    let wallet = wallet_of(&api.store, ledger, wallet).await?;
    let (hold_id, part) = body.checked(wallet.profile.currency)?;
    let hold = reserved_of(&api.store, &wallet, hold_id).await?;
    let details = Details::default();
    let command = PostHold::new(ledger, hold_id, None, details, part, false, Some(&*hold));
    let answer = submit(&api.store, envelope, Command::PostHold(command), posted);
    Ok(respond(&answer.await?))
}

impl NewSettlement {
    /// What the amount is of is known from the wallet.
    fn checked(self, currency: Currency) -> Result<(HoldId, Part), Problem> {
        let mut errors = FieldErrors::new();
        let hold_id = errors.check("/hold", self.hold.parse());
        let amount = self.amount.map(|text| text.positive(currency));
        let amount = errors.check_optional("/amount", amount);
        errors.finish(|| Some((hold_id?, amount?.map_or(Part::Rest, Part::Amount))))
    }
}
