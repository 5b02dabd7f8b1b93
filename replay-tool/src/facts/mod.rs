//! What an event says, as far as the checks need it, with as little copying as the stored JSON allows.

mod entry;
mod ids;
mod left;
mod metadata;

use domain::{DecodeError, Event};
pub(crate) use entry::{EntryFacts, PostingFacts};
pub(crate) use ids::typed_id;
pub(crate) use left::Left;
pub(crate) use metadata::{MetadataFacts, RequestFacts};

/// The type of the events that make up nearly all of a ledger's log.
pub(crate) const ENTRY_POSTED: &str = "ledger.entry_posted";
/// The version of it that [`EntryFacts::quick`] reads.
const ENTRY_POSTED_VERSION: i16 = 1;

/// What happened.
#[derive(Debug)]
pub(crate) enum Fact<'a> {
    /// An entry was posted.
    Entry(EntryFacts<'a>),
    /// Anything else.
    Other(Event),
}

impl<'a> Fact<'a> {
    /// Reads stored data. Whatever is out of the ordinary is left to the domain's own decoder, so that
    /// the two cannot differ in what they accept.
    pub(crate) fn read(
        event_type: &str,
        schema_version: i16,
        data: &'a str,
    ) -> Result<Self, DecodeError> {
        if event_type == ENTRY_POSTED
            && schema_version == ENTRY_POSTED_VERSION
            && let Some(entry) = EntryFacts::quick(data)
        {
            return Ok(Self::Entry(entry));
        }
        Ok(match Event::decode(event_type, schema_version, data)? {
            Event::EntryPosted(posted) => Self::Entry(EntryFacts::of(posted)),
            other => Self::Other(other),
        })
    }
}
