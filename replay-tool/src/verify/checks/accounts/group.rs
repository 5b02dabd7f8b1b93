//! Requests of several events that move money: their limits hold for all of it together, as it was decided
//! together. A replacement comes with the reversal of what it replaces, an entry of a hold with its release.

use domain::HoldId;
use uuid::Uuid;

use super::state::Reach;
use crate::facts::EntryFacts;
use crate::log_rows::Row;

/// What such a request moved so far.
#[derive(Debug)]
pub(super) struct Group {
    /// Where it began.
    position: i64,
    rest: Rest,
    /// The accounts that it moved, as they were before.
    before: Vec<(Uuid, Reach)>,
}

/// What comes right after its first event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// The entry that reverses this one.
    ReversalOf(Uuid),
    /// What is released of this hold.
    ReleaseOf(Uuid),
}

impl Group {
    /// Where the entry is the first of such a request.
    pub(super) fn begun_by(row: &Row<'_>, entry: &EntryFacts<'_>) -> Option<Self> {
        let replaced = entry.replaces.map(Rest::ReversalOf);
        let rest = replaced.or(entry.hold_id.map(Rest::ReleaseOf))?;
        Some(Self { position: row.position, rest, before: Vec::new() })
    }

    /// Whether the entry is the rest of it.
    pub(super) fn goes_on_with(&self, row: &Row<'_>, entry: &EntryFacts<'_>) -> bool {
        self.comes_next(row) && entry.reverses.map(Rest::ReversalOf) == Some(self.rest)
    }

    /// Whether the posting of that hold is the rest of it.
    pub(super) fn is_released_by(&self, row: &Row<'_>, hold: HoldId) -> bool {
        self.comes_next(row) && self.rest == Rest::ReleaseOf(hold.uuid())
    }

    fn comes_next(&self, row: &Row<'_>) -> bool {
        row.position == self.position + 1
    }

    /// Notes how far an account reached before the first of it.
    pub(super) fn touched(&mut self, id: Uuid, before: Reach) {
        if self.before.iter().all(|(known, _)| *known != id) {
            self.before.push((id, before));
        }
    }

    pub(super) fn position(&self) -> i64 {
        self.position
    }

    pub(super) fn before(&self) -> &[(Uuid, Reach)] {
        &self.before
    }
}
