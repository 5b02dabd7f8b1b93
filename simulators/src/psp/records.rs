//! The lines of the ledger.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::operation::{Moment, Operation, Status};

/// The bytes of a hash that an id or a fingerprint keeps: 24 hex digits, too many for two to meet.
const DIGEST_BYTES: usize = 12;

/// A line of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub(super) enum Record {
    /// An operation was carried out.
    CarriedOut(Box<CarriedOut>),
    /// An operation's status changed later.
    Changed {
        /// The operation's idempotency key.
        key: String,
        status: Status,
        at: Moment,
    },
    /// The event of an operation reached its receiver.
    Delivered {
        /// The operation's idempotency key.
        key: String,
        notice: Notice,
    },
}

/// An operation as it was first answered, and what else of its request counts later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CarriedOut {
    pub(super) operation: Operation,
    /// Of the request's path and body; another request under the same key has another.
    pub(super) fingerprint: String,
    /// The charge's token, if this operation began the charge.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) token: Option<String>,
    /// Whether the capture gives up what it leaves of the authorization.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(super) last_capture: bool,
}

/// Which event of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Notice {
    /// That it was carried out.
    First,
    /// That its status changed later.
    Change,
}

/// The digits that ids are made of: the same for the same simulator and key, always.
pub(super) fn id_digits(simulator: &str, key: &str) -> String {
    digest(simulator.as_bytes(), key.as_bytes())
}

/// What tells requests under the same key apart.
pub(super) fn fingerprint(path: &str, body: &[u8]) -> String {
    digest(path.as_bytes(), body)
}

/// Neither a path nor a key has a zero byte, so the two parts cannot be cut elsewhere.
fn digest(first: &[u8], second: &[u8]) -> String {
    let mut hash = Sha256::new();
    hash.update(first);
    hash.update([0]);
    hash.update(second);
    hex(&hash.finalize()[..DIGEST_BYTES])
}

/// Bytes as lowercase hex digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    let digit = |nibble: u8| DIGITS[usize::from(nibble)];
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_depend_on_the_simulator_and_the_key() {
        let digits = id_digits("alpha", "key-1");
        assert_eq!(digits.len(), 24);
        assert_eq!(digits, id_digits("alpha", "key-1"));
        assert_ne!(digits, id_digits("beta", "key-1"));
        assert_ne!(digits, id_digits("alpha", "key-2"));
        assert_ne!(id_digits("ab", "c"), id_digits("a", "bc"));
    }

    #[test]
    fn hex_is_lowercase_and_keeps_zeros() {
        assert_eq!(hex(&[0x00, 0x0f, 0xa0, 0xff]), "000fa0ff");
    }
}
