//! Committed states in memory. Losing them costs time, never correctness.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use dashmap::DashMap;
use domain::{State, StateKey};

use crate::log::Position;

/// The most states kept: at about 500 bytes each, 100 MB.
pub(crate) const CACHED_STATES_MAX: usize = 200_000;
/// About the most memory that they take, in bytes: twice what so many usual ones do. An account with the largest metadata
/// has a hundred thousand.
pub(crate) const CACHED_BYTES_MAX: usize = 256 * 1024 * 1024;

/// A state as of a position; `None` where it was known not to exist then.
#[derive(Debug, Clone)]
pub(crate) struct Versioned {
    pub(crate) state: Option<State>,
    pub(crate) at: Position,
}

impl Versioned {
    /// About how many bytes of memory it takes with its key.
    pub(crate) fn bytes(&self) -> usize {
        const KEY_BYTES: usize = 128;
        KEY_BYTES + self.state.as_ref().map_or(0, State::bytes)
    }
}

#[derive(Debug)]
struct Cached {
    versioned: Versioned,
    bytes: usize,
    used: AtomicBool,
}

/// Read by everybody, written by the sequencer alone.
#[derive(Debug, Default)]
pub(crate) struct StateCache {
    states: DashMap<StateKey, Cached, ahash::RandomState>,
    /// What all of them take.
    bytes: AtomicUsize,
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
        let bytes = versioned.bytes();
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let cached = Cached { versioned, bytes, used: AtomicBool::new(true) };
        if let Some(before) = self.states.insert(key, cached) {
            self.bytes.fetch_sub(before.bytes, Ordering::Relaxed);
        }
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
            let bytes = cached.versioned.bytes();
            self.bytes.fetch_add(bytes, Ordering::Relaxed);
            self.bytes.fetch_sub(std::mem::replace(&mut cached.bytes, bytes), Ordering::Relaxed);
        }
    }

    /// Drops everything, what is being loaded just now included: it may be of a database that is gone.
    pub(crate) fn clear(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        // One by one, since others may look meanwhile, though nobody inserts.
        self.retain(|_| false);
    }

    /// Of what is loaded from now on.
    pub(crate) fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Makes room when there are more than `max` states, or they take more than `bytes_max`: those not used since the
    /// last time go first. Called between batches only, so that no state goes while a decision needs it.
    pub(crate) fn evict_to(&self, max: usize, bytes_max: usize) {
        let surplus = || {
            let bytes = self.bytes.load(Ordering::Relaxed).saturating_sub(bytes_max);
            (self.states.len().saturating_sub(max), bytes)
        };
        if surplus() == (0, 0) {
            return;
        }
        self.retain(|cached| cached.used.swap(false, Ordering::Relaxed));
        let (mut states, mut bytes) = surplus();
        if (states, bytes) != (0, 0) {
            self.retain(|cached| {
                let stays = (states, bytes) == (0, 0);
                states = states.saturating_sub(1);
                bytes = bytes.saturating_sub(cached.bytes);
                stays
            });
        }
    }

    fn retain(&self, mut stays: impl FnMut(&Cached) -> bool) {
        let mut gone = 0;
        self.states.retain(|_, cached| {
            let stays = stays(cached);
            gone += if stays { 0 } else { cached.bytes };
            stays
        });
        self.bytes.fetch_sub(gone, Ordering::Relaxed);
    }

    /// How many states there are, and how many bytes they take.
    pub(crate) fn size(&self) -> (usize, usize) {
        (self.states.len(), self.bytes.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::merchants::{FeeTerms, MerchantRegistered};
    use domain::{Event, MerchantId, Name, StreamVersion, Timestamp};
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
        cache.evict_to(9, CACHED_BYTES_MAX);
        assert_eq!(cache.states.len(), 9, "all were just inserted: some must go all the same");
        let kept: Vec<u128> = (0..10).filter(|number| cache.contains(&key(*number))).collect();
        for number in &kept[..3] {
            assert!(cache.get(&key(*number)).is_some());
        }
        cache.evict_to(3, CACHED_BYTES_MAX);
        for number in &kept[..3] {
            assert!(cache.contains(&key(*number)), "used since: stays");
        }
        assert_eq!(cache.states.len(), 3);
    }

    #[test]
    fn the_bytes_that_states_take_are_bounded_however_few_they_are() {
        let cache = StateCache::default();
        let fat = |number: u128| {
            let name = Name::parse(&"\u{1F4B6}".repeat(Name::CHARACTERS_MAX)).unwrap();
            let merchant_id = MerchantId::from_uuid(Uuid::from_u128(number));
            let fees = FeeTerms::free();
            let registered =
                Event::MerchantRegistered(MerchantRegistered { merchant_id, name, fees });
            let (key, at) = (key(number), Timestamp::from_micros(0));
            let state = State::evolve(&key, None, &registered, StreamVersion::FIRST, at);
            (key, Versioned { state, at: Position::START })
        };
        let one = fat(0).1.bytes();
        for number in 0..100 {
            let (key, versioned) = fat(number);
            cache.insert(key.clone(), versioned.clone());
            cache.insert(key, versioned);
        }
        assert_eq!(cache.size(), (100, 100 * one), "what takes another's place counts once");
        cache.evict_to(1_000, 10 * one);
        let (states, bytes) = cache.size();
        assert!(states <= 10 && bytes == states * one, "{states} of {bytes} bytes");
        cache.clear();
        assert_eq!(cache.size(), (0, 0));
    }
}
