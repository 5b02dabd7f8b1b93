//! No two events have one id: an ordered scan of the unique index, which is not trusted to have kept its
//! promise. An entry's id is that of its event, so this is what makes entry ids unique.

use std::time::Instant;

use sqlx::PgConnection;
use uuid::Uuid;

use super::guards::Guards;
use super::stream_versions::{compare_counts, grown_since};
use crate::connection::{Auditor, LOG, Purpose};
use crate::log_rows::{Tuples, copy_page};
use crate::pace::Pace;
use crate::verify::Scope;
use crate::verify::error::{VerifyError, reading};
use crate::verify::finding::{Check, Findings};
use crate::verify::report::{Part, Report, number};

/// The most index entries that one statement reads: about 1 MB.
const PAGE_ROWS_MAX: i64 = 50_000;
/// The last position that an id has.
const POSITION: &str = "select max(position) from events where log_id = $1 and event_id = $2";

/// Scans the index; how many entries it has.
pub(crate) async fn check(
    auditor: &Auditor,
    scope: Scope,
    events: u64,
    guards: &Guards,
    report: &Report<'_>,
) -> Result<u64, VerifyError> {
    if !guards.event_ids {
        report.not_checked("uniqueness of event ids: their index is missing");
        return Ok(0);
    }
    let mut db = auditor.connect(Purpose::Read).await?;
    let count = scan(&mut db, events, report).await.map_err(reading("the index of event ids"))?;
    let grown = grown_since(&mut db, scope).await?;
    let mut findings = Findings::default();
    compare_counts(Check::EventIds, "index events_event_id", count, events, grown, &mut findings);
    report.findings(findings);
    Ok(count)
}

async fn scan(db: &mut PgConnection, events: u64, report: &Report<'_>) -> Result<u64, sqlx::Error> {
    let (mut last, mut count, mut page) = (Uuid::nil(), 0, Vec::new());
    let mut pace = Pace::up_to(PAGE_ROWS_MAX);
    loop {
        let (started, rows) = (Instant::now(), pace.rows());
        let statement = format!(
            "copy (select event_id from events where log_id = {LOG} and event_id > '{last}' \
                 order by event_id limit {rows}) to stdout (format binary)"
        );
        match copy_page(&mut *db, &statement, &mut page).await {
            Ok(0) => return Ok(count),
            Ok(rows) => count += number(rows),
            Err(error) if pace.retry(&error) => continue,
            Err(error) => return Err(error),
        }
        pace.took(started.elapsed());
        report.progress(Part::EventIds, count, events);
        let mut findings = Findings::default();
        for again in repeated(&mut last, &page) {
            let position: Option<i64> =
                sqlx::query_scalar(POSITION).bind(LOG).bind(again).fetch_one(&mut *db).await?;
            let (subject, found) = (format!("event {again}"), "an id used before");
            findings.add(Check::EventIds, position, subject, "an id of its own", found);
        }
        report.findings(findings);
    }
}

/// The ids of a page that equal the one before them.
fn repeated(last: &mut Uuid, page: &[u8]) -> Vec<Uuid> {
    let mut repeated = Vec::new();
    for [bytes] in Tuples::of(page) {
        let id = Uuid::from_slice(bytes).unwrap_or_default();
        if id == *last {
            repeated.push(id);
        }
        *last = id;
    }
    repeated
}
