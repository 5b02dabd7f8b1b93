//! The books of a ledger: days are cut off, then closed with a digest of every balance.
//!
//! A cut-off ends a day: what is posted after it with an earlier effective time takes effect on the next open
//! day, and says so. From then on the balances of the day can never change, so they are added up, and the close
//! puts their digest into the log, chained to that of the close before.

mod close;
#[cfg(test)]
mod closing_tests;
mod cut_off;
mod digest;

pub use close::{CloseDay, DayClosed, MonthClosed};
pub use cut_off::{CLOSE_GRACE_SECONDS, CutOffDay, DayCutOff};
pub use digest::{BalancesDigest, CurrencyTotals, DayBalance, DayBalances};

use crate::day::Day;
use crate::event::events;
use crate::ids::MerchantId;
use crate::stream::StreamVersion;

events! {
    /// What happens to the books of a ledger.
    pub enum BooksEvent {
        DayCutOff(DayCutOff): "ledger.day_cut_off" v 1,
        DayClosed(DayClosed): "ledger.day_closed" v 1,
        MonthClosed(MonthClosed): "ledger.month_closed" v 1,
    }
}

impl BooksEvent {
    /// The ledger.
    pub fn ledger(&self) -> MerchantId {
        match self {
            Self::DayCutOff(event) => event.ledger,
            Self::DayClosed(event) => event.ledger,
            Self::MonthClosed(event) => event.ledger,
        }
    }
}

/// How far the books of a ledger are closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Books {
    /// The ledger.
    pub ledger: MerchantId,
    /// The last day that was cut off: nothing takes effect on it or before it any more.
    pub cut_off: Day,
    /// The last day that was closed, and the digest of its balances.
    pub closed: Option<(Day, BalancesDigest)>,
    /// The version of its stream that this state is at.
    pub version: StreamVersion,
}

impl Books {
    /// The day that was cut off and is not closed yet.
    pub fn closing(&self) -> Option<Day> {
        Some(self.cut_off).filter(|day| self.closed.is_none_or(|(closed, _)| closed < *day))
    }

    /// The state after one more event; `None` where a close comes before any cut-off.
    pub(crate) fn after(
        before: Option<Self>,
        event: &BooksEvent,
        version: StreamVersion,
    ) -> Option<Self> {
        match event {
            BooksEvent::DayCutOff(event) => {
                let closed = before.and_then(|books| books.closed);
                Some(Self { ledger: event.ledger, cut_off: event.day, closed, version })
            }
            BooksEvent::DayClosed(event) => {
                Some(Self { closed: Some((event.day, event.digest)), version, ..before? })
            }
            BooksEvent::MonthClosed(_) => Some(Self { version, ..before? }),
        }
    }
}
