//! The rows of `idempotency_keys` agree with the events: an answer that says that something was made has
//! the events that made it, with the same key and fingerprint; a refusal has none; none is of the future.
//!
//! Nearly all rows agree with what the pass over the events noted, and nothing needs to be read for them but
//! the rows themselves, block by block as they lie; the others are read again together with their events.

use std::time::Instant;

use domain::MerchantId;
use sqlx::PgConnection;
use uuid::Uuid;

use super::requests::{self, Keys, Noted, Requests};
use crate::connection::{Auditor, LOG, Purpose};
use crate::courtesy::Courtesy;
use crate::facts::{MetadataFacts, RequestFacts};
use crate::log_rows::{POSTGRES_EPOCH_MICROS, Tuples, copy_page};
use crate::pace::Pace;
use crate::verify::error::{VerifyError, reading};
use crate::verify::finding::{Check, Findings};
use crate::verify::report::{Part, Report, number};

/// The most blocks of the table that a statement reads: 8 MB, some ten thousand rows.
const PAGE_BLOCKS_MAX: i64 = 1_000;
/// The most rows or events that are asked for by name in a statement.
const ASKED_MAX: usize = 2_000;
/// The status of an answer to a request that made something.
const CREATED: i16 = 201;
/// The statuses of refusals by a rule, which append nothing: unknown, in conflict, invalid.
const REFUSED: [i16; 3] = [404, 409, 422];
/// Stands for the status of a request that is still under way.
const NO_STATUS: i16 = 0;

const BLOCKS: &str =
    "select pg_relation_size('idempotency_keys') / current_setting('block_size')::bigint";
/// The events are read in the statement that reads the keys, so both are of one snapshot.
const WITH_EVENTS: &str = "
    select k.merchant_id, k.key, k.fingerprint, k.status, k.position,
           e.merchant_id as event_merchant_id, e.metadata::text as metadata,
           coalesce((select max(position) from events where log_id = $1), 0) as last
    from unnest($2::uuid[], $3::text[]) as asked (merchant_id, key)
    join idempotency_keys k
        on k.log_id = $1 and k.merchant_id = asked.merchant_id and k.key = asked.key
    left join events e on e.log_id = $1 and e.position = k.position
    order by k.position, k.merchant_id, k.key";

#[derive(Debug, sqlx::FromRow)]
struct KeyRow {
    merchant_id: Uuid,
    key: String,
    fingerprint: Vec<u8>,
    status: Option<i16>,
    position: i64,
    event_merchant_id: Option<Uuid>,
    metadata: Option<String>,
    last: i64,
}

/// Rows to be read again with their events.
#[derive(Debug, Default)]
struct Doubtful {
    owners: Vec<Uuid>,
    keys: Vec<String>,
}

/// Goes over all rows, and then over the young events that none of them names; how many rows there are.
pub(crate) async fn check(
    auditor: &Auditor,
    mut requests: Requests,
    courtesy: &Courtesy,
    report: &Report<'_>,
) -> Result<u64, VerifyError> {
    let mut db = auditor.connect(Purpose::Read).await?;
    let count = rows(&mut db, &mut requests, courtesy, report)
        .await
        .map_err(reading("idempotency keys"))?;
    let mut unnamed = requests.unnamed();
    loop {
        let started = Instant::now();
        let asked: Vec<i64> = unnamed.by_ref().take(ASKED_MAX).collect();
        if asked.is_empty() {
            return Ok(count);
        }
        let keys = Keys::read(&mut db, &asked).await?;
        report.findings(requests::look_up(&mut db, &keys).await?);
        let rested = courtesy.after(&mut db, started.elapsed()).await;
        rested.map_err(reading("the head"))?;
    }
}

