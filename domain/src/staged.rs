//! States with what a decision has made of them so far.

use std::collections::HashMap;

use crate::event::NewEvent;
use crate::state::{State, StateKey, States};
use crate::time::Timestamp;

/// The states of `base`, with events folded in that are not appended yet.
pub(crate) struct Staged<'a, S> {
    base: &'a S,
    changed: HashMap<StateKey, Option<State>>,
    at: Timestamp,
}

impl<S: States> States for Staged<'_, S> {
    fn state(&self, key: &StateKey) -> Option<&State> {
        match self.changed.get(key) {
            Some(state) => state.as_ref(),
            None => self.base.state(key),
        }
    }
}

impl<'a, S: States> Staged<'a, S> {
    /// The states of `base`; what is folded in is recorded at `at`.
    pub(crate) fn over(base: &'a S, at: Timestamp) -> Self {
        Self { base, changed: HashMap::new(), at }
    }

    /// Folds one more event in.
    pub(crate) fn fold(&mut self, new: &NewEvent) {
        for key in new.event.changes(&new.stream) {
            let before = self.changed.remove(&key);
            let before = before.unwrap_or_else(|| self.base.state(&key).cloned());
            let after = State::evolve(&key, before, &new.event, new.version, self.at);
            self.changed.insert(key, after);
        }
    }
}
