//! No two events have one id: an ordered scan of the unique index, which is not trusted to have kept its
//! promise. An entry's id is that of its event, so this is what makes entry ids unique.

use std::time::Instant;

use sqlx::PgConnection;
use uuid::Uuid;

use super::guards::Guards;
use super::stream_versions::{compare_counts, grown_since};
use crate::connection::{Auditor, LOG, Purpose};
use crate::pace::Pace;
use crate::verify::Scope;
use crate::verify::error::{VerifyError, reading};
use crate::verify::finding::{Check, Findings};
use crate::verify::report::{Part, Report, number};

/// The most index entries that one statement looks at.
const PAGE_ROWS_MAX: i64 = 200_000;

/// Ids that are there twice, and the last row of the page.
const PAGE: &str = "
    with page as (
        select event_id from events where log_id = $1 and event_id > $2
        order by event_id limit $3
    ), judged as (
        select event_id, coalesce(event_id = lag(event_id) over scan, false) as again,
               row_number() over scan as number, count(*) over () as total
        from page window scan as (order by event_id)
    )
    select event_id, again, number = total as last, total,
           case when again then (
               select max(position) from events where log_id = $1 and event_id = judged.event_id)
           end as position
    from judged where again or number = total order by number";

#[derive(Debug, sqlx::FromRow)]
struct Judged {
    event_id: Uuid,
    again: bool,
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
    let (mut after, mut count) = (Uuid::nil(), 0);
    let mut pace = Pace::up_to(PAGE_ROWS_MAX);
    loop {
        let started = Instant::now();
        let page: Result<Vec<Judged>, _> =
            sqlx::query_as(PAGE).bind(LOG).bind(after).bind(pace.rows()).fetch_all(&mut *db).await;
        let page = match page {
            Ok(page) => page,
            Err(error) if pace.retry(&error) => continue,
            Err(error) => return Err(error),
        };
        pace.took(started.elapsed());
        let Some(last) = page.iter().find(|row| row.last) else { return Ok(count) };
        after = last.event_id;
        count += number(last.total);
        report.progress(Part::EventIds, count, events);
        let mut findings = Findings::default();
        for row in page.into_iter().filter(|row| row.again) {
            let subject = format!("event {}", row.event_id);
            findings.add(
                Check::EventIds,
                row.position,
                subject,
                "an id of its own",
                "an id used before",
            );
        }
        report.findings(findings);
    }
}
