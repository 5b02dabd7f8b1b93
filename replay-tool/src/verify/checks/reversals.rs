//! A reversal posts the opposite of what it reverses, which is marked as reversed by it; nothing is
//! reversed twice, and no reversal is reversed.
//!
//! An entry's stream has its posting as version 1 and, once reversed, the mark as version 2: so versions
//! that are contiguous and unique are what makes a reversal happen once.

use domain::{EntryId, Event, StreamId};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::connection::LOG;
use crate::facts::{EntryFacts, Fact, PostingFacts};
use crate::log_rows::Row;
use crate::verify::error::{VerifyError, reading};
use crate::verify::finding::{Check, Findings, entry as named};

/// The version of an entry's posting in its stream.
const POSTED_VERSION: i64 = 1;
/// The version of the mark in the stream of the entry that was reversed.
const MARK_VERSION: i64 = 2;

/// An entry that says that it reverses another.
#[derive(Debug)]
pub(crate) struct Reversing {
    position: i64,
    original: Uuid,
    entry: EntryFacts<'static>,
}

impl Reversing {
    pub(crate) fn of(row: &Row<'_>, entry: EntryFacts<'_>) -> Option<Self> {
        let original = entry.reverses?;
        Some(Self { position: row.position, original, entry: entry.into_owned() })
    }
}

/// A mark that an entry was reversed.
#[derive(Debug)]
pub(crate) struct Reversed {
    position: i64,
    stream: String,
    entry: Uuid,
    by: Uuid,
}

impl Reversed {
    pub(crate) fn of(row: &Row<'_>, event: &Event, findings: &mut Findings) -> Option<Self> {
        let Event::EntryReversed(event) = event else { return None };
        if row.version != MARK_VERSION {
            let (subject, found) =
                (named(event.entry_id.uuid()), format!("version {}", row.version));
            let expected = "the second event of the entry's stream";
            findings.add(Check::Reversals, row.position, subject, expected, found);
        }
        Some(Self {
            position: row.position,
            stream: row.stream_id.to_owned(),
            entry: event.entry_id.uuid(),
            by: event.reversed_by.uuid(),
        })
    }
}

/// An event that another one refers to.
#[derive(Debug, sqlx::FromRow)]
struct Referred {
    asked_at: i64,
    position: Option<i64>,
    event_type: Option<String>,
    schema_version: Option<i16>,
    data: Option<String>,
    marked_type: Option<String>,
    marked_version: Option<i16>,
    marked_data: Option<String>,
}

impl Referred {
    fn entry(&self) -> Option<EntryFacts<'_>> {
        let (kind, version) = (self.event_type.as_deref()?, self.schema_version?);
        match Fact::read(kind, version, self.data.as_deref()?).ok()? {
            Fact::Entry(entry) => Some(entry),
            Fact::Other(_) => None,
        }
    }

    fn marked_by(&self) -> Option<EntryId> {
        let (kind, version) = (self.marked_type.as_deref()?, self.marked_version?);
        let mark = Event::decode(kind, version, self.marked_data.as_deref()?).ok()?;
        let Event::EntryReversed(mark) = mark else { return None };
        Some(mark.reversed_by)
    }
}

/// The posting events of those entries, each with the mark in its stream.
async fn referred(
    db: &mut PgConnection,
    positions: &[i64],
    entries: &[Uuid],
) -> Result<Vec<Referred>, VerifyError> {
    let stream = |id: &Uuid| StreamId::entry(EntryId::from_uuid(*id)).to_string();
    let streams: Vec<String> = entries.iter().map(stream).collect();
    sqlx::query_as(
        "select w.position as asked_at, e.position, e.event_type, e.schema_version, \
             e.data::text as data, m.event_type as marked_type, \
             m.schema_version as marked_version, m.data::text as marked_data \
         from unnest($2::bigint[], $3::text[]) as w (position, stream_id) \
         left join events e on e.log_id = $1 and e.stream_id = w.stream_id and e.version = $4 \
         left join events m on m.log_id = $1 and m.stream_id = w.stream_id and m.version = $5 \
         order by w.position",
    )
    .bind(LOG)
    .bind(positions)
    .bind(streams)
    .bind(POSTED_VERSION)
    .bind(MARK_VERSION)
    .fetch_all(db)
    .await
    .map_err(reading("the entries that reversals name"))
}

