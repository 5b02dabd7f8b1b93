//! Typed ids: a UUID behind a prefix, sortable as text, never confused with each other.
//!
//! On the wire an id is `<prefix>_<26 characters>`, the 128 bits in Crockford's base 32 as the TypeID
//! specification 0.3 lays them out, so ids made from UUIDv7 sort by time as text too.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

use crate::accounts::AccountCode;
use crate::ledger::ExternalRef;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";
/// What each character stands for; [`NO_LETTER`] where it is none of the alphabet.
const VALUES: [u8; 256] = values();
const NO_LETTER: u8 = u8::MAX;
/// 26 characters of 5 bits hold 130 bits; the first holds only the top 3 of the 128.
const ENCODED_LENGTH: usize = 26;

/// The text is not an id of the kind asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected `{prefix}_` and 26 characters of lower-case base 32")]
pub struct ParseIdError {
    /// The prefix that an id of this kind starts with.
    pub prefix: &'static str,
}

const fn values() -> [u8; 256] {
    let mut values = [NO_LETTER; 256];
    let mut value: u8 = 0;
    while value < 32 {
        values[ALPHABET[value as usize] as usize] = value;
        value += 1;
    }
    values
}

fn encode(uuid: Uuid) -> [u8; ENCODED_LENGTH] {
    let mut bits = uuid.as_u128();
    let mut text = [b'0'; ENCODED_LENGTH];
    for slot in text.iter_mut().rev() {
        *slot = ALPHABET[usize::from(bits.to_le_bytes()[0] & 0b1_1111)];
        bits >>= 5;
    }
    text
}

fn decode(text: &str) -> Option<Uuid> {
    let bytes = text.as_bytes();
    if bytes.len() != ENCODED_LENGTH || bytes[0] > b'7' {
        return None;
    }
    let mut bits = 0_u128;
    for byte in bytes {
        let value = VALUES[usize::from(*byte)];
        if value == NO_LETTER {
            return None;
        }
        bits = (bits << 5) | u128::from(value);
    }
    Some(Uuid::from_u128(bits))
}

macro_rules! typed_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            /// What the text form starts with, before the underscore.
            pub const PREFIX: &'static str = $prefix;

            /// Wraps the bare UUID, as drawn by the id source or read from a column.
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// The bare UUID, as stored in a column.
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let text = encode(self.0);
                f.write_str(concat!($prefix, "_"))?;
                f.write_str(std::str::from_utf8(&text).map_err(|_| fmt::Error)?)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                text.strip_prefix(concat!($prefix, "_"))
                    .and_then(decode)
                    .map(Self)
                    .ok_or(ParseIdError { prefix: $prefix })
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

typed_id!(
    /// A merchant, and the ledger that is its own.
    MerchantId,
    "mer"
);
typed_id!(
    /// An API key (the public part; the secret is never an id).
    ApiKeyId,
    "key"
);
typed_id!(
    /// A ledger account. Derived from ledger and code, see [`AccountId::of`].
    AccountId,
    "acc"
);
typed_id!(
    /// A ledger entry. Derived from ledger and reference, see [`EntryId::of`].
    EntryId,
    "ent"
);

typed_id!(
    /// Money held between ledger accounts. Derived from ledger and reference, see [`HoldId::of`].
    HoldId,
    "hld"
);

typed_id!(
    /// A payment.
    PaymentId,
    "pay"
);
typed_id!(
    /// A refund of a payment.
    RefundId,
    "rfd"
);
typed_id!(
    /// A dispute of a payment.
    DisputeId,
    "dsp"
);

typed_id!(
    /// A card at a merchant. Derived from what the merchant calls it, see [`CardId::of`].
    CardId,
    "crd"
);

impl CardId {
    /// The one id that a card known by `fingerprint` has at a merchant: a UUIDv8 of SHA-256 over both, so that
    /// the log does not say by what it is known.
    pub fn of(merchant_id: MerchantId, fingerprint: &str) -> Self {
        Self(derived(b"runut card\0", merchant_id, fingerprint))
    }
}

impl MerchantId {
    /// The owner of what belongs to no merchant: system accounts, operators' and auditors' keys.
    pub const PLATFORM: Self = Self(Uuid::nil());

