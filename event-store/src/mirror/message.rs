//! An event as a JetStream message: CloudEvents 1.0 in binary mode, and back.

use async_nats::{HeaderMap, HeaderName};
use bytes::Bytes;
use domain::{MerchantId, StreamId, StreamVersion, Timestamp};

use crate::log::{EventMetadata, LOG_ID, LeafHash, Position, RecordedEvent};

/// The header with the stored hash of the event's row.
pub const LEAF_HASH_HEADER: &str = "runut-leaf-hash";
const VERSION_HEADER: &str = "runut-version";
const SCHEMA_VERSION_HEADER: &str = "runut-schema-version";
const MERCHANT_HEADER: &str = "runut-merchant";
const METADATA_HEADER: &str = "runut-metadata";

/// Where the mirror of a log is: the name of the JetStream stream and what its subjects start with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogStream {
    name: String,
}

impl LogStream {
    /// The stream `name`, of ASCII letters, digits, `-` and `_`; its subjects are `<name>.<log>.…`.
    /// Deployments use [`LogStream::default`]; tests one of their own each.
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned() }
    }

    /// The name of the stream.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Matches every subject of the stream.
    pub fn subjects(&self) -> String {
        format!("{}.{LOG_ID}.>", self.name)
    }

    /// `<name>.<log>.<category>.<event>.<merchant>`.
    pub fn subject(&self, event: &RecordedEvent) -> String {
        // An event type is `<category>.<event>` and so becomes two tokens.
        format!("{}.{LOG_ID}.{}.{}", self.name, event.event_type, event.merchant_id)
    }
}

impl Default for LogStream {
    fn default() -> Self {
        Self::named("runut")
    }
}

/// Why a message is not an event of the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the message lacks a valid `{header}`")]
pub struct MessageError {
    /// The header that is missing or garbled; `body` for the payload.
    pub header: &'static str,
}

/// The headers and the body of an event's message. The body is the exact stored data.
pub fn encode(event: &RecordedEvent) -> (HeaderMap, Bytes) {
    // Names that need not be read and kept anew for each message.
    let name = HeaderName::from_static;
    let mut headers = HeaderMap::new();
    headers.insert(name("ce-specversion"), "1.0");
    headers.insert(name("ce-id"), event.event_id.to_string());
    headers.insert(name("ce-type"), event.event_type.as_str());
    headers.insert(name("ce-source"), format!("/runut/logs/{LOG_ID}"));
    headers.insert(name("ce-subject"), event.stream_id.as_str());
    headers.insert(name("ce-time"), event.recorded_at.to_string());
    headers.insert(name("ce-sequence"), event.position.to_string());
    headers.insert(name("content-type"), "application/json");
    if let Some(traceparent) = traceparent(&event.metadata) {
        headers.insert(name("traceparent"), traceparent);
    }
    headers.insert(name(LEAF_HASH_HEADER), event.leaf_hash.to_string());
    headers.insert(name(VERSION_HEADER), event.version.to_string());
    headers.insert(name(SCHEMA_VERSION_HEADER), event.schema_version.to_string());
    headers.insert(name(MERCHANT_HEADER), event.merchant_id.to_string());
    headers.insert(name(METADATA_HEADER), event.metadata.as_str());
    (headers, Bytes::copy_from_slice(event.data.as_bytes()))
}

/// The trace of the request that led to the event. Few have one, and the others need not be read.
fn traceparent(metadata: &str) -> Option<String> {
    if !metadata.contains("\"traceparent\"") {
        return None;
    }
    serde_json::from_str::<EventMetadata>(metadata).ok()?.traceparent
}

/// The event in a message.
///
/// # Errors
/// [`MessageError`] names what is missing. Whether the content is what Postgres has is told by
/// [`RecordedEvent::computed_hash`].
pub fn decode(headers: &HeaderMap, body: &[u8]) -> Result<RecordedEvent, MessageError> {
    let text = |header: &'static str| {
        headers.get(header).map(async_nats::HeaderValue::as_str).ok_or(MessageError { header })
    };
    fn parsed<T: std::str::FromStr>(
        header: &'static str,
        text: Result<&str, MessageError>,
    ) -> Result<T, MessageError> {
        text?.parse().map_err(|_| MessageError { header })
    }
    let hash_header = LEAF_HASH_HEADER;
    Ok(RecordedEvent {
        position: Position::from_number(parsed("ce-sequence", text("ce-sequence"))?),
        stream_id: StreamId::from_stored(text("ce-subject")?.to_owned()),
        version: StreamVersion::from_number(parsed(VERSION_HEADER, text(VERSION_HEADER))?),
        event_id: parsed("ce-id", text("ce-id"))?,
        event_type: text("ce-type")?.to_owned(),
        schema_version: parsed(SCHEMA_VERSION_HEADER, text(SCHEMA_VERSION_HEADER))?,
        merchant_id: parsed::<MerchantId>(MERCHANT_HEADER, text(MERCHANT_HEADER))?,
        data: String::from_utf8(body.to_vec()).map_err(|_| MessageError { header: "body" })?,
        metadata: text(METADATA_HEADER)?.to_owned(),
        recorded_at: parsed::<Timestamp>("ce-time", text("ce-time"))?,
        leaf_hash: LeafHash::from_hex(text(hash_header)?)
            .ok_or(MessageError { header: hash_header })?,
    })
}
