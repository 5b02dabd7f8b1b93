//! No more is posted or released of a hold than is held, nothing after its end, and it expires only when its
//! time is over; each posting of it comes right after the entry that it names, which moves no more than is
//! released.
//!
//! What is held of the holds seen lately is kept; of others, and where nothing is held any more, their streams
//! are asked.

mod hold;
mod pairs;

use std::collections::HashMap;

use domain::holds::HoldEvent;
use domain::{Event, HoldId, StreamId};
use sqlx::PgConnection;
use uuid::Uuid;

use self::hold::{Hold, Step};
use self::pairs::Pairs;
use super::streams;
use crate::facts::{EntryFacts, Fact};
use crate::log_rows::Row;
use crate::verify::error::VerifyError;
use crate::verify::finding::Findings;

/// The most postings of the holds of a generation; two are kept: about 40 MiB.
const POSTINGS_KEPT: usize = 200_000;

/// What is remembered from row to row.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    pairs: Pairs,
    recent: HashMap<Uuid, Hold>,
    /// Postings in `recent`.
    postings: usize,
    older: HashMap<Uuid, Hold>,
}

/// What happened to holds of which it is not at hand what is held.
#[derive(Debug, Default)]
pub(crate) struct OpenHolds(Vec<Step>);

impl Holds {
    pub(super) fn check(
        &mut self,
        row: &Row<'_>,
        fact: &Fact<'_>,
        open: &mut OpenHolds,
        findings: &mut Findings,
    ) {
        match fact {
            Fact::Entry(entry) => self.pairs.entry(row, entry, findings),
            Fact::Other(Event::Hold(event)) => {
                let posted = self.pairs.hold(row, event, findings);
                self.event(row, event, posted, open, findings);
            }
            Fact::Other(_) => self.pairs.other(findings),
        }
    }

    /// What is still expected when the log ends.
    pub(super) fn end(&mut self, findings: &mut Findings) {
        self.pairs.end(findings);
    }

    fn event(
        &mut self,
        row: &Row<'_>,
        event: &HoldEvent,
        posted: Option<EntryFacts<'static>>,
        open: &mut OpenHolds,
        findings: &mut Findings,
    ) {
        let step = Step::of(row.position, row.decided_at(), event, posted);
        if let HoldEvent::Created(event) = event {
            hold::check_created(row, event, findings);
            self.keep(step.hold(), Hold::created(event));
            return;
        }
        let known = self.recent.remove(&step.hold()).or_else(|| self.older.remove(&step.hold()));
        match known {
            Some(mut hold) => {
                hold.take(&step, findings);
                self.keep(step.hold(), hold);
            }
            None => open.0.push(step),
        }
    }

    fn keep(&mut self, id: Uuid, hold: Hold) {
        // Of one that has ended nothing is to be known but what its stream says.
        if hold.is_over() {
            return;
        }
        if self.postings >= POSTINGS_KEPT {
            self.older = std::mem::take(&mut self.recent);
            self.postings = 0;
        }
        self.postings += hold.postings();
        self.recent.insert(id, hold);
    }
}

/// Looks up the holds of a chunk of which it was not at hand what is held.
pub(crate) async fn look_up(
    db: &mut PgConnection,
    open: &OpenHolds,
) -> Result<Findings, VerifyError> {
    let mut findings = Findings::default();
    let mut steps: HashMap<Uuid, Vec<&Step>> = HashMap::new();
    for step in &open.0 {
        steps.entry(step.hold()).or_default().push(step);
    }
    if steps.is_empty() {
        return Ok(findings);
    }
    let stream = |id: &Uuid| StreamId::hold(HoldId::from_uuid(*id)).as_str().to_owned();
    let streams = streams::read(db, steps.keys().map(stream).collect()).await?;
    for (id, steps) in &steps {
        let events = streams.get(&stream(id)).map_or(&[][..], Vec::as_slice);
        hold::check_stream(events, steps, &mut findings);
    }
    Ok(findings)
}
