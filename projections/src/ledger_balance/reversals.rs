//! Marks on entries of earlier batches that something of them was reversed.

use std::collections::BTreeMap;

use domain::ledger::EntryReversed;
use domain::{EntryId, StreamVersion};
use sqlx::PgConnection;
use uuid::Uuid;

use super::array_text;
use crate::projection::ApplyError;

/// What reversed an entry, in their order; and what reversed the last of it.
#[derive(Debug, Default)]
pub(super) struct Reversals {
    pub(super) by: Vec<Uuid>,
    pub(super) last: Option<Uuid>,
    pub(super) version: i64,
}

impl Reversals {
    pub(super) fn push(
        &mut self,
        event: &EntryReversed,
        version: StreamVersion,
    ) -> Result<(), ApplyError> {
        if self.last.is_some() {
            return Err(reversed_before());
        }
        let by = event.reversed_by.uuid();
        self.by.push(by);
        self.last = event.reversed.is_none().then_some(by);
        self.version = version.number();
        Ok(())
    }
}

fn reversed_before() -> ApplyError {
    let reason = "an entry that was never posted, or was reversed before, is reversed";
    ApplyError::contradiction(reason)
}

/// The same of all entries that earlier batches wrote.
#[derive(Debug, Default)]
pub(super) struct ReversalRows(BTreeMap<EntryId, Reversals>);

impl ReversalRows {
    pub(super) fn push(
        &mut self,
        event: &EntryReversed,
        version: StreamVersion,
    ) -> Result<(), ApplyError> {
        self.0.entry(event.entry_id).or_default().push(event, version)
    }
}

/// Marks the entries.
pub(super) async fn mark(db: &mut PgConnection, rows: &ReversalRows) -> Result<(), ApplyError> {
    if rows.0.is_empty() {
        return Ok(());
    }
    let reversals = || rows.0.values();
    let marked = sqlx::query(
        "update entries set reversals = coalesce(entries.reversals, '{}') || reversal.by::uuid[], \
             reversed_by = reversal.last, version = reversal.version \
         from unnest($1::uuid[], $2::text[], $3::uuid[], $4::bigint[]) \
             as reversal (entry_id, by, last, version) \
         where entries.entry_id = reversal.entry_id and entries.reversed_by is null",
    )
    .bind(rows.0.keys().map(|id| id.uuid()).collect::<Vec<_>>())
    .bind(reversals().map(|of| array_text(&of.by)).collect::<Vec<_>>())
    .bind(reversals().map(|of| of.last).collect::<Vec<_>>())
    .bind(reversals().map(|of| of.version).collect::<Vec<_>>())
    .execute(db)
    .await?
    .rows_affected();
    if marked == rows.0.len() as u64 { Ok(()) } else { Err(reversed_before()) }
}
