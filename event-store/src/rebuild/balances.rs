//! `account_balances`: every entry and hold of the log, added up in a table beside it that then takes its place.

use std::collections::{HashMap, HashSet};

use domain::accounts::Totals;
use domain::{AccountId, Event};
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::{RebuildError, contiguous};
use crate::log::{EVENTS_PAGE_MAX, LOG_ID, Position, RecordedEvent, WideMinor, head, page_after};

/// Who writes to the log: the role that services log in with.
const WRITERS: &str = "runut_app";
/// The advisory lock of the one who does it; any number that no other part uses.
const LOCK: i64 = 7_368_116;
/// Of the owner alone, and not in the WAL: it is dropped or made anew whatever happens. While it grows from
/// nothing, a plan of before would be wrong.
const BEGIN: &str = "
    set plan_cache_mode = force_custom_plan;
    drop table if exists account_balances_rebuilt;
    create unlogged table account_balances_rebuilt (like account_balances including indexes)";
const ABANDON: &str = "drop table if exists account_balances_rebuilt";
const SWITCH: &str = "
    truncate account_balances;
    insert into account_balances select * from account_balances_rebuilt;
    drop table account_balances_rebuilt";
const KNOWN: &str = "
    select account_id, debits_posted, credits_posted, debits_pending, credits_pending
    from account_balances_rebuilt where log_id = $1 and account_id = any($2)";
const MOVE: &str = "
    insert into account_balances_rebuilt as b (log_id, account_id, debits_posted, credits_posted,
        debits_pending, credits_pending, position)
    select $1, a.* from unnest($2::uuid[], $3::numeric[], $4::numeric[], $5::numeric[],
        $6::numeric[], $7::bigint[])
        as a (account_id, debits_posted, credits_posted, debits_pending, credits_pending, position)
    on conflict (log_id, account_id) do update
    set debits_posted = excluded.debits_posted, credits_posted = excluded.credits_posted,
        debits_pending = excluded.debits_pending, credits_pending = excluded.credits_pending,
        position = excluded.position";

/// What was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RebuiltBalances {
    /// Accounts that were ever posted to or held on.
    pub accounts: i64,
    /// The last event that is in them: the head of the log.
    pub position: Position,
}

/// Adds all balances up from position 1 and puts them in the place of those that there are, in one
/// transaction. `progress` hears of every page: the last position, and the head.
///
/// While it works nothing may write to the log: a process that does knows balances that are not in the log,
/// and would write them again.
///
/// # Errors
/// [`RebuildError::Writers`] and [`RebuildError::Grew`] where something does; otherwise what failed. The
/// balances are then as they were.
pub async fn account_balances(
    database: &mut PgConnection,
    mut progress: impl FnMut(Position, Position),
) -> Result<RebuiltBalances, RebuildError> {
    let alone: bool = sqlx::query_scalar("select pg_try_advisory_lock($1)")
        .bind(LOCK)
        .fetch_one(&mut *database)
        .await?;
    if !alone {
        return Err(RebuildError::AlreadyRunning);
    }
    let made = alone_with(database, &mut progress).await;
    // A connection that is gone holds no lock.
    let _ = sqlx::query("select pg_advisory_unlock($1)").bind(LOCK).execute(database).await;
    made
}

async fn alone_with(
    database: &mut PgConnection,
    progress: &mut impl FnMut(Position, Position),
) -> Result<RebuiltBalances, RebuildError> {
    refuse_writers(database).await?;
    sqlx::raw_sql(BEGIN).execute(&mut *database).await?;
    let made = add_up_and_switch(database, progress).await;
    if made.is_err() {
        // If this fails too, the next run does it.
        let _ = sqlx::raw_sql(ABANDON).execute(database).await;
    }
    made
}

