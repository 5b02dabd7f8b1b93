//! Events whose idempotency keys are still kept have the row of their key, with their fingerprint: else a
//! request that is sent again would have a second effect. Whose row is gone is a warning, not a
//! violation: the log is whole, and keys can be built again from it.
//!
//! Asking the index for millions of keys in no order is slow. But a row names the last event of its
//! request. So the pass over the events notes what request each one came from, in a few bytes; the scan of
//! the rows crosses off what they name; and only for what is left over the index is asked.

use std::hash::{BuildHasher, RandomState};

use domain::Timestamp;
use sqlx::PgConnection;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::connection::LOG;
use crate::facts::{MetadataFacts, RequestFacts};
use crate::log_rows::Row;
use crate::verify::Scope;
use crate::verify::error::{VerifyError, reading};
use crate::verify::finding::{Check, Findings};

/// How long keys are kept (72 h), less an hour in which the pruner may come while verify runs.
const KEPT_MICROS: i64 = 71 * 60 * 60 * 1_000_000;
/// How many events the requests are noted of, at the most: 96 MiB. Of still earlier ones the keys are asked
/// for one by one.
const NOTED_EVENTS_MAX: i64 = 24 * 1024 * 1024;

/// The requests that events came from.
#[derive(Debug)]
pub(crate) struct Requests {
    /// The keys of events since then are kept.
    young_since: Timestamp,
    /// The first event since then.
    first_young: i64,
    hasher: RandomState,
    /// The positions that the first and the last note are of.
    first: i64,
    last: i64,
    notes: Vec<Note>,
}

/// A keyed hash of a request and its time and, in the last bit, whether a row names it; 0 where there is no request. That
/// another request has the same hash is an accident of one in 2³¹.
type Note = u32;
const NAMED: Note = 1;

/// The keys of a chunk's young events.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    positions: Vec<i64>,
    owners: Vec<Uuid>,
    keys: Vec<String>,
    fingerprints: Vec<Vec<u8>>,
    recorded_at: Vec<OffsetDateTime>,
}

/// What the notes say of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Noted {
    /// The event at its position came from its request.
    Same,
    /// It came from another.
    Other,
    /// It came from none that had a key.
    None,
    /// Nothing is noted of that position.
    Unknown,
}

impl Requests {
    /// Of the events of `scope`. Where it is not the whole log no rows are scanned, so nothing is noted.
    pub(crate) fn of(scope: Scope) -> Self {
        Self::noting(scope, if scope.whole { NOTED_EVENTS_MAX } else { 0 })
    }

    /// Without room for any.
    pub(crate) fn none(scope: Scope) -> Self {
        Self::noting(scope, 0)
    }

    fn noting(scope: Scope, events_max: i64) -> Self {
        let noted = scope.to.clamp(0, events_max);
        Self {
            young_since: Timestamp::from_micros(scope.now.micros() - KEPT_MICROS),
            first_young: i64::MAX,
            hasher: RandomState::new(),
            first: scope.to + 1 - noted,
            last: scope.to,
            notes: vec![0; usize::try_from(noted).unwrap_or(0)],
        }
    }

    /// Notes the request of an event. Where there is no room for it, adds the key of a young one to those to
    /// be asked for.
    pub(crate) fn collect(&mut self, row: &Row<'_>, metadata: &MetadataFacts<'_>, open: &mut Keys) {
        let young = metadata.decided_at(row.recorded_at()) >= self.young_since;
        if young {
            self.first_young = self.first_young.min(row.position);
        }
        let Some(request) = &metadata.request else { return };
        let owner = request.owner.unwrap_or(row.merchant_id);
        let at = row.recorded_at_micros;
        let note = self.note(owner, &request.key, &request.fingerprint, at);
        match self.at(row.position) {
            Some(at) => *at = note,
            None if young => open.add(row.position, row.recorded_at(), owner, request),
            None => {}
        }
    }

    fn note(&self, owner: Uuid, key: &str, fingerprint: &[u8], at_micros: i64) -> Note {
        let hash = self.hasher.hash_one((owner.as_bytes(), key, fingerprint, at_micros));
        let [.., a, b, c, d] = hash.to_be_bytes();
        (Note::from_be_bytes([a, b, c, d]) & !NAMED).max(2)
    }

