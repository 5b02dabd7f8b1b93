//! The tables `entries`, `entry_metadata` and `postings`: new rows are inserted or copied in.

use std::borrow::Cow;

use domain::ledger::{EntryPosted, EntryReversed, Posting};
use domain::{DisputeId, EntryId, HoldId, PaymentId, StreamVersion, Timestamp};
use event_store::log::{Position, WideMinor};
use sqlx::PgConnection;
use uuid::Uuid;

use super::array_text;
use super::reversals::Reversals;
use crate::copy::{CopyRows, Fields};
use crate::projection::{AppliedEvent, ApplyError};

/// A row of `entries`.
#[derive(Debug)]
pub(super) struct EntryRow<'a> {
    event: &'a EntryPosted,
    metadata: Cow<'static, str>,
    reversals: Reversals,
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
            reversals: Reversals { version: applied.version.number(), ..Reversals::default() },
            recorded_at: applied.recorded_at,
            position: applied.position,
        }
    }

    pub(super) fn mark_reversed(
        &mut self,
        event: &EntryReversed,
        version: StreamVersion,
    ) -> Result<(), ApplyError> {
        self.reversals.push(event, version)
    }

    /// What reversed it; nothing where nothing did, which takes less room.
    fn reversals(&self) -> Option<&[Uuid]> {
        Some(self.reversals.by.as_slice()).filter(|by| !by.is_empty())
    }

    fn posting_count(&self) -> Result<i16, ApplyError> {
        i16::try_from(self.event.postings.len())
            .map_err(|_| ApplyError::contradiction("more postings than an entry has"))
    }

    /// The accounts it posts to, each once: with the position they find its postings.
    fn account_ids(&self) -> Vec<Uuid> {
        let postings = self.event.postings.iter();
        let mut ids: Vec<Uuid> = postings.map(|posting| posting.account_id.uuid()).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }
}

/// From this many rows on they are copied in, which takes half the work of an insert but waits for the
/// server twice more: Nagle's algorithm and its delayed acknowledgement can make that 40 ms a table.
const COPY_ROWS_MIN: usize = 1_000;

const INSERT_ENTRIES: &str = "insert into entries (entry_id, ledger, external_ref, description, metadata, \
    effective_at, late_for, payment_id, dispute_id, up_to_minor, reverses, replaces, hold_id, \
    reversals, reversed_by, posting_count, account_ids, version, recorded_at, position) \
    select entry_id, ledger, external_ref, description, metadata::json, effective_at, late_for, \
        payment_id, dispute_id, up_to_minor, reverses, replaces, hold_id, reversals::uuid[], \
        reversed_by, posting_count, account_ids::uuid[], version, recorded_at, position \
    from unnest($1::uuid[], $2::uuid[], $3::text[], $4::text[], $5::text[], $6::timestamptz[], \
        $7::timestamptz[], $8::uuid[], $9::uuid[], $10::bigint[], $11::uuid[], $12::uuid[], \
        $13::uuid[], $14::text[], $15::uuid[], $16::smallint[], $17::text[], $18::bigint[], \
        $19::timestamptz[], $20::bigint[]) \
        as e (entry_id, ledger, external_ref, description, metadata, effective_at, late_for, \
            payment_id, dispute_id, up_to_minor, reverses, replaces, hold_id, reversals, \
            reversed_by, posting_count, account_ids, version, recorded_at, position)";

const COPY_ENTRIES: &str = "copy entries (entry_id, ledger, external_ref, description, metadata, \
    effective_at, late_for, payment_id, dispute_id, up_to_minor, reverses, replaces, hold_id, \
    reversals, reversed_by, posting_count, account_ids, version, recorded_at, position) \
    from stdin (format binary)";
const ENTRY_COLUMNS: i16 = 20;

