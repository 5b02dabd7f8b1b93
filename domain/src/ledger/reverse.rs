//! Reversing an entry, or a part of it: the only correction there is.

use serde::{Deserialize, Serialize};

use super::movements::account_keys;
use super::{
    Details, Entry, EntryPosted, ExternalRef, Movements, Part, PartError, Posting, Postings,
};
use crate::Context;
use crate::command::Decision;
use crate::event::{Event, NewEvent};
use crate::ids::{EntryId, MerchantId};
use crate::rejection::Rejection;
use crate::state::{State, StateKey, States};
use crate::stream::StreamId;
use crate::time::Timestamp;

/// Posts the opposite of an entry, or of a part of it; never more than it moved.
#[derive(Debug, Clone)]
pub struct ReverseEntry {
    /// The ledger: the caller's own.
    pub ledger: MerchantId,
    /// The entry to reverse.
    pub entry_id: EntryId,
    /// What the reversing entry is called; a name made of the entry's id where the caller does not say.
    pub external_ref: Option<ExternalRef>,
    /// What the caller says of the reversal.
    pub details: Details,
    /// How much of the entry, as its postings stand there.
    pub part: Part,
    /// What the entry moved, as read from the log before the command is decided: an entry's postings
    /// never change, so they cannot be out of date. Nothing where it is not there, or not yet.
    original: Vec<Posting>,
}

/// An entry, or a part of it, was reversed by another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryReversed {
    /// The entry that was reversed.
    pub entry_id: EntryId,
    /// The entry that reverses it.
    pub reversed_by: EntryId,
    /// The part of its postings that was reversed; absent where nothing is left of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reversed: Option<Vec<Posting>>,
}

impl ReverseEntry {
    /// The command. `original` is the posting event of the entry as found in the log by its id,
    /// `None` where there is none.
    pub fn new(
        ledger: MerchantId,
        entry_id: EntryId,
        external_ref: Option<ExternalRef>,
        details: Details,
        part: Part,
        original: Option<&EntryPosted>,
    ) -> Self {
        let original = original.map(|posted| posted.postings.clone()).unwrap_or_default();
        Self { ledger, entry_id, external_ref, details, part, original }
    }

    /// An earlier step of a chain may post the entry and have its accounts at hand, so its stream is named even
    /// where it was not found beforehand; and the books, since it may be the entry that gives the time.
    pub(crate) fn reads(&self) -> Vec<StateKey> {
        let mut keys = account_keys(&self.original);
        keys.push(StateKey::Entry(StreamId::entry(self.entry_id)));
        keys.extend(self.named().map(StateKey::Entry));
        if self.details.effective_at.is_none() {
            keys.push(StateKey::Books(self.ledger));
        }
        self.details.add_reads(self.ledger, &mut keys);
        keys
    }

    /// The stream of the reversing entry, where the caller gives its name.
    fn named(&self) -> Option<StreamId> {
        let external_ref = self.external_ref.as_ref()?;
        Some(StreamId::entry(EntryId::of(self.ledger, external_ref)))
    }

    pub(crate) fn decide(
        &self,
        states: &impl States,
        context: &Context,
    ) -> Result<Decision, Rejection> {
        let original = reversible(states, self.ledger, self.entry_id)?;
        if let Some(existing) = self.named().and_then(|stream| states.entry(&stream)) {
            return self.repeated(original, existing);
        }
        check_reversible(original)?;
        let (taken, left) = self.part.of(&original.outstanding).map_err(|error| match error {
            PartError::Ambiguous => Rejection::AmountAmbiguous,
            PartError::More => Rejection::AboveReversible { entry_id: self.entry_id },
        })?;
        let postings = Postings::opposite(&taken);
        Movements::posted(&postings).check(states, self.ledger)?;
        let given = self.external_ref.clone();
        let external_ref =
            given.unwrap_or_else(|| ExternalRef::reversal_at(original.id, original.version));
        let posted = EntryPosted {
            reverses: Some(self.entry_id),
            ..EntryPosted::plain(self.ledger, external_ref, postings)
        };
        let effective_at = self.effective_at(original, context.now)?;
        let details = Details { effective_at, ..self.details.clone() };
        let posted = posted.with(&details, states, context.now)?;
        let reversed = Some(taken).filter(|_| !left.is_empty());
        let mark = marked(original, posted.entry_id, reversed, context, 1);
        Ok(Decision::Append(vec![posted.appended(context.event_id), mark]))
    }