    fn at(&mut self, position: i64) -> Option<&mut Note> {
        self.notes.get_mut(usize::try_from(position.checked_sub(self.first)?).ok()?)
    }

    /// What is noted of a row that names `position`.
    pub(crate) fn noted(
        &mut self,
        position: i64,
        owner: Uuid,
        key: &str,
        fingerprint: &[u8],
        at_micros: i64,
    ) -> Noted {
        let wanted = self.note(owner, key, fingerprint, at_micros);
        match self.at(position) {
            None => Noted::Unknown,
            Some(0) => Noted::None,
            Some(note) if *note & !NAMED == wanted => Noted::Same,
            Some(_) => Noted::Other,
        }
    }

    /// A row names the event at `position` and agrees with it.
    pub(crate) fn name(&mut self, position: i64) {
        if let Some(note) = self.at(position) {
            *note |= NAMED;
        }
    }

    /// The positions of young events with a key that no row names, and that do not come right before others of
    /// the same request that one names.
    pub(crate) fn unnamed(&self) -> impl Iterator<Item = i64> {
        let mut after: Note = 0;
        self.notes.iter().rev().zip((self.first..=self.last).rev()).filter_map(
            move |(&note, position)| {
                let named = note & NAMED != 0 || note | NAMED == after;
                after = if named { note | NAMED } else { 0 };
                (note != 0 && !named && position >= self.first_young).then_some(position)
            },
        )
    }
}

impl Keys {
    fn add(
        &mut self,
        position: i64,
        recorded_at: Timestamp,
        owner: Uuid,
        request: &RequestFacts<'_>,
    ) {
        self.positions.push(position);
        self.recorded_at.push(recorded_at.datetime());
        self.owners.push(owner);
        self.keys.push(request.key.clone().into_owned());
        self.fingerprints.push(request.fingerprint.to_vec());
    }

    /// The keys of the events at `positions`, but for those that grew old while verify ran.
    pub(crate) async fn read(
        db: &mut PgConnection,
        positions: &[i64],
    ) -> Result<Self, VerifyError> {
        let events: Vec<(i64, OffsetDateTime, Uuid, String, OffsetDateTime)> = sqlx::query_as(
            "select e.position, e.recorded_at, e.merchant_id, e.metadata::text, young.since \
             from (select clock_timestamp() - $3 * interval '1 microsecond' as since) as young \
             cross join unnest($2::bigint[]) as asked (position) \
             join events e on e.log_id = $1 and e.position = asked.position \
             where e.recorded_at >= young.since",
        )
        .bind(LOG)
        .bind(positions)
        .bind(KEPT_MICROS)
        .fetch_all(db)
        .await
        .map_err(reading("events that no key names"))?;
        let mut keys = Self::default();
        for (position, recorded_at, merchant, metadata, young_since) in &events {
            // What cannot be read was found by the pass over the events.
            let Ok(MetadataFacts { request: Some(request), decided_at }) =
                MetadataFacts::read(metadata)
            else {
                continue;
            };
            let recorded_at = Timestamp::from_datetime(*recorded_at);
            if decided_at.is_some_and(|at| at.datetime() < *young_since) {
                continue;
            }
            keys.add(*position, recorded_at, request.owner.unwrap_or(*merchant), &request);
        }
        Ok(keys)
    }
}

/// The row of an event's key, where it is not as the event says.
#[derive(Debug, sqlx::FromRow)]
struct WrongRow {
    position: i64,
    key: String,
    gone: bool,
    another: Option<bool>,
}

/// An answer that names an earlier event, or of a request that came later, was given as if the event were not
/// there.
const WRONG_ROWS: &str = "
    select * from (
        select e.position, e.key, i.key is null as gone, i.fingerprint <> e.fingerprint as another,
               i.status is not null and (i.position < e.position or i.recorded_at > e.recorded_at)
                   as without_it
        from unnest($2::bigint[], $3::uuid[], $4::text[], $5::bytea[], $6::timestamptz[])
            as e (position, merchant_id, key, fingerprint, recorded_at)
        left join idempotency_keys i
            on i.log_id = $1 and i.merchant_id = e.merchant_id and i.key = e.key
    ) as asked
    where gone or another or without_it order by position";

