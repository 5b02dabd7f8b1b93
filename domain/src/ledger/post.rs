//! Posting an entry.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::movements::{account_keys, available};
use super::{Details, Entry, ExternalRef, Movements, Posting, Postings, PostingsError};
use crate::Context;
use crate::accounts;
use crate::command::Decision;
use crate::event::{Event, NewEvent};
use crate::fx::Exchange;
use crate::ids::{DisputeId, EntryId, HoldId, MerchantId, PaymentId};
use crate::money::Amount;
use crate::rejection::Rejection;
use crate::state::{State, StateKey, States};
use crate::stream::{StreamId, StreamVersion};
use crate::text::{Metadata, Name};
use crate::time::Timestamp;

/// Posts an entry to the caller's own ledger.
#[derive(Debug, Clone)]
pub struct PostEntry {
    /// The ledger: the caller's own.
    pub ledger: MerchantId,
    /// What the caller calls it.
    pub external_ref: ExternalRef,
    /// The id and the stream that the reference leads to; see [`PostEntry::new`].
    entry_id: EntryId,
    stream: StreamId,
    /// What the caller says of it.
    pub details: Details,
    /// What it moves.
    pub postings: Postings,
    /// Whether it moves less where the limits of its accounts do not allow all of it.
    up_to: bool,
}

/// An entry was posted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryPosted {
    /// The entry.
    pub entry_id: EntryId,
    /// The ledger it is in.
    pub ledger: MerchantId,
    /// What its poster calls it.
    pub external_ref: ExternalRef,
    /// What statements say of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Name>,
    /// What its poster wants to find with it.
    #[serde(default, skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
    /// When it takes effect, where that is not when it was recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effective_at: Option<Timestamp>,
    /// The time it was meant for, where the books of that day were closed already: it takes effect at the
    /// beginning of the next open day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late_for: Option<Timestamp>,
    /// The payment it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_id: Option<PaymentId>,
    /// The dispute it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dispute_id: Option<DisputeId>,
    /// What it moved.
    pub postings: Vec<Posting>,
    /// The most it was to move, in minor units, where it moved what was available.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up_to_minor: Option<i64>,
    /// The entry that this one reverses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reverses: Option<EntryId>,
    /// The entry that this one is in the place of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<EntryId>,
    /// The hold that this posts, in whole or in part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold_id: Option<HoldId>,
    /// How it exchanged one currency for another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exchange: Option<Exchange>,
}

impl EntryPosted {
    /// An entry of which nothing is said but what it must have.
    pub fn plain(ledger: MerchantId, external_ref: ExternalRef, postings: Vec<Posting>) -> Self {
        Self::known(EntryId::of(ledger, &external_ref), ledger, external_ref, postings)
    }

    /// The same where the id that the reference leads to is worked out already.
    pub(crate) fn known(
        entry_id: EntryId,
        ledger: MerchantId,
        external_ref: ExternalRef,
        postings: Vec<Posting>,
    ) -> Self {
        Self {
            entry_id,
            ledger,
            external_ref,
            description: None,
            metadata: Metadata::default(),
            effective_at: None,
            late_for: None,
            payment_id: None,
            dispute_id: None,
            postings,
            up_to_minor: None,
            reverses: None,
            replaces: None,
            hold_id: None,
            exchange: None,
        }
    }

    /// The same, with what its poster says of it. What is dated before the ledger's first open day takes
    /// effect on that.
    pub(crate) fn with(
        self,
        details: &Details,
        states: &impl States,
        now: Timestamp,
    ) -> Result<Self, Rejection> {
        let (effective_at, late_for) = details.effective(states, self.ledger, now)?;
        details.check_links(states, self.ledger)?;
        Ok(Self {
            description: details.description.clone(),
            metadata: details.metadata.clone(),
            effective_at,
            late_for,
            payment_id: details.payment_id,
            dispute_id: details.dispute_id,
            ..self
        })
    }

    /// As the first event of its own stream.
    pub(crate) fn appended(self, event_id: Uuid) -> NewEvent {
        NewEvent {
            event_id,
            stream: StreamId::entry(self.entry_id),
            version: StreamVersion::FIRST,
            merchant_id: self.ledger,
            event: Event::EntryPosted(self),
        }
    }
}

