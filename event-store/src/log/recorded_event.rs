//! An event as it was recorded.

use domain::{DecodeError, Event, EventTime, MerchantId, StreamId, StreamVersion, Timestamp};
use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::postgres::{PgConnection, PgRow};
use time::OffsetDateTime;
use uuid::Uuid;

use super::leaf_hash::{Leaf, LeafHash};
use super::position::Position;
use super::read::leaf_hash_at;

/// Where an event came from: the request that led to it. Stored with the event, for ever.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct EventMetadata {
    /// Who asked: an API key's id, or the name of a part of the platform.
    pub actor: String,
    /// What ties together all that one request led to.
    pub correlation_id: String,
    /// The W3C trace context of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
    /// The request's idempotency key, so that keys can be rebuilt from the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<String>,
    /// Whose key it is, where that is not the event's merchant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idempotency_owner: Option<MerchantId>,
    /// SHA-256 of the request, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// When the event was decided, by the clock, where that is not when it was recorded: the time of the log's head was
    /// ahead of the clock then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<Timestamp>,
}

/// How metadata begin to say when the event was decided. In a text of theirs the quotes would be escaped.
const DECIDED_AT: &str = "\"decided_at\":";

/// A row of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedEvent {
    /// Its number in the log.
    pub position: Position,
    /// Its stream.
    pub stream_id: StreamId,
    /// Its number in its stream.
    pub version: StreamVersion,
    /// Its own UUID.
    pub event_id: Uuid,
    /// What kind of event it is.
    pub event_type: String,
    /// The version of its data's shape.
    pub schema_version: i16,
    /// The merchant it concerns.
    pub merchant_id: MerchantId,
    /// Its data: the exact JSON bytes as stored.
    pub data: String,
    /// Its [`EventMetadata`]: the exact JSON bytes as stored.
    pub metadata: String,
    /// When it was recorded; never falls with position.
    pub recorded_at: Timestamp,
    /// The stored hash of the row; [`RecordedEvent::computed_hash`] says what it should be.
    pub leaf_hash: LeafHash,
}

impl RecordedEvent {
    /// The columns, in the order that [`RecordedEvent::from_row`] reads them.
    pub(crate) const COLUMNS: &'static str = "position, stream_id, version, event_id, event_type, \
        schema_version, merchant_id, data::text, metadata::text, recorded_at, leaf_hash";

    /// What happened.
    ///
    /// # Errors
    /// [`DecodeError`] where this program does not know the type or version, or the data is damaged.
    pub fn decode(&self) -> Result<Event, DecodeError> {
        Event::decode(&self.event_type, self.schema_version, &self.data)
    }

    /// When it was recorded and when it was decided.
    pub fn time(&self) -> EventTime {
        let recorded_at = self.recorded_at;
        EventTime { recorded_at, decided_at: self.decided_late().unwrap_or(recorded_at) }
    }

    /// What the metadata say; hardly any have it, so it is looked for before they are parsed.
    fn decided_late(&self) -> Option<Timestamp> {
        if !self.metadata.contains(DECIDED_AT) {
            return None;
        }
        serde_json::from_str::<EventMetadata>(&self.metadata).ok()?.decided_at
    }

    /// The hash that the row's columns have now.
    pub fn computed_hash(&self) -> LeafHash {
        Leaf {
            position: self.position,
            stream_id: self.stream_id.as_str(),
            version: self.version.number(),
            event_id: self.event_id,
            event_type: &self.event_type,
            schema_version: self.schema_version,
            merchant_id: self.merchant_id,
            data: &self.data,
            metadata: &self.metadata,
            recorded_at: self.recorded_at,
        }
        .hash()
    }

    /// Whether the log that `db` is connected to has this very event at its position, and so all before it.
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn stands_in(&self, db: &mut PgConnection) -> Result<bool, sqlx::Error> {
        Ok(leaf_hash_at(db, self.position).await? == Some(self.leaf_hash))
    }

    /// Reads a row of [`RecordedEvent::COLUMNS`].
    pub(crate) fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let leaf_hash = LeafHash::from_column(row.try_get(10)?)?;
        Ok(Self {
            position: Position::from_number(row.try_get(0)?),
            stream_id: StreamId::from_stored(row.try_get(1)?),
            version: StreamVersion::from_number(row.try_get(2)?),
            event_id: row.try_get(3)?,
            event_type: row.try_get(4)?,
            schema_version: row.try_get(5)?,
            merchant_id: MerchantId::from_uuid(row.try_get(6)?),
            data: row.try_get(7)?,
            metadata: row.try_get(8)?,
            recorded_at: Timestamp::from_datetime(row.try_get::<OffsetDateTime, _>(9)?),
            leaf_hash,
        })
    }
}
