//! The pure core of Runut: what may happen, and what it means when it did.
//!
//! A [`Command`] is decided against [`States`] folded from the log and yields either the [`NewEvent`]s
//! to append or a [`Rejection`]. Nothing here reads a clock, draws a random number or does I/O: time
//! and ids are passed in, so that a decision made twice is the same decision.
//!
//! One folder a concept (`merchants`, `api_keys`, `accounts`, `ledger`, `holds`, `books`, `fx`,
//! `payments`, `cards`, `psps`); in it one file a use case, with the command, its rules and their tests, and `mod.rs` with the state and its `evolve`.

pub mod accounts;
pub mod api_keys;
pub mod books;
mod card_number;
pub mod cards;
mod characters;
mod command;
mod currency;
mod day;
mod event;
mod footprint;
pub mod fx;
pub mod holds;
mod ids;
pub mod ledger;
pub mod merchants;
mod money;
pub mod payments;
pub mod psps;
mod rejection;
mod rounding;
mod staged;
mod state;
mod stream;
mod text;
mod time;
mod upcast;

#[cfg(test)]
mod given_when_then;

pub use card_number::holds_card_number;
pub use characters::is_invisible;
pub use command::{Command, Decision, StepDone};
pub use currency::{Currency, UnknownCurrency};
pub use day::{Day, ParseDayError};
pub use event::{DecodeError, Event, NewEvent};
pub use ids::{
    AccountId, ApiKeyId, CardId, DisputeId, EntryId, HoldId, MerchantId, ParseIdError, PaymentId,
    RefundId,
};
pub use money::{AMOUNT_MINOR_MAX, Amount, Money, MoneyError, SUM_MINOR_MAX, Sum};
pub use rejection::{Rejection, RejectionClass};
pub use state::{State, StateKey, States};
pub use stream::{StreamId, StreamVersion};
pub use text::{InvalidText, Metadata, Name};
pub use time::{EventTime, Timestamp};

use uuid::Uuid;

/// What a decision may know of the world besides the log: the time and fresh ids.
///
/// The same context is used when a batch is decided again, so a second decision yields the same ids.
#[derive(Debug, Clone, Copy)]
pub struct Context {
    /// When the command was accepted or, where that is later, what its events are recorded at; UTC, in whole
    /// microseconds. Nothing is recorded later than it was decided as of.
    pub now: Timestamp,
    /// A fresh UUIDv7 that names the first event of the decision; further events derive theirs from it.
    pub event_id: Uuid,
}

impl Context {
    /// The id of a decision's event number `index`, from 0: the first's with its last bits turned, so that
    /// it is as unique.
    pub(crate) fn event_id_of(&self, index: usize) -> Uuid {
        let turned = u128::try_from(index).unwrap_or_default();
        Uuid::from_u128(self.event_id.as_u128() ^ turned)
    }
}
