//! Holds: money promised before it is posted. Two phases: hold, then post (in whole, in part, in several
//! steps), void, or let expire.
//!
//! What is held counts against the limits of its accounts, so what was held can be posted later whatever else
//! happened meanwhile.

mod create;
#[cfg(test)]
mod holding_tests;
#[cfg(test)]
mod naming_tests;
mod post;
#[cfg(test)]
mod scenario;
mod void;

pub use create::{CreateHold, HOLD_DAYS_MAX, HoldCreated};
pub use post::{HoldPosted, PostHold};
pub use void::{ExpireHold, HoldExpired, HoldVoided, VoidHold};

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::event::events;
use crate::ids::{EntryId, HoldId, MerchantId};
use crate::ledger::{Details, ExternalRef, Movements, Outstanding, Posting};
use crate::rejection::Rejection;
use crate::state::States;
use crate::stream::{StreamId, StreamVersion};
use crate::time::Timestamp;

events! {
    /// What happens to a hold.
    pub enum HoldEvent {
        Created(HoldCreated): "ledger.hold_created" v 1,
        Posted(HoldPosted): "ledger.hold_posted" v 1,
        Voided(HoldVoided): "ledger.hold_voided" v 1,
        Expired(HoldExpired): "ledger.hold_expired" v 1,
    }
}

impl HoldEvent {
    /// The hold.
    pub fn hold_id(&self) -> HoldId {
        match self {
            Self::Created(event) => event.hold_id,
            Self::Posted(event) => event.hold_id,
            Self::Voided(event) => event.hold_id,
            Self::Expired(event) => event.hold_id,
        }
    }

    /// What it holds or releases. What it posts is in the entry that comes with it.
    pub fn movements(&self) -> Movements<'_> {
        match self {
            Self::Created(event) => Movements::held(&event.postings),
            Self::Posted(event) => Movements::released(&event.released),
            Self::Voided(event) => Movements::released(&event.released),
            Self::Expired(event) => Movements::released(&event.released),
        }
    }
}

/// What a hold is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HoldStatus {
    /// Something of it is held.
    Held,
    /// The last of it was posted.
    Posted,
    /// What was left of it was let go.
    Voided,
    /// What was left of it when its time was over was let go.
    Expired,
}

impl HoldStatus {
    /// Every status.
    pub const ALL: [Self; 4] = [Self::Held, Self::Posted, Self::Voided, Self::Expired];

    /// The name as stored and on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Posted => "posted",
            Self::Voided => "voided",
            Self::Expired => "expired",
        }
    }
}

impl fmt::Display for HoldStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text names no status of holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected `held`, `posted`, `voided` or `expired`")]
pub struct UnknownHoldStatus;

impl std::str::FromStr for HoldStatus {
    type Err = UnknownHoldStatus;

    fn from_str(text: &str) -> Result<Self, UnknownHoldStatus> {
        Self::ALL.into_iter().find(|status| status.name() == text).ok_or(UnknownHoldStatus)
    }
}

/// A hold, folded from its stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// Its id.
    pub id: HoldId,
    /// The ledger it is in.
    pub ledger: MerchantId,
    /// What its owner calls it; unique among the ledger's holds for ever.
    pub external_ref: ExternalRef,
    /// What its owner says of it.
    pub details: Details,
    /// What it held at first.
    pub postings: Vec<Posting>,
    /// What it holds now.
    pub outstanding: Outstanding,
    /// When it ends by itself.
    pub expires_at: Option<Timestamp>,
    /// What it is.
    pub status: HoldStatus,
    /// The posting that ended it, where one did.
    pub last_posting: Option<LastPosting>,
    /// When it was made.
    pub recorded_at: Timestamp,
    /// The version of its stream that this state is at.
    pub version: StreamVersion,
}

/// The posting that ended a hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastPosting {
    /// Its entry.
    pub entry_id: EntryId,
    /// What was held until then: what the entry posted, and what was let go with it.
    pub released: Vec<Posting>,
}

impl LastPosting {
    /// Whether more was held than its entry posted.
    fn let_go(&self, posted: &[Posting]) -> bool {
        let rest = Outstanding::all(&self.released).less(posted);
        rest.is_some_and(|rest| !rest.is_empty())
    }
}

impl Hold {
    /// The name of its stream.
    pub fn stream(&self) -> StreamId {
        StreamId::hold(self.id)
    }

    /// The state after one more event; `None` where it was never made.
    pub(crate) fn after(
        before: Option<Self>,
        event: &HoldEvent,
        version: StreamVersion,
        recorded_at: Timestamp,
    ) -> Option<Self> {
        let ended = |status| {
            before.clone().map(|hold| Self {
                outstanding: Outstanding::default(),
                status,
                version,
                ..hold
            })
        };
        match event {
            HoldEvent::Created(event) => Some(Self {
                id: event.hold_id,
                ledger: event.ledger,
                external_ref: event.external_ref.clone(),
                details: Details {
                    description: event.description.clone(),
                    metadata: event.metadata.clone(),
                    effective_at: None,
                    payment_id: event.payment_id,
                    dispute_id: event.dispute_id,
                },
                postings: event.postings.clone(),
                outstanding: Outstanding::all(&event.postings),
                expires_at: event.expires_at,
                status: HoldStatus::Held,
                last_posting: None,
                recorded_at,
                version,
            }),
            HoldEvent::Posted(event) => {
                let hold = before?;
                let left = hold.outstanding.less(&event.released);
                debug_assert!(left.is_some(), "decide refuses to post more than is held");
                let outstanding = left.unwrap_or_default();
                let over = outstanding.is_empty();
                let status = if over { HoldStatus::Posted } else { HoldStatus::Held };
                let (entry_id, released) = (event.entry_id, &event.released);
                let last_posting =
                    over.then(|| LastPosting { entry_id, released: released.clone() });
                Some(Self { outstanding, status, last_posting, version, ..hold })
            }
            HoldEvent::Voided(_) => ended(HoldStatus::Voided),
            HoldEvent::Expired(_) => ended(HoldStatus::Expired),
        }
    }

    /// Whether it is past its time at `now`, whether or not that is in the log already.
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }
}

/// The hold, if it is there and in that ledger: another ledger's hold does not exist. Neither does one of
/// which the accounts are not at hand, since it was made after whoever asks had looked for it.
fn find(states: &impl States, ledger: MerchantId, hold_id: HoldId) -> Result<&Hold, Rejection> {
    let found = find_in_any(states, hold_id).ok();
    found.filter(|hold| hold.ledger == ledger).ok_or(Rejection::HoldNotFound { hold_id })
}

/// The same in whatever ledger.
fn find_in_any(states: &impl States, hold_id: HoldId) -> Result<&Hold, Rejection> {
    let known = |posting: &Posting| states.account(posting.account_id).is_some();
    states
        .hold(hold_id)
        .filter(|hold| hold.postings.iter().all(known))
        .ok_or(Rejection::HoldNotFound { hold_id })
}

/// The hold as [`find`] has it, if something of it is held at `now`.
fn find_held(
    states: &impl States,
    ledger: MerchantId,
    hold_id: HoldId,
    now: Timestamp,
) -> Result<&Hold, Rejection> {
    let hold = find(states, ledger, hold_id)?;
    match hold.status {
        HoldStatus::Held if hold.is_over(now) => {
            Err(Rejection::HoldStatus { hold_id, status: HoldStatus::Expired })
        }
        HoldStatus::Held => Ok(hold),
        HoldStatus::Posted | HoldStatus::Voided | HoldStatus::Expired => {
            Err(Rejection::HoldStatus { hold_id, status: hold.status })
        }
    }
}
