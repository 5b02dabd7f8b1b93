//! `POST /v1/merchants`

use api_conventions::{AmountDto, CommandEnvelope, FieldErrors, Pointer, Problem};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use domain::merchants::{FeeTerms, FeeTermsError, MerchantRegistered, RegisterMerchant, Rounding};
use domain::{Amount, Command, Decision, Event, MerchantId, Name, Timestamp};
use event_store::NewAnswer;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer::{respond, success};
use crate::limits::MERCHANT_BODY_BYTES_MAX;
use crate::names;
use crate::state::ApiState;
use crate::submission::submit;

/// A merchant to be taken on.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "name": "Toko Runut",
    "fees": {
        "percent": "2.9",
        "fixed": [{"amount": "0.30", "currency": "USD"}],
        "rounding": "half_even"
    }
}))]
pub(crate) struct NewMerchant {
    /// What it trades as.
    #[schema(min_length = 1, max_length = 255)]
    name: String,
    /// What the platform keeps of its payments; nothing where it is not given.
    fees: Option<NewFeeTerms>,
}

/// What the platform keeps of each payment: a share of the sum, and a fixed fee of its currency.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewFeeTerms {
    /// Per cent of the sum, from 0 to 100, with at most 4 decimals.
    #[schema(example = "2.9")]
    percent: String,
    /// At most one fee for each currency.
    #[serde(default)]
    fixed: Vec<AmountDto>,
    /// How fees are rounded.
    #[schema(schema_with = names::rounding)]
    rounding: Option<String>,
}

/// A merchant that was taken on.
#[derive(Serialize, ToSchema)]
#[schema(as = Merchant)]
pub(crate) struct RegisteredMerchant<'a> {
    /// Its id.
    #[schema(value_type = String, example = "mer_01h455vb4pex5vsknk084sn02q")]
    id: MerchantId,
    /// What it trades as.
    #[schema(value_type = String)]
    name: &'a Name,
    /// What the platform keeps of its payments.
    fees: AgreedFeeTerms,
    /// When it was taken on.
    #[schema(value_type = String, format = DateTime)]
    recorded_at: Timestamp,
}

/// The fee terms that hold.
#[derive(Serialize, ToSchema)]
#[schema(as = FeeTerms)]
struct AgreedFeeTerms {
    /// Per cent of the sum.
    #[schema(example = "2.9")]
    percent: String,
    /// One fee for each currency that has one.
    fixed: Vec<AmountDto>,
    /// How fees are rounded.
    #[schema(schema_with = names::rounding)]
    rounding: Rounding,
}

/// Register a merchant
///
/// Takes a merchant on; its ledger is its own from then on. For operators.
#[utoipa::path(
    post, path = "/v1/merchants", tag = "merchants", request_body = NewMerchant,
    responses((status = 201, description = "Taken on", body = RegisteredMerchant<'_>))
)]
pub(crate) async fn register_merchant(
    State(api): State<ApiState>,
    envelope: CommandEnvelope<MERCHANT_BODY_BYTES_MAX>,
) -> Result<Response, Problem> {
    let merchant_id = MerchantId::from_uuid(api.store.ids().next());
    let command = envelope.json::<NewMerchant>()?.into_command(merchant_id)?;
    let answer = submit(&api.store, envelope, Command::RegisterMerchant(command), registered);
    Ok(respond(&answer.await?))
}

impl NewMerchant {
    fn into_command(self, merchant_id: MerchantId) -> Result<RegisterMerchant, Problem> {
        let mut errors = FieldErrors::new();
        let name = errors.check("/name", Name::parse(&self.name));
        let fees = match &self.fees {
            Some(fees) => fees.terms(&mut errors),
            None => Some(FeeTerms::free()),
        };
        errors.finish(|| Some(RegisterMerchant { merchant_id, name: name?, fees: fees? }))
    }
}

impl NewFeeTerms {
    fn terms(&self, errors: &mut FieldErrors) -> Option<FeeTerms> {
        let list = Pointer::from("/fees/fixed");
        let fixed: Vec<Option<Amount>> = (self.fixed.iter().enumerate())
            .map(|(index, fee)| fee.positive(errors, &list.index(index)))
            .collect();
        let rounding = self.rounding.as_deref().map_or(Ok(Rounding::HalfEven), str::parse);
        let rounding = errors.check("/fees/rounding", rounding);
        let fixed: Vec<Amount> = fixed.into_iter().collect::<Option<_>>()?;
        let terms = FeeTerms::new(&self.percent, &fixed, rounding?);
        let wrong = match terms {
            Err(FeeTermsError::FixedTwice) => list,
            Err(FeeTermsError::Percent) | Ok(_) => Pointer::from("/fees/percent"),
        };
        errors.check(wrong, terms)
    }
}

pub(crate) fn registered(decision: &Decision, recorded_at: Timestamp) -> Option<NewAnswer> {
    let Decision::Append(events) = decision else { return None };
    let Event::MerchantRegistered(MerchantRegistered { merchant_id, name, fees }) =
        &events.first()?.event
    else {
        return None;
    };
    let fees = AgreedFeeTerms {
        percent: fees.percent().to_string(),
        fixed: fees.fixed().ok()?.into_iter().map(AmountDto::from).collect(),
        rounding: fees.rounding(),
    };
    let body = RegisteredMerchant { id: *merchant_id, name, fees, recorded_at };
    Some(success(StatusCode::CREATED, merchant_id, &body))
}
