//! Closing a day that was cut off.

use serde::{Deserialize, Serialize};

use super::{BalancesDigest, BooksEvent, CurrencyTotals, DayBalances};
use crate::Context;
use crate::command::Decision;
use crate::day::Day;
use crate::event::{Event, NewEvent};
use crate::ids::MerchantId;
use crate::rejection::Rejection;
use crate::state::{StateKey, States};
use crate::stream::StreamId;

/// Closes a day with its balances, which whoever asks has added up from everything before the cut-off.
#[derive(Debug, Clone)]
pub struct CloseDay {
    /// The ledger.
    pub ledger: MerchantId,
    /// The day.
    pub day: Day,
    /// The digest of the close before, that the balances' digest builds on.
    pub previous: Option<BalancesDigest>,
    /// The balances.
    pub balances: DayBalances,
}

/// A day was closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayClosed {
    /// The ledger.
    pub ledger: MerchantId,
    /// The day.
    pub day: Day,
    /// How many accounts have a balance at its end, what takes effect later left out.
    pub accounts: u64,
    /// The sums of those balances, by currency.
    pub totals: Vec<CurrencyTotals>,
    /// The digest of the close before; none where this is the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<BalancesDigest>,
    /// The digest of the balances at its end, and of `previous`.
    pub digest: BalancesDigest,
}

/// A month was closed, with its last day.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MonthClosed {
    /// The ledger.
    pub ledger: MerchantId,
    /// The month, such as `2026-11`.
    pub month: String,
    /// The digest of the balances at its end: that of its last day.
    pub digest: BalancesDigest,
}

impl CloseDay {
    pub(crate) fn reads(&self) -> Vec<StateKey> {
        vec![StateKey::Books(self.ledger)]
    }

    pub(crate) fn decide(
        &self,
        states: &impl States,
        context: &Context,
    ) -> Result<Decision, Rejection> {
        let (ledger, day) = (self.ledger, self.day);
        let books = states.books(ledger).filter(|books| books.closing() == Some(day));
        let books = books.ok_or(Rejection::DayNotCutOff { day })?;
        if books.closed.map(|(_, digest)| digest) != self.previous {
            return Err(Rejection::DayNotCutOff { day });
        }
        let DayBalances { accounts, totals, digest } = self.balances.clone();
        let previous = self.previous;
        let closed = DayClosed { ledger, day, accounts, totals, previous, digest };
        let mut events = vec![BooksEvent::DayClosed(closed)];
        if day.ends_month() {
            events.push(BooksEvent::MonthClosed(MonthClosed {
                ledger,
                month: day.month(),
                digest,
            }));
        }
        let mut version = books.version;
        let appended = events.into_iter().enumerate().map(|(index, event)| {
            version = version.next();
            NewEvent {
                event_id: context.event_id_of(index),
                stream: StreamId::books(ledger),
                version,
                merchant_id: ledger,
                event: Event::Books(event),
            }
        });
        Ok(Decision::Append(appended.collect()))
    }
}
