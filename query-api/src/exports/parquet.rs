//! Parquet: one row a posting, in columns.
//!
//! Amounts are whole minor units with the currency's exponent beside them: exact in every reader, whatever the
//! currency. An amount in major units is `amount_minor / 10^exponent`.

use std::sync::Arc;

use api_conventions::Problem;
use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{
    SerializedColumnWriter, SerializedFileWriter, SerializedRowGroupWriter,
};
use parquet::schema::parser::parse_message_type;

use super::journal::{Format, Section};
use super::reading::{Entry, Posting};

pub(super) const MEDIA_TYPE: &str = "application/vnd.apache.parquet";

/// The most rows of a row group, but for those of the entry that fills it.
const ROW_GROUP_ROWS_MAX: usize = 32_768;
/// The most bytes of texts of a row group, but for those of the entry that fills it: all of it is kept until it
/// is full. With 32,767 row groups to a file there is room for 250 GiB of them.
const ROW_GROUP_BYTES_MAX: usize = 8 * 1024 * 1024;

const SCHEMA: &str = "
    message posting {
        required int64 position;
        required int32 posting;
        required int64 recorded_at (TIMESTAMP(MICROS, true));
        required int64 effective_at (TIMESTAMP(MICROS, true));
        required binary entry (STRING);
        required binary external_ref (STRING);
        optional binary description (STRING);
        required binary account (STRING);
        required binary account_code (STRING);
        required binary account_type (STRING);
        required binary direction (STRING);
        required int64 amount_minor;
        required int32 exponent;
        required binary currency (STRING);
        optional binary reverses (STRING);
        optional binary replaces (STRING);
        optional binary payment (STRING);
        optional binary dispute (STRING);
        optional binary hold (STRING);
        optional int64 late_for (TIMESTAMP(MICROS, true));
        required binary metadata (JSON);
    }";

/// A file that is being written: the row groups that are done, and the rows of the next.
pub(super) struct JournalParquet {
    /// Taken when it ends.
    file: Option<SerializedFileWriter<Vec<u8>>>,
    ended: Vec<u8>,
    rows: Columns,
}

/// The rows of a row group, by column.
#[derive(Default)]
struct Columns {
    count: usize,
    bytes: usize,
    position: Vec<i64>,
    posting: Vec<i32>,
    recorded_at: Vec<i64>,
    effective_at: Vec<i64>,
    entry: Vec<ByteArray>,
    external_ref: Vec<ByteArray>,
    description: Vec<Option<ByteArray>>,
    account: Vec<ByteArray>,
    account_code: Vec<ByteArray>,
    account_type: Vec<ByteArray>,
    direction: Vec<ByteArray>,
    amount_minor: Vec<i64>,
    exponent: Vec<i32>,
    currency: Vec<ByteArray>,
    links: [Vec<Option<ByteArray>>; 5],
    late_for: Vec<Option<i64>>,
    metadata: Vec<ByteArray>,
}

impl JournalParquet {
    pub(super) fn new() -> Result<Self, Problem> {
        let schema = parse_message_type(SCHEMA).map_err(unwritable)?;
        let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
        let file = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties));
        let file = Some(file.map_err(unwritable)?);
        Ok(Self { file, ended: Vec::new(), rows: Columns::default() })
    }

    /// Writes what there is as a row group.
    fn end_row_group(&mut self) -> Result<(), Problem> {
        let rows = std::mem::take(&mut self.rows);
        let Some(file) = &mut self.file else { return Ok(()) };
        let mut group = file.next_row_group().map_err(unwritable)?;
        rows.write(&mut group).map_err(unwritable)?;
        group.close().map_err(unwritable)?;
        Ok(())
    }
}

impl Format for JournalParquet {
    fn sections(&self) -> &'static [Section] {
        &[Section::Entries]
    }

    fn entry(&mut self, entry: &Entry) -> Result<(), Problem> {
        self.rows.add(entry)?;
        if self.rows.count >= ROW_GROUP_ROWS_MAX || self.rows.bytes >= ROW_GROUP_BYTES_MAX {
            self.end_row_group()?;
        }
        Ok(())
    }

    fn end(&mut self) -> Result<(), Problem> {
        if self.rows.count > 0 {
            self.end_row_group()?;
        }
        if let Some(file) = self.file.take() {
            self.ended = file.into_inner().map_err(unwritable)?;
        }
        Ok(())
    }

    fn take(&mut self) -> Result<Vec<u8>, Problem> {
        let Some(file) = &mut self.file else { return Ok(std::mem::take(&mut self.ended)) };
        // The writer counts what it wrote by itself, so what is taken away is not missed.
        file.flush().map_err(Problem::internal)?;
        Ok(std::mem::take(file.inner_mut()))
    }
}