async fn rows(
    db: &mut PgConnection,
    requests: &mut Requests,
    courtesy: &Courtesy,
    report: &Report<'_>,
) -> Result<u64, sqlx::Error> {
    let blocks: i64 = sqlx::query_scalar(BLOCKS).fetch_one(&mut *db).await?;
    let (mut from, mut count, mut page) = (0, 0, Vec::new());
    let mut pace = Pace::up_to(PAGE_BLOCKS_MAX);
    while from < blocks {
        let started = Instant::now();
        let to = blocks.min(from + pace.rows());
        // Numbers and constants only: COPY takes no bound values.
        let statement = format!(
            "copy (select merchant_id, key, fingerprint, coalesce(status, {NO_STATUS}::smallint), \
                 position, recorded_at from idempotency_keys where log_id = {LOG} \
                 and ctid >= '({from},0)' and ctid < '({to},0)') to stdout (format binary)"
        );
        match copy_page(&mut *db, &statement, &mut page).await {
            Ok(rows) => count += number(rows),
            Err(error) if pace.retry(&error) => continue,
            Err(error) => return Err(error),
        }
        pace.took(started.elapsed(), courtesy.statement_target());
        from = to;
        let doubtful = cross_off(&page, requests);
        report.findings(read_again(&mut *db, &doubtful).await?);
        report.progress(Part::IdempotencyKeys, count, count * number(blocks) / number(to));
        courtesy.after(&mut *db, started.elapsed()).await?;
    }
    Ok(count)
}

/// Crosses off the notes of the events that the rows of a page name; which rows do not agree with the notes.
fn cross_off(page: &[u8], requests: &mut Requests) -> Doubtful {
    let mut doubtful = Doubtful::default();
    for [owner, key, fingerprint, status, position, recorded_at] in Tuples::of(page) {
        let owner = Uuid::from_slice(owner).unwrap_or_default();
        let key = String::from_utf8_lossy(key);
        let status = status.try_into().map_or(NO_STATUS, i16::from_be_bytes);
        let position = position.try_into().map_or(i64::MAX, i64::from_be_bytes);
        let at = recorded_at.try_into().map_or(i64::MAX, i64::from_be_bytes);
        let at_micros = at.saturating_add(POSTGRES_EPOCH_MICROS);
        let refused = REFUSED.contains(&status);
        match requests.noted(position, owner, &key, fingerprint, at_micros) {
            Noted::Same if !refused => requests.name(position),
            // The head when it was refused, whose event is of another request.
            Noted::Other | Noted::None if refused => {}
            Noted::Same | Noted::Other | Noted::None | Noted::Unknown => {
                doubtful.owners.push(owner);
                doubtful.keys.push(key.into_owned());
            }
        }
    }
    doubtful
}

/// Judges rows by their events.
async fn read_again(db: &mut PgConnection, doubtful: &Doubtful) -> Result<Findings, sqlx::Error> {
    let mut findings = Findings::default();
    for (owners, keys) in doubtful.owners.chunks(ASKED_MAX).zip(doubtful.keys.chunks(ASKED_MAX)) {
        let rows: Vec<KeyRow> = sqlx::query_as(WITH_EVENTS)
            .bind(LOG)
            .bind(owners)
            .bind(keys)
            .fetch_all(&mut *db)
            .await?;
        rows.iter().for_each(|row| judge(row, &mut findings));
    }
    Ok(findings)
}

fn judge(row: &KeyRow, findings: &mut Findings) {
    let mut add = |expected: &str, found: &str| {
        let owner = MerchantId::from_uuid(row.merchant_id);
        let subject = format!("key {} of {owner}", row.key);
        findings.add(Check::IdempotencyKeys, row.position, subject, expected, found);
    };
    if !(0..=row.last).contains(&row.position) {
        add(&format!("a position from 0 to {}", row.last), "a position that the log does not have");
        return;
    }
    let created = row.status == Some(CREATED);
    let refused = row.status.is_some_and(|status| REFUSED.contains(&status));
    match own_request(row) {
        None if created => add("an event with this key", "none: nothing was made there"),
        Some(_) if refused => add("no event: the request was refused", "an event with this key"),
        Some(request) if request.fingerprint != row.fingerprint[..] => {
            add("the fingerprint in the event's metadata", "another fingerprint");
        }
        // Where an answer neither made nor refused something, it may well have found all done already.
        None | Some(_) => {}
    }
}

/// The request that the event at the row's position came from, if it is the one with the row's key.
fn own_request(row: &KeyRow) -> Option<RequestFacts<'_>> {
    let request = MetadataFacts::read(row.metadata.as_deref()?).ok()?.request?;
    let owner = request.owner.or(row.event_merchant_id)?;
    (request.key == row.key.as_str() && owner == row.merchant_id).then_some(request)
}
