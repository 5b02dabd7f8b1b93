//! The tables `entries` and `postings`: new rows are inserted or copied in, reversals marked as a set.

use std::borrow::Cow;

use domain::ledger::{EntryPosted, EntryReversed, Posting};
use domain::{EntryId, StreamVersion, Timestamp};
use event_store::log::Position;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::copy::CopyRows;
use crate::projection::{AppliedEvent, ApplyError};

/// A row of `entries`.
#[derive(Debug)]
pub(super) struct EntryRow<'a> {
    event: &'a EntryPosted,
    metadata: Cow<'static, str>,
    reversed_by: Option<EntryId>,
    version: StreamVersion,
    recorded_at: Timestamp,
    position: Position,
}

impl<'a> EntryRow<'a> {
    pub(super) fn new(
        applied: &AppliedEvent,
        event: &'a EntryPosted,
        metadata: Cow<'static, str>,
    ) -> Self {
        Self {
            event,
            metadata,
            reversed_by: None,
            version: applied.version,
            recorded_at: applied.recorded_at,
            position: applied.position,
        }
    }

    pub(super) fn mark_reversed(&mut self, by: EntryId, version: StreamVersion) {
        self.reversed_by = Some(by);
        self.version = version;
    }
}

/// From this many rows on they are copied in, which takes half the work of an insert but waits for the
/// server twice more: Nagle's algorithm and its delayed acknowledgement can make that 40 ms a table.
const COPY_ROWS_MIN: usize = 1_000;

const INSERT_ENTRIES: &str = "insert into entries (entry_id, ledger, external_ref, description, metadata, \
    reverses, reversed_by, posting_count, version, recorded_at, position) \
    select entry_id, ledger, external_ref, description, metadata::json, reverses, reversed_by, \
        posting_count, version, recorded_at, position \
    from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::uuid[], $7::uuid[], \
        $8::smallint[], $9::bigint[], $10::timestamptz[], $11::bigint[]) \
        as e (entry_id, ledger, external_ref, description, metadata, reverses, reversed_by, \
            posting_count, version, recorded_at, position)";

const COPY_ENTRIES: &str = "copy entries (entry_id, ledger, external_ref, description, metadata, \
    reverses, reversed_by, posting_count, version, recorded_at, position) from stdin";

