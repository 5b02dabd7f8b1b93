//! The key that makes a command safe to send again, and the fingerprint that tells whether it is
//! the same command.

use std::fmt;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, Method, Uri};
use domain::MerchantId;
use sha2::{Digest, Sha256};

use crate::problem::Problem;
use crate::problem_kinds as kinds;
use domain::holds_card_number;

/// The request header with the key.
pub const IDEMPOTENCY_KEY_HEADER: HeaderName = HeaderName::from_static("idempotency-key");
/// The response header that says `true` when the answer is that of an earlier request.
pub const IDEMPOTENT_REPLAYED_HEADER: HeaderName = HeaderName::from_static("idempotent-replayed");

/// The most characters of a key: what other payment APIs take, so that clients need no other keys.
pub const IDEMPOTENCY_KEY_CHARACTERS_MAX: usize = 255;

/// A key of the caller's choice, unique per merchant among its commands.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Takes 1 to 255 visible ASCII characters, with no card's number among them: it goes into the log.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=IDEMPOTENCY_KEY_CHARACTERS_MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic())
            && !holds_card_number(text);
        fits.then(|| Self(text.to_owned()))
    }

    /// From a request's headers, which must hold exactly one.
    ///
    /// # Errors
    /// 400 `missing-idempotency-key` or `malformed-idempotency-key`.
    pub fn from_headers(headers: &HeaderMap) -> Result<Self, Problem> {
        let malformed = |detail| Problem::new(kinds::MALFORMED_IDEMPOTENCY_KEY, detail);
        let mut values = headers.get_all(IDEMPOTENCY_KEY_HEADER).iter();
        let value = values.next().ok_or_else(Problem::missing_idempotency_key)?;
        if values.next().is_some() {
            return Err(malformed("expected one Idempotency-Key header, not several"));
        }
        let key = value.to_str().ok().and_then(Self::parse);
        key.ok_or_else(|| {
            malformed("expected 1 to 255 visible ASCII characters, without a card's number")
        })
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::from_headers(&parts.headers)
    }
}

/// What a request was, in 32 bytes: equal for the same request, different for any other.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// SHA-256 over method, path with query, merchant and raw body, each behind its length, so that
    /// no two requests run together into the same bytes.
    pub fn of(method: &Method, uri: &Uri, merchant: MerchantId, raw_body: &[u8]) -> Self {
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        let mut hasher = Sha256::new();
        hasher.update(b"runut request\0");
        let merchant_bytes = merchant.uuid().into_bytes();
        for part in [method.as_str().as_bytes(), path.as_bytes(), &merchant_bytes, raw_body] {
            // A usize has at most 64 bits on every platform there is.
            let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
            hasher.update(length.to_be_bytes());
            hasher.update(part);
        }
        Self(hasher.finalize().into())
    }

    /// The bytes, as stored.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{self}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_key_is_given_once_and_is_visible_ascii() {
        let check = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(IDEMPOTENCY_KEY_HEADER, value.parse().unwrap());
            }
            IdempotencyKey::from_headers(&headers).map_err(|problem| problem.kind().code)
        };
        let longest = "k".repeat(255);
        assert_eq!(check(&["order-1"]).unwrap().as_str(), "order-1");
        assert_eq!(check(&[&longest]).unwrap().as_str(), longest);
        assert_eq!(check(&[]), Err("missing-idempotency-key"));
        for values in [&[""][..], &["a", "a"], &["a b"], &["é"], &[&"k".repeat(256)]] {
            assert_eq!(check(values), Err("malformed-idempotency-key"), "{values:?}");
        }
    }

    #[test]
    fn a_fingerprint_tells_every_part_of_a_request_apart() {
        let merchant = |n| MerchantId::from_uuid(Uuid::from_u128(n));
        let of = |method: &Method, uri: &'static str, n, body: &[u8]| {
            Fingerprint::of(method, &Uri::from_static(uri), merchant(n), body)
        };
        let first = of(&Method::POST, "/v1/entries", 1, b"{}");
        assert_eq!(first, of(&Method::POST, "/v1/entries", 1, b"{}"));
        for other in [
            of(&Method::PUT, "/v1/entries", 1, b"{}"),
            of(&Method::POST, "/v1/entries?x", 1, b"{}"),
            of(&Method::POST, "/v1/entries", 2, b"{}"),
            of(&Method::POST, "/v1/entries", 1, b"{} "),
        ] {
            assert_ne!(first, other);
        }
        insta::assert_snapshot!(
            first,
            @"c96b5e3f8ed6f8ee650d048af07300388da59d158d8e0a8288149093fe4e101a"
        );
    }
}
