//! One hold: what is held of it.

use std::collections::BTreeMap;

use domain::holds::{HoldCreated, HoldEvent};
use domain::{Event, HoldId, Timestamp};
use uuid::Uuid;

use crate::facts::{EntryFacts, Fact, Left, PostingFacts};
use crate::log_rows::Row;
use crate::verify::checks::entries::check_postings;
use crate::verify::checks::streams::StoredEvent;
use crate::verify::finding::{Check, Findings, hold as named};

/// The version of a hold's making in its stream.
const CREATED_VERSION: i64 = 1;
/// How much later than what it is recorded at a decision may be: a batch has one time, and the clocks of the
/// processes that write to the log differ by a second at the most.
const DECIDED_LATER_MILLIS_MAX: i64 = 1_000;

/// A hold as it is after the event that was last applied.
#[derive(Debug)]
pub(super) struct Hold {
    left: Left,
    expires_at: Option<Timestamp>,
}

/// What happened to a hold after it was made.
#[derive(Debug)]
pub(super) struct Step {
    position: i64,
    decided_at: Timestamp,
    hold: Uuid,
    end: End,
    released: Vec<PostingFacts>,
    /// What is held still, where the event says so.
    left: Option<Vec<PostingFacts>>,
    /// The entry that came with it; none where it is not at hand.
    posted: Option<EntryFacts<'static>>,
}

/// How a hold may end with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Created,
    Posted,
    Voided,
    Expired,
}

impl Step {
    pub(super) fn of(
        position: i64,
        decided_at: Timestamp,
        event: &HoldEvent,
        posted: Option<EntryFacts<'static>>,
    ) -> Self {
        let (end, released, left) = match event {
            HoldEvent::Created(_) => (End::Created, &[][..], None),
            HoldEvent::Posted(event) => (End::Posted, event.released.as_slice(), Some(&event.left)),
            HoldEvent::Voided(event) => (End::Voided, event.released.as_slice(), None),
            HoldEvent::Expired(event) => (End::Expired, event.released.as_slice(), None),
        };
        let (hold, released) = (event.hold_id().uuid(), PostingFacts::all(released));
        let left = left.map(|left| PostingFacts::all(left));
        Self { position, decided_at, hold, end, released, left, posted }
    }

    pub(super) fn hold(&self) -> Uuid {
        self.hold
    }

    fn missing(&self, findings: &mut Findings) {
        let (subject, expected) = (named(self.hold), "a hold made before");
        findings.add(Check::Holds, self.position, subject, expected, "none");
    }
}

impl Hold {
    pub(super) fn created(event: &HoldCreated) -> Self {
        let left = Left::all(&PostingFacts::all(&event.postings));
        Self { left, expires_at: event.expires_at }
    }

    pub(super) fn is_over(&self) -> bool {
        self.left.is_empty()
    }

    pub(super) fn postings(&self) -> usize {
        self.left.postings().len()
    }

    /// Checks what happened, and takes it from what is held.
    pub(super) fn take(&mut self, step: &Step, findings: &mut Findings) {
        let mut add = |expected: &str, found: String| {
            findings.add(Check::Holds, step.position, named(step.hold), expected, found);
        };
        if self.is_over() {
            add("something to be held", "its end came before".to_owned());
            return;
        }
        if step.released.is_empty() {
            add("something to be released", "nothing".to_owned());
        }
        if !self.left.take(&step.released) {
            add("no more to be released than is held", "more on a side of an account".to_owned());
        } else if step.left.as_ref().is_some_and(|left| left != self.left.postings()) {
            add("what is held still", "something else".to_owned());
        }
        match step.end {
            End::Created => {}
            End::Posted => {
                if let Some(entry) = &step.posted {
                    check_entry(entry, step, self.is_over(), &mut add);
                }
            }
            End::Voided | End::Expired if !self.is_over() => {
                add("all that is held to be released", "a part of it".to_owned());
                self.left = Left::default();
            }
            End::Voided | End::Expired => {}
        }
        match (step.end, self.expires_at) {
            (End::Expired, _) => self.check_time(step, &mut add),
            (End::Posted | End::Voided, Some(at)) if at <= step.decided_at => {
                add("to end before its time is over", format!("its time was over at {at}"));
            }
            (End::Created | End::Posted | End::Voided, _) => {}
        }
    }

    fn check_time(&self, step: &Step, add: &mut impl FnMut(&str, String)) {
        match self.expires_at {
            Some(at) if at <= step.decided_at.plus_millis(DECIDED_LATER_MILLIS_MAX) => {}
            Some(at) => add("to expire when its time is over", format!("its time is over at {at}")),
            None => add("a hold that ends by itself", "one that does not".to_owned()),
        }
    }
}

/// The entry moves what is released; less only where with it the last is let go.
fn check_entry(
    entry: &EntryFacts<'_>,
    step: &Step,
    over: bool,
    add: &mut impl FnMut(&str, String),
) {
    let mut rest = Left::all(&step.released);
    if !rest.take(&entry.postings) {
        add(
            "its entry to move no more than is released",
            "more on a side of an account".to_owned(),
        );
    } else if !rest.is_empty() && !over {
        add("what is released to be moved by its entry", "more, and something is left".to_owned());
    }
}

/// What the making of a hold says of itself.
pub(super) fn check_created(row: &Row<'_>, event: &HoldCreated, findings: &mut Findings) {
    let mut add = |expected: String, found: String| {
        findings.add(Check::Holds, row.position, named(event.hold_id.uuid()), expected, found);
    };
    let derived = HoldId::of(event.ledger, &event.external_ref);
    if event.hold_id != derived {
        let expected = format!("{}, as its reference says", named(derived.uuid()));
        add(expected, named(event.hold_id.uuid()));
    }
    if row.version != CREATED_VERSION {
        add("the first event of its stream".to_owned(), format!("version {}", row.version));
    }
    check_postings(&PostingFacts::all(&event.postings), add);
}

/// Checks what happened to a hold at `steps` against its stream.
pub(super) fn check_stream(events: &[StoredEvent], steps: &[&Step], findings: &mut Findings) {
    let mut open: BTreeMap<i64, &Step> = steps.iter().map(|step| (step.position, *step)).collect();
    let mut hold: Option<Hold> = None;
    for event in events {
        let asked = open.remove(&event.position);
        let Some(Fact::Other(Event::Hold(happened))) = event.fact() else { continue };
        if let HoldEvent::Created(created) = &happened {
            hold.get_or_insert_with(|| Hold::created(created));
            continue;
        }
        match (&mut hold, asked) {
            (Some(hold), Some(step)) => hold.take(step, findings),
            (Some(hold), None) => {
                let (position, at) = (event.position, event.recorded_at());
                let step = Step::of(position, at, &happened, None);
                hold.take(&step, &mut Findings::default());
            }
            (None, Some(step)) => step.missing(findings),
            (None, None) => {}
        }
    }
    // What is in the stream of another hold is found by the stream's name.
    if hold.is_none() {
        open.values().for_each(|step| step.missing(findings));
    }
}
