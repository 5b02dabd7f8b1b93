//! Reads requests: what is let in, and what is said of what is not.

use axum::http::HeaderMap;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::rules::Intent;
use super::token::Token;

/// The header that names a request, so that its repetition is recognised.
pub(super) const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// The most bytes of an idempotency key or a payment's reference.
const NAME_BYTES_MAX: usize = 64;
/// The most minor units of an amount: the largest integer that every reader of JSON keeps exact.
const AMOUNT_MINOR_MAX: i64 = 9_007_199_254_740_991;

/// A body that is not let in, and why, beginning with the field.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Invalid(pub(super) String);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChargeBody {
    reference: String,
    amount_minor: i64,
    currency: String,
    token: String,
    capture: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaptureBody {
    amount_minor: i64,
    #[serde(rename = "final")]
    last: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct VoidBody {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RefundBody {
    amount_minor: i64,
}

/// The request's idempotency key, if it has a proper one.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Option<String> {
    let mut keys = headers.get_all(IDEMPOTENCY_KEY).iter();
    let (key, None) = (keys.next()?.to_str().ok()?, keys.next()) else { return None };
    is_name(key).then(|| key.to_owned())
}

pub(super) fn charge(body: &[u8]) -> Result<Intent, Invalid> {
    let ChargeBody { reference, amount_minor, currency, token, capture } = read(body)?;
    if !is_name(&reference) {
        let text = format!("reference: 1 to {NAME_BYTES_MAX} visible ASCII characters");
        return Err(Invalid(text));
    }
    check_amount(amount_minor)?;
    if currency.len() != 3 || !currency.bytes().all(|byte| byte.is_ascii_uppercase()) {
        return Err(Invalid("currency: three capital letters".to_owned()));
    }
    let token = Token::parse(&token).ok_or_else(|| Invalid("token: there is none such".into()))?;
    Ok(Intent::Charge { reference, amount_minor, currency, token, capture })
}

pub(super) fn capture(charge_id: String, body: &[u8]) -> Result<Intent, Invalid> {
    let CaptureBody { amount_minor, last } = read(body)?;
    check_amount(amount_minor)?;
    Ok(Intent::Capture { charge_id, amount_minor, last })
}

pub(super) fn void(charge_id: String, body: &[u8]) -> Result<Intent, Invalid> {
    let VoidBody {} = read(body)?;
    Ok(Intent::Void { charge_id })
}

pub(super) fn refund(charge_id: String, body: &[u8]) -> Result<Intent, Invalid> {
    let RefundBody { amount_minor } = read(body)?;
    check_amount(amount_minor)?;
    Ok(Intent::Refund { charge_id, amount_minor })
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Invalid> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let field = error.path().to_string();
        let reason = error.into_inner();
        // What is wrong with the whole (a field is missing or unknown) names the field itself.
        Invalid(if field == "." { reason.to_string() } else { format!("{field}: {reason}") })
    })?;
    json.end().map_err(|error| Invalid(error.to_string()))?;
    Ok(value)
}

fn check_amount(amount_minor: i64) -> Result<(), Invalid> {
    if (1..=AMOUNT_MINOR_MAX).contains(&amount_minor) {
        Ok(())
    } else {
        Err(Invalid(format!("amount_minor: 1 to {AMOUNT_MINOR_MAX}")))
    }
}

fn is_name(text: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic())
}
