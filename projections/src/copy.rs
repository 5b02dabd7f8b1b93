//! Rows for `COPY … FROM STDIN`, which takes many new rows at half the cost of an `INSERT`.

use domain::Timestamp;
use event_store::log::WideMinor;
use sqlx::PgConnection;
use sqlx::postgres::PgCopyIn;
use uuid::Uuid;

/// When what was written so far is sent: while the server works on it the next rows are written.
const PIECE_BYTES: usize = 64 * 1024;
/// Signature, no flags, no extension.
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// In the place of a row's number of fields, after the last row.
const TRAILER: [u8; 2] = (-1_i16).to_be_bytes();
/// In the place of a field's length.
const NULL: [u8; 4] = (-1_i32).to_be_bytes();
/// Postgres counts microseconds from 2000-01-01; everybody else from 1970.
const POSTGRES_EPOCH_MICROS: i64 = 946_684_800_000_000;
/// The type `uuid`, in the catalogue of every Postgres.
const UUID_OID: i32 = 2_950;

/// Rows in the binary format of `COPY`, sent piece by piece. Dropped before [`CopyRows::finish`], nothing
/// is copied.
pub(crate) struct CopyRows<'c> {
    copy: PgCopyIn<&'c mut PgConnection>,
    columns: i16,
    bytes: Vec<u8>,
}

impl<'c> CopyRows<'c> {
    /// Begins. `statement` is the `COPY` with its `columns` in the order of the fields, in binary format.
    pub(crate) async fn begin(
        db: &'c mut PgConnection,
        statement: &'static str,
        columns: i16,
    ) -> Result<Self, sqlx::Error> {
        let copy = db.copy_in_raw(statement).await?;
        let mut bytes = Vec::with_capacity(2 * PIECE_BYTES);
        bytes.extend_from_slice(HEADER);
        Ok(Self { copy, columns, bytes })
    }

    /// Begins a row, to which as many fields are to be added as there are columns; sends those before it if
    /// they are many.
    pub(crate) async fn row(&mut self) -> Result<Fields<'_>, sqlx::Error> {
        if self.bytes.len() >= PIECE_BYTES {
            self.copy.send(&self.bytes[..]).await?;
            self.bytes.clear();
        }
        self.bytes.extend_from_slice(&self.columns.to_be_bytes());
        Ok(Fields(&mut self.bytes))
    }

    /// Ends it; the rows are there with the transaction.
    pub(crate) async fn finish(mut self) -> Result<(), sqlx::Error> {
        self.bytes.extend_from_slice(&TRAILER);
        self.copy.send(&self.bytes[..]).await?;
        self.copy.finish().await.map(|_| ())
    }
}

/// The fields of a row.
#[derive(Debug)]
pub(crate) struct Fields<'r>(&'r mut Vec<u8>);

impl Fields<'_> {
    fn field(&mut self, bytes: &[u8]) -> &mut Self {
        // A field is no longer than an event; longer than an i32 is refused by the server.
        let length = i32::try_from(bytes.len()).unwrap_or(i32::MAX);
        self.0.extend_from_slice(&length.to_be_bytes());
        self.0.extend_from_slice(bytes);
        self
    }

    pub(crate) fn smallint(&mut self, value: i16) -> &mut Self {
        self.field(&value.to_be_bytes())
    }

    pub(crate) fn bigint(&mut self, value: i64) -> &mut Self {
        self.field(&value.to_be_bytes())
    }

    pub(crate) fn numeric(&mut self, value: WideMinor) -> &mut Self {
        self.field(&value.to_numeric())
    }

    pub(crate) fn uuid(&mut self, value: Uuid) -> &mut Self {
        self.field(value.as_bytes())
    }

    pub(crate) fn timestamptz(&mut self, value: Timestamp) -> &mut Self {
        self.bigint(value.micros() - POSTGRES_EPOCH_MICROS)
    }

    /// A `text` or a `json`.
    pub(crate) fn text(&mut self, value: &str) -> &mut Self {
        self.field(value.as_bytes())
    }

    pub(crate) fn uuid_array(&mut self, values: &[Uuid]) -> &mut Self {
        let count = i32::try_from(values.len()).unwrap_or(i32::MAX);
        let mut array = Vec::with_capacity(20 * (values.len() + 1));
        // One dimension, no nulls, the type, how many, counted from 1.
        for number in [1, 0, UUID_OID, count, 1] {
            array.extend_from_slice(&i32::to_be_bytes(number));
        }
        for value in values {
            Fields(&mut array).uuid(*value);
        }
        self.field(&array)
    }

    pub(crate) fn optional<T>(
        &mut self,
        value: Option<T>,
        field: impl FnOnce(&mut Self, T) -> &mut Self,
    ) -> &mut Self {
        match value {
            Some(value) => field(self, value),
            None => {
                self.0.extend_from_slice(&NULL);
                self
            }
        }
    }
}
