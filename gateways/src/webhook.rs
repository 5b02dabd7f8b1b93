//! Webhooks: whether one is from whom it says, and what it claims.

use domain::payments::{AttemptKey, Claim};
use domain::{PaymentId, Timestamp};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// How far the time in a signature may be from ours, in seconds, either way. Source: the tolerance that
/// Stripe's own libraries use.
pub const SIGNATURE_TOLERANCE_S: i64 = 300;

/// Why a webhook is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WebhookRefusal {
    /// No such PSP, or one that sends none.
    #[error("no webhooks are expected from this PSP")]
    NotExpected,
    /// The header with the signature is missing or cannot be read.
    #[error("expected a header `{header}: t=<seconds>,v1=<hex>`")]
    Unsigned {
        /// The header.
        header: &'static str,
    },
    /// It was signed too long ago, or in the future.
    #[error("signed more than {SIGNATURE_TOLERANCE_S} s from now")]
    Stale,
    /// Signed by somebody else, or changed on its way.
    #[error("the signature does not fit")]
    Forged,
}

/// What a webhook says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// The payment.
    pub payment_id: PaymentId,
    /// The attempt.
    pub key: AttemptKey,
    /// What became of it, as is claimed.
    pub claim: Claim,
}

/// Checks a signature as Stripe makes them: `t=<unix seconds>,v1=<hex HMAC-SHA256 over "t.body">`, with
/// perhaps several `v1` while a secret is being replaced.
///
/// # Errors
/// [`WebhookRefusal`], except `NotExpected`.
pub fn check_signature(
    header: &'static str,
    value: Option<&str>,
    secret: &str,
    body: &[u8],
    now: Timestamp,
) -> Result<(), WebhookRefusal> {
    let unsigned = WebhookRefusal::Unsigned { header };
    let parts = || value.unwrap_or_default().split(',').filter_map(|part| part.split_once('='));
    let (_, time) = parts().find(|(name, _)| *name == "t").ok_or(unsigned)?;
    let seconds: i64 = time.parse().map_err(|_| unsigned)?;
    let mut signed = false;
    for (_, signature) in parts().filter(|(name, _)| *name == "v1") {
        let Some(signature) = from_hex(signature) else { continue };
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { continue };
        mac.update(time.as_bytes());
        mac.update(b".");
        mac.update(body);
        // In constant time.
        signed |= mac.verify_slice(&signature).is_ok();
    }
    if !signed {
        return Err(WebhookRefusal::Forged);
    }
    let now_seconds = now.micros().div_euclid(1_000_000);
    if now_seconds.saturating_sub(seconds).saturating_abs() > SIGNATURE_TOLERANCE_S {
        return Err(WebhookRefusal::Stale);
    }
    Ok(())
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_test_secret";
    const BODY: &[u8] =
        br#"{"id":"evt_test_1","object":"event","type":"payment_intent.succeeded"}"#;
    const SIGNATURE: &str = "871acfe933554b446cc41d791076dd56a10c0553cc61aafbeb881d0082b45043";
    const HEADER: &str = "Stripe-Signature";

    fn checked(value: &str, body: &[u8], at_s: i64) -> Result<(), WebhookRefusal> {
        let now = Timestamp::from_micros(at_s * 1_000_000);
        check_signature(HEADER, Some(value), SECRET, body, now)
    }

    #[test]
    fn the_known_vector_is_let_in() {
        let value = format!("t=1700000000,v1={SIGNATURE}");
        assert_eq!(checked(&value, BODY, 1_700_000_000), Ok(()));
        let rotated = format!("t=1700000000,v1={},v0=x,v1={SIGNATURE}", "00".repeat(32));
        assert_eq!(checked(&rotated, BODY, 1_700_000_300), Ok(()));
    }

    #[test]
    fn what_is_changed_old_or_unsigned_is_not() {
        let value = format!("t=1700000000,v1={SIGNATURE}");
        let unsigned = WebhookRefusal::Unsigned { header: HEADER };
        for (value, body, at_s, refusal) in [
            (value.as_str(), b"{}".as_slice(), 1_700_000_000, WebhookRefusal::Forged),
            (&value.replace("t=17", "t=18"), BODY, 1_800_000_000, WebhookRefusal::Forged),
            (&value.replace("v1", "v0"), BODY, 1_700_000_000, WebhookRefusal::Forged),
            (&value, BODY, 1_700_000_301, WebhookRefusal::Stale),
            (&value, BODY, 1_699_999_699, WebhookRefusal::Stale),
            ("", BODY, 1_700_000_000, unsigned),
            ("t=x,v1=00", BODY, 1_700_000_000, unsigned),
            ("t=1700000000", BODY, 1_700_000_000, WebhookRefusal::Forged),
            ("t=1700000000,v1=zz", BODY, 1_700_000_000, WebhookRefusal::Forged),
        ] {
            assert_eq!(checked(value, body, at_s), Err(refusal), "{value}");
        }
    }
}
