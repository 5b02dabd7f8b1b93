//! A batch of events folded in memory: each payment that changes, as it stands at the end. No I/O here.

use std::collections::{BTreeMap, HashMap};

use domain::payments::{Payment, PaymentEvent, PspName};
use domain::psps::PspEvent;
use domain::{Event, PaymentId, Timestamp};
use event_store::log::Position;
use uuid::Uuid;

use crate::projection::{AppliedEvent, ApplyError};

/// A payment with where it came from.
#[derive(Debug, Clone)]
pub(super) struct PaymentRow {
    pub(super) payment: Payment,
    pub(super) created_position: Position,
    pub(super) updated_position: Position,
    pub(super) updated_at: Timestamp,
}

/// The payments that the batch changes without creating them, each once.
pub(super) fn named_before(events: &[AppliedEvent]) -> Vec<Uuid> {
    let mut created = Vec::new();
    let mut named = Vec::new();
    for event in events.iter().filter_map(payment_event) {
        match event {
            PaymentEvent::Created(event) => created.push(event.payment_id),
            other => named.push(other.payment_id()),
        }
    }
    created.sort_unstable();
    named.sort_unstable();
    named.dedup();
    named.retain(|id| created.binary_search(id).is_err());
    named.into_iter().map(PaymentId::uuid).collect()
}

/// The payments that `events` change, in the order of their ids.
pub(super) fn fold(
    known: Vec<PaymentRow>,
    events: &[AppliedEvent],
) -> Result<Vec<PaymentRow>, ApplyError> {
    let mut rows: HashMap<PaymentId, PaymentRow> =
        known.into_iter().map(|row| (row.payment.id, row)).collect();
    for applied in events {
        let Some(event) = payment_event(applied) else { continue };
        let (position, at) = (applied.position, applied.decided_at);
        match event {
            PaymentEvent::Created(created) => {
                let row = PaymentRow {
                    payment: Payment::created(created, applied.version, at),
                    created_position: position,
                    updated_position: position,
                    updated_at: at,
                };
                rows.insert(created.payment_id, row);
            }
            other => {
                let id = other.payment_id();
                let never = || ApplyError::contradiction(format!("payment {id} was never created"));
                let row = rows.remove(&id).ok_or_else(never)?;
                let payment = row.payment.evolved(other, applied.version, at);
                let (updated_position, updated_at) = (position, at);
                rows.insert(id, PaymentRow { payment, updated_position, updated_at, ..row });
            }
        }
    }
    let mut changed: Vec<PaymentRow> = rows.into_values().collect();
    changed.sort_unstable_by_key(|row| row.payment.id);
    Ok(changed)
}

fn payment_event(applied: &AppliedEvent) -> Option<&PaymentEvent> {
    match &*applied.event {
        Event::Payment(event) => Some(event),
        Event::MerchantRegistered(_)
        | Event::ApiKeyIssued(_)
        | Event::ApiKeyRevoked(_)
        | Event::AccountOpened(_)
        | Event::AccountAmended(_)
        | Event::AccountFrozen(_)
        | Event::AccountUnfrozen(_)
        | Event::AccountClosed(_)
        | Event::EntryPosted(_)
        | Event::EntryReversed(_)
        | Event::Hold(_)
        | Event::Books(_)
        | Event::Fx(_)
        | Event::Card(_)
        | Event::Psp(_) => None,
    }
}

/// The last switch of each PSP that the batch switches.
pub(super) fn switched(events: &[AppliedEvent]) -> Vec<(&PspEvent, &AppliedEvent)> {
    let mut last: BTreeMap<&PspName, (&PspEvent, &AppliedEvent)> = BTreeMap::new();
    for applied in events {
        if let Event::Psp(event) = &*applied.event {
            last.insert(event.psp(), (event, applied));
        }
    }
    last.into_values().collect()
}
