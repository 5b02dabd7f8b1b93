//! Versions are contiguous from 1 in every stream and none is there twice: an ordered scan of the unique
//! index, which is not trusted to have kept its promise.
//!
//! The scan never visits the table, so it cannot tell positions; where something is wrong they are looked
//! up. That the index holds as many events as the table shows that it is of this table.

use std::time::Instant;

use sqlx::PgConnection;

use super::guards::Guards;
use crate::connection::{Auditor, LOG, Purpose};
use crate::pace::Pace;
use crate::verify::Scope;
use crate::verify::error::{VerifyError, reading};
use crate::verify::finding::{Check, Findings};
use crate::verify::report::{Part, Report, number};

/// The most index entries that one statement looks at.
const PAGE_ROWS_MAX: i64 = 200_000;

/// Rows out of order, and the last row of the page.
const PAGE: &str = "
    with page as (
        select stream_id, version from events
        where log_id = $1 and (stream_id, version) > ($2, $3)
        order by stream_id, version limit $4
    ), judged as (
        select stream_id, version,
               case when stream_id = lag(stream_id, 1, $2) over scan
                    then lag(version, 1, $3) over scan + 1 else 1 end as expected,
               row_number() over scan as number, count(*) over () as total
        from page window scan as (order by stream_id, version)
    )
    select stream_id, version, expected, number = total as last, total,
           case when version <> expected then (
               select min(position) from events
               where log_id = $1 and stream_id = judged.stream_id and version = judged.version)
           end as position
    from judged where version <> expected or number = total order by number";

#[derive(Debug, sqlx::FromRow)]
struct Judged {
    stream_id: String,
    version: i64,
    expected: i64,
    last: bool,
    total: i64,
    position: Option<i64>,
}

/// Scans the index; how many entries it has.
pub(crate) async fn check(
    auditor: &Auditor,
    scope: Scope,
    events: u64,
    guards: &Guards,
    report: &Report<'_>,
) -> Result<u64, VerifyError> {
    if !guards.stream_versions {
        report.not_checked("versions of streams: their index is missing");
        return Ok(0);
    }
    let mut db = auditor.connect(Purpose::Read).await?;
    let count = scan(&mut db, events, report).await.map_err(reading("the index of streams"))?;
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

async fn scan(db: &mut PgConnection, events: u64, report: &Report<'_>) -> Result<u64, sqlx::Error> {
    let (mut stream, mut version, mut count) = (String::new(), 0, 0);
    let mut pace = Pace::up_to(PAGE_ROWS_MAX);
    loop {
        let started = Instant::now();
        let page: Result<Vec<Judged>, _> = sqlx::query_as(PAGE)
            .bind(LOG)
            .bind(&stream)
            .bind(version)
            .bind(pace.rows())
            .fetch_all(&mut *db)
            .await;
        let page = match page {
            Ok(page) => page,
            Err(error) if pace.retry(&error) => continue,
            Err(error) => return Err(error),
        };
        pace.took(started.elapsed());
        let Some(last) = page.iter().find(|row| row.last) else { return Ok(count) };
        (stream, version) = (last.stream_id.clone(), last.version);
        count += number(last.total);
        report.progress(Part::Streams, count, events);
        let mut findings = Findings::default();
        for row in page.into_iter().filter(|row| row.version != row.expected) {
            let expected = format!("version {}", row.expected);
            let found = format!("version {}", row.version);
            findings.add(Check::StreamVersions, row.position, row.stream_id, expected, found);
        }
        report.findings(findings);
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
