//! Requests that claimed a key with their first append and were never answered: whoever made them died.

use std::time::Duration;

use domain::{DecodeError, Event, MerchantId, StreamVersion};
use sqlx::Row;

use crate::log::LOG_ID;
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

/// Why such requests could not be looked for.
#[derive(Debug, thiserror::Error)]
pub enum UnansweredError {
    /// The database refused or went away.
    #[error("the keys cannot be read")]
    Read(#[from] sqlx::Error),
    /// An event is of a newer program.
    #[error("the log holds an event that this program cannot read")]
    Decode(#[from] DecodeError),
}

/// Keys without an answer are few; a partial index finds them.
const UNANSWERED: &str = "
    select k.merchant_id, k.key, k.fingerprint, e.event_type, e.schema_version, e.data::text, e.version
    from idempotency_keys k
    join events e on e.log_id = k.log_id and e.position = k.position
    where k.log_id = $1 and k.response is null
        and k.recorded_at < log_clock() - $2 * interval '1 millisecond'
    limit $3";

impl EventStore {
    /// At most `many` requests that have been without an answer for longer than `age`.
    ///
    /// # Errors
    /// [`UnansweredError`].
    pub async fn unanswered(
        &self,
        age: Duration,
        many: i64,
    ) -> Result<Vec<Unanswered>, UnansweredError> {
        let age_ms = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        let rows = sqlx::query(UNANSWERED)
            .bind(LOG_ID)
            .bind(age_ms)
            .bind(many)
            .fetch_all(self.pool())
            .await?;
        rows.iter()
            .map(|row| {
                let fingerprint: &[u8] = row.try_get(2)?;
                let fingerprint = fingerprint
                    .try_into()
                    .map_err(|_| sqlx::Error::Decode("a fingerprint has 32 bytes".into()))?;
                Ok(Unanswered {
                    owner: MerchantId::from_uuid(row.try_get(0)?),
                    key: row.try_get(1)?,
                    fingerprint,
                    event: Event::decode(row.try_get(3)?, row.try_get(4)?, row.try_get(5)?)?,
                    version: StreamVersion::from_number(row.try_get(6)?),
                })
            })
            .collect()
    }
}
