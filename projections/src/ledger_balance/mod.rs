//! `ledger_balance`: accounts with their balances, entries, holds, statements, closes and the trial balance.
//!
//! Tables: `accounts`, `entries`, `entry_metadata`, `postings` (each with the account's balance after it),
//! `dated_postings`, `dated_sums` and `dated_ledger_sums` (what takes effect at a time of its own), `holds`,
//! `account_holds` (which are on an account), `holdings` (what was held on an account, by position),
//! `trial_balance` (one row for each ledger, currency and account type), `trial_balance_marks` (the same as it
//! was), `day_closes` and `month_closes`.

mod accounts;
mod batch;
mod closes;
mod dated;
mod entries;
mod holds;
mod reversals;
mod trial_balance;

use domain::Event;
use futures::FutureExt;
use futures::future::BoxFuture;
use sqlx::PgConnection;
use uuid::Uuid;

use self::batch::{Batch, Before};
pub use self::trial_balance::{ALL_LEDGERS, TRIAL_BALANCE_SEGMENT};
use crate::projection::{AppliedEvent, ApplyError, Projection, Table};

/// The projection of that name.
#[derive(Debug, Clone, Copy, Default)]
pub struct LedgerBalance;

impl Projection for LedgerBalance {
    fn name(&self) -> &'static str {
        "ledger_balance"
    }

    fn version(&self) -> i32 {
        5
    }

    fn tables_sql(&self) -> &'static str {
        include_str!("tables.sql")
    }

    fn indexes_sql(&self) -> &'static str {
        include_str!("indexes.sql")
    }

    /// Workers look for holds that ended, for days to be closed and their balances, and for what has not cleared.
    fn grants_sql(&self) -> &'static str {
        "grant select on accounts, postings, dated_postings, dated_sums, holds, day_closes to runut_app"
    }

    fn tables(&self) -> &'static [Table] {
        &[
            Table { name: "accounts", key: &["account_id"] },
            Table { name: "entries", key: &["entry_id"] },
            Table { name: "entry_metadata", key: &["entry_id", "key"] },
            Table { name: "postings", key: &["account_id", "position", "posting_index"] },
            Table { name: "dated_postings", key: &["account_id", "position", "posting_index"] },
            Table { name: "dated_sums", key: &["account_id", "width_seconds", "starts_at"] },
            Table {
                name: "dated_ledger_sums",
                key: &["ledger", "width_seconds", "starts_at", "currency", "type"],
            },
            Table { name: "holds", key: &["hold_id"] },
            Table { name: "account_holds", key: &["account_id", "position"] },
            Table { name: "holdings", key: &["account_id", "position"] },
            Table { name: "trial_balance", key: &["ledger", "currency", "type"] },
            Table { name: "trial_balance_marks", key: &["ledger", "currency", "type", "segment"] },
            Table { name: "day_closes", key: &["ledger", "day"] },
            Table { name: "month_closes", key: &["ledger", "month"] },
        ]
    }

    fn concerns(&self, event: &Event) -> bool {
        match event {
            // Who may do what is another projection's: `access`.
            Event::MerchantRegistered(_) | Event::ApiKeyIssued(_) | Event::ApiKeyRevoked(_) => {
                false
            }
            // What a payment or a conversion moves is in the entries that come with it.
            Event::Fx(_) | Event::Payment(_) | Event::Card(_) | Event::Psp(_) => false,
            Event::AccountOpened(_)
            | Event::AccountAmended(_)
            | Event::AccountFrozen(_)
            | Event::AccountUnfrozen(_)
            | Event::AccountClosed(_)
            | Event::EntryPosted(_)
            | Event::EntryReversed(_)
            | Event::Hold(_)
            | Event::Books(_) => true,
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
    let mut before = Before::default();
    let named = named_accounts(events);
    if !named.is_empty() {
        before.accounts = accounts::read(&mut *db, &named).await?;
    }
    before.holds = holds::read(&mut *db, events).await?;
    before.dated = dated::read(db, events).await?;
    batch::fold(before, events)
}

/// `accounts`, `postings` and the trial balance.
async fn write_balances(db: &mut PgConnection, batch: &Batch<'_>) -> Result<(), ApplyError> {
    accounts::insert_opened(&mut *db, batch).await?;
    accounts::update_changed(&mut *db, batch).await?;
    accounts::amend(&mut *db, &batch.amended).await?;
    entries::insert_postings(&mut *db, &batch.postings).await?;
    trial_balance::add(db, &batch.trial_balance).await
}

/// All others.
async fn write_entries(db: &mut PgConnection, batch: &Batch<'_>) -> Result<(), ApplyError> {
    entries::insert_entries(&mut *db, &batch.entries).await?;
    reversals::mark(&mut *db, &batch.reversals).await?;
    dated::write(&mut *db, &batch.dated).await?;
    holds::write(&mut *db, &batch.holds).await?;
    holds::insert_holdings(&mut *db, &batch.holdings).await?;
    closes::write(db, &batch.closes).await
}

/// An array as the text that Postgres reads as one: `unnest` would flatten an array of arrays.
fn array_text(ids: &[Uuid]) -> String {
    let ids: Vec<String> = ids.iter().map(Uuid::to_string).collect();
    format!("{{{}}}", ids.join(","))
}

/// The accounts that the batch names without opening them, each once.
fn named_accounts(events: &[AppliedEvent]) -> Vec<Uuid> {
    let mut named = Vec::new();
    for applied in events {
        match &*applied.event {
            Event::EntryPosted(event) => {
                named.extend(event.postings.iter().map(|posting| posting.account_id.uuid()));
            }
            Event::Hold(event) => {
                named.extend(event.movements().accounts().map(domain::AccountId::uuid));
            }
            Event::AccountAmended(event) => named.push(event.account_id.uuid()),
            Event::AccountFrozen(event) => named.push(event.account_id.uuid()),
            Event::AccountUnfrozen(event) => named.push(event.account_id.uuid()),
            Event::AccountClosed(event) => named.push(event.account_id.uuid()),
            Event::MerchantRegistered(_)
            | Event::ApiKeyIssued(_)
            | Event::ApiKeyRevoked(_)
            | Event::AccountOpened(_)
            | Event::EntryReversed(_)
            | Event::Books(_)
            | Event::Fx(_)
            | Event::Payment(_)
            | Event::Card(_)
            | Event::Psp(_) => {}
        }
    }
    named.sort_unstable();
    named.dedup();
    named
}
