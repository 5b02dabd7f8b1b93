//! Requests of several events that move money: their limits hold for all of it together, as it was decided
//! together. What is in the place of an entry comes after the reversal of that, an entry of a hold with its release.

use domain::HoldId;
use domain::ledger::EntryReversed;
use uuid::Uuid;

use super::state::Reach;
use crate::facts::EntryFacts;
use crate::log_rows::Row;

/// What such a request moved so far.
#[derive(Debug)]
pub(super) struct Group {
    /// Where it began.
    position: i64,
    /// Where its last event so far is.
    last: i64,
    rest: Rest,
    /// The accounts that it moved, as they were before.
    before: Vec<(Uuid, Reach)>,
}

/// What may come right after its last event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// The mark that this entry was reversed.
    Mark(Uuid),
    /// The entry in the place of this one; nothing, where it was reversed and not replaced.
    Replacement(Uuid),
    /// What is released of this hold.
    Release(Uuid),
}

impl Group {
    /// Where the entry is the first of such a request, or may be.
    pub(super) fn begun_by(row: &Row<'_>, entry: &EntryFacts<'_>) -> Option<Self> {
        let reversed = entry.reverses.map(Rest::Mark);
        let rest = reversed.or(entry.hold_id.map(Rest::Release))?;
        let position = row.position;
        Some(Self { position, last: position, rest, before: Vec::new() })
    }

    /// Whether the mark belongs to it; what it marks may be replaced next.
    pub(super) fn takes_mark(&mut self, row: &Row<'_>, mark: &EntryReversed) -> bool {
        let original = mark.entry_id.uuid();
        let belongs = self.comes_next(row) && self.rest == Rest::Mark(original);
        if belongs {
            self.last = row.position;
            self.rest = Rest::Replacement(original);
        }
        belongs
    }

    /// Whether the entry is the rest of it.
    pub(super) fn goes_on_with(&self, row: &Row<'_>, entry: &EntryFacts<'_>) -> bool {
        self.comes_next(row) && entry.replaces.map(Rest::Replacement) == Some(self.rest)
    }

    /// Whether the posting of that hold is the rest of it.
    pub(super) fn is_released_by(&self, row: &Row<'_>, hold: HoldId) -> bool {
        self.comes_next(row) && self.rest == Rest::Release(hold.uuid())
    }

    fn comes_next(&self, row: &Row<'_>) -> bool {
        row.position == self.last + 1
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
