//! Reading the log. Every read is one statement, by key range, so that no snapshot stays open.

use domain::{MerchantId, StreamId, StreamVersion, Timestamp};
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgExecutor, Row};
use time::OffsetDateTime;
use uuid::Uuid;

use super::position::{LOG_ID, Position};
use super::recorded_event::RecordedEvent;

/// The most events that one statement reads: keeps it and its memory small at any length of the log.
pub const EVENTS_PAGE_MAX: i64 = 10_000;

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

/// The events after `after`, ascending, at most `limit` (and at most [`EVENTS_PAGE_MAX`]) of them.
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

/// Like [`events_after`], filtered: by merchant, by stream, by event types (an empty list takes all).
/// Scans at most `limit` positions at a time where a filter is rare: the page may be short or empty
/// although more follows; go on after `after + limit`.
///
/// # Errors
/// Whatever the database says.
pub async fn log_page(
    db: impl PgExecutor<'_>,
    after: Position,
    limit: i64,
    merchant: Option<MerchantId>,
    types: &[String],
) -> Result<Vec<RecordedEvent>, sqlx::Error> {
    let condition = "position > $2 and ($4::uuid is null or merchant_id = $4) \
        and (cardinality($5::text[]) = 0 or event_type = any($5)) order by position limit $3";
    let found = sqlx::query(select(condition))
        .bind(LOG_ID)
        .bind(after.number())
        .bind(limit.clamp(0, EVENTS_PAGE_MAX))
        .bind(merchant.map(MerchantId::uuid))
        .bind(types)
        .fetch_all(db)
        .await?;
    rows(found)
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

/// The event of that UUID.
///
/// # Errors
/// Whatever the database says.
pub async fn event_by_id(
    db: impl PgExecutor<'_>,
    event_id: Uuid,
) -> Result<Option<RecordedEvent>, sqlx::Error> {
    let found =
        sqlx::query(select("event_id = $2")).bind(LOG_ID).bind(event_id).fetch_optional(db).await?;
    found.as_ref().map(RecordedEvent::from_row).transpose()
}
