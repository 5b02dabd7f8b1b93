//! Reading the log. Every read is one statement, by key range, so that no snapshot stays open.

use domain::{MerchantId, StreamId, StreamVersion, Timestamp};
use sqlx::postgres::{PgConnection, PgRow};
use sqlx::{AssertSqlSafe, PgExecutor, Row};
use time::OffsetDateTime;

use super::leaf_hash::LeafHash;
use super::position::{LOG_ID, Position};
use super::recorded_event::RecordedEvent;

/// The most events that one statement reads: keeps it and its memory small at any length of the log.
pub const EVENTS_PAGE_MAX: i64 = 10_000;

/// The most bytes of data and metadata in a page of [`log_page`]: many readers may each hold one.
pub const LOG_PAGE_BYTES_MAX: i64 = 1024 * 1024;

/// The most bytes of data and metadata in a page of [`page_after`], unless a single event has more: what a
/// transaction of a projection or a burst of the mirror holds in memory.
pub const PAGE_BYTES_MAX: i64 = 4 * 1024 * 1024;

/// So many events fit into [`PAGE_BYTES_MAX`] whatever they hold (data is at most 256 KiB an event), so
/// they are read without being measured first.
pub const UNMEASURED_EVENTS_MAX: i64 = 16;

/// The end of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The position of the last event; 0 on an empty log.
    pub position: Position,
    /// When it was recorded.
    pub recorded_at: Timestamp,
}

/// A page of one stream.
#[derive(Debug, Clone)]
pub struct StreamPage {
    /// The events, ascending by version.
    pub events: Vec<RecordedEvent>,
}

fn select(condition: &str) -> AssertSqlSafe<String> {
    // Built from constants of this crate only; values are always bound.
    AssertSqlSafe(format!(
        "select {} from events where log_id = $1 and {condition}",
        RecordedEvent::COLUMNS
    ))
}

fn rows(rows: Vec<PgRow>) -> Result<Vec<RecordedEvent>, sqlx::Error> {
    rows.iter().map(RecordedEvent::from_row).collect()
}

/// The head of the log.
///
/// # Errors
/// Whatever the database says; no row means that the schema is not there.
pub async fn head(db: impl PgExecutor<'_>) -> Result<Head, sqlx::Error> {
    let row = sqlx::query("select position, recorded_at from log_head where log_id = $1")
        .bind(LOG_ID)
        .fetch_one(db)
        .await?;
    Ok(Head {
        position: Position::from_number(row.try_get(0)?),
        recorded_at: Timestamp::from_datetime(row.try_get::<OffsetDateTime, _>(1)?),
    })
}

/// The head of the log, and the database's time.
///
/// # Errors
/// Whatever the database says; no row means that the schema is not there.
pub(crate) async fn head_and_clock(
    db: impl PgExecutor<'_>,
) -> Result<(Head, Timestamp), sqlx::Error> {
    let head = "select position, recorded_at, log_clock() from log_head where log_id = $1";
    let row = sqlx::query(head).bind(LOG_ID).fetch_one(db).await?;
    let time = |column: usize| row.try_get::<OffsetDateTime, _>(column);
    let position = Position::from_number(row.try_get(0)?);
    let head = Head { position, recorded_at: Timestamp::from_datetime(time(1)?) };
    Ok((head, Timestamp::from_datetime(time(2)?)))
}

/// The leaf hash of the event at a position, if there is one.
///
/// # Errors
/// Whatever the database says.
pub async fn leaf_hash_at(
    db: impl PgExecutor<'_>,
    position: Position,
) -> Result<Option<LeafHash>, sqlx::Error> {
    let row = sqlx::query("select leaf_hash from events where log_id = $1 and position = $2")
        .bind(LOG_ID)
        .bind(position.number())
        .fetch_optional(db)
        .await?;
    row.map(|row| LeafHash::from_column(row.try_get(0)?)).transpose()
}

/// Some thirty look-ups by primary key, whatever the length of the log.
///
/// Up to and including `low` everything is earlier than the time, after `high` nothing is.
const LAST_BEFORE: &str = "
    with recursive bisection (low, high) as (
        select 0::bigint, position from log_head where log_id = $1
        union all
        select
            case when middle.recorded_at < $2 then middle.position else low end,
            case when middle.recorded_at < $2 then high else middle.position - 1 end
        from bisection
        cross join lateral (
            select position, recorded_at from events
            where log_id = $1 and position = (low + high + 1) / 2
        ) as middle
        where low < high
    )
    select low from bisection where low = high";

/// The position of the last event that was recorded before `time`.
///
/// # Errors
/// Whatever the database says.
pub async fn last_before(
    db: impl PgExecutor<'_>,
    time: Timestamp,
) -> Result<Position, sqlx::Error> {
    let position =
        sqlx::query_scalar(LAST_BEFORE).bind(LOG_ID).bind(time.datetime()).fetch_one(db).await?;
    Ok(Position::from_number(position))
}

/// The events after `after`, ascending, at most `limit` (and at most [`EVENTS_PAGE_MAX`]) of them, however
/// large they are: for a few, or where it is known what is in them. See [`page_after`].
///
/// # Errors
/// Whatever the database says.
pub async fn events_after(
    db: impl PgExecutor<'_>,
    after: Position,
    limit: i64,
) -> Result<Vec<RecordedEvent>, sqlx::Error> {
    let found = sqlx::query(select("position > $2 order by position limit $3"))
        .bind(LOG_ID)
        .bind(after.number())
        .bind(limit.clamp(0, EVENTS_PAGE_MAX))
        .fetch_all(db)
        .await?;
    rows(found)
}

