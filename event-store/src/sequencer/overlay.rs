//! The overlay of a batch: what its commands have decided so far, over the committed states, or over
//! those that there will be once the batch before it is committed.

use std::sync::Arc;

use ahash::HashMap;
use domain::{AccountId, State, StateKey, States};

use super::cache::StateCache;
use crate::log::Position;
use crate::recent::LoggedEvent;

#[derive(Debug)]
struct Slot {
    state: Option<State>,
    changed: bool,
}

/// Committed on success, dropped on any other outcome.
#[derive(Debug)]
pub(super) struct Overlay<'a> {
    cache: &'a StateCache,
    /// What the batch before this one changes, if it is still being written.
    before: Option<&'a Changes>,
    slots: HashMap<StateKey, Slot>,
    events: Vec<Arc<LoggedEvent>>,
    claims: HashMap<StateKey, usize>,
    touched: HashMap<AccountId, Position>,
}

/// What an overlay becomes when its batch is committed.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) events: Vec<Arc<LoggedEvent>>,
    pub(super) states: HashMap<StateKey, Option<State>>,
    /// Where in `events` a state is claimed as new.
    claims: HashMap<StateKey, usize>,
}

impl<'a> Overlay<'a> {
    pub(super) fn over(cache: &'a StateCache, before: Option<&'a Changes>) -> Self {
        Self {
            cache,
            before,
            slots: HashMap::default(),
            events: Vec::new(),
            claims: HashMap::default(),
            touched: HashMap::default(),
        }
    }

    /// Brings the state under `key` within reach; whether it is known at all.
    pub(super) fn reach(&mut self, key: &StateKey) -> bool {
        if self.slots.contains_key(key) {
            return true;
        }
        let state = match self.before.and_then(|before| before.states.get(key)) {
            Some(state) => state.clone(),
            None => match self.cache.get(key) {
                Some(versioned) => versioned.state,
                None => return false,
            },
        };
        self.slots.insert(key.clone(), Slot { state, changed: false });
        true
    }

    /// Whether it is known what is under `key`, or that nothing is.
    pub(super) fn reached(&self, key: &StateKey) -> bool {
        self.slots.contains_key(key)
    }

    /// Makes room for a state that a command makes under an id drawn for it; taken for absent where
    /// nothing is known of it.
    pub(super) fn reach_new(&mut self, key: StateKey) {
        if !self.reach(&key) {
            self.slots.insert(key, Slot { state: None, changed: false });
        }
    }

    /// Brings within reach what is known of a state that a command claims as new: one of this very batch or
    /// of the one before it, or one that was looked up after the log refused the claim.
    pub(super) fn reach_claim(&mut self, key: StateKey) {
        if self.reach(&key) {
            return;
        }
        if let Some(index) = self.claims.get(&key) {
            let state = self.events[*index].apply(&key, None);
            self.slots.insert(key, Slot { state, changed: true });
        } else if let Some(before) = self.before
            && let Some(index) = before.claims.get(&key)
        {
            let state = before.events[*index].apply(&key, None);
            self.slots.insert(key, Slot { state, changed: false });
        }
    }

    /// Folds a decided event.
    pub(super) fn fold(&mut self, decided: LoggedEvent) {
        for key in &decided.changes {
            self.reach(key);
            if let Some(slot) = self.slots.get_mut(key) {
                slot.state = decided.apply(key, slot.state.take());
                slot.changed = true;
            }
        }
        if let Some(key) = decided.event.claimed(&decided.recorded.stream_id) {
            self.claims.insert(key, self.events.len());
        }
        for account in decided.event.movements().accounts() {
            self.touched.insert(account, decided.recorded.position);
        }
        self.events.push(Arc::new(decided));
    }

    /// The accounts that entries of this batch moved, with the last position that did.
    pub(super) fn touched(&self) -> impl Iterator<Item = (&domain::accounts::Account, Position)> {
        self.touched.iter().filter_map(|(id, position)| Some((self.account(*id)?, *position)))
    }

    pub(super) fn into_changes(self) -> Changes {
        let states = self
            .slots
            .into_iter()
            .filter(|(_, slot)| slot.changed)
            .map(|(key, slot)| (key, slot.state))
            .collect();
        Changes { events: self.events, states, claims: self.claims }
    }
}

impl States for Overlay<'_> {
    fn state(&self, key: &StateKey) -> Option<&State> {
        self.slots.get(key)?.state.as_ref()
    }
}
