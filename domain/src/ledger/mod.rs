//! The double-entry ledger: entries of balanced postings, corrected only by reversal.

mod external_ref;
mod post;
mod posting;
mod reverse;

pub use external_ref::ExternalRef;
pub(crate) use post::account_keys;
pub use post::{EntryPosted, PostEntry};
pub use posting::{
    Direction, POSTINGS_MAX, POSTINGS_MIN, Posting, Postings, PostingsError, UnknownDirection,
    unbalanced_currencies,
};
pub use reverse::{EntryReversed, ReverseEntry};

use crate::ids::{EntryId, MerchantId};
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
    /// What it moved.
    pub postings: Vec<Posting>,
    /// The entry that this one reverses.
    pub reverses: Option<EntryId>,
    /// The entry that reversed this one.
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
            postings: event.postings.clone(),
            reverses: event.reverses,
            reversed_by: None,
            recorded_at,
            version,
        }
    }

    /// The state after another entry reversed it.
    pub(crate) fn reversed(self, event: &EntryReversed, version: StreamVersion) -> Self {
        Self { reversed_by: Some(event.reversed_by), version, ..self }
    }

    /// Whether a command to post `other` asks for what this entry already is.
    pub(crate) fn same_content(&self, other: &PostEntry) -> bool {
        self.reverses.is_none()
            && self.postings == other.postings.as_slice()
            && self.description == other.description
            && self.metadata == other.metadata
    }
}