impl PostEntry {
    /// The command; works out the entry's id, so that the hashing is done by the caller's thread.
    pub fn new(
        ledger: MerchantId,
        external_ref: ExternalRef,
        details: Details,
        postings: Postings,
    ) -> Self {
        let entry_id = EntryId::of(ledger, &external_ref);
        let stream = StreamId::entry(entry_id);
        Self { ledger, external_ref, entry_id, stream, details, postings, up_to: false }
    }

    /// The same, but moving only what is available where the limits of its accounts do not allow all of it;
    /// never nothing.
    ///
    /// # Errors
    /// [`PostingsError::NotOnePair`]: only one amount from one account to another one can be cut.
    pub fn up_to(self) -> Result<Self, PostingsError> {
        match self.postings.as_slice() {
            [one, other] if one.account_id != other.account_id => Ok(Self { up_to: true, ..self }),
            _ => Err(PostingsError::NotOnePair),
        }
    }

    /// The stream that the entry will be in.
    pub fn stream(&self) -> &StreamId {
        &self.stream
    }

    /// The accounts, and what its details name. The entry's own stream is not read beforehand: nearly always
    /// the reference is new, and if it is not, the log's unique index says so and the entry is read then.
    pub(crate) fn reads(&self) -> Vec<StateKey> {
        let mut keys = account_keys(self.postings.as_slice());
        self.details.add_reads(self.ledger, &mut keys);
        keys
    }

    pub(crate) fn decide(
        &self,
        states: &impl States,
        context: &Context,
    ) -> Result<Decision, Rejection> {
        if let Some(existing) = states.entry(&self.stream) {
            if existing.same_content(self) {
                return Ok(Decision::Already(State::Entry(existing.clone().into())));
            }
            return Err(self.taken(existing));
        }
        let postings = self.moved(states, Movements::default())?;
        Movements::posted(&postings).check(states, self.ledger)?;
        let posted = self.posted(postings, states, context.now)?;
        Ok(Decision::Append(vec![posted.appended(context.event_id)]))
    }

    /// Why its reference cannot be had.
    pub(super) fn taken(&self, existing: &Entry) -> Rejection {
        Rejection::ExternalRefTaken {
            external_ref: self.external_ref.clone(),
            entry_id: existing.id,
        }
    }

    /// The event, with `postings` in the place of those that were asked for.
    pub(super) fn posted(
        &self,
        postings: Vec<Posting>,
        states: &impl States,
        now: Timestamp,
    ) -> Result<EntryPosted, Rejection> {
        let plain = EntryPosted {
            up_to_minor: self.up_to_minor(),
            ..EntryPosted::known(self.entry_id, self.ledger, self.external_ref.clone(), postings)
        };
        plain.with(&self.details, states, now)
    }

    /// The most it is to move, where it moves what is available.
    pub(super) fn up_to_minor(&self) -> Option<i64> {
        let first = self.postings.as_slice().first().filter(|_| self.up_to);
        first.map(|posting| posting.amount.minor())
    }

    /// The postings that it moves once all of `before` has happened.
    pub(super) fn moved(
        &self,
        states: &impl States,
        before: Movements<'_>,
    ) -> Result<Vec<Posting>, Rejection> {
        if self.up_to { self.cut(states, before) } else { Ok(self.postings.as_slice().to_vec()) }
    }

    /// The postings cut to what both accounts have available. What neither lets through is left as it is,
    /// for the rules to refuse.
    fn cut(&self, states: &impl States, before: Movements<'_>) -> Result<Vec<Posting>, Rejection> {
        let asked = self.postings.as_slice();
        let mut minor = i64::MAX;
        for posting in asked {
            let account_id = posting.account_id;
            let account = accounts::find(states, self.ledger, account_id)?;
            let totals = before.applied_to(account_id, account.totals);
            let wanted = minor.min(posting.amount.minor());
            minor = available(&account.profile, totals, posting.direction, wanted);
        }
        let cut = |posting: &Posting| {
            let amount = Amount::from_minor(minor, posting.amount.currency());
            Posting { amount: amount.unwrap_or(posting.amount), ..*posting }
        };
        Ok(asked.iter().map(cut).collect())
    }
}
