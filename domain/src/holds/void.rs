//! Letting go of what is held: because its owner says so, or because its time is over.

use serde::{Deserialize, Serialize};

use super::{Hold, HoldEvent, HoldStatus, find_held, find_in_any};
use crate::Context;
use crate::command::Decision;
use crate::event::{Event, NewEvent};
use crate::ids::{HoldId, MerchantId};
use crate::ledger::{Movements, Posting, account_keys};
use crate::rejection::Rejection;
use crate::state::{StateKey, States};

/// Lets go of what is left of a hold.
#[derive(Debug, Clone)]
pub struct VoidHold {
    /// The ledger of the caller.
    pub ledger: MerchantId,
    /// The hold.
    pub hold_id: HoldId,
    held: Vec<Posting>,
}

/// Lets go of what is left of a hold whose time is over.
#[derive(Debug, Clone)]
pub struct ExpireHold {
    /// The hold.
    pub hold_id: HoldId,
    held: Vec<Posting>,
}

/// A hold was voided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldVoided {
    /// The hold.
    pub hold_id: HoldId,
    /// What is not held any more.
    pub released: Vec<Posting>,
}

/// A hold expired.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldExpired {
    /// The hold.
    pub hold_id: HoldId,
    /// What is not held any more.
    pub released: Vec<Posting>,
}

fn reads(hold_id: HoldId, held: &[Posting]) -> Vec<StateKey> {
    let mut keys = account_keys(held);
    keys.push(StateKey::Hold(hold_id));
    keys
}

fn ended(hold: &Hold, event: HoldEvent, context: &Context) -> Decision {
    Decision::Append(vec![NewEvent {
        event_id: context.event_id,
        stream: hold.stream(),
        version: hold.version.next(),
        merchant_id: hold.ledger,
        event: Event::Hold(event),
    }])
}

impl VoidHold {
    /// The command. `hold` is the state as found in the log, `None` where there is none.
    pub fn new(ledger: MerchantId, hold_id: HoldId, hold: Option<&Hold>) -> Self {
        let held = hold.map(|hold| hold.postings.clone()).unwrap_or_default();
        Self { ledger, hold_id, held }
    }

    pub(crate) fn reads(&self) -> Vec<StateKey> {
        reads(self.hold_id, &self.held)
    }

    pub(crate) fn decide(
        &self,
        states: &impl States,
        context: &Context,
    ) -> Result<Decision, Rejection> {
        let hold_id = self.hold_id;
        let hold = find_held(states, self.ledger, hold_id, context.now)?;
        let released = hold.outstanding.postings().to_vec();
        Movements::released(&released).check(states, self.ledger)?;
        Ok(ended(hold, HoldEvent::Voided(HoldVoided { hold_id, released }), context))
    }
}

impl ExpireHold {
    /// The command. `hold` is the state as found in the log, `None` where there is none.
    pub fn new(hold_id: HoldId, hold: Option<&Hold>) -> Self {
        let held = hold.map(|hold| hold.postings.clone()).unwrap_or_default();
        Self { hold_id, held }
    }

    pub(crate) fn reads(&self) -> Vec<StateKey> {
        reads(self.hold_id, &self.held)
    }

    pub(crate) fn decide(
        &self,
        states: &impl States,
        context: &Context,
    ) -> Result<Decision, Rejection> {
        let hold_id = self.hold_id;
        let hold = find_in_any(states, hold_id)?;
        match hold.status {
            HoldStatus::Held if hold.is_over(context.now) => {}
            HoldStatus::Held => return Err(Rejection::HoldNotOver { hold_id }),
            HoldStatus::Posted | HoldStatus::Voided | HoldStatus::Expired => {
                return Err(Rejection::HoldStatus { hold_id, status: hold.status });
            }
        }
        let released = hold.outstanding.postings().to_vec();
        Movements::released(&released).check(states, hold.ledger)?;
        Ok(ended(hold, HoldEvent::Expired(HoldExpired { hold_id, released }), context))
    }
}
