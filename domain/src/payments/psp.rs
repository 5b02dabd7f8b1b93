//! The names of PSPs.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::text::{InvalidText, check_token};

/// What the platform calls a PSP; part of the codes of its clearing accounts.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PspName(String);

impl PspName {
    /// The most characters.
    pub const CHARACTERS_MAX: usize = 32;
    /// What is allowed besides ASCII letters and digits.
    pub const PUNCTUATION: &'static str = "_-";

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PspName {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        check_token(text, Self::CHARACTERS_MAX, Self::PUNCTUATION)?;
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for PspName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
