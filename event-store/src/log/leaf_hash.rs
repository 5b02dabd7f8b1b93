//! Leaf hashes: the fingerprint of an event's row, over every column but itself.

use std::fmt;

use domain::{MerchantId, Timestamp};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::position::{LOG_ID, Position};

/// What RFC 6962 (section 2.1) puts before a leaf, so that no leaf can pass for an inner node.
const LEAF_PREFIX: u8 = 0x00;

/// SHA-256 over a row of `events`.
///
/// The hashed bytes are 0x00 and then each column but `leaf_hash`, in the order of the table, as its
/// length in bytes (4 bytes, big-endian) and its value: integers as 8 bytes big-endian two's complement,
/// UUIDs as their 16 bytes, texts and JSON as their UTF-8 bytes, `recorded_at` as microseconds since
/// 1970 in 8 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct LeafHash([u8; 32]);

/// The columns of a row that the hash covers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Leaf<'a> {
    pub(crate) position: Position,
    pub(crate) stream_id: &'a str,
    pub(crate) version: i64,
    pub(crate) event_id: Uuid,
    pub(crate) event_type: &'a str,
    pub(crate) schema_version: i16,
    pub(crate) merchant_id: MerchantId,
    pub(crate) data: &'a str,
    pub(crate) metadata: &'a str,
    pub(crate) recorded_at: Timestamp,
}

impl Leaf<'_> {
    pub(crate) fn hash(&self) -> LeafHash {
        let mut hasher = Sha256::new();
        hasher.update([LEAF_PREFIX]);
        field(&mut hasher, &i64::from(LOG_ID).to_be_bytes());
        field(&mut hasher, &self.position.number().to_be_bytes());
        field(&mut hasher, self.stream_id.as_bytes());
        field(&mut hasher, &self.version.to_be_bytes());
        field(&mut hasher, self.event_id.as_bytes());
        field(&mut hasher, self.event_type.as_bytes());
        field(&mut hasher, &i64::from(self.schema_version).to_be_bytes());
        field(&mut hasher, self.merchant_id.uuid().as_bytes());
        field(&mut hasher, self.data.as_bytes());
        field(&mut hasher, self.metadata.as_bytes());
        field(&mut hasher, &self.recorded_at.micros().to_be_bytes());
        LeafHash(hasher.finalize().into())
    }
}

fn field(hasher: &mut Sha256, bytes: &[u8]) {
    // Events are at most 256 KiB, so a length always fits into four bytes.
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    hasher.update(length.to_be_bytes());
    hasher.update(bytes);
}

/// A SHA-256 from 64 hex digits.
pub(crate) fn digest_from_hex(text: &str) -> Option<[u8; 32]> {
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    let mut bytes = [0_u8; 32];
    for (index, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(bytes)
}

/// A SHA-256 as 64 hex digits; made by hand, since two are with every event.
pub(crate) fn digest_to_hex(digest: &[u8; 32]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(64);
    for byte in digest {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 0b1111)]));
    }
    text
}

impl LeafHash {
    /// From 32 stored bytes; `None` if there are not 32.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// From the column of that name.
    pub(crate) fn from_column(bytes: &[u8]) -> Result<Self, sqlx::Error> {
        Self::from_bytes(bytes)
            .ok_or_else(|| sqlx::Error::Decode("a leaf hash has 32 bytes".into()))
    }

    /// From 64 hex digits, as in a message's header.
    pub fn from_hex(text: &str) -> Option<Self> {
        digest_from_hex(text).map(Self)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for LeafHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&digest_to_hex(&self.0))
    }
}

impl fmt::Debug for LeafHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf() -> Leaf<'static> {
        Leaf {
            position: Position::from_number(7),
            stream_id: "merchant-mer_1",
            version: 1,
            event_id: Uuid::from_u128(9),
            event_type: "merchant.registered",
            schema_version: 1,
            merchant_id: MerchantId::PLATFORM,
            data: "{}",
            metadata: "{\"a\":1}",
            recorded_at: Timestamp::from_micros(1_700_000_000_000_000),
        }
    }

    /// The encoding is part of the stored format: the same row must hash alike for ever.
    #[test]
    fn the_hash_of_a_known_row_stays_what_it_is() {
        assert_eq!(
            leaf().hash().to_string(),
            "efd4b524da4a887cce3f783afb80c26c48270b0eaf3a23960f80366b8200fb58"
        );
    }

    #[test]
    fn every_column_changes_the_hash_and_no_two_columns_run_together() {
        let base = leaf().hash();
        let variants = [
            Leaf { position: Position::from_number(8), ..leaf() },
            Leaf { stream_id: "merchant-mer_2", ..leaf() },
            Leaf { version: 2, ..leaf() },
            Leaf { event_id: Uuid::from_u128(8), ..leaf() },
            Leaf { event_type: "merchant.registere", ..leaf() },
            Leaf { schema_version: 2, ..leaf() },
            Leaf { merchant_id: MerchantId::from_uuid(Uuid::from_u128(1)), ..leaf() },
            Leaf { data: "{ }", ..leaf() },
            Leaf { metadata: "{\"a\":2}", ..leaf() },
            Leaf { data: "{}{", metadata: "\"a\":1}", ..leaf() },
            Leaf { recorded_at: Timestamp::from_micros(1), ..leaf() },
        ];
        for variant in variants {
            assert_ne!(variant.hash(), base, "{variant:?}");
        }
    }

    #[test]
    fn hex_survives() {
        let hash = leaf().hash();
        assert_eq!(LeafHash::from_hex(&hash.to_string()), Some(hash));
        assert_eq!(LeafHash::from_hex("zz"), None);
    }
}
