//! Committed states in memory. Losing them costs time, never correctness.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use dashmap::DashMap;
use domain::{State, StateKey};

use crate::log::Position;

/// The most states kept: at about 500 bytes each, 100 MB.
pub(crate) const CACHED_STATES_MAX: usize = 200_000;

/// A state as of a position; `None` where it was known not to exist then.
#[derive(Debug, Clone)]
pub(crate) struct Versioned {
    pub(crate) state: Option<State>,
    pub(crate) at: Position,
}

#[derive(Debug)]
struct Cached {
    versioned: Versioned,
    used: AtomicBool,
}

/// Read by everybody, written by the sequencer alone.
#[derive(Debug, Default)]
pub(crate) struct StateCache {
    states: DashMap<StateKey, Cached, ahash::RandomState>,
    /// How often everything in it was dropped.
    generation: AtomicU64,
}

impl StateCache {
    /// The state under `key`; `None` is a miss and says nothing of whether it exists.
    pub(crate) fn get(&self, key: &StateKey) -> Option<Versioned> {
        let cached = self.states.get(key)?;
        cached.used.store(true, Ordering::Relaxed);
        Some(cached.versioned.clone())
    }

    pub(crate) fn contains(&self, key: &StateKey) -> bool {
        self.states.contains_key(key)
    }

    pub(crate) fn insert(&self, key: StateKey, versioned: Versioned) {
        self.states.insert(key, Cached { versioned, used: AtomicBool::new(true) });
    }

    /// Changes the state under `key`, if it is here and older than `at`.
    pub(crate) fn advance(
        &self,
        key: &StateKey,
        at: Position,
        change: impl FnOnce(Option<State>) -> Option<State>,
    ) {
        if let Some(mut cached) = self.states.get_mut(key)
            && cached.versioned.at < at
        {
            let before = cached.versioned.state.take();
            cached.versioned = Versioned { state: change(before), at };
        }
    }

    /// Drops everything, what is being loaded just now included: it may be of a database that is gone.
    pub(crate) fn clear(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.states.clear();
    }

    /// Of what is loaded from now on.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Makes room when there are more than `max` states: those not used since the last time go first.
    /// Called between batches only, so that no state goes while a decision needs it.
    pub(crate) fn evict_to(&self, max: usize) {
        if self.states.len() <= max {
            return;
        }
        self.states.retain(|_, cached| cached.used.swap(false, Ordering::Relaxed));
        let mut surplus = self.states.len().saturating_sub(max);
        if surplus > 0 {
            self.states.retain(|_, _| {
                let stays = surplus == 0;
                surplus = surplus.saturating_sub(1);
                stays
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::MerchantId;
    use uuid::Uuid;

    fn key(number: u128) -> StateKey {
        StateKey::Merchant(MerchantId::from_uuid(Uuid::from_u128(number)))
    }

    #[test]
    fn eviction_keeps_what_was_used_and_never_exceeds_the_bound() {
        let cache = StateCache::default();
        for number in 0..10 {
            cache.insert(key(number), Versioned { state: None, at: Position::START });
        }
        cache.evict_to(9);
        assert_eq!(cache.states.len(), 9, "all were just inserted: some must go all the same");
        let kept: Vec<u128> = (0..10).filter(|number| cache.contains(&key(*number))).collect();
        for number in &kept[..3] {
            assert!(cache.get(&key(*number)).is_some());
        }
        cache.evict_to(3);
        for number in &kept[..3] {
            assert!(cache.contains(&key(*number)), "used since: stays");
        }
        assert_eq!(cache.states.len(), 3);
    }
}
