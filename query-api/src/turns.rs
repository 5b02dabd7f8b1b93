//! Turns at the database: what one caller searches for is not waited for by another.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use api_conventions::{NoPlace, Pool};
use metrics::Gauge;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// So many turns at a time for each owner as its share of a pool. Remembers only owners that have one or wait for one.
#[derive(Debug)]
pub(crate) struct Turns<O> {
    pool: Pool,
    lines: Arc<Mutex<HashMap<O, Line>>>,
}

#[derive(Debug)]
struct Line {
    turns: Arc<Semaphore>,
    /// Those that have a turn or wait for one.
    present: usize,
}

/// A turn, until this is dropped.
#[derive(Debug)]
pub(crate) struct Turn<O: Eq + Hash> {
    _turn: OwnedSemaphorePermit,
    _present: Present<O>,
    pool: Pool,
}

fn taken(pool: Pool) -> Gauge {
    metrics::gauge!("runut_pool_taken", "pool" => pool.name)
}

#[derive(Debug)]
struct Present<O: Eq + Hash> {
    lines: Arc<Mutex<HashMap<O, Line>>>,
    owner: O,
}

impl<O> Clone for Turns<O> {
    fn clone(&self) -> Self {
        Self { pool: self.pool, lines: Arc::clone(&self.lines) }
    }
}

impl<O: Eq + Hash + Clone> Turns<O> {
    pub(crate) fn of(pool: Pool) -> Self {
        Self { pool, lines: Arc::default() }
    }

    /// A turn as soon as the owner has less than its share.
    ///
    /// # Errors
    /// [`NoPlace::OwnShare`] where that takes longer than `patience`.
    pub(crate) async fn one(&self, owner: O, patience: Duration) -> Result<Turn<O>, NoPlace> {
        let (turns, present) = self.line_up(owner);
        match tokio::time::timeout(patience, turns.acquire_owned()).await {
            Ok(Ok(turn)) => {
                taken(self.pool).increment(1.0);
                Ok(Turn { _turn: turn, _present: present, pool: self.pool })
            }
            // The semaphore is never closed.
            Ok(Err(_)) | Err(_) => {
                let name = self.pool.name;
                metrics::counter!("runut_pool_refused_total", "pool" => name, "share" => "own")
                    .increment(1);
                Err(NoPlace::OwnShare(self.pool))
            }
        }
    }

    fn line_up(&self, owner: O) -> (Arc<Semaphore>, Present<O>) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let line = lines.entry(owner.clone()).or_insert_with(|| Line {
            turns: Arc::new(Semaphore::new(self.pool.of_one)),
            present: 0,
        });
        line.present += 1;
        (Arc::clone(&line.turns), Present { lines: Arc::clone(&self.lines), owner })
    }
}

impl<O: Eq + Hash> Drop for Turn<O> {
    fn drop(&mut self) {
        taken(self.pool).decrement(1.0);
    }
}

impl<O: Eq + Hash> Drop for Present<O> {
    fn drop(&mut self) {
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = lines.get_mut(&self.owner) {
            line.present -= 1;
            if line.present == 0 {
                lines.remove(&self.owner);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(2);

    fn turns(of_one: usize) -> Turns<&'static str> {
        Turns::of(Pool { name: "turns", units: "turns", owner: "caller", total: 8, of_one })
    }

    #[tokio::test(start_paused = true)]
    async fn an_owner_waits_for_its_own_turns_only() {
        let turns = turns(2);
        let one = turns.one("a", PATIENCE).await.expect("a turn");
        let _two = turns.one("a", PATIENCE).await.expect("a turn");
        let refused = turns.one("a", PATIENCE).await;
        assert!(matches!(refused, Err(NoPlace::OwnShare(_))), "it has its share");
        assert!(turns.one("b", PATIENCE).await.is_ok(), "others have theirs");
        let mut waiting = Box::pin(turns.one("a", PATIENCE));
        assert!(futures::poll!(waiting.as_mut()).is_pending());
        drop(one);
        assert!(waiting.await.is_ok(), "its turn comes");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_is_remembered_who_neither_has_nor_waits() {
        let turns = turns(1);
        let one = turns.one("a", PATIENCE).await.expect("a turn");
        assert!(turns.one("a", PATIENCE).await.is_err());
        assert_eq!(turns.lines.lock().unwrap().len(), 1);
        drop(one);
        assert!(turns.lines.lock().unwrap().is_empty());
    }
}
