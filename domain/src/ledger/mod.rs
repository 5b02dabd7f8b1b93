//! The double-entry ledger: entries of balanced postings, corrected only by reversal.

mod batch;
#[cfg(test)]
mod batch_tests;
mod details;
mod external_ref;
#[cfg(test)]
mod mechanism_accounts_tests;
mod movements;
mod outstanding;
mod post;
#[cfg(test)]
mod post_tests;
mod posting;
mod replace;
mod reverse;
#[cfg(test)]
mod reverse_tests;
#[cfg(test)]
mod undoing_tests;

pub use batch::{BATCH_STEPS_MAX, LedgerStep, PostBatch};
pub use details::{Details, EFFECTIVE_AHEAD_DAYS_MAX, EFFECTIVE_EARLIEST};
pub use external_ref::ExternalRef;
pub use movements::Movements;
pub(crate) use movements::account_keys;
pub use outstanding::{Outstanding, Part, PartError};
pub use post::{EntryPosted, PostEntry};
pub use posting::{
    Direction, POSTINGS_MAX, POSTINGS_MIN, Posting, Postings, PostingsError, UnknownDirection,
    unbalanced_currencies,
};
pub use replace::ReplaceEntry;
pub use reverse::{EntryReversed, ReverseEntry};

use crate::fx::Exchange;
use crate::ids::{DisputeId, EntryId, HoldId, MerchantId, PaymentId};
use crate::stream::{StreamId, StreamVersion};
use crate::text::{Metadata, Name};
use crate::time::Timestamp;

/// An entry, folded from its stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its id.
    pub id: EntryId,
    /// The ledger it is in.
    pub ledger: MerchantId,
    /// What its owner calls it; unique in the ledger for ever.
    pub external_ref: ExternalRef,
    /// What statements say of it.
    pub description: Option<Name>,
    /// What its owner wants to find with it.
    pub metadata: Metadata,
    /// When it takes effect, where that is not when it was recorded.
    pub effective_at: Option<Timestamp>,
    /// What it was meant for, where the books of that day were closed already.
    pub late_for: Option<Timestamp>,
    /// The payment it belongs to.
    pub payment_id: Option<PaymentId>,
    /// The dispute it belongs to.
    pub dispute_id: Option<DisputeId>,
    /// What it moved.
    pub postings: Vec<Posting>,
    /// The most it was to move, where it moved what was available.
    pub up_to_minor: Option<i64>,
    /// The entry that this one reverses.
    pub reverses: Option<EntryId>,
    /// The entry that this one is in the place of.
    pub replaces: Option<EntryId>,
    /// The hold that it posted, or a part of it.
    pub hold_id: Option<HoldId>,
    /// How it exchanged one currency for another.
    pub exchange: Option<Exchange>,
    /// What of it is not reversed.
    pub outstanding: Outstanding,
    /// The entry that reversed the last of it.
    pub reversed_by: Option<EntryId>,
    /// When it was posted.
    pub recorded_at: Timestamp,
    /// The version of its stream that this state is at.
    pub version: StreamVersion,
}

impl Entry {
    /// The name of its stream.
    pub fn stream(&self) -> StreamId {
        StreamId::entry(self.id)
    }

    /// When it takes effect.
    pub fn takes_effect_at(&self) -> Timestamp {
        self.effective_at.unwrap_or(self.recorded_at)
    }

    /// The time that it was meant for, where that is not when it was recorded.
    pub(crate) fn meant_for(&self) -> Option<Timestamp> {
        self.late_for.or(self.effective_at)
    }

    /// The state right after it was posted.
    pub(crate) fn posted(
        event: &EntryPosted,
        version: StreamVersion,
        recorded_at: Timestamp,
    ) -> Self {
        Self {
            id: event.entry_id,
            ledger: event.ledger,
            external_ref: event.external_ref.clone(),
            description: event.description.clone(),
            metadata: event.metadata.clone(),
            effective_at: event.effective_at,
            late_for: event.late_for,
            payment_id: event.payment_id,
            dispute_id: event.dispute_id,
            postings: event.postings.clone(),
            up_to_minor: event.up_to_minor,
            reverses: event.reverses,
            replaces: event.replaces,
            hold_id: event.hold_id,
            exchange: event.exchange,
            outstanding: Outstanding::all(&event.postings),
            reversed_by: None,
            recorded_at,
            version,
        }
    }

    /// The state after another entry reversed it, or a part of it.
    pub(crate) fn reversed(self, event: &EntryReversed, version: StreamVersion) -> Self {
        let left = event.reversed.as_deref().map(|taken| self.outstanding.less(taken));
        debug_assert!(left != Some(None), "decide refuses to reverse more than there is");
        let outstanding = left.flatten().unwrap_or_default();
        let reversed_by = outstanding.is_empty().then_some(event.reversed_by);
        Self { outstanding, reversed_by, version, ..self }
    }

    /// Whether a command to post `other` asks for what this entry already is.
    pub(crate) fn same_content(&self, other: &PostEntry) -> bool {
        let of_its_own = self.reverses.is_none()
            && self.replaces.is_none()
            && self.hold_id.is_none()
            && self.exchange.is_none();
        of_its_own && self.says_the_same(other)
    }

    /// The same of what it says and moves, whatever entries it is about.
    pub(crate) fn says_the_same(&self, other: &PostEntry) -> bool {
        let asked = other.postings.as_slice();
        let moved = match (self.up_to_minor, other.up_to_minor()) {
            (None, None) => self.postings == asked,
            (Some(before), Some(now)) => {
                let place = |posting: &Posting| {
                    (posting.account_id, posting.direction, posting.amount.currency())
                };
                before == now && self.postings.iter().map(place).eq(asked.iter().map(place))
            }
            (Some(_), None) | (None, Some(_)) => false,
        };
        moved && self.has_details(&other.details)
    }

    /// Whether its poster said just that of it.
    pub(crate) fn has_details(&self, details: &Details) -> bool {
        self.description == details.description
            && self.metadata == details.metadata
            && self.meant_for() == details.effective_at
            && self.payment_id == details.payment_id
            && self.dispute_id == details.dispute_id
    }
}
