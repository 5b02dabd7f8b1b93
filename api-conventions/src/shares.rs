//! Pools that many callers have in common, and how much of each is one caller's at the most: whoever takes
//! its whole share leaves the rest to others.

use std::collections::HashMap;
use std::fmt::{self, Debug};
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::{Counter, Gauge};

use crate::problem::{Problem, RETRY_AFTER_S};
use crate::problem_kinds as kinds;

/// What a pool is, and its bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pool {
    /// Its label in the metrics, in snake case.
    pub name: &'static str,
    /// What is counted, in the plural: `imports`, `bytes of answers`.
    pub units: &'static str,
    /// Who has a share: `merchant`, `API key`, `address`.
    pub owner: &'static str,
    /// The most units that are taken at a time.
    pub total: usize,
    /// The most of them that one owner has.
    pub of_one: usize,
}

/// A pool and who has how much of it. Remembers only owners that have something.
#[derive(Debug)]
pub struct Shares<O> {
    shared: Arc<Shared<O>>,
}

/// Units of a pool, until this is dropped.
#[derive(Debug)]
pub struct Place<O: Eq + Hash> {
    shared: Arc<Shared<O>>,
    owner: O,
    units: usize,
}

struct Shared<O> {
    pool: Pool,
    taken: Mutex<Taken<O>>,
    in_use: Gauge,
    refused_own: Counter,
    refused_all: Counter,
}

#[derive(Debug)]
struct Taken<O> {
    all: usize,
    by_owner: HashMap<O, usize>,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoPlace {
    /// The owner has its share.
    #[error("this {owner} has its share of the {units} at a time, {of_one} of {total}",
        owner = .0.owner, units = .0.units, of_one = .0.of_one, total = .0.total)]
    OwnShare(Pool),
    /// Everything is taken.
    #[error("all {total} {units} at a time are taken", total = .0.total, units = .0.units)]
    All(Pool),
}

impl<O> Clone for Shares<O> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<O: Eq + Hash + Clone> Shares<O> {
    /// Nothing is taken. The recorder of the `metrics` crate has to be installed before.
    pub fn of(pool: Pool) -> Self {
        assert!(pool.of_one <= pool.total, "a share is a part of the pool");
        let refused = |share: &'static str| metrics::counter!("runut_pool_refused_total", "pool" => pool.name, "share" => share);
        let shared = Shared {
            pool,
            taken: Mutex::new(Taken { all: 0, by_owner: HashMap::new() }),
            in_use: metrics::gauge!("runut_pool_taken", "pool" => pool.name),
            refused_own: refused("own"),
            refused_all: refused("all"),
        };
        Self { shared: Arc::new(shared) }
    }

    /// One unit for `owner`.
    ///
    /// # Errors
    /// [`NoPlace`]; nothing waits.
    pub fn take(&self, owner: O) -> Result<Place<O>, NoPlace> {
        self.take_units(owner, 1)
    }

    /// So many units for `owner`.
    ///
    /// # Errors
    /// [`NoPlace`]; nothing waits.
    pub fn take_units(&self, owner: O, units: usize) -> Result<Place<O>, NoPlace> {
        let shared = &self.shared;
        let pool = shared.pool;
        let mut taken = shared.lock();
        let own = taken.by_owner.get(&owner).copied().unwrap_or(0);
        if own.saturating_add(units) > pool.of_one {
            shared.refused_own.increment(1);
            return Err(NoPlace::OwnShare(pool));
        }
        if taken.all.saturating_add(units) > pool.total {
            shared.refused_all.increment(1);
            return Err(NoPlace::All(pool));
        }
        taken.all += units;
        taken.by_owner.insert(owner.clone(), own + units);
        drop(taken);
        shared.in_use.increment(as_gauge(units));
        Ok(Place { shared: Arc::clone(shared), owner, units })
    }

