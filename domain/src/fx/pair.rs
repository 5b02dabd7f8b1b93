//! A pair of currencies in a ledger: its latest rate, and what its conversions carry.

use super::{Carried, FxEvent, Rate};
use crate::currency::Currency;
use crate::ids::MerchantId;
use crate::stream::{StreamId, StreamVersion};
use crate::text::Name;
use crate::time::Timestamp;

/// Two currencies in a ledger: the `base` is what a rate is the price of, the `quote` what it is paid in.
/// The same two the other way round are another pair, with rates of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PairId {
    ledger: MerchantId,
    base: Currency,
    quote: Currency,
}

/// Twice the same currency is no pair.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected two currencies")]
pub struct SameCurrency;

impl PairId {
    /// Two currencies of a ledger.
    ///
    /// # Errors
    /// [`SameCurrency`].
    pub fn new(ledger: MerchantId, base: Currency, quote: Currency) -> Result<Self, SameCurrency> {
        if base == quote { Err(SameCurrency) } else { Ok(Self { ledger, base, quote }) }
    }

    /// The pair that an event names.
    pub(super) const fn recorded(ledger: MerchantId, base: Currency, quote: Currency) -> Self {
        Self { ledger, base, quote }
    }

    /// The ledger.
    pub const fn ledger(self) -> MerchantId {
        self.ledger
    }

    /// What is sold.
    pub const fn base(self) -> Currency {
        self.base
    }

    /// What is bought.
    pub const fn quote(self) -> Currency {
        self.quote
    }
}

/// A rate as it was recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedRate {
    /// How much of the quote currency one unit of the base currency is.
    pub rate: Rate,
    /// When it was so.
    pub as_of: Timestamp,
    /// Who says so.
    pub source: Name,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// The version of the pair's stream that recorded it: what conversions name it by.
    pub version: StreamVersion,
}

/// A pair, folded from its stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// What it is found by.
    pub id: PairId,
    /// The rate that was recorded last.
    pub latest: RecordedRate,
    /// What its conversions owe in fractions.
    pub carried: Carried,
    /// The version of its stream that this state is at.
    pub version: StreamVersion,
}

impl Pair {
    /// The name of its stream.
    pub fn stream(&self) -> StreamId {
        StreamId::pair(self.id)
    }

    /// The state after one more event; `None` where something was converted before there was any rate.
    pub(crate) fn after(
        before: Option<Self>,
        event: &FxEvent,
        version: StreamVersion,
        recorded_at: Timestamp,
    ) -> Option<Self> {
        match event {
            FxEvent::RateRecorded(event) => {
                let (rate, as_of, source) = (event.rate, event.as_of, event.source.clone());
                let latest = RecordedRate { rate, as_of, source, recorded_at, version };
                let carried = before.map(|pair| pair.carried).unwrap_or_default();
                Some(Self { id: event.pair(), latest, carried, version })
            }
            FxEvent::Converted(event) => {
                let pair = before?;
                let carried = pair.carried.with(event.grows, event.carried_minor);
                Some(Self { carried, version, ..pair })
            }
        }
    }
}