/// Looks up what the reversing entries of a chunk reverse.
pub(crate) async fn look_up_reversing(
    db: &mut PgConnection,
    open: &[Reversing],
) -> Result<Findings, VerifyError> {
    let mut findings = Findings::default();
    if open.is_empty() {
        return Ok(findings);
    }
    let positions: Vec<i64> = open.iter().map(|reversing| reversing.position).collect();
    let originals: Vec<Uuid> = open.iter().map(|reversing| reversing.original).collect();
    let found = referred(db, &positions, &originals).await?;
    for reversing in open {
        let original = found.iter().find(|referred| referred.asked_at == reversing.position);
        check_reversing(reversing, original, &mut findings);
    }
    Ok(findings)
}

fn check_reversing(reversing: &Reversing, original: Option<&Referred>, findings: &mut Findings) {
    let mut add = |expected: String, found: String| {
        let subject = named(reversing.entry.entry_id);
        findings.add(Check::Reversals, reversing.position, subject, expected, found);
    };
    let earlier = original
        .filter(|original| original.position.is_some_and(|at| at < reversing.position))
        .and_then(|original| original.entry().map(|entry| (original, entry)));
    let Some((original, entry)) = earlier else {
        add(format!("{} posted before", named(reversing.original)), "none".to_owned());
        return;
    };
    if entry.reverses.is_some() {
        let found = format!("{} is a reversal itself", named(reversing.original));
        add("the reversal of an entry that is none".to_owned(), found);
    }
    if entry.ledger != reversing.entry.ledger || !opposite(&entry, &reversing.entry) {
        let expected = format!("the postings of {} with sides turned", named(reversing.original));
        add(expected, "other postings".to_owned());
    }
    let marked_by = original.marked_by().map(EntryId::uuid);
    if marked_by != Some(reversing.entry.entry_id) {
        let expected = format!("{} marked as reversed by this one", named(reversing.original));
        let found = marked_by.map_or("no mark".to_owned(), |by| format!("marked by {}", named(by)));
        add(expected, found);
    }
}

fn opposite(original: &EntryFacts<'_>, reversal: &EntryFacts<'_>) -> bool {
    let turned = |posting: &PostingFacts| PostingFacts {
        direction: posting.direction.opposite(),
        ..*posting
    };
    original.postings.iter().map(turned).eq(reversal.postings.iter().copied())
}

/// Looks up the entries that the marks of a chunk name.
pub(crate) async fn look_up_reversed(
    db: &mut PgConnection,
    open: &[Reversed],
) -> Result<Findings, VerifyError> {
    let mut findings = Findings::default();
    if open.is_empty() {
        return Ok(findings);
    }
    let positions: Vec<i64> = open.iter().map(|mark| mark.position).collect();
    let reversals: Vec<Uuid> = open.iter().map(|mark| mark.by).collect();
    let by = referred(db, &positions, &reversals).await?;
    for mark in open {
        let reverses = by
            .iter()
            .find(|referred| referred.asked_at == mark.position)
            .filter(|reversal| reversal.position.is_some_and(|at| at < mark.position))
            .and_then(|reversal| reversal.entry()?.reverses);
        if reverses != Some(mark.entry) {
            let expected = format!("{} to reverse it, at an earlier position", named(mark.by));
            let found = reverses.map_or("no such reversal".to_owned(), |other| {
                format!("it reverses {}", named(other))
            });
            findings.add(Check::Reversals, mark.position, named(mark.entry), expected, found);
        }
        if mark.stream != StreamId::entry(EntryId::from_uuid(mark.entry)).as_str() {
            let expected = format!("the mark in the stream of {}", named(mark.entry));
            let found = format!("it is in {}", mark.stream);
            findings.add(Check::Reversals, mark.position, named(mark.entry), expected, found);
        }
    }
    Ok(findings)
}
