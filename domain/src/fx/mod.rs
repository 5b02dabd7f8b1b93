//! Foreign exchange: rates as facts of the log, and conversions that use them.
//!
//! A conversion goes through the ledger's exchange accounts, one a currency, so that every currency balances by
//! itself. Between accounts that grow by credits (customers' balances, say), with the sides the other way round
//! between accounts that grow by debits:
//!
//! | leg | debit | credit |
//! | --- | --- | --- |
//! | base currency | `from` what is sold | `fx:exchange:<BASE>` what is sold |
//! | quote currency | `fx:exchange:<QUOTE>` what the exchange pays | `to` what is bought |
//! | what rounding costs | `fx:rounding:<QUOTE>` | |
//! | what rounding earns | | `fx:rounding:<QUOTE>` |
//!
//! What is bought is rounded by the rule that the caller gives. The exchange pays whole minor units too, but
//! over all conversions of a pair exactly: what it owes in fractions is carried from one to the next
//! ([`Carried`]). The difference of the two is what rounding costs or earns, and is booked.
//!
//! `fx:rounding:<CCY>` is an expense: its balance is what rounding has cost the ledger's owner. Where a rule is
//! in the owner's favour the balance is negative. An income account would show the same with the other sign; a
//! cost that shows as a positive number is the one that somebody looks into.

mod carried;
mod convert;
#[cfg(test)]
mod converting_tests;
#[cfg(test)]
mod exactness_tests;
mod pair;
mod rate;
mod record_rate;
#[cfg(test)]
mod scenario;

pub use crate::rounding::{Rounding, UnknownRounding};
pub use carried::Carried;
pub use convert::{Conversion, Convert, Converted, Exchange};
pub use pair::{Pair, PairId, RecordedRate, SameCurrency};
pub use rate::{RATE_DECIMALS_MAX, RATE_DIGITS_MAX, Rate, RateError};
pub use record_rate::{RATE_AHEAD_SECONDS_MAX, RateRecorded, RecordRate};

use crate::event::events;

events! {
    /// What happens to a pair of currencies in a ledger.
    pub enum FxEvent {
        RateRecorded(RateRecorded): "fx.rate_recorded" v 1,
        Converted(Converted): "fx.converted" v 1,
    }
}

impl FxEvent {
    /// The pair.
    pub fn pair(&self) -> PairId {
        match self {
            Self::RateRecorded(event) => event.pair(),
            Self::Converted(event) => event.pair(),
        }
    }
}
