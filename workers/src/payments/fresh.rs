//! Payments for which something is due since just now, as the memory of this process has them.
//!
//! The queue is a read model and follows the log by some tens of milliseconds. What was appended by this process, or
//! seen by it, need not wait for that. It is a short cut only: whatever is left out here is in the queue a moment later.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use domain::{Event, PaymentId, Timestamp};
use event_store::log::Position;
use event_store::{EventStore, RecentEvents};

use super::queue::Claimed;
use super::shares::Room;

/// The most events that are looked at together.
const FRESH_EVENTS_MAX: i64 = 1_024;

/// The events that this process has not looked at yet.
#[derive(Debug)]
pub(super) struct Fresh {
    recent: RecentEvents,
    seen: Position,
}

impl Fresh {
    /// From the head on.
    pub(super) fn of(store: &EventStore) -> Self {
        let recent = store.recent();
        let seen = recent.head();
        Self { recent, seen }
    }

    /// The payments that events changed since this was last called, each once; waits for an event.
    pub(super) async fn changed(&mut self) -> Vec<PaymentId> {
        let head = self.recent.beyond(self.seen).await;
        let kept = self.recent.after(self.seen, FRESH_EVENTS_MAX).unwrap_or_default();
        self.seen = kept.last().map_or(head, |last| last.recorded.position);
        let mut named = HashSet::new();
        let ids = kept.iter().filter_map(|logged| match &*logged.event {
            Event::Payment(event) => Some(event.payment_id()),
            _ => None,
        });
        ids.filter(|id| named.insert(*id)).collect()
    }
}

/// Those of `changed` for which something is due now and whose PSP has room.
pub(super) fn due(
    store: &EventStore,
    changed: Vec<PaymentId>,
    room: &Room,
    now: Timestamp,
) -> Vec<Claimed> {
    let is_due = |id: PaymentId| {
        let payment = store.known_payment(id)?;
        let merchant = payment.merchant_id;
        let has_room = match payment.bound_to() {
            Some(psp) => room.has(psp, merchant),
            None => room.anywhere && !room.full_everywhere.contains(&merchant),
        };
        let due = has_room && !payment.steps(now).is_empty();
        due.then_some(Claimed { payment_id: id, version: payment.version })
    };
    changed.into_iter().filter_map(is_due).collect()
}

/// The payments that this worker is at, whose changes are its own.
#[derive(Debug, Clone, Default)]
pub(super) struct AtWork(Arc<Mutex<HashSet<PaymentId>>>);

impl AtWork {
    pub(super) fn has(&self, id: PaymentId) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains(&id)
    }

    /// Until what is returned is dropped.
    pub(super) fn begin(&self, id: PaymentId) -> Begun {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        Begun { at_work: self.clone(), id }
    }
}

/// That this worker is at a payment.
#[derive(Debug)]
pub(super) struct Begun {
    at_work: AtWork,
    id: PaymentId,
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.at_work.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}