    /// When it is meant to take effect, where that is not when it is recorded.
    fn effective_at(
        &self,
        original: &Entry,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, Rejection> {
        let original_at = original.takes_effect_at();
        match self.details.effective_at {
            Some(at) if at < original_at => {
                Err(Rejection::EffectiveBeforeOriginal { entry_id: original.id, original_at })
            }
            asked => Ok(undone_at(original, asked, now)),
        }
    }

    /// What becomes of a reference that is in use.
    fn repeated(&self, original: &Entry, existing: &Entry) -> Result<Decision, Rejection> {
        let same_part = match &self.part {
            Part::Rest => original.reversed_by == Some(existing.id),
            Part::Amount(amount) => {
                existing.postings.iter().all(|posting| posting.amount == *amount)
            }
            Part::Postings(postings) => {
                existing.postings == Postings::opposite(postings.as_slice())
            }
        };
        // Who gave no time may have been given the original's.
        let given = existing.meant_for().filter(|at| *at == original.takes_effect_at());
        let effective_at = self.details.effective_at.or(given);
        let same_details = existing.has_details(&Details { effective_at, ..self.details.clone() });
        if existing.reverses == Some(self.entry_id) && same_part && same_details {
            return Ok(Decision::Already(State::Entry(existing.clone().into())));
        }
        Err(Rejection::ExternalRefTaken {
            external_ref: existing.external_ref.clone(),
            entry_id: existing.id,
        })
    }
}

/// When what undoes an entry takes effect, where that is not when it is recorded: when it is asked to, but not
/// before the entry does.
pub(super) fn undone_at(
    original: &Entry,
    asked: Option<Timestamp>,
    now: Timestamp,
) -> Option<Timestamp> {
    let original_at = original.takes_effect_at();
    match asked {
        Some(at) => Some(at.max(original_at)),
        None => Some(original_at).filter(|at| *at > now),
    }
}

/// The entry that is to be reversed, if it is there and in that ledger: another ledger's entry does not exist.
/// Neither does one of which the accounts are not at hand, since it was posted after whoever asks had looked
/// for it.
pub(super) fn reversible(
    states: &impl States,
    ledger: MerchantId,
    entry_id: EntryId,
) -> Result<&Entry, Rejection> {
    let known = |posting: &Posting| states.account(posting.account_id).is_some();
    states
        .entry(&StreamId::entry(entry_id))
        .filter(|entry| entry.ledger == ledger && entry.postings.iter().all(known))
        .ok_or(Rejection::EntryNotFound { entry_id })
}

/// Whether anything of it may be reversed. Nothing of a conversion: what its pair carries from one conversion
/// to the next counts it for ever, so the exchange would not pay exact sums any more.
pub(super) fn check_reversible(original: &Entry) -> Result<(), Rejection> {
    let entry_id = original.id;
    match original.reversed_by {
        Some(reversed_by) => Err(Rejection::EntryAlreadyReversed { entry_id, reversed_by }),
        None if original.reverses.is_some() => Err(Rejection::ReversalIsFinal { entry_id }),
        None if original.exchange.is_some() => Err(Rejection::EntryIsConversion { entry_id }),
        None => Ok(()),
    }
}

/// The mark in the original's stream, as event number `index` of the decision.
pub(super) fn marked(
    original: &Entry,
    reversed_by: EntryId,
    reversed: Option<Vec<Posting>>,
    context: &Context,
    index: usize,
) -> NewEvent {
    NewEvent {
        event_id: context.event_id_of(index),
        stream: original.stream(),
        version: original.version.next(),
        merchant_id: original.ledger,
        event: Event::EntryReversed(EntryReversed { entry_id: original.id, reversed_by, reversed }),
    }
}