impl Columns {
    fn add(&mut self, entry: &Entry) -> Result<(), Problem> {
        let metadata = serde_json::to_vec(&entry.metadata).map_err(Problem::internal)?;
        let (metadata, id) = (ByteArray::from(metadata), array(&entry.id.to_string()));
        let external_ref = array(&entry.external_ref);
        let description = entry.description.as_deref().map(array);
        let links = entry.links.named().map(|(_, id)| id.as_deref().map(array));
        let described = description.as_ref().map_or(0, ByteArray::len);
        let bytes = metadata.len() + external_ref.len() + described;
        for (index, posting) in entry.postings.iter().enumerate() {
            self.count += 1;
            self.bytes += bytes;
            self.position.push(entry.position);
            self.posting.push(i32::try_from(index).map_err(Problem::internal)?);
            self.recorded_at.push(entry.recorded_at.micros());
            self.effective_at.push(entry.effective_at.micros());
            // Copies of these share their bytes.
            self.entry.push(id.clone());
            self.external_ref.push(external_ref.clone());
            self.description.push(description.clone());
            self.metadata.push(metadata.clone());
            for (column, link) in self.links.iter_mut().zip(&links) {
                column.push(link.clone());
            }
            self.late_for.push(entry.late_for.map(|at| at.micros()));
            self.add_posting(posting)?;
        }
        Ok(())
    }

    fn add_posting(&mut self, posting: &Posting) -> Result<(), Problem> {
        let currency = posting.amount.currency;
        self.account.push(array(&posting.account.to_string()));
        self.account_code.push(array(&posting.code));
        self.account_type.push(array(posting.kind.name()));
        self.direction.push(array(posting.direction.name()));
        self.amount_minor.push(posting.amount.minor);
        self.exponent.push(i32::try_from(currency.exponent()).map_err(Problem::internal)?);
        self.currency.push(array(currency.code()));
        Ok(())
    }

    /// Writes all columns, in the order of the schema.
    fn write(self, group: &mut SerializedRowGroupWriter<'_, Vec<u8>>) -> Result<(), ParquetError> {
        required::<Int64Type>(group, &self.position)?;
        required::<Int32Type>(group, &self.posting)?;
        required::<Int64Type>(group, &self.recorded_at)?;
        required::<Int64Type>(group, &self.effective_at)?;
        required::<ByteArrayType>(group, &self.entry)?;
        required::<ByteArrayType>(group, &self.external_ref)?;
        optional::<ByteArrayType>(group, self.description)?;
        required::<ByteArrayType>(group, &self.account)?;
        required::<ByteArrayType>(group, &self.account_code)?;
        required::<ByteArrayType>(group, &self.account_type)?;
        required::<ByteArrayType>(group, &self.direction)?;
        required::<Int64Type>(group, &self.amount_minor)?;
        required::<Int32Type>(group, &self.exponent)?;
        required::<ByteArrayType>(group, &self.currency)?;
        for links in self.links {
            optional::<ByteArrayType>(group, links)?;
        }
        optional::<Int64Type>(group, self.late_for)?;
        required::<ByteArrayType>(group, &self.metadata)
    }
}

fn required<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
    values: &[T::T],
) -> Result<(), ParquetError> {
    let mut column = next_column(group)?;
    column.typed::<T>().write_batch(values, None, None)?;
    column.close()
}

fn optional<T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
    values: Vec<Option<T::T>>,
) -> Result<(), ParquetError> {
    // 1 where there is a value, 0 where there is none.
    let levels: Vec<i16> = values.iter().map(|value| i16::from(value.is_some())).collect();
    let values: Vec<T::T> = values.into_iter().flatten().collect();
    let mut column = next_column(group)?;
    column.typed::<T>().write_batch(&values, Some(&levels), None)?;
    column.close()
}

fn next_column<'a>(
    group: &'a mut SerializedRowGroupWriter<'_, Vec<u8>>,
) -> Result<SerializedColumnWriter<'a>, ParquetError> {
    let column = group.next_column()?;
    column.ok_or_else(|| ParquetError::General("the schema has fewer columns".to_owned()))
}

fn array(text: &str) -> ByteArray {
    ByteArray::from(text)
}

fn unwritable(error: ParquetError) -> Problem {
    Problem::internal(error)
}
