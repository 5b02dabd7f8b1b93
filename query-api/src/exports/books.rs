//! What the formats that are books by themselves have in common: the days of their transactions, and what there is to
//! say of an entry.

use domain::Day;

use super::reading::Entry;

/// The days of the transactions.
pub(super) struct BookDays {
    first: Option<Day>,
    last: Day,
}

impl BookDays {
    /// `first` is where the export does not begin with the ledger. Where there is no transaction, any day will do.
    pub(super) fn beginning(first: Option<Day>) -> Self {
        Self { first, last: first.unwrap_or(Day::from_number(0)) }
    }

    /// The day of the balances before the first entry.
    pub(super) fn opening(&self) -> Day {
        self.first.unwrap_or(self.last)
    }

    /// The UTC day on which an entry takes effect.
    pub(super) fn of(&mut self, entry: &Entry) -> Day {
        let day = Day::of(entry.effective_at);
        self.last = self.last.max(day);
        day
    }

    /// No transaction so far is later.
    pub(super) fn last(&self) -> Day {
        self.last
    }
}

impl Entry {
    /// What a transaction is called.
    pub(super) fn title(&self) -> &str {
        self.description.as_deref().unwrap_or(&self.external_ref)
    }

    /// What else there is to say of it, each with its name; all but its id, its position and its metadata.
    pub(super) fn described(&self) -> impl Iterator<Item = (&'static str, String)> {
        let always = [
            ("external-ref", self.external_ref.clone()),
            ("effective-at", self.effective_at.to_string()),
            ("recorded-at", self.recorded_at.to_string()),
        ];
        let late_for = self.late_for.map(|at| at.to_string());
        let named = self.links.named().into_iter().chain([("late-for", late_for)]);
        always.into_iter().chain(named.filter_map(|(name, text)| Some((name, text?))))
    }
}
