//! What is in the place of an entry comes with the reversal of what is left of that, and its mark, in one
//! append: right after each other.

use domain::Event;
use uuid::Uuid;

use crate::facts::Fact;
use crate::log_rows::Row;
use crate::verify::finding::{Check, Findings, entry as named};

/// What is remembered from row to row.
#[derive(Debug, Default)]
pub(crate) struct Replacements {
    expected: Option<Expected>,
}

/// What has to come next.
#[derive(Debug)]
struct Expected {
    position: i64,
    replacement: Uuid,
    ledger: Uuid,
    original: Uuid,
    /// The entry that reverses the original, once that has come.
    reversal: Option<Uuid>,
}

impl Replacements {
    pub(crate) fn check(&mut self, row: &Row<'_>, fact: &Fact<'_>, findings: &mut Findings) {
        // The usual case: nothing is expected, and nothing is replaced.
        let expected = match self.expected.take() {
            Some(expected) => expected.after(fact, findings),
            None => None,
        };
        let Fact::Entry(entry) = fact else {
            self.expected = expected;
            return;
        };
        self.expected = expected.or_else(|| {
            entry.replaces.map(|original| Expected {
                position: row.position,
                replacement: entry.entry_id,
                ledger: entry.ledger,
                original,
                reversal: None,
            })
        });
    }

    /// What is still expected when the log ends.
    pub(crate) fn end(&mut self, findings: &mut Findings) {
        if let Some(expected) = self.expected.take() {
            expected.missing(findings);
        }
    }
}

impl Expected {
    /// What has to come after `fact`.
    fn after(self, fact: &Fact<'_>, findings: &mut Findings) -> Option<Self> {
        match fact {
            Fact::Entry(entry) => {
                let reverses = self.reversal.is_none()
                    && entry.reverses == Some(self.original)
                    && entry.ledger == self.ledger;
                if reverses {
                    return Some(Self { reversal: Some(entry.entry_id), ..self });
                }
            }
            Fact::Other(Event::EntryReversed(mark)) => {
                let marked = mark.entry_id.uuid() == self.original
                    && Some(mark.reversed_by.uuid()) == self.reversal
                    && mark.reversed.is_none();
                if marked {
                    return None;
                }
            }
            Fact::Other(_) => {}
        }
        self.missing(findings);
        None
    }

    fn missing(&self, findings: &mut Findings) {
        let what = if self.reversal.is_some() { "all of it marked" } else { "reversed" };
        let expected =
            format!("{}, which it replaces, {what} right after it", named(self.original));
        let subject = named(self.replacement);
        findings.add(Check::Reversals, self.position, subject, expected, "another event");
    }
}
