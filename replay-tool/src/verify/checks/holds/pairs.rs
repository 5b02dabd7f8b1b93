//! An entry of a hold and the posting of that hold: right after each other, each naming the other.

use domain::holds::{HoldEvent, HoldPosted};
use uuid::Uuid;

use crate::facts::EntryFacts;
use crate::log_rows::Row;
use crate::verify::finding::{Check, Findings, entry as named, hold as named_hold};

/// What is remembered from row to row.
#[derive(Debug, Default)]
pub(super) struct Pairs {
    expected: Option<Expected>,
    /// Whether a row was seen: of a posting that is the very first, what came before is not known.
    begun: bool,
}

/// The entry whose hold has to come next.
#[derive(Debug)]
struct Expected {
    position: i64,
    hold: Uuid,
    entry: EntryFacts<'static>,
}

impl Pairs {
    pub(super) fn entry(&mut self, row: &Row<'_>, entry: &EntryFacts<'_>, findings: &mut Findings) {
        self.other(findings);
        self.expected = entry.hold_id.map(|hold| {
            let entry = entry.clone().into_owned();
            Expected { position: row.position, hold, entry }
        });
    }

    /// The entry that came with the event, where it is one that posts.
    pub(super) fn hold(
        &mut self,
        row: &Row<'_>,
        event: &HoldEvent,
        findings: &mut Findings,
    ) -> Option<EntryFacts<'static>> {
        let posted = match event {
            HoldEvent::Posted(posted) => posted,
            HoldEvent::Created(_) | HoldEvent::Voided(_) | HoldEvent::Expired(_) => {
                self.other(findings);
                return None;
            }
        };
        let begun = self.begun;
        let named_it = |one: &mut Expected| one.is_posted_by(posted);
        let expected = self.expected.take_if(named_it);
        self.other(findings);
        let Some(Expected { entry, .. }) = expected else {
            if begun {
                let wanted = format!("{} of it right before it", named(posted.entry_id.uuid()));
                let subject = named_hold(posted.hold_id.uuid());
                findings.add(Check::Holds, row.position, subject, wanted, "another event");
            }
            return None;
        };
        Some(entry)
    }

    /// An event that has nothing to do with either.
    pub(super) fn other(&mut self, findings: &mut Findings) {
        self.begun = true;
        self.end(findings);
    }

    pub(super) fn end(&mut self, findings: &mut Findings) {
        if let Some(Expected { position, hold, entry }) = self.expected.take() {
            let expected = format!("the posting of {} right after it", named_hold(hold));
            let subject = named(entry.entry_id);
            findings.add(Check::Holds, position, subject, expected, "another event");
        }
    }
}

impl Expected {
    fn is_posted_by(&self, posted: &HoldPosted) -> bool {
        posted.hold_id.uuid() == self.hold && posted.entry_id.uuid() == self.entry.entry_id
    }
}
