//! Requests that claimed a key with their first append and were never answered: whoever made them died.

use std::time::Duration;

use domain::{DecodeError, Event, MerchantId, StreamVersion};
use sqlx::Row;
use sqlx::postgres::PgRow;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::log::{LOG_ID, Position};
use crate::store::EventStore;

/// A request without an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unanswered {
    /// Whose key it is.
    pub owner: MerchantId,
    /// The key.
    pub key: String,
    /// What the request was.
    pub fingerprint: [u8; 32],
    /// The last event of its first append.
    pub event: Event,
    /// That event's number in its stream.
    pub version: StreamVersion,
}

/// Why one of them cannot be answered by this program: its neighbours can.
#[derive(Debug, thiserror::Error)]
#[error(
    "the request that appended position {position} has no answer, and cannot be given one by this program"
)]
pub struct Unreadable {
    /// The position of the last event of its first append.
    pub position: Position,
    /// What is odd about it.
    #[source]
    pub cause: UnreadableCause,
}

/// What is odd about a request that claimed a key.
#[derive(Debug, thiserror::Error)]
pub enum UnreadableCause {
    /// Its event is of a newer program.
    #[error("the log holds an event that this program cannot read")]
    Event(#[from] DecodeError),
    /// Its row is none that this program writes.
    #[error("its key's row is garbled")]
    Row(#[from] sqlx::Error),
}

/// Some of the requests without an answer, the oldest first.
#[derive(Debug)]
pub struct UnansweredPage {
    /// The requests; one that cannot be read is an error of its own.
    pub requests: Vec<Result<Unanswered, Unreadable>>,
    /// What the next page comes after, if there may be one.
    pub next: Option<UnansweredPlace>,
}

/// Where a page ended.
#[derive(Debug, Clone)]
pub struct UnansweredPlace {
    recorded_at: OffsetDateTime,
    owner: Uuid,
    key: String,
}

/// Keys without an answer are few; a partial index finds them. One of a time that has not come was claimed by a clock that
/// was ahead: how old it is cannot be known, but its claimant is long done.
const UNANSWERED: &str = "
    select k.merchant_id, k.key, k.recorded_at, e.position,
        k.fingerprint, e.event_type, e.schema_version, e.data::text, e.version
    from idempotency_keys k
    join events e on e.log_id = k.log_id and e.position = k.position
    where k.log_id = $1 and k.response is null
        and (k.recorded_at < log_clock() - $2 * interval '1 millisecond'
            or k.recorded_at > log_clock() + interval '1 minute')
        and ($4::timestamptz is null or (k.recorded_at, k.merchant_id, k.key) > ($4, $5, $6))
    order by k.recorded_at, k.merchant_id, k.key
    limit $3";

impl EventStore {
    /// At most `many` requests that have been without an answer for longer than `age`, or since a clock was ahead, after
    /// that place.
    ///
    /// # Errors
    /// The database refused or went away.
    pub async fn unanswered(
        &self,
        age: Duration,
        after: Option<UnansweredPlace>,
        many: i64,
    ) -> Result<UnansweredPage, sqlx::Error> {
        let age_ms = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        let rows = sqlx::query(UNANSWERED)
            .bind(LOG_ID)
            .bind(age_ms)
            .bind(many)
            .bind(after.as_ref().map(|place| place.recorded_at))
            .bind(after.as_ref().map(|place| place.owner))
            .bind(after.map(|place| place.key))
            .fetch_all(self.pool())
            .await?;
        let full = i64::try_from(rows.len()).is_ok_and(|rows| rows >= many);
        let next = match rows.last() {
            Some(last) if full => Some(place(last)?),
            _ => None,
        };
        let mut requests = Vec::with_capacity(rows.len());
        for row in &rows {
            let position = Position::from_number(row.try_get(3)?);
            requests.push(read(row).map_err(|cause| Unreadable { position, cause }));
        }
        Ok(UnansweredPage { requests, next })
    }
}

fn place(row: &PgRow) -> Result<UnansweredPlace, sqlx::Error> {
    Ok(UnansweredPlace {
        owner: row.try_get(0)?,
        key: row.try_get(1)?,
        recorded_at: row.try_get(2)?,
    })
}

fn read(row: &PgRow) -> Result<Unanswered, UnreadableCause> {
    let fingerprint: &[u8] = row.try_get(4)?;
    let fingerprint = fingerprint
        .try_into()
        .map_err(|_| sqlx::Error::Decode("a fingerprint has 32 bytes".into()))?;
    Ok(Unanswered {
        owner: MerchantId::from_uuid(row.try_get(0)?),
        key: row.try_get(1)?,
        fingerprint,
        event: Event::decode(row.try_get(5)?, row.try_get(6)?, row.try_get(7)?)?,
        version: StreamVersion::from_number(row.try_get(8)?),
    })
}
