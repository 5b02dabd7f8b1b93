//! The tables `entries` and `postings`: new rows are copied in, reversals marked as a set.

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

const COPY_ENTRIES: &str = "copy entries (entry_id, ledger, external_ref, description, metadata, \
    reverses, reversed_by, posting_count, version, recorded_at, position) from stdin";

/// Inserts the entries that the batch posts.
pub(super) async fn insert_entries(
    db: &mut PgConnection,
    entries: &[EntryRow<'_>],
) -> Result<(), ApplyError> {
    if entries.is_empty() {
        return Ok(());
    }
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

/// Rows of `postings`.
#[derive(Debug, Default)]
pub(super) struct PostingRows(CopyRows);

impl PostingRows {
    pub(super) fn push(
        &mut self,
        applied: &AppliedEvent,
        entry_id: EntryId,
        index: usize,
        posting: &Posting,
        balance_after: i64,
    ) {
        self.0
            .plain(posting.account_id.uuid())
            .plain(applied.position)
            .plain(index)
            .plain(entry_id.uuid())
            .plain(posting.direction.name())
            .plain(posting.amount.minor())
            .plain(posting.amount.currency())
            .plain(balance_after)
            .plain(applied.recorded_at)
            .end();
    }
}

const COPY_POSTINGS: &str = "copy postings (account_id, position, posting_index, entry_id, direction, \
    amount_minor, currency, balance_after_minor, recorded_at) from stdin";

/// Inserts the postings of the batch.
pub(super) async fn insert_postings(
    db: &mut PgConnection,
    rows: &PostingRows,
) -> Result<(), ApplyError> {
    if rows.0.is_empty() {
        return Ok(());
    }
    Ok(rows.0.send(db, COPY_POSTINGS).await?)
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
