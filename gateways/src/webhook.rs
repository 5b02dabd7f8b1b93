//! Webhooks: whether one is from whom it says, and what it claims.

use domain::payments::{AttemptKey, Claim};
use domain::{PaymentId, Timestamp};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// How far the time in a signature may be from ours, in seconds, either way. Source: the tolerance that
/// Stripe's own libraries use.
pub const SIGNATURE_TOLERANCE_S: i64 = 300;

/// The most signatures of the accepted scheme that are looked at. A secret is replaced by one at a time, so
/// there are two where one is being replaced.
pub const SIGNATURES_MAX: usize = 5;

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
    /// There are more signatures than anybody honest sends.
    #[error("at most {SIGNATURES_MAX} signatures `v1` are looked at")]
    TooManySignatures,
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

/// What the header of a webhook says, as far as it can be checked without the body: when it was signed is right,
/// and there is something to compare the body's signature with.
pub struct SignedHeader {
    /// What the HMAC is over, but for the body.
    time: String,
    signatures: Vec<[u8; SIGNATURE_BYTES]>,
    secret: String,
}

const SIGNATURE_BYTES: usize = 32;

impl SignedHeader {
    /// Reads a header as Stripe makes them: `t=<unix seconds>,v1=<hex HMAC-SHA256 over "t.body">`, with perhaps
    /// several `v1` while a secret is being replaced.
    ///
    /// # Errors
    /// [`WebhookRefusal`], except `NotExpected`.
    pub fn read(
        header: &'static str,
        value: Option<&str>,
        secret: &str,
        now: Timestamp,
    ) -> Result<Self, WebhookRefusal> {
        let unsigned = WebhookRefusal::Unsigned { header };
        let parts = || value.unwrap_or_default().split(',').filter_map(|part| part.split_once('='));
        let (_, time) = parts().find(|(name, _)| *name == "t").ok_or(unsigned)?;
        let seconds: i64 = time.parse().map_err(|_| unsigned)?;
        let claimed = || parts().filter(|(name, _)| *name == "v1");
        if claimed().nth(SIGNATURES_MAX).is_some() {
            return Err(WebhookRefusal::TooManySignatures);
        }
        let now_seconds = now.micros().div_euclid(1_000_000);
        if now_seconds.saturating_sub(seconds).saturating_abs() > SIGNATURE_TOLERANCE_S {
            return Err(WebhookRefusal::Stale);
        }
        let signatures: Vec<_> = claimed().filter_map(|(_, hex)| from_hex(hex)).collect();
        if signatures.is_empty() {
            return Err(WebhookRefusal::Forged);
        }
        Ok(Self { time: time.to_owned(), signatures, secret: secret.to_owned() })
    }

    /// Whether one of the signatures is of this body: one HMAC, compared with each in constant time.
    ///
    /// # Errors
    /// [`WebhookRefusal::Forged`].
    pub fn check(&self, body: &[u8]) -> Result<(), WebhookRefusal> {
        let mac = Hmac::<Sha256>::new_from_slice(self.secret.as_bytes());
        let mut mac = mac.map_err(|_| WebhookRefusal::Forged)?;
        mac.update(self.time.as_bytes());
        mac.update(b".");
        mac.update(body);
        let fits = |signature: &[u8; SIGNATURE_BYTES]| mac.clone().verify_slice(signature).is_ok();
        // All of them, so that the time does not say which one it was.
        let fitting = self.signatures.iter().filter(|signature| fits(signature)).count();
        if fitting > 0 { Ok(()) } else { Err(WebhookRefusal::Forged) }
    }
}

impl std::fmt::Debug for SignedHeader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SignedHeader").field("time", &self.time).finish_non_exhaustive()
    }
}

fn from_hex(text: &str) -> Option<[u8; SIGNATURE_BYTES]> {
    if text.len() != 2 * SIGNATURE_BYTES || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut bytes = [0; SIGNATURE_BYTES];
    for (at, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * at..2 * at + 2], 16).ok()?;
    }
    Some(bytes)
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
        SignedHeader::read(HEADER, Some(value), SECRET, now)?.check(body)
    }

    #[test]
    fn the_known_vector_is_let_in() {
        let value = format!("t=1700000000,v1={SIGNATURE}");
        assert_eq!(checked(&value, BODY, 1_700_000_000), Ok(()));
        for place in 0..SIGNATURES_MAX {
            let mut signatures = vec!["00".repeat(SIGNATURE_BYTES); SIGNATURES_MAX];
            signatures[place] = SIGNATURE.to_owned();
            let rotated = format!("t=1700000000,v0=x,v1={}", signatures.join(",v1="));
            assert_eq!(checked(&rotated, BODY, 1_700_000_300), Ok(()));
        }
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

    /// Whoever sends many signatures or an old one is turned away by the header alone.
    #[test]
    fn the_header_is_judged_before_there_is_a_body() {
        let read = |time: i64, signatures: &[&str]| {
            let signatures: String = signatures.iter().map(|one| format!(",v1={one}")).collect();
            let now = Timestamp::from_micros(1_700_000_000 * 1_000_000);
            let value = format!("t={time}{signatures},v0=x");
            SignedHeader::read(HEADER, Some(&value), SECRET, now)
                .map(|header| header.signatures.len())
        };
        let forged = "00".repeat(SIGNATURE_BYTES);
        assert_eq!(read(1_700_000_000, &[forged.as_str(); SIGNATURES_MAX]), Ok(SIGNATURES_MAX));
        for many in [SIGNATURES_MAX + 1, 8_000] {
            let refused = read(1_700_000_000, &vec![forged.as_str(); many]);
            assert_eq!(refused, Err(WebhookRefusal::TooManySignatures));
        }
        assert_eq!(read(1_600_000_000, &[SIGNATURE]), Err(WebhookRefusal::Stale));
        assert_eq!(read(1_700_000_000, &["+0", "zz"]), Err(WebhookRefusal::Forged));
        let with_sign = format!("+{}", &SIGNATURE[1..]);
        assert_eq!(read(1_700_000_000, &[&with_sign, SIGNATURE]), Ok(1));
    }
}
