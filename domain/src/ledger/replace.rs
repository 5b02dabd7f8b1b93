//! Replacing an entry: what is left of it is reversed and another posted in its place, in one append.

use super::movements::account_keys;
use super::reverse::{check_reversible, marked, reversible, undone_at};
use super::{Details, EntryPosted, ExternalRef, Movements, PostEntry, Posting, Postings};
use crate::Context;
use crate::command::Decision;
use crate::ids::{EntryId, MerchantId};
use crate::rejection::Rejection;
use crate::state::{State, StateKey, States};
use crate::stream::StreamId;

/// Puts an entry in the place of another.
#[derive(Debug, Clone)]
pub struct ReplaceEntry {
    /// The entry to be replaced, of the same ledger.
    pub entry_id: EntryId,
    /// What is in its place from then on.
    pub by: PostEntry,
    /// What the entry moved, as read from the log before the command is decided; nothing where it is not
    /// there.
    original: Vec<Posting>,
}

impl ReplaceEntry {
    /// The command. `original` is the posting event of the entry as found in the log by its id,
    /// `None` where there is none.
    pub fn new(entry_id: EntryId, by: PostEntry, original: Option<&EntryPosted>) -> Self {
        let original = original.map(|posted| posted.postings.clone()).unwrap_or_default();
        Self { entry_id, by, original }
    }

    fn ledger(&self) -> MerchantId {
        self.by.ledger
    }

    pub(crate) fn reads(&self) -> Vec<StateKey> {
        let mut keys = self.by.reads();
        if self.by.details.effective_at.is_none() {
            keys.push(StateKey::Books(self.ledger()));
        }
        let others = account_keys(&self.original).into_iter().filter(|key| !keys.contains(key));
        let others: Vec<StateKey> = others.collect();
        keys.extend(others);
        keys.push(StateKey::Entry(StreamId::entry(self.entry_id)));
        keys.push(StateKey::Entry(self.by.stream().clone()));
        keys
    }

    pub(crate) fn decide(
        &self,
        states: &impl States,
        context: &Context,
    ) -> Result<Decision, Rejection> {
        let ledger = self.ledger();
        let original = reversible(states, ledger, self.entry_id)?;
        if let Some(existing) = states.entry(self.by.stream()) {
            if existing.replaces == Some(self.entry_id) && existing.says_the_same(&self.by) {
                return Ok(Decision::Already(State::Entry(existing.clone().into())));
            }
            return Err(self.by.taken(existing));
        }
        check_reversible(original)?;
        let reversal = Postings::opposite(original.outstanding.postings());
        let replacement = self.by.moved(states, Movements::posted(&reversal))?;
        let both = [reversal.as_slice(), replacement.as_slice()].concat();
        Movements::posted(&both).check(states, ledger)?;
        let replacing = self.by.posted(replacement, states, context.now)?;
        let replacing = EntryPosted { replaces: Some(original.id), ..replacing };
        let external_ref = ExternalRef::reversal_at(original.id, original.version);
        let reversing = EntryPosted {
            reverses: Some(original.id),
            ..EntryPosted::plain(ledger, external_ref, reversal)
        };
        let effective_at = undone_at(original, self.by.details.effective_at, context.now);
        let undone = Details { effective_at, ..Details::default() };
        let reversing = reversing.with(&undone, states, context.now)?;
        let mark = marked(original, reversing.entry_id, None, context, 1);
        // In this order no position shows the balances of both.
        Ok(Decision::Append(vec![
            reversing.appended(context.event_id),
            mark,
            replacing.appended(context.event_id_of(2)),
        ]))
    }
}
