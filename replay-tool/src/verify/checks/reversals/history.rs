//! An entry and the marks of what was reversed of it.

use domain::Event;
use uuid::Uuid;

use super::POSTED_VERSION;
use crate::facts::{EntryFacts, Fact, Left, PostingFacts};
use crate::verify::checks::streams::StoredEvent;

/// The stream of an entry.
#[derive(Debug)]
pub(super) struct History {
    posted: Option<(i64, EntryFacts<'static>)>,
    pub(super) marks: Vec<Mark>,
}

/// A part of the entry, or the rest of it, was reversed.
#[derive(Debug)]
pub(super) struct Mark {
    pub(super) position: i64,
    /// The entry that reverses it.
    pub(super) by: Uuid,
    /// What was reversed: what the mark says, or all that was left.
    pub(super) taken: Vec<PostingFacts>,
    /// What was expected and found where the mark cannot be.
    pub(super) wrong: Option<(&'static str, &'static str)>,
}

impl History {
    /// Of the events of its stream.
    pub(super) fn of(events: &[StoredEvent]) -> Self {
        let mut history = Self { posted: None, marks: Vec::new() };
        let mut left = Left::default();
        for event in events {
            match event.fact() {
                Some(Fact::Entry(entry)) if event.version == POSTED_VERSION => {
                    left = Left::all(&entry.postings);
                    history.posted = Some((event.position, entry.into_owned()));
                }
                Some(Fact::Other(Event::EntryReversed(mark))) => {
                    let part = mark.reversed.as_deref().map(PostingFacts::all);
                    let by = mark.reversed_by.uuid();
                    let mut mark = Mark::of(event.position, by, part, &mut left);
                    // Without its entry nothing is known of what is left; that is found elsewhere.
                    mark.wrong = mark.wrong.filter(|_| history.posted.is_some());
                    history.marks.push(mark);
                }
                Some(Fact::Entry(_) | Fact::Other(_)) | None => {}
            }
        }
        history
    }

    /// The entry, if it was posted before `position`.
    pub(super) fn posted_before(&self, position: i64) -> Option<&EntryFacts<'static>> {
        self.posted.as_ref().filter(|(at, _)| *at < position).map(|(_, entry)| entry)
    }
}

impl Mark {
    fn of(position: i64, by: Uuid, part: Option<Vec<PostingFacts>>, left: &mut Left) -> Self {
        let over = left.is_empty();
        let partly = part.is_some();
        let taken = part.unwrap_or_else(|| left.postings().to_vec());
        let enough = left.take(&taken);
        let wrong = if over {
            Some(("an entry of which something is left", "all of it was reversed before"))
        } else if !enough {
            Some(("no more to be reversed than is left", "more on a side of an account"))
        } else if partly && left.is_empty() {
            Some(("no part named where nothing is left", "a part that is all that was left"))
        } else {
            None
        };
        Self { position, by, taken, wrong }
    }
}
