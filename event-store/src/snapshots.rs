//! Watching for old snapshots on the log's server.
//!
//! Each append leaves a dead version of the head's row behind. As long as anybody holds a snapshot from before,
//! none of them can be removed, and the append slows to a tenth within a minute. Our roles have time-outs;
//! this sees everybody else: a forgotten session of a person, a replica that reads, an abandoned slot.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::PgPool;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::health::Health;

/// The longest that a transaction may last on the log's server.
pub const SNAPSHOT_HELD_MAX: Duration = Duration::from_secs(5);
/// So many transactions have to be later than a snapshot before it matters: those of less than a second of
/// appends. On a log that rests the same snapshot may well be the oldest for hours.
pub const SNAPSHOT_TRANSACTIONS_MAX: i32 = 100;

const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Who holds back the vacuum of this database's tables. Vacuum itself does not.
const OLDEST: &str = "
    select holder, xmin, transactions from (
        select format('session %s of %s', pid, coalesce(usename, 'a replica')) as holder,
               coalesce(backend_xmin, backend_xid)::text as xmin,
               greatest(age(backend_xmin), age(backend_xid)) as transactions
        from pg_stat_activity
        where (datname = current_database() or datname is null)
            and (backend_xmin is not null or backend_xid is not null)
            and pid <> pg_backend_pid()
            and pid not in (select pid from pg_stat_progress_vacuum)
        union all
        select 'prepared transaction ' || gid, transaction::text, age(transaction)
        from pg_prepared_xacts where database = current_database()
        union all
        select 'replication slot ' || slot_name, xmin::text, age(xmin)
        from pg_replication_slots where xmin is not null
    ) as held
    order by transactions desc limit 1";

/// Looks every second who holds the oldest snapshot. Made by [`crate::EventStore::snapshot_watch`]; does
/// nothing until it is run.
#[derive(Debug)]
pub struct SnapshotWatch {
    pool: PgPool,
    health: Arc<Health>,
    held: Option<Held>,
}

#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
struct Snapshot {
    holder: String,
    xmin: String,
    /// How many transactions began since.
    transactions: i32,
}

#[derive(Debug)]
struct Held {
    snapshot: Snapshot,
    since: Instant,
}

impl SnapshotWatch {
    pub(crate) fn new(pool: PgPool, health: Arc<Health>) -> Self {
        Self { pool, health, held: None }
    }

    /// Looks until `shutdown`. Where it cannot, the last sight stays.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let watching = async {
            loop {
                looks.tick().await;
                let oldest = sqlx::query_as(OLDEST).fetch_optional(&self.pool).await;
                // Whatever is wrong with the database, the sequencer says it.
                if let Ok(oldest) = oldest {
                    self.see(oldest, Instant::now());
                }
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = watching => {}
        }
    }

    fn see(&mut self, oldest: Option<Snapshot>, now: Instant) {
        let known = self.held.take();
        self.held = oldest.map(|snapshot| {
            let since = known.filter(|known| known.snapshot.is_same(&snapshot));
            Held { snapshot, since: since.map_or(now, |known| known.since) }
        });
        let transactions = self.held.as_ref().map_or(0, |held| held.snapshot.transactions);
        let held_for = self.held.as_ref().map_or(Duration::ZERO, |held| now - held.since);
        let alarm = self.held.as_ref().and_then(|held| held.alarm(now));
        metrics::gauge!("runut_oldest_snapshot_transactions").set(transactions);
        metrics::gauge!("runut_oldest_snapshot_seconds").set(held_for);
        metrics::gauge!("runut_oldest_snapshot_alarm").set(u32::from(alarm.is_some()));
        self.health.set_old_snapshot(alarm);
    }
}

impl Snapshot {
    fn is_same(&self, other: &Self) -> bool {
        (&self.holder, &self.xmin) == (&other.holder, &other.xmin)
    }
}

impl Held {
    fn alarm(&self, now: Instant) -> Option<String> {
        let Snapshot { holder, transactions, .. } = &self.snapshot;
        let held_for = now - self.since;
        let old = held_for >= SNAPSHOT_HELD_MAX && *transactions >= SNAPSHOT_TRANSACTIONS_MAX;
        old.then(|| {
            let held_s = held_for.as_secs();
            format!("{holder} has held a snapshot for {held_s} s; appends slow down until it ends")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(holder: &str, xmin: &str, transactions: i32) -> Option<Snapshot> {
        Some(Snapshot { holder: holder.to_owned(), xmin: xmin.to_owned(), transactions })
    }

    #[tokio::test]
    async fn only_what_the_same_session_held_long_while_others_wrote_is_an_alarm() {
        let pool = sqlx::PgPool::connect_lazy("postgres://localhost").unwrap();
        let health = Arc::<Health>::default();
        let mut watch = SnapshotWatch::new(pool, Arc::clone(&health));
        let start = Instant::now();
        let mut alarmed = |second, seen| {
            watch.see(seen, start + Duration::from_secs(second));
            health.watch_old_snapshot().borrow().is_some()
        };
        let busy = SNAPSHOT_TRANSACTIONS_MAX;
        assert!(!alarmed(0, snapshot("a", "7", 1)));
        assert!(!alarmed(4, snapshot("a", "7", busy)), "not for long");
        assert!(!alarmed(5, snapshot("a", "7", busy - 1)), "hardly anybody wrote");
        assert!(alarmed(6, snapshot("a", "7", busy)));
        assert!(!alarmed(7, snapshot("a", "8", busy)), "a new snapshot of the same session");
        assert!(!alarmed(12, snapshot("b", "8", busy)), "another session");
        assert!(alarmed(17, snapshot("b", "8", busy)));
        assert!(!alarmed(18, None));
    }
}
