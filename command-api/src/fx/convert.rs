//! `POST /v1/ledger/conversions`

use std::collections::BTreeMap;

use api_conventions::{
    AmountDto, CommandEnvelope, DecimalText, FieldErrors, INVALID_VALUE, Problem,
};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use domain::fx::{Conversion, Convert, Exchange, Rate, Rounding};
use domain::ledger::{ExternalRef, Posting};
use domain::{
    Command, Currency, Decision, EntryId, Event, MerchantId, Money, State as Aggregate,
    StreamVersion, Timestamp,
};
use event_store::NewAnswer;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::answer::{respond, success};
use crate::ledger::details_body::GivenDetails;
use crate::ledger::place::Place;
use crate::limits::MOVEMENT_BODY_BYTES_MAX;
use crate::names;
use crate::state::ApiState;
use crate::submission::{no_answer, submit};

/// Money to be converted.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({
    "external_ref": "exchange-17",
    "from": "acc_7h455vb4pex5vsknk084sn02q0", "to": "acc_2m1zq4x8kd9rj5b7c3wfhvt6gy",
    "amount": "100.00", "currency": "USD", "max_rate_age_seconds": 60
}))]
pub(crate) struct NewConversion {
    /// What the ledger calls its entry; names one entry, for ever.
    #[schema(example = "exchange-17", min_length = 1, max_length = 255)]
    external_ref: String,
    /// The account whose balance falls.
    #[schema(example = "acc_7h455vb4pex5vsknk084sn02q0")]
    from: String,
    /// The account whose balance rises. Both grow by the same side, debits or credits.
    #[schema(example = "acc_2m1zq4x8kd9rj5b7c3wfhvt6gy")]
    to: String,
    /// How much is sold, above zero and at most 9007199254740991 minor units.
    #[schema(value_type = String, example = "100.00")]
    amount: DecimalText,
    /// The currency of `amount` and of `from`.
    #[schema(example = "USD", min_length = 3, max_length = 3)]
    currency: String,
    /// How what is bought is brought to whole minor units.
    #[schema(schema_with = names::rounding)]
    rounding: Option<String>,
    /// The version of the rate to convert by; the latest where it is not given. With another rate
    /// than the latest: 412.
    #[schema(example = 1)]
    rate_version: Option<i64>,
    /// How many seconds ago the rate may have been so, by its `as_of`; any where it is not given.
    #[schema(example = 60)]
    max_rate_age_seconds: Option<i64>,
    /// What statements say of it.
    #[schema(min_length = 1, max_length = 255)]
    description: Option<String>,
    /// What to find it by: at most 50 keys of up to 64 characters, with values of up to 500.
    metadata: Option<BTreeMap<String, String>>,
    /// When it takes effect, where that is not now: from 1970 to a year ahead. On a day whose books
    /// are closed it takes effect at the beginning of the first open day.
    #[schema(format = DateTime, example = "2026-11-20T12:00:00Z")]
    effective_at: Option<String>,
}

/// Money that was converted.
#[derive(Serialize, ToSchema)]
#[schema(as = Conversion)]
pub(crate) struct ConversionInLedger<'a> {
    /// The id of its entry.
    #[schema(value_type = String, example = "ent_01h455vb4pex5vsknk084sn02q")]
    id: EntryId,
    /// What the ledger calls it.
    #[schema(value_type = String, example = "exchange-17")]
    external_ref: &'a ExternalRef,
    /// What was taken from one account.
    sold: AmountDto,
    /// What the other got for it.
    bought: AmountDto,
    /// How much of the currency bought one unit of the currency sold was.
    #[schema(value_type = String, example = "0.92335")]
    rate: Rate,
    /// The version of the rate.
    #[schema(value_type = i64, example = 1)]
    rate_version: StreamVersion,
    /// What was bought less what the exchange paid for it, which pays exactly over all conversions:
    /// a minor unit more or less, or nothing. It is booked to `fx:rounding:<CCY>`.
    rounding_difference: AmountDto,
    /// When it was posted.
    #[schema(value_type = String, format = DateTime)]
    recorded_at: Timestamp,
}

