//! The last events in memory: they bring a state that was just loaded up to the head.

use std::collections::VecDeque;
use std::sync::Arc;

use domain::{Event, State, StateKey, StreamId, StreamVersion, Timestamp};

use super::cache::Versioned;
use crate::log::Position;

/// The most events kept: at 30,000 events/s half a second's, which is many times what a load takes.
const TAIL_EVENTS_MAX: usize = 16_384;

/// An event that was committed.
#[derive(Debug)]
pub(super) struct Committed {
    pub(super) position: Position,
    pub(super) stream: StreamId,
    pub(super) version: StreamVersion,
    pub(super) recorded_at: Timestamp,
    pub(super) event: Event,
    pub(super) changes: Vec<StateKey>,
}

impl Committed {
    /// The state under `key` after this event.
    pub(super) fn apply(&self, key: &StateKey, state: Option<State>) -> Option<State> {
        State::evolve(key, state, &self.event, self.version, self.recorded_at)
    }
}

/// Consecutive events that end at the head.
#[derive(Debug, Default)]
pub(super) struct Tail {
    events: VecDeque<Arc<Committed>>,
}

impl Tail {
    pub(super) fn push(&mut self, event: Arc<Committed>) {
        debug_assert!(
            self.events.back().is_none_or(|last| last.position.next() == event.position),
            "positions are gapless"
        );
        if self.events.len() == TAIL_EVENTS_MAX {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    pub(super) fn clear(&mut self) {
        self.events.clear();
    }

    /// The state of `loaded` as of `head`; `None` if it was loaded before the first event kept here.
    pub(super) fn bring_up(
        &self,
        key: &StateKey,
        loaded: Versioned,
        head: Position,
    ) -> Option<Versioned> {
        if loaded.at >= head {
            return Some(loaded);
        }
        let first = self.events.front()?.position;
        if loaded.at.next() < first {
            return None;
        }
        let skipped = usize::try_from(loaded.at.next().since(first)).ok()?;
        let mut state = loaded.state;
        for event in self.events.iter().skip(skipped) {
            if event.changes.contains(key) {
                state = event.apply(key, state);
            }
        }
        Some(Versioned { state, at: head })
    }
}