/// Asks for the rows of keys.
pub(crate) async fn look_up(db: &mut PgConnection, open: &Keys) -> Result<Findings, VerifyError> {
    let mut findings = Findings::default();
    if open.positions.is_empty() {
        return Ok(findings);
    }
    let wrong: Vec<WrongRow> = sqlx::query_as(WRONG_ROWS)
        .bind(LOG)
        .bind(&open.positions)
        .bind(&open.owners)
        .bind(&open.keys)
        .bind(&open.fingerprints)
        .bind(&open.recorded_at)
        .fetch_all(db)
        .await
        .map_err(reading("the keys of young events"))?;
    for WrongRow { position, key, gone, another } in wrong {
        let (check, expected, found) = match another {
            _ if gone => (Check::MissingKeys, "the row of its key, with its fingerprint", "no row"),
            Some(true) => (
                Check::MissingKeys,
                "the row of its key, with its fingerprint",
                "a row with another fingerprint",
            ),
            Some(false) | None => (
                Check::IdempotencyKeys,
                "an answer that rests on this event",
                "one that was given without it",
            ),
        };
        findings.add(check, position, format!("key {key}"), expected, found);
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;

    const OWNER: Uuid = Uuid::from_u128(7);

    fn scope(to: i64) -> Scope {
        let now = Timestamp::from_micros(KEPT_MICROS * 2);
        Scope { from: 1, to, from_start: true, whole: true, now, accounts_per_pass: 1 }
    }

    /// Events 1 to 6 of the requests `keys`, all young.
    fn collected(keys: &str, events_max: i64) -> (Requests, Keys) {
        let scope = scope(6);
        let mut young = Requests::noting(scope, events_max);
        let mut open = Keys::default();
        for (position, key) in (1..).zip(keys.chars()) {
            let row = Row {
                position,
                stream_id: "s",
                version: 1,
                event_id: Uuid::nil(),
                event_type: "t",
                schema_version: 1,
                merchant_id: OWNER,
                data: "{}",
                metadata: "{}",
                recorded_at_micros: scope.now.micros(),
                leaf_hash: &[],
            };
            let request = (key != '-').then(|| RequestFacts {
                key: Cow::Owned(key.to_string()),
                owner: None,
                fingerprint: [1; 32],
            });
            young.collect(&row, &MetadataFacts { request, decided_at: None }, &mut open);
        }
        (young, open)
    }

    fn unnamed(young: &Requests) -> Vec<i64> {
        young.unnamed().collect()
    }

    #[test]
    fn what_rows_name_is_crossed_off_with_what_came_before_it_from_the_same_request() {
        let (mut young, open) = collected("aab-ba", 100);
        assert!(open.positions.is_empty());
        assert_eq!(unnamed(&young), [6, 5, 3, 2, 1]);
        young.name(2);
        assert_eq!(unnamed(&young), [6, 5, 3], "1 and 2 are of one request, 6 of another append");
        young.name(6);
        young.name(5);
        assert_eq!(unnamed(&young), [3], "an event between them came from no request");
    }

    #[test]
    fn a_row_agrees_with_its_event_or_not() {
        let (mut young, _) = collected("ab-", 100);
        let at = scope(6).now.micros();
        let mut noted =
            |position, owner, key, print: [u8; 32]| young.noted(position, owner, key, &print, at);
        assert_eq!(noted(1, OWNER, "a", [1; 32]), Noted::Same);
        assert_eq!(noted(2, OWNER, "a", [1; 32]), Noted::Other);
        assert_eq!(noted(1, Uuid::nil(), "a", [1; 32]), Noted::Other);
        assert_eq!(noted(1, OWNER, "a", [2; 32]), Noted::Other);
        assert_eq!(noted(3, OWNER, "a", [1; 32]), Noted::None);
        for outside in [i64::MIN, -1, 0, 7, i64::MAX] {
            assert_eq!(noted(outside, OWNER, "a", [1; 32]), Noted::Unknown);
        }
        assert_eq!(young.noted(1, OWNER, "a", &[1; 32], at + 1), Noted::Other, "at another time");
    }

    #[test]
    fn of_more_events_than_are_noted_the_first_are_asked_for() {
        let (young, open) = collected("abcdef", 2);
        assert_eq!(open.positions, [1, 2, 3, 4]);
        assert_eq!(unnamed(&young), [6, 5]);
    }
}
