//! Streams: the events of one aggregate, numbered from 1 without gaps.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::fx::PairId;
use crate::ids::{AccountId, ApiKeyId, CardId, EntryId, HoldId, MerchantId, PaymentId};
use crate::payments::PspName;

/// The number of an event in its stream, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StreamVersion(i64);

impl StreamVersion {
    /// The version of a stream's first event.
    pub const FIRST: Self = Self(1);

    /// From the number as stored.
    pub const fn from_number(number: i64) -> Self {
        Self(number)
    }

    /// The number, as stored.
    pub const fn number(self) -> i64 {
        self.0
    }

    /// The version of the event after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for StreamVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The name of a stream: `<kind>-<what identifies the aggregate>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StreamId(String);

impl StreamId {
    /// What the names of ledger entries' streams start with.
    pub const ENTRY_PREFIX: &'static str = "entry-";
    /// What the names of holds' streams start with.
    pub const HOLD_PREFIX: &'static str = "hold-";

    /// A merchant's stream.
    pub fn merchant(id: MerchantId) -> Self {
        Self(format!("merchant-{id}"))
    }

    /// An API key's stream.
    pub fn api_key(id: ApiKeyId) -> Self {
        Self(format!("api_key-{id}"))
    }

    /// An account's stream: its opening, freezing and closing. What moves its balance is in entries.
    pub fn account(id: AccountId) -> Self {
        Self(format!("account-{id}"))
    }

    /// An entry's stream. Its id comes of its reference: as there is one first version of a stream, there
    /// is one entry for a reference in a ledger, for ever.
    pub fn entry(id: EntryId) -> Self {
        Self(format!("{}{id}", Self::ENTRY_PREFIX))
    }

    /// A hold's stream. Like an entry's id, a hold's comes of its reference.
    pub fn hold(id: HoldId) -> Self {
        Self(format!("{}{id}", Self::HOLD_PREFIX))
    }

    /// The stream of a ledger's books: its cut-offs and closes.
    pub fn books(ledger: MerchantId) -> Self {
        Self(format!("books-{ledger}"))
    }

    /// The stream of a pair of currencies in a ledger: its rates and conversions.
    pub fn pair(id: PairId) -> Self {
        Self(format!("fx-{}-{}-{}", id.ledger(), id.base(), id.quote()))
    }

    /// A payment's stream.
    pub fn payment(id: PaymentId) -> Self {
        Self(format!("payment-{id}"))
    }

    /// A card's stream: its declines.
    pub fn card(id: CardId) -> Self {
        Self(format!("card-{id}"))
    }

    /// A PSP's stream.
    pub fn psp(name: &PspName) -> Self {
        Self(format!("psp-{name}"))
    }

    /// A name read from the log.
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
