//! `ledger_balance`: accounts with their balances, entries, statements and the trial balance.
//!
//! Tables: `accounts`, `entries`, `postings` (each with the account's balance after it) and
//! `trial_balance` (one row for each ledger, currency and account type).

mod accounts;
mod batch;
mod entries;

use std::collections::HashMap;

use domain::Event;
use futures::FutureExt;
use futures::future::BoxFuture;
use sqlx::PgConnection;
use uuid::Uuid;

use self::batch::Batch;
use crate::projection::{AppliedEvent, ApplyError, Projection, Table};

/// The projection of that name.
#[derive(Debug, Clone, Copy, Default)]
pub struct LedgerBalance;

impl Projection for LedgerBalance {
    fn name(&self) -> &'static str {
        "ledger_balance"
    }

    fn version(&self) -> i32 {
        2
    }

    fn tables_sql(&self) -> &'static str {
        include_str!("tables.sql")
    }

    fn indexes_sql(&self) -> &'static str {
        include_str!("indexes.sql")
    }

    fn tables(&self) -> &'static [Table] {
        &[
            Table { name: "accounts", key: &["account_id"] },
            Table { name: "entries", key: &["entry_id"] },
            Table { name: "postings", key: &["account_id", "position", "posting_index"] },
            Table { name: "trial_balance", key: &["ledger", "currency", "type"] },
        ]
    }

    fn concerns(&self, event: &Event) -> bool {
        match event {
            // Who may do what is another projection's: `access`.
            Event::MerchantRegistered(_) | Event::ApiKeyIssued(_) | Event::ApiKeyRevoked(_) => {
                false
            }
            // What a payment moves is in the entries that come with it.
            Event::Payment(_) | Event::Card(_) | Event::Psp(_) => false,
            Event::AccountOpened(_)
            | Event::AccountFrozen(_)
            | Event::AccountUnfrozen(_)
            | Event::AccountClosed(_)
            | Event::EntryPosted(_)
            | Event::EntryReversed(_) => true,
        }
    }

    fn apply<'a>(
        &'a self,
        db: &'a mut PgConnection,
        events: &'a [AppliedEvent],
    ) -> BoxFuture<'a, Result<(), ApplyError>> {
        apply(db, events).boxed()
    }

    fn apply_over_two<'a>(
        &'a self,
        db: &'a mut PgConnection,
        beside: &'a mut PgConnection,
        events: &'a [AppliedEvent],
    ) -> BoxFuture<'a, Result<(), ApplyError>> {
        apply_over_two(db, beside, events).boxed()
    }
}

async fn apply(db: &mut PgConnection, events: &[AppliedEvent]) -> Result<(), ApplyError> {
    let batch = fold(&mut *db, events).await?;
    write_balances(&mut *db, &batch).await?;
    write_entries(db, &batch).await
}

async fn apply_over_two(
    db: &mut PgConnection,
    beside: &mut PgConnection,
    events: &[AppliedEvent],
) -> Result<(), ApplyError> {
    let batch = fold(&mut *db, events).await?;
    // To the end on both, whatever becomes of one: a COPY that is broken off leaves its connection unusable.
    let (balances, entries) =
        tokio::join!(write_balances(db, &batch), write_entries(beside, &batch));
    balances.and(entries)
}

async fn fold<'e>(
    db: &mut PgConnection,
    events: &'e [AppliedEvent],
) -> Result<Batch<'e>, ApplyError> {
    let named = named_accounts(events);
    let known = if named.is_empty() { HashMap::new() } else { accounts::read(db, &named).await? };
    batch::fold(known, events)
}

/// `accounts`, `postings` and `trial_balance`.
async fn write_balances(db: &mut PgConnection, batch: &Batch<'_>) -> Result<(), ApplyError> {
    accounts::insert_opened(&mut *db, batch).await?;
    accounts::update_changed(&mut *db, batch).await?;
    entries::insert_postings(&mut *db, &batch.postings).await?;
    accounts::add_to_trial_balance(db, &batch.trial_balance).await
}

/// `entries`.
async fn write_entries(db: &mut PgConnection, batch: &Batch<'_>) -> Result<(), ApplyError> {
    entries::insert_entries(&mut *db, &batch.entries).await?;
    entries::mark_reversed(db, &batch.reversals).await
}

/// The accounts that the batch names without opening them, each once.
fn named_accounts(events: &[AppliedEvent]) -> Vec<Uuid> {
    let mut named = Vec::new();
    for applied in events {
        match &applied.event {
            Event::EntryPosted(event) => {
                named.extend(event.postings.iter().map(|posting| posting.account_id.uuid()));
            }
            Event::AccountFrozen(event) => named.push(event.account_id.uuid()),
            Event::AccountUnfrozen(event) => named.push(event.account_id.uuid()),
            Event::AccountClosed(event) => named.push(event.account_id.uuid()),
            Event::MerchantRegistered(_)
            | Event::ApiKeyIssued(_)
            | Event::ApiKeyRevoked(_)
            | Event::AccountOpened(_)
            | Event::EntryReversed(_)
            | Event::Payment(_)
            | Event::Card(_)
            | Event::Psp(_) => {}
        }
    }
    named.sort_unstable();
    named.dedup();
    named
}
