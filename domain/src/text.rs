//! Free text that people give: bounded, without control characters.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::card_number::holds_card_number;
use crate::ids::PaymentId;

/// Why a text is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidText {
    /// Empty, or longer than allowed.
    #[error("expected 1 to {max} characters")]
    Length {
        /// The most characters allowed.
        max: usize,
    },
    /// A control character (NUL included).
    #[error("control characters are not allowed")]
    Control,
    /// A character outside the set allowed for codes and references.
    #[error("only ASCII letters, digits and `{allowed}` are allowed")]
    Character {
        /// The punctuation allowed besides letters and digits.
        allowed: &'static str,
    },
    /// A reference that starts like those the platform itself makes.
    #[error("references that start with `{prefix}` are the platform's own")]
    Reserved {
        /// The reserved prefix.
        prefix: &'static str,
    },
    /// The code of an account that is opened by itself.
    #[error("accounts with codes that start with `{prefix}` are opened by themselves")]
    ReservedCode {
        /// The reserved prefix.
        prefix: &'static str,
    },
    /// Digits that are a card's number. Those never come near the log.
    #[error("this looks like a card's number; give the token that your PSP has for it")]
    CardNumber,
    /// More metadata keys than allowed.
    #[error("at most {max} keys")]
    TooManyKeys {
        /// The most keys allowed.
        max: usize,
    },
}

/// Checks length (in characters) and the absence of control characters.
pub(crate) fn check_free_text(text: &str, max: usize) -> Result<(), InvalidText> {
    if text.is_empty() || text.chars().count() > max {
        return Err(InvalidText::Length { max });
    }
    if text.chars().any(char::is_control) {
        return Err(InvalidText::Control);
    }
    if holds_card_number(text) { Err(InvalidText::CardNumber) } else { Ok(()) }
}

/// Checks length and that only ASCII letters, digits and `allowed` occur.
pub(crate) fn check_token(
    text: &str,
    max: usize,
    allowed: &'static str,
) -> Result<(), InvalidText> {
    if text.is_empty() || text.len() > max {
        return Err(InvalidText::Length { max });
    }
    let fits = |c: char| c.is_ascii_alphanumeric() || allowed.contains(c);
    if !text.chars().all(fits) {
        return Err(InvalidText::Character { allowed });
    }
    if holds_card_number(text) { Err(InvalidText::CardNumber) } else { Ok(()) }
}

/// A name or a description, for people to read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Name(String);

impl Name {
    /// The most characters a name may have: what fits a statement's line.
    pub const CHARACTERS_MAX: usize = 255;

    /// Takes 1 to 255 characters without control characters.
    ///
    /// # Errors
    /// [`InvalidText::Length`] or [`InvalidText::Control`].
    pub fn parse(text: &str) -> Result<Self, InvalidText> {
        check_free_text(text, Self::CHARACTERS_MAX)?;
        Ok(Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a client wants to find again with its object: text values under text keys, in key order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Metadata(BTreeMap<String, String>);

impl Metadata {
    /// The most keys.
    pub const KEYS_MAX: usize = 50;
    /// The most characters of a key.
    pub const KEY_CHARACTERS_MAX: usize = 64;
    /// The most characters of a value.
    pub const VALUE_CHARACTERS_MAX: usize = 500;

    /// Takes at most 50 keys of 1 to 64 characters, with values of 1 to 500.
    ///
    /// # Errors
    /// The offending key (empty where it is the number of keys) and what is wrong with it.
    pub fn parse(entries: BTreeMap<String, String>) -> Result<Self, (String, InvalidText)> {
        if entries.len() > Self::KEYS_MAX {
            return Err((String::new(), InvalidText::TooManyKeys { max: Self::KEYS_MAX }));
        }
        for (key, value) in &entries {
            check_free_text(key, Self::KEY_CHARACTERS_MAX)
                .and_then(|()| check_free_text(value, Self::VALUE_CHARACTERS_MAX))
                .map_err(|invalid| (key.clone(), invalid))?;
        }
        Ok(Self(entries))
    }

    /// What the entries of a payment are found with.
    pub(crate) fn of_payment(payment: PaymentId) -> Self {
        Self(BTreeMap::from([("payment".to_owned(), payment.to_string())]))
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Keys and values, in key order.
    pub fn entries(&self) -> &BTreeMap<String, String> {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_text_is_bounded_and_has_no_control_characters() {
        assert_eq!(Name::parse(""), Err(InvalidText::Length { max: 255 }));
        assert_eq!(Name::parse(&"x".repeat(256)), Err(InvalidText::Length { max: 255 }));
        assert_eq!(Name::parse("a\0b"), Err(InvalidText::Control));
        assert_eq!(Name::parse("Warung Bu Sri ☕").unwrap().as_str(), "Warung Bu Sri ☕");
    }

    #[test]
    fn metadata_names_the_key_that_is_wrong() {
        let of = |key: &str, value: &str| {
            Metadata::parse(BTreeMap::from([(key.to_owned(), value.to_owned())]))
        };
        assert_eq!(of("order", "a\u{0}"), Err(("order".to_owned(), InvalidText::Control)));
        assert_eq!(of("", "1"), Err((String::new(), InvalidText::Length { max: 64 })));
        let many = (0..51).map(|n| (n.to_string(), "v".to_owned())).collect();
        assert_eq!(
            Metadata::parse(many),
            Err((String::new(), InvalidText::TooManyKeys { max: 50 }))
        );
    }
}