/// The events after `after`, ascending, at most `limit` (and at most [`EVENTS_PAGE_MAX`]) of them, and at
/// most [`PAGE_BYTES_MAX`] of data and metadata unless the first alone has more. Empty at the end only.
///
/// # Errors
/// Whatever the database says.
pub async fn page_after(
    db: &mut PgConnection,
    after: Position,
    limit: i64,
) -> Result<Vec<RecordedEvent>, sqlx::Error> {
    let mut limit = limit.clamp(1, EVENTS_PAGE_MAX);
    if limit > UNMEASURED_EVENTS_MAX {
        limit = match events_that_fit(&mut *db, after, limit).await? {
            (0, _) => return Ok(Vec::new()),
            (_, fit) => fit.max(1),
        };
    }
    events_after(db, after, limit).await
}

/// How many of the next `limit` events there are, and how many of those stay within [`PAGE_BYTES_MAX`]
/// together. What is not compressed is measured without being read.
async fn events_that_fit(
    db: &mut PgConnection,
    after: Position,
    limit: i64,
) -> Result<(i64, i64), sqlx::Error> {
    sqlx::query_as(
        "select count(*), count(*) filter (where bytes <= $4) from ( \
             select sum(case when pg_column_compression(data) is null \
                     then pg_column_size(data) else octet_length(data::text) end \
                 + case when pg_column_compression(metadata) is null \
                     then pg_column_size(metadata) else octet_length(metadata::text) end) \
                 over (order by position) as bytes \
             from events where log_id = $1 and position > $2 order by position limit $3 \
         ) as measured",
    )
    .bind(LOG_ID)
    .bind(after.number())
    .bind(limit)
    .bind(PAGE_BYTES_MAX)
    .fetch_one(db)
    .await
}

/// What of the log a page shows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogFilter {
    /// The events of this stream only.
    pub stream: Option<StreamId>,
    /// The events of this merchant only.
    pub merchant: Option<MerchantId>,
    /// The events of these types only; an empty list takes all.
    pub types: Vec<String>,
}

/// A page of the log, filtered.
#[derive(Debug, Clone)]
pub struct LogPage {
    /// The events, ascending.
    pub events: Vec<RecordedEvent>,
    /// Up to here nothing else matches: the next page begins after it.
    pub scanned_to: Position,
}

/// The events after `after` and up to `up_to` that `filter` takes, ascending: at most `limit`, and at
/// most [`LOG_PAGE_BYTES_MAX`] of data and metadata, unless the first alone has more.
///
/// Where few events match, the statement reads all positions in between. It is the caller's to choose
/// `up_to` so that this stays quick; a filter by stream reads that stream only.
///
/// # Errors
/// Whatever the database says.
pub async fn log_page(
    db: impl PgExecutor<'_>,
    after: Position,
    up_to: Position,
    limit: i64,
    filter: &LogFilter,
) -> Result<LogPage, sqlx::Error> {
    let limit = limit.clamp(1, EVENTS_PAGE_MAX);
    let found = sqlx::query(AssertSqlSafe(format!(
        "select {}, matched from ( \
             select *, count(*) over () as matched, row_number() over in_order as place, \
                 sum(octet_length(data::text) + octet_length(metadata::text)) over in_order as bytes \
             from ( \
                 select * from events \
                 where log_id = $1 and position > $2 and position <= $3 \
                     and ($5::text is null or stream_id = $5) \
                     and ($6::uuid is null or merchant_id = $6) \
                     and (cardinality($7::text[]) = 0 or event_type = any($7)) \
                 order by position limit $4 \
             ) as page \
             window in_order as (order by position) \
         ) as measured where place = 1 or bytes <= $8 order by position",
        RecordedEvent::COLUMNS
    )))
    .bind(LOG_ID)
    .bind(after.number())
    .bind(up_to.number())
    .bind(limit)
    .bind(filter.stream.as_ref().map(StreamId::as_str))
    .bind(filter.merchant.map(MerchantId::uuid))
    .bind(&filter.types)
    .bind(LOG_PAGE_BYTES_MAX)
    .fetch_all(db)
    .await?;
    let matched: i64 = match found.first() {
        Some(row) => row.try_get("matched")?,
        None => 0,
    };
    let events = rows(found)?;
    let cut = matched == limit || i64::try_from(events.len()).is_ok_and(|count| count < matched);
    let scanned_to = match events.last() {
        Some(last) if cut => last.position,
        Some(_) | None => up_to.max(after),
    };
    Ok(LogPage { events, scanned_to })
}

/// The events of a stream after version `after`, ascending, at most `limit` of them.
///
/// # Errors
/// Whatever the database says.
pub async fn stream_page(
    db: impl PgExecutor<'_>,
    stream: &StreamId,
    after: StreamVersion,
    limit: i64,
) -> Result<StreamPage, sqlx::Error> {
    let found = sqlx::query(select("stream_id = $2 and version > $3 order by version limit $4"))
        .bind(LOG_ID)
        .bind(stream.as_str())
        .bind(after.number())
        .bind(limit.clamp(0, EVENTS_PAGE_MAX))
        .fetch_all(db)
        .await?;
    Ok(StreamPage { events: rows(found)? })
}

/// Every event of `streams`, ascending by position; for streams that are short, such as entries'.
///
/// # Errors
/// Whatever the database says.
pub async fn stream_events(
    db: impl PgExecutor<'_>,
    streams: &[StreamId],
) -> Result<Vec<RecordedEvent>, sqlx::Error> {
    if streams.is_empty() {
        return Ok(Vec::new());
    }
    let names: Vec<&str> = streams.iter().map(StreamId::as_str).collect();
    let found = sqlx::query(select("stream_id = any($2) order by position limit $3"))
        .bind(LOG_ID)
        .bind(names)
        .bind(EVENTS_PAGE_MAX)
        .fetch_all(db)
        .await?;
    rows(found)
}
