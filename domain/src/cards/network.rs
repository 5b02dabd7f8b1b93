//! Card schemes.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The scheme that a card belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CardNetwork {
    /// Visa.
    Visa,
    /// Mastercard.
    Mastercard,
    /// Any other.
    Other,
}

impl CardNetwork {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Visa, Self::Mastercard, Self::Other];

    /// The name as stored and on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Visa => "visa",
            Self::Mastercard => "mastercard",
            Self::Other => "other",
        }
    }
}

/// The text names no network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected `visa`, `mastercard` or `other`")]
pub struct UnknownCardNetwork;

impl FromStr for CardNetwork {
    type Err = UnknownCardNetwork;

    fn from_str(text: &str) -> Result<Self, UnknownCardNetwork> {
        Self::ALL.into_iter().find(|network| network.name() == text).ok_or(UnknownCardNetwork)
    }
}
