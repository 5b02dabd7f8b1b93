//! The hash of a row, worked out by an encoder of the auditors' own from the documented format, so that
//! a mistake in the writers' encoder cannot hide itself.

use event_store::log::LOG_ID;
use sha2::{Digest, Sha256};

use super::row::Row;

/// RFC 6962, section 2.1: before every leaf.
const LEAF_PREFIX: u8 = 0x00;

/// SHA-256 over 0x00 and each column as its length in 4 bytes and its value, big-endian. `buffer` is
/// only there to be used again.
pub(crate) fn leaf_hash(row: &Row<'_>, buffer: &mut Vec<u8>) -> [u8; 32] {
    buffer.clear();
    buffer.push(LEAF_PREFIX);
    field(buffer, &i64::from(LOG_ID).to_be_bytes());
    field(buffer, &row.position.to_be_bytes());
    field(buffer, row.stream_id.as_bytes());
    field(buffer, &row.version.to_be_bytes());
    field(buffer, row.event_id.as_bytes());
    field(buffer, row.event_type.as_bytes());
    field(buffer, &i64::from(row.schema_version).to_be_bytes());
    field(buffer, row.merchant_id.as_bytes());
    field(buffer, row.data.as_bytes());
    field(buffer, row.metadata.as_bytes());
    field(buffer, &row.recorded_at_micros.to_be_bytes());
    Sha256::digest(&*buffer).into()
}

fn field(buffer: &mut Vec<u8>, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    buffer.extend_from_slice(&length.to_be_bytes());
    buffer.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use domain::{MerchantId, StreamId, StreamVersion, Timestamp};
    use event_store::log::{LeafHash, Position, RecordedEvent};
    use uuid::Uuid;

    use super::*;

    #[test]
    fn the_auditors_encoder_and_the_writers_agree() {
        let row = Row {
            position: 7,
            stream_id: "merchant-mer_1",
            version: 3,
            event_id: Uuid::from_u128(9),
            event_type: "merchant.registered",
            schema_version: 1,
            merchant_id: Uuid::from_u128(11),
            data: "{\"name\":\"☕\"}",
            metadata: "{}",
            recorded_at_micros: 1_700_000_000_000_001,
            leaf_hash: &[],
        };
        let theirs = RecordedEvent {
            position: Position::from_number(row.position),
            stream_id: StreamId::from_stored(row.stream_id.to_owned()),
            version: StreamVersion::from_number(row.version),
            event_id: row.event_id,
            event_type: row.event_type.to_owned(),
            schema_version: row.schema_version,
            merchant_id: MerchantId::from_uuid(row.merchant_id),
            data: row.data.to_owned(),
            metadata: row.metadata.to_owned(),
            recorded_at: Timestamp::from_micros(row.recorded_at_micros),
            leaf_hash: LeafHash::from_bytes(&[0; 32]).unwrap(),
        };
        assert_eq!(&leaf_hash(&row, &mut Vec::new()), theirs.computed_hash().as_bytes());
    }
}
