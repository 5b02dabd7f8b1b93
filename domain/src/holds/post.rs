//! Posting what is held.

use serde::{Deserialize, Serialize};

use super::{Hold, HoldEvent, find, find_held};
use crate::Context;
use crate::command::Decision;
use crate::event::{Event, NewEvent};
use crate::ids::{EntryId, HoldId, MerchantId, PaymentId};
use crate::ledger::{
    Details, Entry, EntryPosted, ExternalRef, Movements, Part, PartError, Posting, account_keys,
};
use crate::rejection::Rejection;
use crate::state::{State, StateKey, States};
use crate::stream::StreamId;

/// Posts what is held, or a part of it, as an entry.
#[derive(Debug, Clone)]
pub struct PostHold {
    /// The ledger of the caller.
    pub ledger: MerchantId,
    /// The hold.
    pub hold_id: HoldId,
    /// What the entry is called; a name made of the hold's id where the caller does not say.
    pub external_ref: Option<ExternalRef>,
    /// What the caller says of the entry; what the hold says where nothing is given.
    pub details: Details,
    /// How much of what is held.
    pub part: Part,
    /// Whether this is the last of it: what is left is let go.
    pub last: bool,
    /// What the hold held at first, as read from the log before the command is decided; nothing where it is
    /// not there.
    held: Vec<Posting>,
    /// The payment that the hold belongs to, and its entry too where it says nothing else.
    held_for: Option<PaymentId>,
}

/// What was held was posted, or a part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldPosted {
    /// The hold.
    pub hold_id: HoldId,
    /// The entry that posted it.
    pub entry_id: EntryId,
    /// What is not held any more: what was posted, and what was let go with the last of it.
    pub released: Vec<Posting>,
    /// What is held still.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<Posting>,
}

impl PostHold {
    /// The command. `hold` is the state as found in the log, `None` where there is none.
    pub fn new(
        ledger: MerchantId,
        hold_id: HoldId,
        external_ref: Option<ExternalRef>,
        details: Details,
        part: Part,
        last: bool,
        hold: Option<&Hold>,
    ) -> Self {
        let held_for = hold.and_then(|hold| hold.details.payment_id);
        let held = hold.map(|hold| hold.postings.clone()).unwrap_or_default();
        Self { ledger, hold_id, external_ref, details, part, last, held, held_for }
    }

    pub(crate) fn reads(&self) -> Vec<StateKey> {
        let mut keys = account_keys(&self.held);
        keys.push(StateKey::Hold(self.hold_id));
        keys.extend(self.named().map(StateKey::Entry));
        self.details.add_reads(self.ledger, &mut keys);
        keys.extend(self.held_for.map(StateKey::Payment));
        keys
    }

    /// The stream of the entry, where the caller gives its name.
    fn named(&self) -> Option<StreamId> {
        let external_ref = self.external_ref.as_ref()?;
        Some(StreamId::entry(EntryId::of(self.ledger, external_ref)))
    }

    pub(crate) fn decide(
        &self,
        states: &impl States,
        context: &Context,
    ) -> Result<Decision, Rejection> {
        let hold_id = self.hold_id;
        let hold = find(states, self.ledger, hold_id)?;
        if let Some(existing) = self.named().and_then(|stream| states.entry(&stream)) {
            if self.asks_for(existing, hold) {
                return Ok(Decision::Already(State::Entry(existing.clone().into())));
            }
            return Err(Rejection::ExternalRefTaken {
                external_ref: existing.external_ref.clone(),
                entry_id: existing.id,
            });
        }
        find_held(states, self.ledger, hold_id, context.now)?;
        let (postings, left) = self.part.of(&hold.outstanding).map_err(|error| match error {
            PartError::Ambiguous => Rejection::AmountAmbiguous,
            PartError::More => Rejection::AboveHeld { hold_id },
        })?;
        debug_assert!(!left.is_empty() || !postings.is_empty(), "something is held");
        let (released, left) = if self.last {
            (hold.outstanding.postings().to_vec(), Vec::new())
        } else {
            (postings.clone(), left.postings().to_vec())
        };
        let moved = Movements { posted: &postings, released: &released, ..Movements::default() };
        moved.check(states, self.ledger)?;
        let posted = self.entry(hold, postings, states, context)?;
        let mark = NewEvent {
            event_id: context.event_id_of(1),
            stream: hold.stream(),
            version: hold.version.next(),
            merchant_id: self.ledger,
            event: Event::Hold(HoldEvent::Posted(HoldPosted {
                hold_id,
                entry_id: posted.entry_id,
                released,
                left,
            })),
        };
        Ok(Decision::Append(vec![posted.appended(context.event_id), mark]))
    }

    /// Whether that entry is what this asks for: the same posted, and the same of what was held then let go.
    /// What happened to the hold after it does not matter. The rest is all that was held; how else that was
    /// asked for, nobody knows any more.
    fn asks_for(&self, existing: &Entry, hold: &Hold) -> bool {
        let posted = &existing.postings;
        let last = hold.last_posting.as_ref().filter(|last| last.entry_id == existing.id);
        let let_go = last.is_some_and(|last| last.let_go(posted));
        let same_part = match &self.part {
            Part::Rest => last.is_some() && !let_go,
            Part::Amount(amount) => posted.iter().all(|posting| posting.amount == *amount),
            Part::Postings(asked) => asked.as_slice() == posted,
        };
        let same_end = if self.last { last.is_some() } else { !let_go };
        existing.hold_id == Some(hold.id)
            && same_part
            && same_end
            && existing.has_details(&self.details_for(hold))
    }

    /// What the entry says of itself: what the hold says, where the caller says nothing.
    fn details_for(&self, hold: &Hold) -> Details {
        let (said, held) = (&self.details, &hold.details);
        let metadata = if said.metadata.is_empty() { &held.metadata } else { &said.metadata };
        Details {
            description: said.description.clone().or_else(|| held.description.clone()),
            metadata: metadata.clone(),
            effective_at: said.effective_at,
            payment_id: said.payment_id.or(held.payment_id),
            dispute_id: said.dispute_id.or(held.dispute_id),
        }
    }

    fn entry(
        &self,
        hold: &Hold,
        postings: Vec<Posting>,
        states: &impl States,
        context: &Context,
    ) -> Result<EntryPosted, Rejection> {
        let given = self.external_ref.clone();
        let external_ref =
            given.unwrap_or_else(|| ExternalRef::posting_of(self.hold_id, hold.version));
        let plain = EntryPosted {
            hold_id: Some(self.hold_id),
            ..EntryPosted::plain(self.ledger, external_ref, postings)
        };
        plain.with(&self.details_for(hold), states, context.now)
    }
}
