//! API keys: who may do what, for which merchant.

mod issue;
mod revoke;

pub use issue::{ApiKeyIssued, IssueApiKey};
pub use revoke::{ApiKeyRevoked, RevokeApiKey};

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::ids::{ApiKeyId, MerchantId};
use crate::stream::StreamVersion;
use crate::text::Name;

/// What the holder of a key may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Posts commands and queries for one merchant.
    Merchant,
    /// Queries for one merchant; no commands.
    MerchantRead,
    /// Runs the platform: registers merchants, issues keys, keeps the platform's ledger, reads everything.
    Operator,
    /// Reads everything, the raw log included; no commands.
    Auditor,
    /// Queries the read models of all merchants; no commands, no raw log.
    Analyst,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 5] =
        [Self::Merchant, Self::MerchantRead, Self::Operator, Self::Auditor, Self::Analyst];

    /// The name as stored and on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Merchant => "merchant",
            Self::MerchantRead => "merchant_read",
            Self::Operator => "operator",
            Self::Auditor => "auditor",
            Self::Analyst => "analyst",
        }
    }

    /// Whether a key of this role belongs to one merchant (else to the platform).
    pub const fn of_one_merchant(self) -> bool {
        match self {
            Self::Merchant | Self::MerchantRead => true,
            Self::Operator | Self::Auditor | Self::Analyst => false,
        }
    }
}

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        Self::ALL.into_iter().find(|role| role.name() == text).ok_or(UnknownRole)
    }
}

/// The text names no role.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected `merchant`, `merchant_read`, `operator`, `auditor` or `analyst`")]
pub struct UnknownRole;

/// The SHA-256 of a key's secret: all that is ever stored of it. The secret has 256 random bits, so a
/// plain hash is enough; nothing can be guessed from it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SecretDigest([u8; 32]);

impl SecretDigest {
    /// Of the secret as it stands in the `Authorization` header.
    pub fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret.as_bytes()).into())
    }

    /// Compares in constant time.
    pub fn matches(&self, secret: &str) -> bool {
        let other = Self::of(secret);
        self.0.iter().zip(other.0).fold(0_u8, |differs, (a, b)| differs | (a ^ b)) == 0
    }
}

impl fmt::Display for SecretDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SecretDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{self}")
    }
}

impl Serialize for SecretDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SecretDigest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        let mut digest = [0_u8; 32];
        let well_formed = text.len() == 64
            && text.is_ascii()
            && digest.iter_mut().enumerate().all(|(index, byte)| {
                let pair = &text[2 * index..2 * index + 2];
                u8::from_str_radix(pair, 16).map(|value| *byte = value).is_ok()
            });
        if well_formed {
            Ok(Self(digest))
        } else {
            Err(serde::de::Error::custom("expected 64 hex digits"))
        }
    }
}

/// An API key, folded from its stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKey {
    /// The public part.
    pub id: ApiKeyId,
    /// Whose ledger it opens; the platform's for operators, auditors and analysts.
    pub merchant_id: MerchantId,
    /// What it allows.
    pub role: Role,
    /// What its holder calls it.
    pub label: Option<Name>,
    /// What the secret hashes to.
    pub secret: SecretDigest,
    /// Whether it was revoked; then it opens nothing, for ever.
    pub revoked: bool,
    /// The version of its stream that this state is at.
    pub version: StreamVersion,
}

impl ApiKey {
    /// The state right after it was issued.
    pub(crate) fn issued(event: &ApiKeyIssued, version: StreamVersion) -> Self {
        Self {
            id: event.key_id,
            merchant_id: event.merchant_id,
            role: event.role,
            label: event.label.clone(),
            secret: event.secret_sha256,
            revoked: false,
            version,
        }
    }

    /// The state after it was revoked.
    pub(crate) fn revoked(self, version: StreamVersion) -> Self {
        Self { revoked: true, version, ..self }
    }
}
