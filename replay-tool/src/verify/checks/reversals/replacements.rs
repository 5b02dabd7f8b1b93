//! What is in the place of an entry comes with the reversal of what is left of that, and its mark, in one
//! append: right after them.

use domain::Event;
use uuid::Uuid;

use crate::facts::{EntryFacts, Fact};
use crate::log_rows::Row;
use crate::verify::finding::{Check, Findings, entry as named};

/// The events that come before a replacement in its append: the reversal and its mark.
const EVENTS_BEFORE: i64 = 2;

/// What is remembered from row to row.
#[derive(Debug)]
pub(crate) struct Replacements {
    /// The first position of which it is known what came before.
    known_from: i64,
    undone: Option<Undone>,
}

/// An entry that was just reversed.
#[derive(Debug)]
struct Undone {
    ledger: Uuid,
    original: Uuid,
    reversal: Uuid,
    /// Whether it is marked, with nothing left of it.
    whole: bool,
}

impl Replacements {
    /// Of rows from that position on.
    pub(crate) const fn from(first: i64) -> Self {
        let known_from = if first > 1 { first + EVENTS_BEFORE } else { 1 };
        Self { known_from, undone: None }
    }

    pub(crate) fn check(&mut self, row: &Row<'_>, fact: &Fact<'_>, findings: &mut Findings) {
        let before = self.undone.take();
        self.undone = match fact {
            Fact::Entry(entry) => {
                if let Some(original) = entry.replaces
                    && row.position >= self.known_from
                    && !before.is_some_and(|undone| undone.makes_place_for(entry))
                {
                    missing(row.position, entry, original, findings);
                }
                entry.reverses.map(|original| Undone {
                    ledger: entry.ledger,
                    original,
                    reversal: entry.entry_id,
                    whole: false,
                })
            }
            Fact::Other(Event::EntryReversed(mark)) => before
                .filter(|undone| {
                    mark.entry_id.uuid() == undone.original
                        && mark.reversed_by.uuid() == undone.reversal
                        && mark.reversed.is_none()
                })
                .map(|undone| Undone { whole: true, ..undone }),
            Fact::Other(_) => None,
        };
    }
}

impl Undone {
    fn makes_place_for(&self, entry: &EntryFacts<'_>) -> bool {
        self.whole && entry.replaces == Some(self.original) && entry.ledger == self.ledger
    }
}

fn missing(position: i64, entry: &EntryFacts<'_>, original: Uuid, findings: &mut Findings) {
    let expected =
        format!("{}, which it replaces, reversed as a whole right before it", named(original));
    let subject = named(entry.entry_id);
    findings.add(Check::Reversals, position, subject, expected, "another event");
}
