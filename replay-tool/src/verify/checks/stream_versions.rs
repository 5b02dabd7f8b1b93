//! Versions are contiguous from 1 in every stream and none is there twice: an ordered scan of the unique
//! index, which is not trusted to have kept its promise.
//!
//! The scan never visits the table, so it cannot tell positions; where something is wrong they are looked
//! up. That the index holds as many events as the table shows that it is of this table.

use std::str::Utf8Error;
use std::time::Instant;

use sqlx::PgConnection;

use super::guards::Guards;
use crate::connection::{Auditor, LOG, Purpose};
use crate::courtesy::Courtesy;
use crate::log_rows::{Tuples, copy_page, quoted};
use crate::pace::Pace;
use crate::verify::Scope;
use crate::verify::error::{VerifyError, reading};
use crate::verify::finding::{Check, Findings};
use crate::verify::report::{Part, Report, number};

/// The most index entries that one statement reads: about 6 MB.
const PAGE_ROWS_MAX: i64 = 50_000;
/// The position that an event has; of several, the first.
const POSITION: &str =
    "select min(position) from events where log_id = $1 and stream_id = $2 and version = $3";

/// Scans the index; how many entries it has.
pub(crate) async fn check(
    auditor: &Auditor,
    scope: Scope,
    events: u64,
    guards: &Guards,
    courtesy: &Courtesy,
    report: &Report<'_>,
) -> Result<u64, VerifyError> {
    if !guards.stream_versions {
        report.not_checked("versions of streams: their index is missing");
        return Ok(0);
    }
    let mut db = auditor.connect(Purpose::Read).await?;
    let count = scan(&mut db, events, courtesy, report).await;
    let count = count.map_err(reading("the index of streams"))?;
    let grown = grown_since(&mut db, scope).await?;
    let mut findings = Findings::default();
    compare_counts(
        Check::StreamVersions,
        "index events_stream_version",
        count,
        events,
        grown,
        &mut findings,
    );
    report.findings(findings);
    Ok(count)
}

async fn scan(
    db: &mut PgConnection,
    events: u64,
    courtesy: &Courtesy,
    report: &Report<'_>,
) -> Result<u64, sqlx::Error> {
    let mut last = Last { stream: String::new(), version: 0 };
    let (mut count, mut page) = (0, Vec::new());
    let mut pace = Pace::up_to(PAGE_ROWS_MAX);
    loop {
        let started = Instant::now();
        let (after, version, rows) = (quoted(&last.stream), last.version, pace.rows());
        let statement = format!(
            "copy (select stream_id, version from events \
                 where log_id = {LOG} and (stream_id, version) > ({after}, {version}) \
                 order by stream_id, version limit {rows}) to stdout (format binary)"
        );
        match copy_page(&mut *db, &statement, &mut page).await {
            Ok(0) => return Ok(count),
            Ok(rows) => count += number(rows),
            Err(error) if pace.retry(&error) => continue,
            Err(error) => return Err(error),
        }
        pace.took(started.elapsed(), courtesy.statement_target());
        report.progress(Part::Streams, count, events);
        let mut findings = Findings::default();
        for wrong in last.follow(&page).map_err(|error| sqlx::Error::Decode(error.into()))? {
            let position: Option<i64> = sqlx::query_scalar(POSITION)
                .bind(LOG)
                .bind(&wrong.stream)
                .bind(wrong.version)
                .fetch_one(&mut *db)
                .await?;
            let expected = format!("version {}", wrong.expected);
            let found = format!("version {}", wrong.version);
            findings.add(Check::StreamVersions, position, wrong.stream, expected, found);
        }
        report.findings(findings);
        courtesy.after(&mut *db, started.elapsed()).await?;
    }
}

/// The index entry that was read last.
#[derive(Debug)]
struct Last {
    stream: String,
    version: i64,
}

/// An index entry that does not follow the one before it.
#[derive(Debug)]
struct Wrong {
    stream: String,
    version: i64,
    expected: i64,
}

impl Last {
    /// Goes over a page, in the order of the index. Fails where a name is no text, after which the
    /// scan could not be taken up again.
    fn follow(&mut self, page: &[u8]) -> Result<Vec<Wrong>, Utf8Error> {
        let mut wrong = Vec::new();
        for [stream, version] in Tuples::of(page) {
            let version = version.try_into().map_or(0, i64::from_be_bytes);
            let same = stream == self.stream.as_bytes();
            let expected = if same { self.version + 1 } else { 1 };
            if !same {
                self.stream.clear();
                self.stream.push_str(str::from_utf8(stream)?);
            }
            if version != expected {
                wrong.push(Wrong { stream: self.stream.clone(), version, expected });
            }
            self.version = version;
        }
        Ok(wrong)
    }
}

/// How many events were appended since verify started.
pub(crate) async fn grown_since(db: &mut PgConnection, scope: Scope) -> Result<u64, VerifyError> {
    let last: Option<i64> =
        sqlx::query_scalar("select max(position) from events where log_id = $1")
            .bind(LOG)
            .fetch_one(db)
            .await
            .map_err(reading("the last position"))?;
    Ok(number(last.unwrap_or(0) - scope.to))
}

/// An index has an entry for each event of the table. While the log grows its new events are entries too,
/// so the comparison is as loose as what was appended meanwhile.
pub(crate) fn compare_counts(
    check: Check,
    index: &str,
    count: u64,
    events: u64,
    grown: u64,
    findings: &mut Findings,
) {
    if !(events..=events + grown).contains(&count) {
        let expected = match grown {
            0 => format!("{events} events"),
            _ => format!("{events} to {} events", events + grown),
        };
        findings.add(check, None, index, expected, format!("{count}"));
    }
}
