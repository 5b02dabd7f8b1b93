//! A batch of events folded in memory. No I/O here.

use std::collections::HashMap;

use domain::Event;
use domain::api_keys::ApiKeyIssued;
use domain::merchants::MerchantRegistered;

use crate::projection::AppliedEvent;

/// A merchant that the batch registers.
#[derive(Debug)]
pub(super) struct Registered<'a> {
    pub(super) event: &'a MerchantRegistered,
    pub(super) applied: &'a AppliedEvent,
}

/// A key that the batch issues, and the event that revokes it if that is in the batch too.
#[derive(Debug)]
pub(super) struct Issued<'a> {
    pub(super) event: &'a ApiKeyIssued,
    pub(super) applied: &'a AppliedEvent,
    pub(super) revoked: Option<&'a AppliedEvent>,
}

impl<'a> Issued<'a> {
    /// The last event that changed the key.
    pub(super) fn last(&self) -> &'a AppliedEvent {
        self.revoked.unwrap_or(self.applied)
    }
}

/// A key of an earlier batch that this one revokes.
#[derive(Debug)]
pub(super) struct Revoked<'a> {
    pub(super) key_id: domain::ApiKeyId,
    pub(super) applied: &'a AppliedEvent,
}

/// All that a batch writes.
#[derive(Debug, Default)]
pub(super) struct Batch<'a> {
    pub(super) merchants: Vec<Registered<'a>>,
    pub(super) issued: Vec<Issued<'a>>,
    pub(super) revoked: Vec<Revoked<'a>>,
}

/// Folds `events`.
pub(super) fn fold(events: &[AppliedEvent]) -> Batch<'_> {
    let mut batch = Batch::default();
    let mut issued_rows = HashMap::new();
    for applied in events {
        match &*applied.event {
            Event::MerchantRegistered(event) => batch.merchants.push(Registered { event, applied }),
            Event::ApiKeyIssued(event) => {
                issued_rows.insert(event.key_id, batch.issued.len());
                batch.issued.push(Issued { event, applied, revoked: None });
            }
            Event::ApiKeyRevoked(event) => match issued_rows.get(&event.key_id) {
                Some(&row) => batch.issued[row].revoked = Some(applied),
                None => batch.revoked.push(Revoked { key_id: event.key_id, applied }),
            },
            // What accounts, entries and payments are is other projections'.
            Event::AccountOpened(_)
            | Event::AccountAmended(_)
            | Event::AccountFrozen(_)
            | Event::AccountUnfrozen(_)
            | Event::AccountClosed(_)
            | Event::EntryPosted(_)
            | Event::EntryReversed(_)
            | Event::Hold(_)
            | Event::Books(_)
            | Event::Fx(_)
            | Event::Payment(_)
            | Event::Card(_)
            | Event::Psp(_) => {}
        }
    }
    batch
}
