//! Metadata: where an event came from.

use std::borrow::Cow;

use domain::{MerchantId, Timestamp};
use event_store::log::EventMetadata;
use serde::Deserialize;
use uuid::Uuid;

use super::ids::typed_id;

/// The request that an event came from, where it had a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestFacts<'a> {
    /// The idempotency key.
    pub(crate) key: Cow<'a, str>,
    /// Whose key it is, where that is not the event's merchant.
    pub(crate) owner: Option<Uuid>,
    /// SHA-256 of the request.
    pub(crate) fingerprint: [u8; 32],
}

/// What the checks need of metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MetadataFacts<'a> {
    pub(crate) request: Option<RequestFacts<'a>>,
    /// When the event was decided, where that is not when it was recorded.
    pub(crate) decided_at: Option<Timestamp>,
}

/// Texts without escapes are borrowed; with escapes this fails, and the log's own reader takes over.
#[derive(Deserialize)]
struct Quick<'a> {
    #[serde(rename = "actor")]
    _actor: &'a str,
    #[serde(rename = "correlation_id")]
    _correlation_id: &'a str,
    #[serde(default, rename = "traceparent")]
    _traceparent: Option<&'a str>,
    #[serde(default)]
    idempotency_key: Option<&'a str>,
    #[serde(default)]
    idempotency_owner: Option<&'a str>,
    #[serde(default)]
    fingerprint: Option<&'a str>,
    #[serde(default)]
    decided_at: Option<Timestamp>,
}

impl<'a> MetadataFacts<'a> {
    /// Reads stored metadata.
    ///
    /// # Errors
    /// What is wrong with it, as a sentence.
    pub(crate) fn read(metadata: &'a str) -> Result<Self, String> {
        if let Ok(quick) = serde_json::from_str::<Quick<'a>>(metadata)
            && let Some(owner) = quick.owner()
        {
            let key = quick.idempotency_key.map(Cow::Borrowed);
            let request = request(key, owner, quick.fingerprint)?;
            return Ok(Self { request, decided_at: quick.decided_at });
        }
        let whole: EventMetadata =
            serde_json::from_str(metadata).map_err(|error| error.to_string())?;
        let owner = whole.idempotency_owner.map(MerchantId::uuid);
        let key = whole.idempotency_key.map(Cow::Owned);
        let request = request(key, owner, whole.fingerprint.as_deref())?;
        Ok(Self { request, decided_at: whole.decided_at })
    }

    /// When an event was decided that was recorded at `recorded_at`.
    pub(crate) fn decided_at(&self, recorded_at: Timestamp) -> Timestamp {
        self.decided_at.unwrap_or(recorded_at)
    }
}

fn request<'a>(
    key: Option<Cow<'a, str>>,
    owner: Option<Uuid>,
    fingerprint: Option<&str>,
) -> Result<Option<RequestFacts<'a>>, String> {
    let Some(key) = key else { return Ok(None) };
    let fingerprint = fingerprint
        .and_then(digest)
        .ok_or("an idempotency key without a fingerprint of 64 hex digits")?;
    Ok(Some(RequestFacts { key, owner, fingerprint }))
}

impl Quick<'_> {
    /// The outer `None` where there is an owner and it is not one.
    fn owner(&self) -> Option<Option<Uuid>> {
        match self.idempotency_owner {
            Some(text) => typed_id("mer_", text).map(Some),
            None => Some(None),
        }
    }
}

fn digest(hex: &str) -> Option<[u8; 32]> {
    let hex = hex.as_bytes();
    if hex.len() != 64 {
        return None;
    }
    let mut digest = [0_u8; 32];
    for (byte, pair) in digest.iter_mut().zip(hex.chunks_exact(2)) {
        *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
    }
    Some(digest)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_readers_see_the_same_request() {
        let print = "ab".repeat(32);
        let plain = format!(
            r#"{{"actor":"a","correlation_id":"c","idempotency_key":"k","fingerprint":"{print}","decided_at":"1970-01-01T00:00:01Z"}}"#
        );
        let escaped = plain.replace("\"a\"", "\"\\u0061\"").replace("\"k\"", "\"\\u006b\"");
        let plain = MetadataFacts::read(&plain).unwrap();
        assert_eq!(plain, MetadataFacts::read(&escaped).unwrap());
        assert_eq!(plain.decided_at, Some(Timestamp::from_micros(1_000_000)));
        assert_eq!(plain.request.unwrap().fingerprint, [0xab; 32]);
    }

    #[test]
    fn what_is_no_metadata_is_refused() {
        for metadata in [
            "{}",
            "[]",
            r#"{"actor":"a"}"#,
            r#"{"actor":"a","correlation_id":"c","idempotency_owner":"nobody"}"#,
            r#"{"actor":"a","correlation_id":"c","idempotency_key":"k"}"#,
            r#"{"actor":"a","correlation_id":"c","idempotency_key":"k","fingerprint":"AB"}"#,
        ] {
            assert!(MetadataFacts::read(metadata).is_err(), "{metadata}");
        }
    }
}
