//! Positions in the log.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The one log of a deployment; leads every key so that more could share a database.
pub const LOG_ID: i16 = 1;

/// The number of an event in the log: from 1, without gaps, in the order of the commits.
/// 0 is the position before the first event.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Position(i64);

impl Position {
    /// Before the first event.
    pub const START: Self = Self(0);

    /// From the number as stored.
    pub const fn from_number(number: i64) -> Self {
        Self(number)
    }

    /// The number, as stored.
    pub const fn number(self) -> i64 {
        self.0
    }

    /// The position after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// How many events lie after `earlier`, up to and including this position; 0 if it is not earlier.
    pub const fn since(self, earlier: Self) -> i64 {
        if self.0 > earlier.0 { self.0 - earlier.0 } else { 0 }
    }

    /// The position as a JetStream sequence, which it is.
    pub fn sequence(self) -> u64 {
        u64::try_from(self.0).unwrap_or(0)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
