//! Holding money.

use serde::{Deserialize, Serialize};

use super::{Hold, HoldEvent};
use crate::Context;
use crate::command::Decision;
use crate::event::{Event, NewEvent};
use crate::ids::{DisputeId, HoldId, MerchantId, PaymentId};
use crate::ledger::{Details, ExternalRef, Movements, Posting, Postings, account_keys};
use crate::rejection::Rejection;
use crate::state::{State, StateKey, States};
use crate::stream::{StreamId, StreamVersion};
use crate::text::{Metadata, Name};
use crate::time::Timestamp;

/// The longest that a hold with an end may last, in days: a year.
pub const HOLD_DAYS_MAX: i64 = 366;

const DAY_MILLIS: i64 = 24 * 60 * 60 * 1_000;

/// Holds money between accounts of the caller's own ledger.
#[derive(Debug, Clone)]
pub struct CreateHold {
    /// The ledger: the caller's own.
    pub ledger: MerchantId,
    /// What the caller calls it.
    pub external_ref: ExternalRef,
    /// What the caller says of it.
    pub details: Details,
    /// What is to be posted at the most.
    pub postings: Postings,
    /// When it ends by itself; never where it is not given.
    pub expires_at: Option<Timestamp>,
    hold_id: HoldId,
}

/// Money was held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldCreated {
    /// The hold.
    pub hold_id: HoldId,
    /// The ledger it is in.
    pub ledger: MerchantId,
    /// What its owner calls it.
    pub external_ref: ExternalRef,
    /// What statements say of what it posts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<Name>,
    /// What its owner wants to find with it.
    #[serde(default, skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
    /// The payment it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment_id: Option<PaymentId>,
    /// The dispute it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dispute_id: Option<DisputeId>,
    /// What it holds.
    pub postings: Vec<Posting>,
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
}

impl CreateHold {
    /// The command; works out the hold's id, so that the hashing is done by the caller's thread. A hold takes
    /// no effect, so the effective time of `details` does not matter.
    pub fn new(
        ledger: MerchantId,
        external_ref: ExternalRef,
        details: Details,
        postings: Postings,
        expires_at: Option<Timestamp>,
    ) -> Self {
        let hold_id = HoldId::of(ledger, &external_ref);
        let details = Details { effective_at: None, ..details };
        Self { ledger, external_ref, details, postings, expires_at, hold_id }
    }

    /// The id that the hold will have.
    pub fn hold_id(&self) -> HoldId {
        self.hold_id
    }

    /// The accounts, and what its details name; its own stream is found taken by the log's unique index.
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
        if let Some(existing) = states.hold(self.hold_id) {
            if self.asks_for(existing) {
                return Ok(Decision::Already(State::Hold(existing.clone().into())));
            }
            let (external_ref, hold_id) = (self.external_ref.clone(), self.hold_id);
            return Err(Rejection::HoldRefTaken { external_ref, hold_id });
        }
        self.check_end(context.now)?;
        self.details.check_links(states, self.ledger)?;
        Movements::held(self.postings.as_slice()).check(states, self.ledger)?;
        let Details { description, metadata, payment_id, dispute_id, effective_at: _ } =
            self.details.clone();
        Ok(Decision::Append(vec![NewEvent {
            event_id: context.event_id,
            stream: StreamId::hold(self.hold_id),
            version: StreamVersion::FIRST,
            merchant_id: self.ledger,
            event: Event::Hold(HoldEvent::Created(HoldCreated {
                hold_id: self.hold_id,
                ledger: self.ledger,
                external_ref: self.external_ref.clone(),
                description,
                metadata,
                payment_id,
                dispute_id,
                postings: self.postings.as_slice().to_vec(),
                expires_at: self.expires_at,
            })),
        }]))
    }

    fn check_end(&self, now: Timestamp) -> Result<(), Rejection> {
        let latest = now.plus_millis(HOLD_DAYS_MAX * DAY_MILLIS);
        match self.expires_at {
            Some(at) if at <= now || at > latest => {
                Err(Rejection::HoldEndOutOfRange { now, latest })
            }
            Some(_) | None => Ok(()),
        }
    }

    fn asks_for(&self, existing: &Hold) -> bool {
        existing.postings == self.postings.as_slice()
            && existing.details == self.details
            && existing.expires_at == self.expires_at
    }
}