/// Inserts the entries that the batch posts.
pub(super) async fn insert_entries(
    db: &mut PgConnection,
    entries: &[EntryRow<'_>],
) -> Result<(), ApplyError> {
    match entries.len() {
        0 => return Ok(()),
        1..COPY_ROWS_MIN => insert_few_entries(&mut *db, entries).await?,
        _ => copy_entries(&mut *db, entries).await?,
    }
    insert_metadata(db, entries).await
}

const INSERT_METADATA: &str = "insert into entry_metadata (ledger, key, value, position, entry_id) \
    select * from unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::uuid[])";

async fn insert_metadata(
    db: &mut PgConnection,
    entries: &[EntryRow<'_>],
) -> Result<(), ApplyError> {
    let pairs = || {
        let of = |entry: &'_ EntryRow<'_>| entry.event.metadata.entries().len();
        entries
            .iter()
            .filter(move |entry| of(entry) > 0)
            .flat_map(|entry| entry.event.metadata.entries().iter().map(move |pair| (entry, pair)))
    };
    if pairs().next().is_none() {
        return Ok(());
    }
    sqlx::query(INSERT_METADATA)
        .bind(pairs().map(|(entry, _)| entry.event.ledger.uuid()).collect::<Vec<_>>())
        .bind(pairs().map(|(_, (key, _))| key.as_str()).collect::<Vec<_>>())
        .bind(pairs().map(|(_, (_, value))| value.as_str()).collect::<Vec<_>>())
        .bind(pairs().map(|(entry, _)| entry.position.number()).collect::<Vec<_>>())
        .bind(pairs().map(|(entry, _)| entry.event.entry_id.uuid()).collect::<Vec<_>>())
        .execute(db)
        .await?;
    Ok(())
}

async fn insert_few_entries(
    db: &mut PgConnection,
    entries: &[EntryRow<'_>],
) -> Result<(), ApplyError> {
    fn column<'a, T>(entries: &'a [EntryRow<'a>], of: impl Fn(&'a EntryRow<'a>) -> T) -> Vec<T> {
        entries.iter().map(of).collect()
    }
    let counts: Result<Vec<i16>, _> = entries.iter().map(EntryRow::posting_count).collect();
    sqlx::query(INSERT_ENTRIES)
        .bind(column(entries, |entry| entry.event.entry_id.uuid()))
        .bind(column(entries, |entry| entry.event.ledger.uuid()))
        .bind(column(entries, |entry| entry.event.external_ref.as_str()))
        .bind(column(entries, |entry| entry.event.description.as_ref().map(domain::Name::as_str)))
        .bind(column(entries, |entry| entry.metadata.as_ref()))
        .bind(column(entries, |entry| entry.event.effective_at.map(Timestamp::datetime)))
        .bind(column(entries, |entry| entry.event.late_for.map(Timestamp::datetime)))
        .bind(column(entries, |entry| entry.event.payment_id.map(PaymentId::uuid)))
        .bind(column(entries, |entry| entry.event.dispute_id.map(DisputeId::uuid)))
        .bind(column(entries, |entry| entry.event.up_to_minor))
        .bind(column(entries, |entry| entry.event.reverses.map(EntryId::uuid)))
        .bind(column(entries, |entry| entry.event.replaces.map(EntryId::uuid)))
        .bind(column(entries, |entry| entry.event.hold_id.map(HoldId::uuid)))
        .bind(column(entries, |entry| entry.reversals().map(array_text)))
        .bind(column(entries, |entry| entry.reversals.last))
        .bind(counts?)
        .bind(column(entries, |entry| array_text(&entry.account_ids())))
        .bind(column(entries, |entry| entry.reversals.version))
        .bind(column(entries, |entry| entry.recorded_at.datetime()))
        .bind(column(entries, |entry| entry.position.number()))
        .execute(db)
        .await?;
    Ok(())
}

async fn copy_entries(db: &mut PgConnection, entries: &[EntryRow<'_>]) -> Result<(), ApplyError> {
    let mut rows = CopyRows::begin(db, COPY_ENTRIES, ENTRY_COLUMNS).await?;
    for entry in entries {
        let event = entry.event;
        let description = event.description.as_ref().map(domain::Name::as_str);
        let posting_count = entry.posting_count()?;
        rows.row()
            .await?
            .uuid(event.entry_id.uuid())
            .uuid(event.ledger.uuid())
            .text(event.external_ref.as_str())
            .optional(description, Fields::text)
            .text(&entry.metadata)
            .optional(event.effective_at, Fields::timestamptz)
            .optional(event.late_for, Fields::timestamptz)
            .optional(event.payment_id.map(PaymentId::uuid), Fields::uuid)
            .optional(event.dispute_id.map(DisputeId::uuid), Fields::uuid)
            .optional(event.up_to_minor, Fields::bigint)
            .optional(event.reverses.map(EntryId::uuid), Fields::uuid)
            .optional(event.replaces.map(EntryId::uuid), Fields::uuid)
            .optional(event.hold_id.map(HoldId::uuid), Fields::uuid)
            .optional(entry.reversals(), Fields::uuid_array)
            .optional(entry.reversals.last, Fields::uuid)
            .smallint(posting_count)
            .uuid_array(&entry.account_ids())
            .bigint(entry.reversals.version)
            .timestamptz(entry.recorded_at)
            .bigint(entry.position.number());
    }
    Ok(rows.finish().await?)
}

/// A row of `postings`.
#[derive(Debug)]
struct PostingRow {
    posting: Posting,
    position: Position,
    index: i16,
    entry_id: EntryId,
    balance_after: WideMinor,
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
        balance_after: i128,
    ) {
        self.0.push(PostingRow {
            posting: *posting,
            position: applied.position,
            // An entry's postings are fewer than an i16 can count.
            index: i16::try_from(index).unwrap_or(i16::MAX),
            entry_id,
            balance_after: WideMinor(balance_after),
            recorded_at: applied.recorded_at,
        });
    }

    fn column<T>(&self, of: impl Fn(&PostingRow) -> T) -> Vec<T> {
        self.0.iter().map(of).collect()
    }

    /// In the order of the statements' index: neighbours go to the same page of it, and what one statement
    /// shows lies together in the table too.
    fn by_account(&self) -> Vec<&PostingRow> {
        let mut rows: Vec<&PostingRow> = self.0.iter().collect();
        rows.sort_unstable_by_key(|row| (row.posting.account_id, row.position, row.index));
        rows
    }
}

const INSERT_POSTINGS: &str = "insert into postings (account_id, position, posting_index, entry_id, \
    direction, amount_minor, currency, balance_after_minor, recorded_at) \
    select * from unnest($1::uuid[], $2::bigint[], $3::smallint[], $4::uuid[], $5::text[], \
        $6::bigint[], $7::text[], $8::numeric[], $9::timestamptz[])";

const COPY_POSTINGS: &str = "copy postings (account_id, position, posting_index, entry_id, direction, \
    amount_minor, currency, balance_after_minor, recorded_at) from stdin (format binary)";
const POSTING_COLUMNS: i16 = 9;

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
    let mut copy = CopyRows::begin(db, COPY_POSTINGS, POSTING_COLUMNS).await?;
    for row in rows.by_account() {
        copy.row()
            .await?
            .uuid(row.posting.account_id.uuid())
            .bigint(row.position.number())
            .smallint(row.index)
            .uuid(row.entry_id.uuid())
            .text(row.posting.direction.name())
            .bigint(row.posting.amount.minor())
            .text(row.posting.amount.currency().code())
            .numeric(row.balance_after)
            .timestamptz(row.recorded_at);
    }
    Ok(copy.finish().await?)
}