    /// Whether this is the platform itself, not a merchant.
    pub fn platform(self) -> bool {
        self == Self::PLATFORM
    }
}

impl AccountId {
    /// The one id that `code` has in `ledger`, for ever: a UUIDv8 of SHA-256 over both.
    ///
    /// Derived, not drawn, so that the unique index on streams makes codes unique without a look-up,
    /// and a system account is found by its name alone.
    pub fn of(ledger: MerchantId, code: &AccountCode) -> Self {
        Self::of_recorded(ledger, code.as_str())
    }

    /// The same for a code as it stands in a log, whether or not it keeps today's rules.
    pub fn of_recorded(ledger: MerchantId, code: &str) -> Self {
        Self(derived(b"runut account\0", ledger, code))
    }
}

impl EntryId {
    /// The one id that `external_ref` has in `ledger`, for ever: a UUIDv8 of SHA-256 over both.
    ///
    /// Derived, not drawn, so that the unique index on streams makes references unique and finds an entry
    /// by its id, both without an index of their own.
    pub fn of(ledger: MerchantId, external_ref: &ExternalRef) -> Self {
        Self::of_recorded(ledger, external_ref.as_str())
    }

    /// The same for a reference as it stands in a log, whether or not it keeps today's rules.
    pub fn of_recorded(ledger: MerchantId, external_ref: &str) -> Self {
        Self(derived(b"runut entry\0", ledger, external_ref))
    }
}

impl HoldId {
    /// The one id that `external_ref` has among the holds of `ledger`, for ever: a UUIDv8 of SHA-256 over
    /// both. References of holds and of entries are apart.
    pub fn of(ledger: MerchantId, external_ref: &ExternalRef) -> Self {
        Self::of_recorded(ledger, external_ref.as_str())
    }

    /// The same for a reference as it stands in a log, whether or not it keeps today's rules.
    pub fn of_recorded(ledger: MerchantId, external_ref: &str) -> Self {
        Self(derived(b"runut hold\0", ledger, external_ref))
    }
}

/// A UUIDv8 (RFC 9562, section 5.8) of SHA-256 over a name in a ledger: 122 bits, so that two names that
/// lead to one are out of reach even for who looks for them.
fn derived(kind: &'static [u8], ledger: MerchantId, name: &str) -> Uuid {
    let mut hasher = Sha256::new();
    hasher.update(kind);
    hasher.update(ledger.uuid().as_bytes());
    hasher.update(name.as_bytes());
    let digest: [u8; 32] = hasher.finalize().into();
    let mut bytes = [0_u8; 16];
    bytes.copy_from_slice(&digest[..16]);
    Builder::from_custom_bytes(bytes).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_matches_the_published_vector_of_the_typeid_specification() {
        let uuid: Uuid = "01890a5d-ac96-774b-bcce-b302099a8057".parse().unwrap();
        let id = MerchantId::from_uuid(uuid);
        assert_eq!(id.to_string(), "mer_01h455vb4pex5vsknk084sn02q");
        assert_eq!(id.to_string().parse(), Ok(id));
    }

    #[test]
    fn ids_of_another_kind_or_with_other_letters_are_refused() {
        for text in [
            "",
            "mer_",
            "acc_01h455vb4pex5vsknk084sn02q",
            "mer_01H455VB4PEX5VSKNK084SN02Q",
            "mer_81h455vb4pex5vsknk084sn02q",
            "mer_01h455vb4pex5vsknk084sn02",
            "mer_01h455vb4pex5vsknk084sn02u",
        ] {
            assert_eq!(text.parse::<MerchantId>(), Err(ParseIdError { prefix: "mer" }), "{text}");
        }
    }

    #[test]
    fn an_account_id_depends_on_ledger_and_code_and_nothing_else() {
        let cash: AccountCode = "cash".parse().unwrap();
        let bank: AccountCode = "bank".parse().unwrap();
        let ledger = MerchantId::from_uuid(Uuid::from_u128(7));
        assert_eq!(AccountId::of(ledger, &cash), AccountId::of(ledger, &cash));
        assert_ne!(AccountId::of(ledger, &cash), AccountId::of(ledger, &bank));
        assert_ne!(AccountId::of(ledger, &cash), AccountId::of(MerchantId::PLATFORM, &cash));
    }
}
