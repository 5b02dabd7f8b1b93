//! Single events.

use domain::{MerchantId, StreamId, StreamVersion, Timestamp};
use event_store::log::{Position, RecordedEvent};
use serde::Serialize;
use serde_json::value::RawValue;

#[derive(Serialize)]
struct EventLine<'a> {
    position: Position,
    stream_id: &'a StreamId,
    version: StreamVersion,
    event_id: String,
    event_type: &'a str,
    schema_version: i16,
    merchant_id: MerchantId,
    recorded_at: Timestamp,
    leaf_hash: String,
    hash_holds: bool,
    data: Stored<'a>,
    metadata: Stored<'a>,
}

/// The exact stored JSON; as a text where it is none.
#[derive(Serialize)]
#[serde(untagged)]
enum Stored<'a> {
    Json(&'a RawValue),
    Text(&'a str),
}

impl<'a> Stored<'a> {
    fn of(text: &'a str) -> Self {
        serde_json::from_str(text).map_or(Self::Text(text), Self::Json)
    }
}

/// An event as one line of JSON.
pub fn event_json(event: &RecordedEvent) -> String {
    let content = EventLine {
        position: event.position,
        stream_id: &event.stream_id,
        version: event.version,
        event_id: event.event_id.to_string(),
        event_type: &event.event_type,
        schema_version: event.schema_version,
        merchant_id: event.merchant_id,
        recorded_at: event.recorded_at,
        leaf_hash: event.leaf_hash.to_string(),
        hash_holds: event.leaf_hash == event.computed_hash(),
        data: Stored::of(&event.data),
        metadata: Stored::of(&event.metadata),
    };
    // `flatten` would take raw JSON apart, so the kind is put before by hand.
    let content = serde_json::to_string(&content)
        .unwrap_or_else(|error| unreachable!("what is said is JSON: {error}"));
    format!("{{\"kind\":\"event\",{}", &content[1..])
}

/// An event as a few lines.
pub fn event_text(event: &RecordedEvent) -> String {
    let hash = match event.leaf_hash == event.computed_hash() {
        true => "holds",
        false => "does NOT hold",
    };
    format!(
        "{version}. {kind} v{schema}\n   position {position}, {at}\n   event    {id}\n   \
         merchant {merchant}\n   hash     {leaf} {hash}\n   data     {data}\n   metadata {metadata}\n",
        version = event.version,
        kind = event.event_type,
        schema = event.schema_version,
        position = event.position,
        at = event.recorded_at,
        id = event.event_id,
        merchant = event.merchant_id,
        leaf = event.leaf_hash,
        data = event.data,
        metadata = event.metadata,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_of_an_event_is_pinned() {
        let mut event = RecordedEvent {
            position: Position::from_number(3),
            stream_id: StreamId::from_stored("merchant-mer_1".to_owned()),
            version: StreamVersion::FIRST,
            event_id: uuid::Uuid::from_u128(9),
            event_type: "merchant.registered".to_owned(),
            schema_version: 1,
            merchant_id: MerchantId::PLATFORM,
            data: "{\"name\": 1}".to_owned(),
            metadata: "{}".to_owned(),
            recorded_at: Timestamp::from_micros(0),
            leaf_hash: event_store::log::LeafHash::from_bytes(&[7; 32]).unwrap(),
        };
        insta::assert_snapshot!(event_text(&event));
        event.leaf_hash = event.computed_hash();
        insta::assert_snapshot!(event_json(&event));
    }
}