    /// How many units are taken.
    pub fn taken(&self) -> usize {
        self.shared.lock().all
    }

    /// How many owners have something.
    pub fn owners(&self) -> usize {
        self.shared.lock().by_owner.len()
    }
}

impl<O> Shared<O> {
    fn lock(&self) -> MutexGuard<'_, Taken<O>> {
        // Nothing that can panic happens between the first change and the last.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<O> Debug for Shared<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("pool", &self.pool).finish_non_exhaustive()
    }
}

impl<O: Eq + Hash> Drop for Place<O> {
    fn drop(&mut self) {
        let mut taken = self.shared.lock();
        taken.all -= self.units;
        if let Some(own) = taken.by_owner.get_mut(&self.owner) {
            *own -= self.units;
            if *own == 0 {
                taken.by_owner.remove(&self.owner);
            }
        }
        drop(taken);
        self.shared.in_use.decrement(as_gauge(self.units));
    }
}

/// 429 where the owner has its share, 503 where everything is taken; both say which bound it is, and when to
/// come back.
impl From<NoPlace> for Problem {
    fn from(no_place: NoPlace) -> Self {
        let kind = match no_place {
            NoPlace::OwnShare(_) => kinds::TOO_MANY_REQUESTS,
            NoPlace::All(_) => kinds::UNAVAILABLE,
        };
        Self::new(kind, no_place).with_retry_after_s(RETRY_AFTER_S)
    }
}

/// Pools have far fewer units than a float counts.
fn as_gauge(units: usize) -> f64 {
    u32::try_from(units).map_or(f64::MAX, f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POOL: Pool =
        Pool { name: "tests", units: "tests", owner: "merchant", total: 8, of_one: 3 };

    #[test]
    fn one_owner_has_its_share_and_others_get_in() {
        let shares = Shares::of(POOL);
        let mut held: Vec<_> = (0..3).map(|_| shares.take("busy").unwrap()).collect();
        assert_eq!(shares.take("busy").unwrap_err(), NoPlace::OwnShare(POOL));
        held.push(shares.take("other").unwrap());
        held.pop();
        held.pop();
        assert!(shares.take("busy").is_ok(), "what is given back can be taken again");
    }

    #[test]
    fn nobody_has_more_than_there_is() {
        let shares = Shares::of(POOL);
        let held: Vec<_> = (0..8).map(|n| shares.take(n / 2).unwrap()).collect();
        assert_eq!(shares.take(99).unwrap_err(), NoPlace::All(POOL));
        assert_eq!((shares.taken(), shares.owners()), (8, 4));
        drop(held);
        assert_eq!((shares.taken(), shares.owners()), (0, 0), "nobody is remembered");
    }

    #[test]
    fn units_are_taken_all_or_none() {
        let shares = Shares::of(POOL);
        let two = shares.take_units("a", 2).unwrap();
        assert_eq!(shares.take_units("a", 2).unwrap_err(), NoPlace::OwnShare(POOL));
        assert_eq!(shares.taken(), 2);
        assert_eq!(shares.take_units("b", usize::MAX).unwrap_err(), NoPlace::OwnShare(POOL));
        drop(two);
        assert!(shares.take_units("a", 3).is_ok());
    }

    #[test]
    fn the_answer_says_which_bound_it_is_and_when_to_come_back() {
        let own = Problem::from(NoPlace::OwnShare(POOL)).body_text(None);
        insta::assert_snapshot!(own, @r#"{"type":"/problems/too-many-requests","title":"Too many requests","status":429,"detail":"this merchant has its share of the tests at a time, 3 of 8","code":"too-many-requests","retryable":true}"#);
        let all = Problem::from(NoPlace::All(POOL)).body_text(None);
        insta::assert_snapshot!(all, @r#"{"type":"/problems/unavailable","title":"Not available at the moment","status":503,"detail":"all 8 tests at a time are taken","code":"unavailable","retryable":true}"#);
    }
}