/// Inserts the entries that the batch posts.
pub(super) async fn insert_entries(
    db: &mut PgConnection,
    entries: &[EntryRow<'_>],
) -> Result<(), ApplyError> {
    match entries.len() {
        0 => Ok(()),
        1..COPY_ROWS_MIN => insert_few_entries(db, entries).await,
        _ => copy_entries(db, entries).await,
    }
}

async fn insert_few_entries(
    db: &mut PgConnection,
    entries: &[EntryRow<'_>],
) -> Result<(), ApplyError> {
    fn column<'a, T>(entries: &'a [EntryRow<'a>], of: impl Fn(&'a EntryRow<'a>) -> T) -> Vec<T> {
        entries.iter().map(of).collect()
    }
    let count = |entry: &EntryRow<'_>| i16::try_from(entry.event.postings.len());
    let counts: Result<Vec<i16>, _> = entries.iter().map(count).collect();
    let counts =
        counts.map_err(|_| ApplyError::contradiction("more postings than an entry has"))?;
    sqlx::query(INSERT_ENTRIES)
        .bind(column(entries, |entry| entry.event.entry_id.uuid()))
        .bind(column(entries, |entry| entry.event.ledger.uuid()))
        .bind(column(entries, |entry| entry.event.external_ref.as_str()))
        .bind(column(entries, |entry| entry.event.description.as_ref().map(domain::Name::as_str)))
        .bind(column(entries, |entry| entry.metadata.as_ref()))
        .bind(column(entries, |entry| entry.event.reverses.map(EntryId::uuid)))
        .bind(column(entries, |entry| entry.reversed_by.map(EntryId::uuid)))
        .bind(counts)
        .bind(column(entries, |entry| entry.version.number()))
        .bind(column(entries, |entry| entry.recorded_at.datetime()))
        .bind(column(entries, |entry| entry.position.number()))
        .execute(db)
        .await?;
    Ok(())
}

async fn copy_entries(db: &mut PgConnection, entries: &[EntryRow<'_>]) -> Result<(), ApplyError> {
    let mut rows = CopyRows::default();
    for entry in entries {
        let event = entry.event;
        let description = event.description.as_ref().map(domain::Name::as_str);
        rows.plain(event.entry_id.uuid())
            .plain(event.ledger.uuid())
            .text(event.external_ref.as_str())
            .optional(description, CopyRows::text)
            .text(&entry.metadata)
            .optional(event.reverses.map(EntryId::uuid), CopyRows::plain)
            .optional(entry.reversed_by.map(EntryId::uuid), CopyRows::plain)
            .plain(event.postings.len())
            .plain(entry.version)
            .plain(entry.recorded_at)
            .plain(entry.position)
            .end();
    }
    Ok(rows.send(db, COPY_ENTRIES).await?)
}

/// A row of `postings`.
#[derive(Debug)]
struct PostingRow {
    posting: Posting,
    position: Position,
    index: i16,
    entry_id: EntryId,
    balance_after: i64,
    recorded_at: Timestamp,
}

/// Rows of `postings`.
#[derive(Debug, Default)]
pub(super) struct PostingRows(Vec<PostingRow>);

impl PostingRows {
    pub(super) fn push(
        &mut self,
        applied: &AppliedEvent,
        entry_id: EntryId,
        index: usize,
        posting: &Posting,
        balance_after: i64,
    ) {
        self.0.push(PostingRow {
            posting: *posting,
            position: applied.position,
            // An entry's postings are fewer than an i16 can count.
            index: i16::try_from(index).unwrap_or(i16::MAX),
            entry_id,
            balance_after,
            recorded_at: applied.recorded_at,
        });
    }

    fn column<T>(&self, of: impl Fn(&PostingRow) -> T) -> Vec<T> {
        self.0.iter().map(of).collect()
    }
}

const INSERT_POSTINGS: &str = "insert into postings (account_id, position, posting_index, entry_id, \
    direction, amount_minor, currency, balance_after_minor, recorded_at) \
    select * from unnest($1::uuid[], $2::bigint[], $3::smallint[], $4::uuid[], $5::text[], \
        $6::bigint[], $7::text[], $8::bigint[], $9::timestamptz[])";

const COPY_POSTINGS: &str = "copy postings (account_id, position, posting_index, entry_id, direction, \
    amount_minor, currency, balance_after_minor, recorded_at) from stdin";

/// Inserts the postings of the batch.
pub(super) async fn insert_postings(
    db: &mut PgConnection,
    rows: &PostingRows,
) -> Result<(), ApplyError> {
    match rows.0.len() {
        0 => Ok(()),
        1..COPY_ROWS_MIN => insert_few_postings(db, rows).await,
        _ => copy_postings(db, rows).await,
    }
}

async fn insert_few_postings(db: &mut PgConnection, rows: &PostingRows) -> Result<(), ApplyError> {
    sqlx::query(INSERT_POSTINGS)
        .bind(rows.column(|row| row.posting.account_id.uuid()))
        .bind(rows.column(|row| row.position.number()))
        .bind(rows.column(|row| row.index))
        .bind(rows.column(|row| row.entry_id.uuid()))
        .bind(rows.column(|row| row.posting.direction.name()))
        .bind(rows.column(|row| row.posting.amount.minor()))
        .bind(rows.column(|row| row.posting.amount.currency().code()))
        .bind(rows.column(|row| row.balance_after))
        .bind(rows.column(|row| row.recorded_at.datetime()))
        .execute(db)
        .await?;
    Ok(())
}

async fn copy_postings(db: &mut PgConnection, rows: &PostingRows) -> Result<(), ApplyError> {
    let mut text = CopyRows::default();
    for row in &rows.0 {
        text.plain(row.posting.account_id.uuid())
            .plain(row.position)
            .plain(row.index)
            .plain(row.entry_id.uuid())
            .plain(row.posting.direction.name())
            .plain(row.posting.amount.minor())
            .plain(row.posting.amount.currency())
            .plain(row.balance_after)
            .plain(row.recorded_at)
            .end();
    }
    Ok(text.send(db, COPY_POSTINGS).await?)
}

/// Reversals of entries that earlier batches wrote, as columns.
#[derive(Debug, Default)]
pub(super) struct ReversalRows {
    entry_ids: Vec<Uuid>,
    reversed_by: Vec<Uuid>,
    versions: Vec<i64>,
}

impl ReversalRows {
    pub(super) fn push(&mut self, event: &EntryReversed, version: StreamVersion) {
        self.entry_ids.push(event.entry_id.uuid());
        self.reversed_by.push(event.reversed_by.uuid());
        self.versions.push(version.number());
    }
}

/// Marks entries of earlier batches as reversed.
pub(super) async fn mark_reversed(
    db: &mut PgConnection,
    rows: &ReversalRows,
) -> Result<(), ApplyError> {
    if rows.entry_ids.is_empty() {
        return Ok(());
    }
    let marked = sqlx::query(
        "update entries set reversed_by = reversal.reversed_by, version = reversal.version \
         from unnest($1::uuid[], $2::uuid[], $3::bigint[]) \
             as reversal (entry_id, reversed_by, version) \
         where entries.entry_id = reversal.entry_id and entries.reversed_by is null",
    )
    .bind(&rows.entry_ids)
    .bind(&rows.reversed_by)
    .bind(&rows.versions)
    .execute(db)
    .await?
    .rows_affected();
    if marked != rows.entry_ids.len() as u64 {
        let reason = "an entry that was never posted, or was reversed before, is reversed";
        return Err(ApplyError::contradiction(reason));
    }
    Ok(())
}
