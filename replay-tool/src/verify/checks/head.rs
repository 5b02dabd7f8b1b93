//! The head stands at the last event, and at its time or a later one.

use domain::Timestamp;
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::connection::LOG;
use crate::verify::error::{VerifyError, reading};
use crate::verify::finding::{Check, Findings};
use crate::verify::report::Report;

/// The end of the log when verify started.
#[derive(Debug, Clone, Copy)]
pub(crate) struct End {
    /// The position of the last event; 0 on an empty log.
    pub(crate) last: i64,
    /// When it was recorded.
    pub(crate) recorded_at: Option<Timestamp>,
    /// The database's time.
    pub(crate) now: Timestamp,
}

type EndRow =
    (OffsetDateTime, Option<i64>, Option<OffsetDateTime>, Option<i64>, Option<OffsetDateTime>);

/// Reads head and last event in one snapshot, and compares them.
pub(crate) async fn check(db: &mut PgConnection, report: &Report<'_>) -> Result<End, VerifyError> {
    let (now, head, head_at, last, last_at): EndRow = sqlx::query_as(
        "select clock_timestamp(), head.position, head.recorded_at, last.position, last.recorded_at \
         from (select 1) as one \
         left join log_head as head on head.log_id = $1 \
         left join lateral (select position, recorded_at from events where log_id = $1 \
             order by position desc limit 1) as last on true",
    )
    .bind(LOG)
    .fetch_one(db)
    .await
    .map_err(reading("the head"))?;
    let last = last.unwrap_or(0);
    let mut findings = Findings::default();
    let mut add = |position: i64, expected: String, found: String| {
        findings.add(Check::Head, position, "head of the log", expected, found);
    };
    match head {
        None => add(last, "a head".to_owned(), "none".to_owned()),
        Some(head) if head > last => {
            add(last + 1, format!("events up to {head}"), format!("the last is at {last}"));
        }
        Some(head) if head < last => {
            add(head + 1, format!("no event beyond {head}"), format!("events up to {last}"));
        }
        Some(_) => {}
    }
    let (head_at, last_at) = (head_at.map(time), last_at.map(time));
    if let (Some(head_at), Some(last_at)) = (head_at, last_at)
        && head_at < last_at
    {
        add(last, format!("{last_at} or later"), head_at.to_string());
    }
    report.findings(findings);
    Ok(End { last, recorded_at: last_at, now: time(now) })
}

fn time(at: OffsetDateTime) -> Timestamp {
    Timestamp::from_datetime(at)
}
