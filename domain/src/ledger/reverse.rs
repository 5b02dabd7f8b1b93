//! Reversing an entry: the only correction there is.

use serde::{Deserialize, Serialize};

use super::post::{account_keys, check_postings};
use super::{EntryPosted, ExternalRef, Posting, Postings};
use crate::Context;
use crate::command::Decision;
use crate::event::{Event, NewEvent};
use crate::ids::{EntryId, MerchantId};
use crate::rejection::Rejection;
use crate::state::{StateKey, States};
use crate::stream::{StreamId, StreamVersion};
use crate::text::{Metadata, Name};

/// Posts the opposite of an entry, once.
#[derive(Debug, Clone)]
pub struct ReverseEntry {
    /// The ledger: the caller's own.
    pub ledger: MerchantId,
    /// The entry to reverse.
    pub entry_id: EntryId,
    /// What the reversing entry is called; `reversal:<entry>` where the caller does not say.
    pub external_ref: ExternalRef,
    /// What statements say of the reversal.
    pub description: Option<Name>,
    /// What the caller wants to find with the reversal.
    pub metadata: Metadata,
    reversed_by: EntryId,
    stream: StreamId,
    /// What the entry moved, as read from the log before the command is decided: an entry's postings
    /// never change, so they cannot be out of date.
    original: Option<Vec<Posting>>,
}

/// An entry was reversed by another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EntryReversed {
    /// The entry that was reversed.
    pub entry_id: EntryId,
    /// The entry that reverses it.
    pub reversed_by: EntryId,
}

impl ReverseEntry {
    /// The command. `original` is the posting event of the entry as found in the log by its id,
    /// `None` where there is none.
    pub fn new(
        ledger: MerchantId,
        entry_id: EntryId,
        external_ref: Option<ExternalRef>,
        description: Option<Name>,
        metadata: Metadata,
        original: Option<&EntryPosted>,
    ) -> Self {
        let external_ref = external_ref.unwrap_or_else(|| ExternalRef::reversal_of(entry_id));
        let reversed_by = EntryId::of(ledger, &external_ref);
        let stream = StreamId::entry(reversed_by);
        let original = original.map(|posted| posted.postings.clone());
        Self {
            ledger,
            entry_id,
            external_ref,
            description,
            metadata,
            reversed_by,
            stream,
            original,
        }
    }

    /// The stream that the reversing entry will be in.
    pub fn stream(&self) -> &StreamId {
        &self.stream
    }

    pub(crate) fn reads(&self) -> Vec<StateKey> {
        let mut keys = Vec::new();
        if let Some(original) = &self.original {
            keys.push(StateKey::Entry(StreamId::entry(self.entry_id)));
            keys.extend(account_keys(original));
        }
        keys
    }

    pub(crate) fn decide(
        &self,
        states: &impl States,
        context: &Context,
    ) -> Result<Decision, Rejection> {
        let not_found = Rejection::EntryNotFound { entry_id: self.entry_id };
        let (Some(postings), Some(original)) =
            (&self.original, states.entry(&StreamId::entry(self.entry_id)))
        else {
            return Err(not_found);
        };
        if original.ledger != self.ledger {
            return Err(not_found);
        }
        if let Some(reversed_by) = original.reversed_by {
            return Err(Rejection::EntryAlreadyReversed { entry_id: self.entry_id, reversed_by });
        }
        if original.reverses.is_some() {
            return Err(Rejection::ReversalIsFinal { entry_id: self.entry_id });
        }
        if let Some(existing) = states.entry(&self.stream) {
            return Err(Rejection::ExternalRefTaken {
                external_ref: self.external_ref.clone(),
                entry_id: existing.id,
            });
        }
        let postings = Postings::opposite(postings);
        check_postings(states, self.ledger, &postings)?;
        let reversed_by = self.reversed_by;
        Ok(Decision::Append(vec![
            NewEvent {
                event_id: context.event_id,
                stream: self.stream.clone(),
                version: StreamVersion::FIRST,
                merchant_id: self.ledger,
                event: Event::EntryPosted(EntryPosted {
                    entry_id: reversed_by,
                    ledger: self.ledger,
                    external_ref: self.external_ref.clone(),
                    description: self.description.clone(),
                    metadata: self.metadata.clone(),
                    postings,
                    reverses: Some(self.entry_id),
                }),
            },
            NewEvent {
                event_id: context.event_id_of(1),
                stream: original.stream(),
                version: original.version.next(),
                merchant_id: self.ledger,
                event: Event::EntryReversed(EntryReversed { entry_id: self.entry_id, reversed_by }),
            },
        ]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Command;
    use crate::given_when_then::{
        LEDGER, account_id, account_opened, entry_id, given, posted, posted_event,
    };

    fn reverse(reference: &str, of: Option<&str>) -> Command {
        let original = of.map(|text| posted_event(text, "cash", "sales", 500));
        Command::ReverseEntry(ReverseEntry::new(
            LEDGER,
            entry_id(reference),
            None,
            None,
            Metadata::default(),
            original.as_ref(),
        ))
    }

    fn history() -> Vec<Event> {
        vec![
            account_opened("cash", Some(0)),
            account_opened("sales", None),
            posted("r1", "cash", "sales", 500),
        ]
    }

    fn reversed_by() -> EntryId {
        EntryId::of(LEDGER, &ExternalRef::reversal_of(entry_id("r1")))
    }

    fn reversal() -> [Event; 2] {
        let original = posted_event("r1", "cash", "sales", 500);
        [
            Event::EntryPosted(EntryPosted {
                entry_id: reversed_by(),
                external_ref: ExternalRef::reversal_of(original.entry_id),
                postings: Postings::opposite(&original.postings),
                reverses: Some(original.entry_id),
                ..original.clone()
            }),
            Event::EntryReversed(EntryReversed {
                entry_id: original.entry_id,
                reversed_by: reversed_by(),
            }),
        ]
    }

    #[test]
    fn a_reversal_posts_the_opposite_and_marks_the_original() {
        given(history()).when(reverse("r1", Some("r1"))).then(reversal());
    }

    #[test]
    fn an_entry_is_reversed_once() {
        given(history().into_iter().chain(reversal()))
            .when(reverse("r1", Some("r1")))
            .then_rejected(Rejection::EntryAlreadyReversed {
                entry_id: entry_id("r1"),
                reversed_by: reversed_by(),
            });
    }

    #[test]
    fn an_unknown_entry_is_not_found() {
        given(history())
            .when(reverse("r2", None))
            .then_rejected(Rejection::EntryNotFound { entry_id: entry_id("r2") });
    }

    #[test]
    fn a_reversal_keeps_the_limits_too() {
        let spent = posted("r2", "sales", "cash", 400);
        given(history().into_iter().chain([spent]))
            .when(reverse("r1", Some("r1")))
            .then_rejected(Rejection::InsufficientFunds { account_id: account_id("cash") });
    }
}
