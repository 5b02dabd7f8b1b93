//! The last events of the log in memory, as they were committed.
//!
//! They bring a state that was just loaded up to the head, and the mirror and the projections of the process
//! that appends are fed from them: what was written a moment ago need not be read again.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError, RwLock};

use domain::{Event, EventTime, State, StateKey};
use tokio::sync::watch;

use crate::log::{PAGE_BYTES_MAX, Position, RecordedEvent};
use crate::sequencer::Versioned;

/// The most events kept: at 30,000 events/s half a second's, which is many times what a load takes, and what
/// a projection is behind that keeps up.
const KEPT_EVENTS_MAX: usize = 16_384;
/// About the most memory that they take, in bytes: some 4 KiB an event, a third more than an entry takes.
const KEPT_BYTES_MAX: i64 = 64 * 1024 * 1024;
/// How many times its text an event takes in memory once it is read.
const READ_FACTOR: i64 = 3;

/// An event of the log, and what it says.
#[derive(Debug)]
pub struct LoggedEvent {
    /// Its row.
    pub recorded: RecordedEvent,
    /// What the data of the row say.
    pub event: Arc<Event>,
    time: EventTime,
    /// The states that it changes.
    pub(crate) changes: Vec<StateKey>,
}

impl LoggedEvent {
    /// The event of a row whose data say `event`.
    pub(crate) fn new(recorded: RecordedEvent, event: Event) -> Self {
        let changes = event.changes(&recorded.stream_id);
        let time = recorded.time();
        Self { recorded, event: Arc::new(event), time, changes }
    }

    /// The state under `key` after this event.
    pub(crate) fn apply(&self, key: &StateKey, state: Option<State>) -> Option<State> {
        State::evolve(key, state, &self.event, self.recorded.version, self.time)
    }

    fn bytes(&self) -> i64 {
        i64::try_from(self.recorded.data.len() + self.recorded.metadata.len()).unwrap_or(i64::MAX)
    }

    /// About what it takes in memory: its text, and what that says.
    fn memory(&self) -> i64 {
        self.bytes().saturating_mul(READ_FACTOR)
    }
}

/// Consecutive events that end at the head. Only the sequencer changes it.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    kept: RwLock<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    events: VecDeque<Arc<LoggedEvent>>,
    bytes: i64,
}

impl Tail {
    /// Adds what was committed; the oldest make room for it.
    pub(crate) fn extend(&self, events: impl IntoIterator<Item = Arc<LoggedEvent>>) {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        for event in events {
            debug_assert!(
                kept.events
                    .back()
                    .is_none_or(|last| last.recorded.position.next() == event.recorded.position),
                "positions are gapless"
            );
            kept.bytes += event.memory();
            kept.events.push_back(event);
            while kept.events.len() > KEPT_EVENTS_MAX || kept.bytes > KEPT_BYTES_MAX {
                let Some(oldest) = kept.events.pop_front() else { break };
                kept.bytes -= oldest.memory();
            }
        }
    }

    /// How many bytes of memory it takes.
    pub(crate) fn bytes(&self) -> i64 {
        self.kept.read().unwrap_or_else(PoisonError::into_inner).bytes
    }

    pub(crate) fn clear(&self) {
        *self.kept.write().unwrap_or_else(PoisonError::into_inner) = Kept::default();
    }

    /// The state of `loaded` as of `head`; `None` if it was loaded before the first event kept here.
    pub(crate) fn bring_up(
        &self,
        key: &StateKey,
        loaded: Versioned,
        head: Position,
    ) -> Option<Versioned> {
        if loaded.at >= head {
            return Some(loaded);
        }
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        let mut state = loaded.state;
        for event in kept.following(loaded.at)? {
            if event.changes.contains(key) {
                state = event.apply(key, state);
            }
        }
        Some(Versioned { state, at: head })
    }
}

impl Kept {
    /// The events after `position`; `None` where the first of them is not kept, or nothing is.
    fn following(&self, position: Position) -> Option<impl Iterator<Item = &Arc<LoggedEvent>>> {
        let first = self.events.front()?.recorded.position;
        if position.next() < first {
            return None;
        }
        let skipped = usize::try_from(position.next().since(first)).ok()?;
        Some(self.events.iter().skip(skipped))
    }
}

/// The last events of the log as the sequencer of this process knows them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct RecentEvents {
    tail: Arc<Tail>,
    head: watch::Receiver<Position>,
}

impl RecentEvents {
    pub(crate) fn new(tail: Arc<Tail>, head: watch::Receiver<Position>) -> Self {
        Self { tail, head }
    }

    /// The position of the last event that this process wrote or saw.
    pub fn head(&self) -> Position {
        *self.head.borrow()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Position> {
        self.head.clone()
    }

    /// Waits until the head is beyond `position`; for ever once the sequencer has ended.
    pub async fn beyond(&mut self, position: Position) -> Position {
        let reached = self.head.wait_for(|head| *head > position).await.map(|head| *head);
        match reached {
            Ok(head) => head,
            Err(_) => std::future::pending().await,
        }
    }

    /// At most `limit` events that follow `position`, in order, and at most [`PAGE_BYTES_MAX`] of data and
    /// metadata unless the first alone has more; `None` where the first has to be read from the log, since it
    /// is not kept any more.
    pub fn after(&self, position: Position, limit: i64) -> Option<Vec<Arc<LoggedEvent>>> {
        let kept = self.tail.kept.read().unwrap_or_else(PoisonError::into_inner);
        let limit = usize::try_from(limit).unwrap_or(0);
        let mut bytes = 0;
        let fits = |event: &&Arc<LoggedEvent>| {
            let first = bytes == 0;
            bytes += event.bytes();
            first || bytes <= PAGE_BYTES_MAX
        };
        Some(kept.following(position)?.take(limit).take_while(fits).cloned().collect())
    }
}
