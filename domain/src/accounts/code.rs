//! Account codes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::currency::Currency;
use crate::text::{InvalidText, check_token};

/// What a ledger's owner calls an account, such as `cash` or `customers:42`; unique in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AccountCode(String);

impl AccountCode {
    /// The most characters.
    pub const CHARACTERS_MAX: usize = 100;
    /// What is allowed besides ASCII letters and digits.
    pub const PUNCTUATION: &'static str = ":._-";

    /// The code of an account of the platform that is kept for each `whose`, one a currency.
    pub(crate) fn of_system(kind: &'static str, whose: &str, currency: Currency) -> Self {
        Self(format!("{kind}:{whose}:{currency}"))
    }

    /// The code of an account that a ledger has for itself, one a currency.
    pub(crate) fn of_currency(kind: &'static str, currency: Currency) -> Self {
        Self(format!("{kind}:{currency}"))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AccountCode {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        check_token(text, Self::CHARACTERS_MAX, Self::PUNCTUATION)?;
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for AccountCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
