//! A conversion is booked by the entry that it names, in the same append: through the ledger's exchange accounts,
//! with what rounding cost or earned.

use domain::fx::{Converted, Exchange};
use domain::ledger::Direction;
use domain::{AccountId, Currency};
use uuid::Uuid;

use crate::facts::{EntryFacts, PostingFacts};
use crate::verify::finding::{Check, Findings, entry as named};

/// The most accounts that are opened between a conversion and its entry: two of the exchange, one of rounding.
pub(super) const OPENED_MAX: i64 = 3;

/// The entry that has to come next, but for accounts that are opened.
#[derive(Debug)]
pub(super) struct Expected {
    pub(super) position: i64,
    pub(super) stream: String,
    pub(super) event: Converted,
}

impl Expected {
    /// Whether an account that is opened at `position` may be one that the conversion goes through.
    pub(super) const fn waits_at(&self, position: i64) -> bool {
        position <= self.position + OPENED_MAX
    }

    pub(super) fn missing(self, findings: &mut Findings) {
        let expected = format!("{} right after it", named(self.event.entry_id.uuid()));
        let (position, subject) = (self.position, self.stream);
        findings.add(Check::Conversions, position, subject, expected, "another event");
    }

    /// Whether the entry is the one, whatever it says.
    pub(super) fn names(&self, entry: &EntryFacts<'_>) -> bool {
        entry.entry_id == self.event.entry_id.uuid()
    }

    /// Compares the entry with what was converted.
    pub(super) fn check(&self, position: i64, entry: &EntryFacts<'_>, findings: &mut Findings) {
        let mut add = |expected: &str, found: String| {
            findings.add(Check::Conversions, position, named(entry.entry_id), expected, found);
        };
        if entry.ledger != self.event.ledger.uuid() {
            add("the ledger of its conversion", "another".to_owned());
        }
        if entry.exchange != Some(self.exchange()) {
            let found = entry.exchange.map_or("none".to_owned(), told);
            add(&told(self.exchange()), found);
        }
        if !self.booked_by(&entry.postings) {
            let expected = "what was sold, paid, rounded and bought, in this order";
            add(expected, "other postings".to_owned());
        }
    }

    fn difference(&self) -> i64 {
        self.event.bought_minor.saturating_sub(self.event.paid_minor)
    }

    fn exchange(&self) -> Exchange {
        Exchange {
            rate: self.event.rate,
            rate_version: self.event.rate_version,
            rounding: self.event.rounding,
            rounding_difference_minor: self.difference(),
        }
    }

    fn booked_by(&self, postings: &[PostingFacts]) -> bool {
        let (Some(first), Some(last)) = (postings.first(), postings.last()) else { return false };
        self.postings(first.account, last.account) == postings
    }

    /// Between the accounts of the caller, which the conversion does not name.
    fn postings(&self, from: Uuid, to: Uuid) -> Vec<PostingFacts> {
        let Converted { base, quote, grows, sold_minor, bought_minor, paid_minor, .. } = self.event;
        let falls = grows.opposite();
        let posting = |account, direction: Direction, minor, currency: Currency| PostingFacts {
            account,
            direction,
            minor,
            currency,
        };
        let mut postings = vec![
            posting(from, falls, sold_minor, base),
            posting(self.own("exchange", base), grows, sold_minor, base),
        ];
        if paid_minor != 0 {
            postings.push(posting(self.own("exchange", quote), falls, paid_minor, quote));
        }
        let difference = self.difference();
        if difference != 0 {
            let side = if difference > 0 { falls } else { grows };
            let minor = difference.saturating_abs();
            postings.push(posting(self.own("rounding", quote), side, minor, quote));
        }
        postings.push(posting(to, grows, bought_minor, quote));
        postings
    }

    /// An account that the ledger has for itself.
    fn own(&self, what: &str, currency: Currency) -> Uuid {
        let code = format!("fx:{what}:{currency}").parse();
        let id = code.map(|code| AccountId::of(self.event.ledger, &code).uuid());
        id.unwrap_or_else(|error| unreachable!("it is a code: {error}"))
    }
}

fn told(exchange: Exchange) -> String {
    let Exchange { rate, rate_version, rounding, rounding_difference_minor: difference } = exchange;
    format!("rate {rate} of version {rate_version}, {}, {difference} by rounding", rounding.name())
}
