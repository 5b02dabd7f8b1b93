//! A conversion is at the latest rate that was recorded of its pair before it; what it comes to follows from that
//! rate, what is bought from the rounding that it names, what the exchange pays from what is carried; and its
//! entry books just that, the difference included.
//!
//! What is carried goes on from conversion to conversion, so the latest rate and what is carried are kept of each
//! pair. Where the log is not read from its beginning they are not known until they are seen.

mod booked;
mod worth;

use std::collections::HashMap;

use domain::Event;
use domain::fx::{Converted, FxEvent, PairId, Rate};
use domain::ledger::Direction;

use self::booked::{Expected, OPENED_MAX};
use self::worth::{MINOR, exact, rounded, text, units};
use crate::facts::{EntryFacts, Fact};
use crate::log_rows::Row;
use crate::verify::Scope;
use crate::verify::finding::{Check, Findings, entry as named};

/// The most pairs that are kept: about 60 MiB.
const PAIRS_KEPT_MAX: usize = 300_000;

/// What is remembered from row to row.
#[derive(Debug)]
pub(crate) struct Conversions {
    /// Whether what was not seen is not there.
    from_start: bool,
    /// The first position of which it is known what came before.
    known_from: i64,
    pairs: HashMap<PairId, Known>,
    expected: Option<Expected>,
    forgot: bool,
}

/// What is known of a pair.
#[derive(Debug, Clone, Copy, Default)]
struct Known {
    /// The rate that was recorded last, and the version of the stream that did.
    latest: Option<(i64, Rate)>,
    carried_debit: Option<i128>,
    carried_credit: Option<i128>,
}

impl Known {
    const fn carried(&mut self, grows: Direction) -> &mut Option<i128> {
        match grows {
            Direction::Debit => &mut self.carried_debit,
            Direction::Credit => &mut self.carried_credit,
        }
    }
}

impl Conversions {
    /// Of the rows of `scope`.
    pub(crate) fn of(scope: Scope) -> Self {
        let known_from = if scope.from_start { 1 } else { scope.from + 1 + OPENED_MAX };
        let (pairs, expected) = (HashMap::new(), None);
        Self { from_start: scope.from_start, known_from, pairs, expected, forgot: false }
    }

    /// Whether there were more pairs than are kept, so that some of them were not checked throughout.
    pub(crate) const fn forgot(&self) -> bool {
        self.forgot
    }

    pub(crate) fn check(&mut self, row: &Row<'_>, fact: &Fact<'_>, findings: &mut Findings) {
        let expected = self.expected.take();
        match fact {
            Fact::Entry(entry) => return self.entry(row, entry, expected, findings),
            Fact::Other(Event::AccountOpened(_)) => {
                self.expected = expected;
                if self.expected.as_ref().is_none_or(|one| one.waits_at(row.position)) {
                    return;
                }
            }
            Fact::Other(_) => self.expected = expected,
        }
        self.end(findings);
        match fact {
            Fact::Other(Event::Fx(FxEvent::RateRecorded(event))) => {
                self.pair(event.pair()).latest = Some((row.version, event.rate));
            }
            Fact::Other(Event::Fx(FxEvent::Converted(event))) => {
                self.converted(row, event, findings);
            }
            Fact::Entry(_) | Fact::Other(_) => {}
        }
    }

    /// What is still expected when the log ends.
    pub(crate) fn end(&mut self, findings: &mut Findings) {
        if let Some(expected) = self.expected.take() {
            expected.missing(findings);
        }
    }

    fn entry(
        &mut self,
        row: &Row<'_>,
        entry: &EntryFacts<'_>,
        expected: Option<Expected>,
        findings: &mut Findings,
    ) {
        match expected {
            Some(expected) if expected.names(entry) => {
                expected.check(row.position, entry, findings);
            }
            expected => {
                self.expected = expected;
                self.end(findings);
                if entry.exchange.is_some() && row.position >= self.known_from {
                    let (subject, wanted) = (named(entry.entry_id), "its conversion before it");
                    findings.add(Check::Conversions, row.position, subject, wanted, "none");
                }
            }
        }
    }

    /// What is known of the pair.
    fn pair(&mut self, id: PairId) -> &mut Known {
        if self.pairs.len() >= PAIRS_KEPT_MAX && !self.pairs.contains_key(&id) {
            self.pairs.clear();
            self.from_start = false;
            self.forgot = true;
        }
        let nothing = Some(0).filter(|_| self.from_start);
        let (carried_debit, carried_credit) = (nothing, nothing);
        let unseen = Known { latest: None, carried_debit, carried_credit };
        self.pairs.entry(id).or_insert(unseen)
    }

    fn converted(&mut self, row: &Row<'_>, event: &Converted, findings: &mut Findings) {
        let from_start = self.from_start;
        let known = self.pair(event.pair());
        let mut add = |expected: String, found: String| {
            findings.add(Check::Conversions, row.position, row.stream_id, expected, found);
        };
        let rate = (event.rate_version.number(), event.rate);
        match known.latest {
            Some(latest) if latest == rate => {}
            Some(latest) => add(told(latest), told(rate)),
            None if from_start => add("a rate recorded before it".to_owned(), "none".to_owned()),
            None => {}
        }
        let carried = known.carried(event.grows);
        check_amounts(event, *carried, &mut add);
        // Each conversion is compared with what the one before it says.
        *carried = units(event.carried_minor.mantissa(), event.carried_minor.scale());
        let (position, stream) = (row.position, row.stream_id.to_owned());
        self.expected = Some(Expected { position, stream, event: event.clone() });
    }
}

fn told((version, rate): (i64, Rate)) -> String {
    format!("rate {rate} of version {version}")
}

/// Whether the amounts follow from the rate and from what was carried before, where that is known.
fn check_amounts(event: &Converted, carried: Option<i128>, add: &mut impl FnMut(String, String)) {
    let Some(exact) = exact(event).filter(|exact| *exact > 0) else {
        add("an amount that can be converted".to_owned(), event.sold_minor.to_string());
        return;
    };
    if units(event.exact_minor.mantissa(), event.exact_minor.scale()) != Some(exact) {
        add(format!("{} exactly", text(exact)), event.exact_minor.to_string());
    }
    let bought = rounded(exact, event.rounding);
    if i128::from(event.bought_minor) != bought {
        let expected = format!("{bought} bought, by {}", event.rounding.name());
        add(expected, event.bought_minor.to_string());
    }
    let Some(carried) = carried else { return };
    let owed = carried + exact % MINOR;
    let paid = exact / MINOR + owed / MINOR;
    if i128::from(event.paid_minor) != paid {
        add(format!("{paid} paid after {} carried", text(carried)), event.paid_minor.to_string());
    }
    let after = owed % MINOR;
    if units(event.carried_minor.mantissa(), event.carried_minor.scale()) != Some(after) {
        add(format!("{} carried", text(after)), event.carried_minor.to_string());
    }
}
