//! Cutting off a day.

use serde::{Deserialize, Serialize};

use super::BooksEvent;
use crate::Context;
use crate::command::Decision;
use crate::day::Day;
use crate::event::{Event, NewEvent};
use crate::ids::MerchantId;
use crate::ledger::EFFECTIVE_EARLIEST;
use crate::rejection::Rejection;
use crate::state::{StateKey, States};
use crate::stream::{StreamId, StreamVersion};

/// How long after its end a day may be cut off, in seconds: several processes write to the log, whose clocks
/// differ by a second at the most, and none may still record entries of that day.
pub const CLOSE_GRACE_SECONDS: i64 = 60;

/// The first day that can be cut off: nothing takes effect before it.
fn first_day() -> Day {
    Day::of(EFFECTIVE_EARLIEST)
}

/// Ends a day in the books of a ledger, and every day before it that is open still. Months end one by one.
#[derive(Debug, Clone)]
pub struct CutOffDay {
    /// The ledger: the caller's own.
    pub ledger: MerchantId,
    /// The day.
    pub day: Day,
}

/// A day was cut off: what takes effect on it or before it is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayCutOff {
    /// The ledger.
    pub ledger: MerchantId,
    /// The day.
    pub day: Day,
}

impl CutOffDay {
    pub(crate) fn reads(&self) -> Vec<StateKey> {
        vec![StateKey::Books(self.ledger)]
    }

    /// Refused, in this order: a day before the first, one that is not over, one that is cut off already, one
    /// after the end of a month that is open, and any while another is being closed.
    pub(crate) fn decide(
        &self,
        states: &impl States,
        context: &Context,
    ) -> Result<Decision, Rejection> {
        let (day, first) = (self.day, first_day());
        if day < first {
            return Err(Rejection::DayBeforeBooks { first });
        }
        if context.now < day.next().start().plus_millis(CLOSE_GRACE_SECONDS * 1_000) {
            return Err(Rejection::DayNotOver { day });
        }
        let books = states.books(self.ledger);
        if let Some(books) = books {
            if day <= books.cut_off {
                return Err(Rejection::DayCutOffAlready { day: books.cut_off });
            }
            let month_end = books.cut_off.next().month_end();
            if day > month_end {
                return Err(Rejection::MonthNotClosed { last_day: month_end });
            }
            if let Some(closing) = books.closing() {
                return Err(Rejection::DayBeingClosed { day: closing });
            }
        }
        Ok(Decision::Append(vec![NewEvent {
            event_id: context.event_id,
            stream: StreamId::books(self.ledger),
            version: books.map_or(StreamVersion::FIRST, |books| books.version.next()),
            merchant_id: self.ledger,
            event: Event::Books(BooksEvent::DayCutOff(DayCutOff { ledger: self.ledger, day })),
        }]))
    }
}