async fn add_up_and_switch(
    database: &mut PgConnection,
    progress: &mut impl FnMut(Position, Position),
) -> Result<RebuiltBalances, RebuildError> {
    let target = head(&mut *database).await?.position;
    let mut at = Position::START;
    while at < target {
        let page = page_after(database, at, EVENTS_PAGE_MAX).await?;
        let Some(last) = page.last() else {
            return Err(RebuildError::Gap { missing: at.next() });
        };
        contiguous(at, &page)?;
        at = last.position;
        add(database, &page).await?;
        progress(at, target);
    }
    let mut transaction = database.begin().await?;
    // In this order: who comes now waits here, who came before is seen below.
    sqlx::raw_sql("lock table log_head in exclusive mode; lock table account_balances")
        .execute(&mut *transaction)
        .await?;
    refuse_writers(&mut transaction).await?;
    let now = head(&mut *transaction).await?.position;
    if now != at {
        return Err(RebuildError::Grew { from: at, to: now });
    }
    let count = "select count(*) from account_balances_rebuilt";
    let accounts = sqlx::query_scalar(count).fetch_one(&mut *transaction).await?;
    sqlx::raw_sql(SWITCH).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(RebuiltBalances { accounts, position: at })
}

async fn refuse_writers(db: &mut PgConnection) -> Result<(), RebuildError> {
    let sessions: i64 = sqlx::query_scalar(
        "select count(*) from pg_stat_activity \
         where datname = current_database() and usename = $1",
    )
    .bind(WRITERS)
    .fetch_one(db)
    .await?;
    if sessions > 0 { Err(RebuildError::Writers { sessions }) } else { Ok(()) }
}

/// An account as a page leaves it.
#[derive(Debug, Clone, Copy, Default)]
struct Balance {
    totals: Totals,
    position: Position,
}

async fn add(db: &mut PgConnection, page: &[RecordedEvent]) -> Result<(), RebuildError> {
    let mut moved: HashMap<AccountId, Balance> = HashMap::new();
    let mut moving: Vec<(&RecordedEvent, Event)> = Vec::new();
    for recorded in page {
        let event = recorded.decode().map_err(|error| RebuildError::at(recorded, error))?;
        moved.extend(event.movements().accounts().map(|account| (account, Balance::default())));
        moving.push((recorded, event));
    }
    let ids: Vec<Uuid> = moved.keys().map(|id| id.uuid()).collect();
    let known: Vec<(Uuid, WideMinor, WideMinor, WideMinor, WideMinor)> =
        sqlx::query_as(KNOWN).bind(LOG_ID).bind(&ids).fetch_all(&mut *db).await?;
    for (id, debits_posted, credits_posted, debits_pending, credits_pending) in known {
        let totals = Totals {
            debits_posted: debits_posted.into(),
            credits_posted: credits_posted.into(),
            debits_pending: debits_pending.into(),
            credits_pending: credits_pending.into(),
        };
        moved.insert(AccountId::from_uuid(id), Balance { totals, position: Position::START });
    }
    for (recorded, event) in moving {
        let accounts: HashSet<AccountId> = event.movements().accounts().collect();
        for account in accounts {
            let balance = moved.entry(account).or_default();
            balance.totals = event.movements().applied_to(account, balance.totals);
            if balance.totals.released_too_much() {
                return Err(RebuildError::at(recorded, "more is released than was held"));
            }
            balance.position = recorded.position;
        }
    }
    let column = |of: fn(&Totals) -> i128| -> Vec<WideMinor> {
        moved.values().map(|balance| WideMinor(of(&balance.totals))).collect()
    };
    sqlx::query(MOVE)
        .bind(LOG_ID)
        .bind(moved.keys().map(|id| id.uuid()).collect::<Vec<_>>())
        .bind(column(|totals| totals.debits_posted))
        .bind(column(|totals| totals.credits_posted))
        .bind(column(|totals| totals.debits_pending))
        .bind(column(|totals| totals.credits_pending))
        .bind(moved.values().map(|balance| balance.position.number()).collect::<Vec<_>>())
        .execute(db)
        .await?;
    Ok(())
}