/// Convert money
///
/// Sells money of one account and buys money of another currency for another account, at the latest
/// rate of the ledger, through its accounts `fx:exchange:<CCY>`, which are opened when they are
/// needed. An `external_ref` names one conversion for ever: with the same content it is answered with
/// what was done, at the rate of then.
#[utoipa::path(
    post, path = "/v1/ledger/conversions", tag = "fx", request_body = NewConversion,
    responses(
        (status = 201, description = "Converted", body = ConversionInLedger<'_>),
        (status = 200, description = "The same conversion was there already",
         body = ConversionInLedger<'_>),
        (status = 404, description = "`account-not-found`"),
        (status = 409, description = "`rate-missing`, `rate-too-old`, `insufficient-funds`, \
                                      `balance-above-maximum`, `account-frozen`, `account-closed`, \
                                      `external-ref-taken`, `idempotency-key-in-use`"),
        (status = 412, description = "`rate-changed`: the rate is not that of `rate_version`"),
        (status = 422, description = "`invalid-request`, `system-account`, `mechanism-account`, `currency-mismatch`, \
                                      `pair-of-one-currency`, `conversion-sides-differ`, \
                                      `nothing-bought`, `too-much-bought`, \
                                      `effective-time-out-of-range`, `idempotency-key-reused`"),
    )
)]
pub(crate) async fn convert(
    State(api): State<ApiState>,
    envelope: CommandEnvelope<MOVEMENT_BODY_BYTES_MAX>,
) -> Result<Response, Problem> {
    let asked = envelope.json::<NewConversion>()?.checked(envelope.caller.merchant_id)?;
    let found = api.store.account(asked.to).await.map_err(|error| no_answer(&error))?;
    // Another ledger's account is as good as none.
    let to = found.filter(|account| account.profile.ledger == asked.ledger);
    let command = Command::Convert(Convert::new(asked, to.as_ref()));
    Ok(respond(&submit(&api.store, envelope, command, converted).await?))
}

impl NewConversion {
    fn checked(self, ledger: MerchantId) -> Result<Conversion, Problem> {
        let mut errors = FieldErrors::new();
        let external_ref = errors.check("/external_ref", ExternalRef::parse(&self.external_ref));
        let from = errors.check("/from", self.from.parse());
        let to = errors.check("/to", self.to.parse());
        let currency: Option<Currency> = errors.check("/currency", self.currency.parse());
        // Without its currency, an amount says nothing.
        let sell =
            currency.and_then(|currency| errors.check("/amount", self.amount.positive(currency)));
        let rounding = self.rounding.as_deref().map_or(Ok(Rounding::HalfEven), str::parse);
        let rounding = errors.check("/rounding", rounding);
        if self.rate_version.is_some_and(|version| version < StreamVersion::FIRST.number()) {
            errors.add("/rate_version", INVALID_VALUE, "expected 1 or more");
        }
        let age = self
            .max_rate_age_seconds
            .map(|seconds| u32::try_from(seconds).map_err(|_| "expected 0 to 4294967295"));
        let max_rate_age_seconds = errors.check_optional("/max_rate_age_seconds", age);
        let details = GivenDetails {
            description: self.description,
            metadata: self.metadata,
            effective_at: self.effective_at,
            ..GivenDetails::default()
        };
        let details = details.checked(&mut errors, Place::Body);
        errors.finish(|| {
            Some(Conversion {
                ledger,
                external_ref: external_ref?,
                details: details?,
                from: from?,
                to: to?,
                sell: sell?,
                rounding: rounding?,
                rate_version: self.rate_version.map(StreamVersion::from_number),
                max_rate_age_seconds: max_rate_age_seconds?,
            })
        })
    }
}

pub(crate) fn converted(decision: &Decision, recorded_at: Timestamp) -> Option<NewAnswer> {
    let (status, body) = match decision {
        Decision::Append(events) => {
            // It comes last, after the accounts that it goes through.
            let Event::EntryPosted(posted) = &events.last()?.event else { return None };
            let (id, external_ref) = (posted.entry_id, &posted.external_ref);
            let answer = Answered { id, external_ref, recorded_at };
            (StatusCode::CREATED, answer.of(posted.exchange?, &posted.postings)?)
        }
        Decision::Already(Aggregate::Entry(entry)) => {
            let (id, external_ref, recorded_at) =
                (entry.id, &entry.external_ref, entry.recorded_at);
            let answer = Answered { id, external_ref, recorded_at };
            (StatusCode::OK, answer.of(entry.exchange?, &entry.postings)?)
        }
        Decision::Already(_) | Decision::Several { .. } => return None,
    };
    Some(success(status, body.id, &body))
}

/// An entry that is answered with what it exchanged.
struct Answered<'a> {
    id: EntryId,
    external_ref: &'a ExternalRef,
    recorded_at: Timestamp,
}

impl<'a> Answered<'a> {
    fn of(self, exchange: Exchange, postings: &[Posting]) -> Option<ConversionInLedger<'a>> {
        let (sold, bought) = (postings.first()?.amount, postings.last()?.amount);
        let minor = exchange.rounding_difference_minor;
        Some(ConversionInLedger {
            id: self.id,
            external_ref: self.external_ref,
            sold: sold.into(),
            bought: bought.into(),
            rate: exchange.rate,
            rate_version: exchange.rate_version,
            rounding_difference: Money { minor, currency: bought.currency() }.into(),
            recorded_at: self.recorded_at,
        })
    }
}
