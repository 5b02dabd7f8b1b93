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

/// The oldest transaction that somebody still has to see, and who: sessions that read it, or are it. Who takes
/// a new snapshot while another writes has that one's as the oldest too; so there may be several, and only
/// who is among them all the time holds it. Vacuum itself holds nothing back.
const OLDEST: &str = "
    select xmin::text, max(age(xmin)) as transactions, array_agg(holder) as holders from (
        select format('session %s of %s', pid, coalesce(usename, backend_type)) as holder,
               case when backend_xmin is null or age(backend_xid) >= age(backend_xmin)
                    then backend_xid else backend_xmin end as xmin
        from pg_stat_activity
        where (datname = current_database() or datname is null or backend_xid is not null)
            and pid <> pg_backend_pid()
            and pid not in (select pid from pg_stat_progress_vacuum)
        union all
        select 'prepared transaction ' || gid, transaction from pg_prepared_xacts
        union all
        select 'replication slot ' || slot_name, xmin from pg_replication_slots
    ) as held
    where xmin is not null
    group by xmin::text
    order by transactions desc limit 1";
/// The most holders that are named.
const HOLDERS_NAMED_MAX: usize = 3;

/// Looks every second who holds the oldest snapshot. Made by [`crate::EventStore::snapshot_watch`]; does
/// nothing until it is run.
#[derive(Debug)]
pub struct SnapshotWatch {
    pool: PgPool,
    health: Arc<Health>,
    held: Option<Held>,
}

/// A snapshot that slows appends down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OldSnapshot {
    /// For how long it has been seen.
    pub held_for: Duration,
    /// Who has held it all that time: sessions, slots or prepared transactions; for the operator's eyes.
    pub holders: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
struct Snapshot {
    /// The transaction, by its number.
    xmin: String,
    /// How many began since.
    transactions: i32,
    holders: Vec<String>,
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
        self.held = oldest.map(|snapshot| match known.and_then(|known| known.still(&snapshot)) {
            Some((holders, since)) => Held { snapshot: Snapshot { holders, ..snapshot }, since },
            None => Held { snapshot, since: now },
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

impl Held {
    /// Who of those that held it holds it still, and since when; `None` where nobody does.
    fn still(self, seen: &Snapshot) -> Option<(Vec<String>, Instant)> {
        if self.snapshot.xmin != seen.xmin {
            return None;
        }
        let mut holders = self.snapshot.holders;
        holders.retain(|holder| seen.holders.contains(holder));
        (!holders.is_empty()).then_some((holders, self.since))
    }

    fn alarm(&self, now: Instant) -> Option<OldSnapshot> {
        let Snapshot { transactions, holders, .. } = &self.snapshot;
        let held_for = now - self.since;
        let old = held_for >= SNAPSHOT_HELD_MAX && *transactions >= SNAPSHOT_TRANSACTIONS_MAX;
        old.then(|| OldSnapshot {
            held_for,
            holders: holders.iter().take(HOLDERS_NAMED_MAX).cloned().collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(holders: &[&str], xmin: &str, transactions: i32) -> Option<Snapshot> {
        let holders = holders.iter().map(|holder| (*holder).to_owned()).collect();
        Some(Snapshot { xmin: xmin.to_owned(), transactions, holders })
    }

    #[tokio::test]
    async fn only_what_is_held_long_while_others_write_is_an_alarm() {
        let pool = sqlx::PgPool::connect_lazy("postgres://localhost").unwrap();
        let health = Arc::<Health>::default();
        let mut watch = SnapshotWatch::new(pool, Arc::clone(&health));
        let start = Instant::now();
        let mut alarm = |second, seen| {
            watch.see(seen, start + Duration::from_secs(second));
            health.watch_old_snapshot().borrow().clone()
        };
        let busy = SNAPSHOT_TRANSACTIONS_MAX;
        assert_eq!(alarm(0, snapshot(&["a", "b"], "7", 1)), None);
        assert_eq!(alarm(4, snapshot(&["a", "c"], "7", busy)), None, "not for long");
        assert_eq!(alarm(5, snapshot(&["d", "a"], "7", busy - 1)), None, "hardly anybody wrote");
        let held_for = Duration::from_secs(6);
        let old = OldSnapshot { held_for, holders: vec!["a".to_owned()] };
        assert_eq!(alarm(6, snapshot(&["e", "a"], "7", busy)), Some(old));
        assert_eq!(alarm(7, snapshot(&["a"], "8", busy)), None, "a new one");
        assert_eq!(alarm(12, snapshot(&["b"], "8", busy)), None, "another has it now");
        assert!(alarm(17, snapshot(&["b"], "8", busy)).is_some());
        assert_eq!(alarm(18, None), None);
    }
}
