//! `POST /v1/ledger/rates`

use api_conventions::{CommandEnvelope, DecimalText, FieldErrors, Problem};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use domain::fx::{FxEvent, PairId, Rate, RecordRate};
use domain::{
    Command, Currency, Decision, Event, MerchantId, Name, State as Aggregate, StreamVersion,
    Timestamp,
};
use event_store::NewAnswer;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer::{respond, success};
use crate::ledger::details_body::checked_time;
use crate::ledger::place::Place;
use crate::limits::RATE_BODY_BYTES_MAX;
use crate::state::ApiState;
use crate::submission::submit;

/// A rate to be recorded.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "base": "USD", "quote": "EUR", "rate": "0.92335", "as_of": "2026-11-20T12:00:00Z",
    "source": "the bank"
}))]
pub(crate) struct NewRate {
    /// The currency that it is the price of.
    #[schema(example = "USD", min_length = 3, max_length = 3)]
    base: String,
    /// The currency that the price is in; another one.
    #[schema(example = "EUR", min_length = 3, max_length = 3)]
    quote: String,
    /// How much of `quote` one unit of `base` is: at most 12 significant digits and 12 decimals.
    #[schema(value_type = String, example = "0.92335")]
    rate: DecimalText,
    /// When it was so: not before the rate that is there, and not later than in a minute.
    #[schema(format = DateTime, example = "2026-11-20T12:00:00Z")]
    as_of: String,
    /// Who says so.
    #[schema(example = "the bank", min_length = 1, max_length = 255)]
    source: String,
}

/// A rate that is recorded.
#[derive(Serialize, ToSchema)]
#[schema(as = Rate)]
pub(crate) struct RateInLedger {
    /// The currency that it is the price of.
    #[schema(value_type = String, example = "USD")]
    base: Currency,
    /// The currency that the price is in.
    #[schema(value_type = String, example = "EUR")]
    quote: Currency,
    /// How much of `quote` one unit of `base` is, without zeros at the end.
    #[schema(value_type = String, example = "0.92335")]
    rate: Rate,
    /// What a conversion names it by, to insist on it.
    #[schema(value_type = i64, example = 1)]
    version: StreamVersion,
    /// When it was recorded.
    #[schema(value_type = String, format = DateTime)]
    recorded_at: Timestamp,
}

/// Record a rate
///
/// Says what a currency is worth in another. The conversions of the ledger go by it from then on.
#[utoipa::path(
    post, path = "/v1/ledger/rates", tag = "fx", request_body = NewRate,
    responses(
        (status = 201, description = "Recorded", body = RateInLedger),
        (status = 200, description = "It is the rate that was recorded last", body = RateInLedger),
        (status = 409, description = "`rate-out-of-order`, `idempotency-key-in-use`"),
        (status = 422, description = "`invalid-request`, `rate-of-the-future`, \
                                      `idempotency-key-reused`"),
    )
)]
pub(crate) async fn record_rate(
    State(api): State<ApiState>,
    envelope: CommandEnvelope<RATE_BODY_BYTES_MAX>,
) -> Result<Response, Problem> {
    let command = envelope.json::<NewRate>()?.into_command(envelope.caller.merchant_id)?;
    let command = Command::RecordRate(command);
    Ok(respond(&submit(&api.store, envelope, command, recorded).await?))
}

impl NewRate {
    fn into_command(self, ledger: MerchantId) -> Result<RecordRate, Problem> {
        let mut errors = FieldErrors::new();
        let base: Option<Currency> = errors.check("/base", self.base.parse());
        let quote: Option<Currency> = errors.check("/quote", self.quote.parse());
        let pair = base
            .zip(quote)
            .and_then(|(base, quote)| errors.check("/quote", PairId::new(ledger, base, quote)));
        let rate = errors.check("/rate", Rate::parse(self.rate.as_str()));
        let as_of = checked_time(&mut errors, Place::Body, "as_of", Some(self.as_of));
        let source = errors.check("/source", Name::parse(&self.source));
        errors.finish(|| {
            let (pair, rate, as_of) = (pair?, rate?, as_of??);
            Some(RecordRate { pair, rate, as_of, source: source? })
        })
    }
}

pub(crate) fn recorded(decision: &Decision, recorded_at: Timestamp) -> Option<NewAnswer> {
    let (status, pair, body) = match decision {
        Decision::Append(events) => {
            let first = events.first()?;
            let Event::Fx(FxEvent::RateRecorded(rate)) = &first.event else { return None };
            let body = RateInLedger {
                base: rate.base,
                quote: rate.quote,
                rate: rate.rate,
                version: first.version,
                recorded_at,
            };
            (StatusCode::CREATED, rate.pair(), body)
        }
        Decision::Already(Aggregate::Pair(pair)) => {
            let body = RateInLedger {
                base: pair.id.base(),
                quote: pair.id.quote(),
                rate: pair.latest.rate,
                version: pair.latest.version,
                recorded_at: pair.latest.recorded_at,
            };
            (StatusCode::OK, pair.id, body)
        }
        Decision::Already(_) | Decision::Several { .. } => return None,
    };
    Some(success(status, format_args!("{}-{}", pair.base(), pair.quote()), &body))
}
