//! An event as answers show it.

use api_conventions::Problem;
use domain::{MerchantId, Timestamp};
use event_store::log::RecordedEvent;
use serde::Serialize;
use serde_json::value::RawValue;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::caller_scope::owner;

/// An event of the log.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Event)]
pub(crate) struct LoggedEvent {
    /// Its number in the log: from 1, without gaps, in the order of the commits.
    #[schema(example = 42)]
    position: i64,
    /// Its stream.
    #[schema(example = "account-acc_7h455vb4pex5vsknk084sn02q0")]
    stream: String,
    /// Its number in its stream, from 1.
    #[schema(example = 1)]
    version: i64,
    /// Its own UUID.
    #[schema(value_type = String)]
    #[serde(serialize_with = "uuid_text")]
    id: Uuid,
    /// What happened.
    #[schema(example = "ledger.account_opened")]
    r#type: String,
    /// The version of its data's shape.
    #[schema(example = 1)]
    schema_version: i16,
    /// The merchant it concerns; null for the platform itself.
    #[schema(value_type = Option<String>, required, example = "mer_01h455vb4pex5vsknk084sn02q")]
    merchant: Option<MerchantId>,
    /// Its data, byte for byte as stored and hashed.
    #[schema(value_type = Object)]
    data: Box<RawValue>,
    /// The request that led to it, byte for byte as stored and hashed.
    #[schema(value_type = Object)]
    metadata: Box<RawValue>,
    /// When it was recorded; never falls with position.
    #[schema(value_type = String, format = DateTime)]
    recorded_at: Timestamp,
    /// SHA-256 over every other column, in hex.
    #[schema(example = "efd4b524da4a887cce3f783afb80c26c48270b0eaf3a23960f80366b8200fb58")]
    leaf_hash: String,
}

impl LoggedEvent {
    pub(crate) fn position(&self) -> i64 {
        self.position
    }
}

impl TryFrom<RecordedEvent> for LoggedEvent {
    type Error = Problem;

    fn try_from(event: RecordedEvent) -> Result<Self, Problem> {
        let raw = |json: String| {
            RawValue::from_string(json)
                .map_err(|error| Problem::internal(format_args!("{}: {error}", event.position)))
        };
        Ok(Self {
            position: event.position.number(),
            stream: event.stream_id.as_str().to_owned(),
            version: event.version.number(),
            id: event.event_id,
            r#type: event.event_type,
            schema_version: event.schema_version,
            merchant: owner(event.merchant_id.uuid()),
            data: raw(event.data)?,
            metadata: raw(event.metadata)?,
            recorded_at: event.recorded_at,
            leaf_hash: event.leaf_hash.to_string(),
        })
    }
}
fn uuid_text<S: serde::Serializer>(u: &Uuid, s: S) -> Result<S::Ok, S::Error> {
    s.collect_str(u)
}
