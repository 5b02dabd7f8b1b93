//! A reversal posts the opposite of what it reverses of an entry, and the entry is marked as reversed by it
//! right after; no more of it is reversed than it moved, nothing after the last of it, and no reversal or conversion
//! at all.
//! What is in the place of an entry comes with the reversal of what is left of that.
//!
//! An entry's stream has its posting as version 1 and then a mark for each part that was reversed: so versions
//! that are contiguous and unique are what makes a reversal happen once.

mod history;
mod replacements;

use std::collections::HashMap;

use domain::{EntryId, Event, StreamId};
use sqlx::PgConnection;
use uuid::Uuid;

use self::history::{History, Mark};
pub(super) use self::replacements::Replacements;
use super::streams;
use crate::facts::{EntryFacts, PostingFacts};
use crate::log_rows::Row;
use crate::verify::error::VerifyError;
use crate::verify::finding::{Check, Findings, entry as named};

/// The version of an entry's posting in its stream; the marks come after it.
const POSTED_VERSION: i64 = 1;

/// The entries and marks of a chunk.
#[derive(Debug, Default)]
pub(crate) struct Reversals {
    reversing: Vec<Reversing>,
    reversed: Vec<Reversed>,
}

/// An entry that says that it reverses another.
#[derive(Debug)]
struct Reversing {
    position: i64,
    original: Uuid,
    entry: EntryFacts<'static>,
}

/// A mark that an entry was reversed.
#[derive(Debug)]
struct Reversed {
    position: i64,
    stream: String,
    entry: Uuid,
    by: Uuid,
}

impl Reversals {
    pub(super) fn entry(&mut self, row: &Row<'_>, entry: EntryFacts<'_>) {
        if let Some(original) = entry.reverses {
            let entry = entry.into_owned();
            self.reversing.push(Reversing { position: row.position, original, entry });
        }
    }

    pub(super) fn mark(&mut self, row: &Row<'_>, event: &Event, findings: &mut Findings) {
        let Event::EntryReversed(event) = event else { return };
        let entry = event.entry_id.uuid();
        if row.version <= POSTED_VERSION {
            let (subject, found) = (named(entry), format!("version {}", row.version));
            let expected = "an event after the entry in its stream";
            findings.add(Check::Reversals, row.position, subject, expected, found);
        }
        self.reversed.push(Reversed {
            position: row.position,
            stream: row.stream_id.to_owned(),
            entry,
            by: event.reversed_by.uuid(),
        });
    }
}

/// Looks up what the reversing entries and the marks of a chunk name.
pub(crate) async fn look_up(
    db: &mut PgConnection,
    open: &Reversals,
) -> Result<Findings, VerifyError> {
    let mut findings = Findings::default();
    let originals = open.reversing.iter().map(|reversing| reversing.original);
    let marked = open.reversed.iter().flat_map(|mark| [mark.entry, mark.by]);
    let mut entries: Vec<Uuid> = originals.chain(marked).collect();
    entries.sort_unstable();
    entries.dedup();
    if entries.is_empty() {
        return Ok(findings);
    }
    let names: Vec<String> = entries.iter().map(|id| stream(*id)).collect();
    let streams = streams::read(db, names).await?;
    let histories: HashMap<Uuid, History> = entries
        .into_iter()
        .filter_map(|id| Some((id, History::of(streams.get(&stream(id))?))))
        .collect();
    for reversing in &open.reversing {
        check_reversing(reversing, histories.get(&reversing.original), &mut findings);
    }
    for mark in &open.reversed {
        check_mark(mark, &histories, &mut findings);
    }
    Ok(findings)
}

fn stream(entry: Uuid) -> String {
    StreamId::entry(EntryId::from_uuid(entry)).as_str().to_owned()
}

fn check_reversing(reversing: &Reversing, original: Option<&History>, findings: &mut Findings) {
    let Reversing { position, original: id, entry } = reversing;
    let original_name = named(*id);
    let mut add = |expected: String, found: String| {
        findings.add(Check::Reversals, *position, named(entry.entry_id), expected, found);
    };
    let posted = original.and_then(|history| history.posted_before(*position));
    let (Some(original), Some(posted)) = (original, posted) else {
        add(format!("{original_name} posted before"), "none".to_owned());
        return;
    };
    if posted.reverses.is_some() {
        let found = format!("{original_name} is a reversal itself");
        add("the reversal of an entry that is none".to_owned(), found);
    }
    if posted.exchange.is_some() {
        let found = format!("{original_name} is a conversion");
        add("the reversal of an entry that is none".to_owned(), found);
    }
    let Some(mark) = original.marks.iter().find(|mark| mark.by == entry.entry_id) else {
        let expected = format!("{original_name} marked as reversed by this one");
        let found = original
            .marks
            .last()
            .map_or("no mark".to_owned(), |mark| format!("marked by {}", named(mark.by)));
        add(expected, found);
        return;
    };
    if posted.ledger != entry.ledger || !opposite(&mark.taken, &entry.postings) {
        let expected = format!("the postings of {original_name} as marked, with sides turned");
        add(expected, "other postings".to_owned());
    }
    if mark.position != position + 1 {
        let expected = format!("{original_name} marked right after this one");
        add(expected, format!("the mark is at {}", mark.position));
    }
}

fn opposite(taken: &[PostingFacts], reversal: &[PostingFacts]) -> bool {
    taken.iter().map(|posting| posting.turned()).eq(reversal.iter().copied())
}

fn check_mark(mark: &Reversed, histories: &HashMap<Uuid, History>, findings: &mut Findings) {
    let mut add = |expected: String, found: String| {
        findings.add(Check::Reversals, mark.position, named(mark.entry), expected, found);
    };
    let by = histories.get(&mark.by).and_then(|history| history.posted_before(mark.position));
    let reverses = by.and_then(|reversal| reversal.reverses);
    if reverses != Some(mark.entry) {
        let expected = format!("{} to reverse it, at an earlier position", named(mark.by));
        let found = reverses
            .map_or("no such reversal".to_owned(), |other| format!("it reverses {}", named(other)));
        add(expected, found);
    }
    if mark.stream != stream(mark.entry) {
        let expected = format!("the mark in the stream of {}", named(mark.entry));
        add(expected, format!("it is in {}", mark.stream));
    }
    let history = histories.get(&mark.entry);
    let own = |one: &&Mark| one.position == mark.position;
    let wrong = history.and_then(|history| history.marks.iter().find(own)?.wrong);
    if let Some((expected, found)) = wrong {
        add(expected.to_owned(), found.to_owned());
    }
}
