//! Payment methods: how a payment is paid. Tokens only; a card's number is refused wherever it is given.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::card_number::holds_card_number;
use crate::cards::CardNetwork;
use crate::ids::{CardId, MerchantId};
use crate::text::{InvalidText, check_token};

/// When the money is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CaptureMethod {
    /// As soon as it is authorized; in one call where the PSP has that.
    Automatic,
    /// When the merchant says so.
    Manual,
}

impl CaptureMethod {
    /// Every one.
    pub const ALL: [Self; 2] = [Self::Automatic, Self::Manual];

    /// The name as stored and on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Automatic => "automatic",
            Self::Manual => "manual",
        }
    }
}

impl FromStr for CaptureMethod {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let named = Self::ALL.into_iter().find(|method| method.name() == text);
        named.ok_or("expected `automatic` or `manual`")
    }
}

/// What kind of thing a token stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MethodKind {
    /// A card.
    Card,
    /// An account at a bank.
    BankAccount,
    /// A wallet of another company.
    Wallet,
}

impl MethodKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Card, Self::BankAccount, Self::Wallet];

    /// The name as stored and on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Card => "card",
            Self::BankAccount => "bank_account",
            Self::Wallet => "wallet",
        }
    }
}

/// The text names no kind of method.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected `card`, `bank_account` or `wallet`")]
pub struct UnknownMethodKind;

impl FromStr for MethodKind {
    type Err = UnknownMethodKind;

    fn from_str(text: &str) -> Result<Self, UnknownMethodKind> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or(UnknownMethodKind)
    }
}

/// How a payment is paid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentMethod {
    /// What the token stands for.
    pub kind: MethodKind,
    /// What the PSPs know it by.
    pub token: String,
    /// The scheme of a card, as far as it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<CardNetwork>,
    /// What stays the same of a card when it gets another token; the token itself where nobody says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
}

impl PaymentMethod {
    /// The most characters of a token.
    pub const TOKEN_CHARACTERS_MAX: usize = 128;
    /// What is allowed in a token besides ASCII letters and digits.
    pub const TOKEN_PUNCTUATION: &'static str = "_-:.@";

    /// A method known by `token`.
    ///
    /// # Errors
    /// [`InvalidText`], also where the token is a card's number.
    pub fn new(kind: MethodKind, token: &str) -> Result<Self, InvalidText> {
        Self::check(token)?;
        Ok(Self { kind, token: token.to_owned(), network: None, fingerprint: None })
    }

    /// The same, of a card in that network.
    #[must_use]
    pub fn in_network(self, network: CardNetwork) -> Self {
        Self { network: Some(network), ..self }
    }

    /// The same, of the card with that fingerprint.
    ///
    /// # Errors
    /// [`InvalidText`], as for a token.
    pub fn with_fingerprint(self, fingerprint: &str) -> Result<Self, InvalidText> {
        Self::check(fingerprint)?;
        Ok(Self { fingerprint: Some(fingerprint.to_owned()), ..self })
    }

    /// No token is a card's number, whatever is written between its digits.
    fn check(token: &str) -> Result<(), InvalidText> {
        check_token(token, Self::TOKEN_CHARACTERS_MAX, Self::TOKEN_PUNCTUATION)?;
        let bare = token.replace(|c| Self::TOKEN_PUNCTUATION.contains(c), "-");
        if holds_card_number(&bare) { Err(InvalidText::CardNumber) } else { Ok(()) }
    }

    /// The card that it is, at a merchant; schemes limit nothing else.
    pub fn card(&self, merchant_id: MerchantId) -> Option<CardId> {
        match self.kind {
            MethodKind::Card => {
                let known_by = self.fingerprint.as_ref().unwrap_or(&self.token);
                Some(CardId::of(merchant_id, known_by))
            }
            MethodKind::BankAccount | MethodKind::Wallet => None,
        }
    }
}
