//! One row in Postgres' binary COPY format.

use domain::{MerchantId, Timestamp};
use uuid::Uuid;

use super::copy::Tuples;
use crate::facts::MetadataFacts;

/// What [`Row`] reads, in the order in which it reads it.
pub(crate) const COLUMNS: &str = "position, stream_id, version, event_id, event_type, \
    schema_version, merchant_id, data, metadata, recorded_at, leaf_hash";
const COLUMN_COUNT: usize = 11;
/// Postgres counts microseconds from 2000-01-01; everybody else from 1970.
pub(crate) const POSTGRES_EPOCH_MICROS: i64 = 946_684_800_000_000;

/// A row of `events`, borrowed from the page that it came in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row<'a> {
    pub(crate) position: i64,
    pub(crate) stream_id: &'a str,
    pub(crate) version: i64,
    pub(crate) event_id: Uuid,
    pub(crate) event_type: &'a str,
    pub(crate) schema_version: i16,
    pub(crate) merchant_id: Uuid,
    pub(crate) data: &'a str,
    pub(crate) metadata: &'a str,
    pub(crate) recorded_at_micros: i64,
    pub(crate) leaf_hash: &'a [u8],
}

impl Row<'_> {
    /// When it was recorded.
    pub(crate) fn recorded_at(&self) -> Timestamp {
        Timestamp::from_micros(self.recorded_at_micros)
    }

    /// When it was decided: when it was recorded, unless its metadata say otherwise.
    pub(crate) fn decided_at(&self) -> Timestamp {
        let metadata = MetadataFacts::read(self.metadata).ok();
        metadata.map_or(self.recorded_at(), |facts| facts.decided_at(self.recorded_at()))
    }

    /// The merchant it concerns.
    pub(crate) fn merchant(&self) -> MerchantId {
        MerchantId::from_uuid(self.merchant_id)
    }
}

/// A row whose columns are not what the table's types promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unreadable {
    /// Its position, where that much can be read.
    pub(crate) position: Option<i64>,
}

/// The rows of a page, one after the other.
#[derive(Debug)]
pub(crate) struct Rows<'a> {
    tuples: Tuples<'a, COLUMN_COUNT>,
}

impl<'a> Rows<'a> {
    pub(crate) fn of(page: &'a [u8]) -> Self {
        Self { tuples: Tuples::of(page) }
    }
}

impl<'a> Iterator for Rows<'a> {
    type Item = Result<Row<'a>, Unreadable>;

    fn next(&mut self) -> Option<Self::Item> {
        let (fields, whole) = self.tuples.next_fields()?;
        let position = fields[0].first_chunk().copied().map(i64::from_be_bytes);
        let row = if whole { row(&fields) } else { None };
        Some(row.ok_or(Unreadable { position }))
    }
}

fn row<'a>(fields: &[&'a [u8]; COLUMN_COUNT]) -> Option<Row<'a>> {
    let text = |index: usize| std::str::from_utf8(fields[index]).ok();
    let long = |index: usize| Some(i64::from_be_bytes(fields[index].try_into().ok()?));
    let uuid = |index: usize| Some(Uuid::from_bytes(fields[index].try_into().ok()?));
    Some(Row {
        position: long(0)?,
        stream_id: text(1)?,
        version: long(2)?,
        event_id: uuid(3)?,
        event_type: text(4)?,
        schema_version: i16::from_be_bytes(fields[5].try_into().ok()?),
        merchant_id: uuid(6)?,
        data: text(7)?,
        metadata: text(8)?,
        recorded_at_micros: long(9)?.saturating_add(POSTGRES_EPOCH_MICROS),
        leaf_hash: fields[10],
    })
}

/// The position in the first column of a row, as it comes over the wire.
pub(crate) fn position_of(row: &[u8]) -> Option<i64> {
    row.get(6..14)?.try_into().ok().map(i64::from_be_bytes)
}
