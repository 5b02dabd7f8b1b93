//! What the log is made of: events by type and by day, streams, accounts, sizes.

use std::collections::BTreeMap;
use std::time::Instant;

use domain::Timestamp;
use serde::Serialize;
use sqlx::PgConnection;
use time::OffsetDateTime;

use crate::connection::{Auditor, ConnectError, LOG, Purpose};
use crate::pace::{Pace, STATEMENT_TARGET};

/// The most positions that one statement counts.
const PAGE_EVENTS_MAX: i64 = 100_000;

/// Why nothing could be counted.
#[derive(Debug, thiserror::Error)]
pub enum StatsError {
    /// The database cannot be audited.
    #[error("the log cannot be reached")]
    Connect(#[from] ConnectError),
    /// A statement failed.
    #[error("counting events failed")]
    Database(#[from] sqlx::Error),
}

/// Events of one type or one day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Count {
    /// How many.
    pub events: u64,
    /// Bytes of their data and metadata.
    pub bytes: u64,
    /// The largest of them, in bytes.
    pub bytes_max: u64,
}

/// What the log is made of, up to the head at the start.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Stats {
    /// The last position counted.
    pub head: i64,
    /// All events.
    pub all: Count,
    /// By type.
    pub types: BTreeMap<String, Count>,
    /// By day (UTC), as `2026-11-21`.
    pub days: BTreeMap<String, Count>,
    /// How many streams there are.
    pub streams: u64,
    /// How many of them are accounts.
    pub accounts: u64,
    /// When the first event was recorded.
    pub first_recorded_at: Option<Timestamp>,
    /// When the last one was.
    pub last_recorded_at: Option<Timestamp>,
    /// Bytes on disk of the events and their indexes.
    pub table_bytes: u64,
}

impl Stats {
    /// Events a second, from the first event to the last; `None` where they are of one moment.
    #[expect(clippy::cast_precision_loss, reason = "a rate for people to read")]
    pub fn events_per_second(&self) -> Option<f64> {
        let micros = self.last_recorded_at?.micros() - self.first_recorded_at?.micros();
        (micros > 0).then(|| self.all.events as f64 * 1e6 / micros as f64)
    }
}

/// Counts, in key ranges.
///
/// # Errors
/// [`StatsError`].
pub async fn stats(
    database_url: &str,
    mut progress: impl FnMut(u64, u64),
) -> Result<Stats, StatsError> {
    let mut db = Auditor::open(database_url).await?.connect(Purpose::Read).await?;
    let (head, table_bytes): (Option<i64>, i64) = sqlx::query_as(
        "select (select max(position) from events where log_id = $1), \
             pg_total_relation_size('events')",
    )
    .bind(LOG)
    .fetch_one(&mut db)
    .await?;
    let head = head.unwrap_or(0);
    let mut stats = Stats { head, table_bytes: number(table_bytes), ..Stats::default() };
    let (mut at, mut pace) = (0, Pace::up_to(PAGE_EVENTS_MAX));
    while at < head {
        let (to, started) = (head.min(at + pace.rows()), Instant::now());
        match page(&mut db, at, to).await {
            Ok(groups) => groups.into_iter().for_each(|group| stats.add(group)),
            Err(error) if pace.retry(&error) => continue,
            Err(error) => return Err(error.into()),
        }
        pace.took(started.elapsed(), STATEMENT_TARGET);
        at = to;
        progress(number(at), number(head));
    }
    Ok(stats)
}

/// Events of one type on one day, in a range of positions.
#[derive(Debug, sqlx::FromRow)]
struct Group {
    event_type: String,
    day: String,
    events: i64,
    bytes: i64,
    bytes_max: i64,
    streams: i64,
    first: OffsetDateTime,
    last: OffsetDateTime,
}

async fn page(db: &mut PgConnection, after: i64, to: i64) -> Result<Vec<Group>, sqlx::Error> {
    sqlx::query_as(
        "select event_type, to_char(recorded_at at time zone 'UTC', 'YYYY-MM-DD') as day, \
             count(*) as events, sum(bytes)::bigint as bytes, max(bytes) as bytes_max, \
             count(*) filter (where version = 1) as streams, \
             min(recorded_at) as first, max(recorded_at) as last \
         from (select event_type, recorded_at, version, \
                   octet_length(data::text)::bigint + octet_length(metadata::text) as bytes \
               from events where log_id = $1 and position > $2 and position <= $3) as page \
         group by 1, 2",
    )
    .bind(LOG)
    .bind(after)
    .bind(to)
    .fetch_all(db)
    .await
}

/// The type of the event that begins an account's stream.
const ACCOUNT_OPENED: &str = "ledger.account_opened";

impl Stats {
    fn add(&mut self, group: Group) {
        if group.event_type == ACCOUNT_OPENED {
            self.accounts += number(group.streams);
        }
        self.streams += number(group.streams);
        let (first, last) =
            (Timestamp::from_datetime(group.first), Timestamp::from_datetime(group.last));
        self.first_recorded_at = Some(self.first_recorded_at.map_or(first, |at| at.min(first)));
        self.last_recorded_at = self.last_recorded_at.max(Some(last));
        let of_type = self.types.entry(group.event_type).or_default();
        let of_day = self.days.entry(group.day).or_default();
        for count in [&mut self.all, of_type, of_day] {
            count.events += number(group.events);
            count.bytes += number(group.bytes);
            count.bytes_max = count.bytes_max.max(number(group.bytes_max));
        }
    }
}

fn number(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}
