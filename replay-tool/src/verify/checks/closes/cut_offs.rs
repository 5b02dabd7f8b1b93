//! The cut-offs of a log, known beforehand: so what takes effect when need not be kept by the day, but is added
//! to the one cut-off that it counts for first.

use std::collections::HashMap;
use std::time::Instant;

use domain::books::BooksEvent;
use domain::{Day, Event};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::connection::LOG;
use crate::courtesy::Courtesy;
use crate::pace::Pace;
use crate::verify::Scope;
use crate::verify::error::{VerifyError, reading};

/// The most events of books that a statement reads.
const PAGE_ROWS_MAX: i64 = 20_000;
/// The most cut-offs that are checked: as many as a thousand ledgers have in a year and a half of days. With
/// the sums of each, which are kept where the accounts take several passes, about 100 MiB.
const CUT_OFFS_MAX: usize = 500_000;

/// A day that was cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CutOff {
    pub(super) position: i64,
    pub(super) day: Day,
}

/// The cut-offs of each ledger that has any, by position.
pub(super) type CutOffs = HashMap<Uuid, Vec<CutOff>>;

/// Stream, version, position, type, version of the type, data.
type BooksRow = (String, i64, i64, String, i16, String);

/// Reads them from the index of streams; `None` where there are more than are checked.
pub(super) async fn read(
    db: &mut PgConnection,
    scope: Scope,
    courtesy: &Courtesy,
) -> Result<Option<CutOffs>, VerifyError> {
    read_pages(db, scope, courtesy).await.map_err(reading("the cut-offs of books"))
}

async fn read_pages(
    db: &mut PgConnection,
    scope: Scope,
    courtesy: &Courtesy,
) -> Result<Option<CutOffs>, sqlx::Error> {
    let (mut cut_offs, mut count) = (CutOffs::new(), 0);
    let mut after = ("books-".to_owned(), 0);
    let mut pace = Pace::up_to(PAGE_ROWS_MAX);
    loop {
        let started = Instant::now();
        // The character after `-` is `.`, so this is the range of the prefix.
        let page: Result<Vec<BooksRow>, _> = sqlx::query_as(
            "select stream_id, version, position, event_type, schema_version, data::text \
             from events where log_id = $1 and (stream_id, version) > ($2, $3) \
                 and stream_id < 'books.' order by stream_id, version limit $4",
        )
        .bind(LOG)
        .bind(&after.0)
        .bind(after.1)
        .bind(pace.rows())
        .fetch_all(&mut *db)
        .await;
        let page = match page {
            Ok(page) => page,
            Err(error) if pace.retry(&error) => continue,
            Err(error) => return Err(error),
        };
        let Some((stream, version, ..)) = page.last() else { break };
        after = (stream.clone(), *version);
        for (_, _, position, kind, schema_version, data) in &page {
            if let Some((ledger, day)) = cut_off(kind, *schema_version, data)
                && *position <= scope.to
            {
                cut_offs.entry(ledger).or_default().push(CutOff { position: *position, day });
                count += 1;
            }
        }
        if count > CUT_OFFS_MAX {
            return Ok(None);
        }
        pace.took(started.elapsed(), courtesy.statement_target());
        courtesy.after(&mut *db, started.elapsed()).await?;
    }
    // Where versions do not rise with position, that is found elsewhere.
    cut_offs.values_mut().for_each(|of| of.sort_unstable_by_key(|cut_off| cut_off.position));
    Ok(Some(cut_offs))
}

/// The ledger and the day, where the event is a cut-off. What cannot be read was found by the pass over the
/// events.
fn cut_off(kind: &str, schema_version: i16, data: &str) -> Option<(Uuid, Day)> {
    let event = Event::decode(kind, schema_version, data).ok()?;
    let Event::Books(BooksEvent::DayCutOff(event)) = event else { return None };
    Some((event.ledger.uuid(), event.day))
}
