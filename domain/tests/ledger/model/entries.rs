//! Posting, reversing and replacing, in the model.

use super::legs::{Moved, Taken, take};
use super::{Model, Outcome, Refused};
use crate::commands::{Asked, Leg, Posting, Reversing, Share, opposite};

/// An entry that has a name of its own.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// What it was asked for with.
    pub(crate) asked: Asked,
    pub(crate) legs: Vec<Leg>,
    /// What of it is not reversed.
    pub(crate) left: Vec<Leg>,
    /// Whether it took the last of the entry that it reverses, or of the hold that it posts.
    pub(crate) took_the_last: bool,
    /// Whether more was held then, and was let go.
    pub(crate) let_go: bool,
    /// When it takes effect.
    pub(crate) effective_at: i64,
    /// What it was meant for, where that is not when it was recorded.
    pub(super) meant_for: Option<i64>,
}

impl Entry {
    pub(super) fn new(
        asked: Asked,
        legs: &[Leg],
        meant_for: Option<i64>,
        effective_at: i64,
    ) -> Self {
        let (legs, left) = (legs.to_vec(), legs.to_vec());
        let (took_the_last, let_go) = (false, false);
        Self { asked, legs, left, took_the_last, let_go, effective_at, meant_for }
    }

    fn is_reversal(&self) -> bool {
        matches!(self.asked, Asked::Reverse(_))
    }

    /// What undoes this is meant for that, where it is not asked for another time.
    fn still_to_come(&self, now: i64) -> Option<i64> {
        Some(self.effective_at).filter(|at| *at > now)
    }

    /// Whether this reversal of `original` is what is asked for, once more.
    fn is_asked_by(&self, again: &Reversing, original: &Self) -> bool {
        let Asked::Reverse(before) = &self.asked else { return false };
        let same_share = match &again.share {
            Share::Rest => self.took_the_last,
            Share::Amount { minor, currency } => {
                self.legs.iter().all(|leg| (leg.minor, leg.currency) == (*minor, *currency))
            }
            Share::Legs(legs) => self.legs == opposite(legs),
        };
        let with_the_original =
            again.effective_at.is_none() && self.meant_for == Some(original.effective_at);
        let same_time = again.effective_at == self.meant_for || with_the_original;
        let said = |one: &Reversing| (one.entry, one.note);
        said(before) == said(again) && same_time && same_share
    }
}

impl Model {
    pub(super) fn post(&mut self, posting: &Posting) -> Result<Outcome, Refused> {
        let asked = Asked::Post(posting.clone());
        if let Some(existing) = self.entries.get(&posting.name) {
            let same = existing.asked == asked;
            return if same { Ok(Outcome::Already) } else { Err("external-ref-taken") };
        }
        let legs = if posting.up_to { self.cut(&posting.legs, &[])? } else { posting.legs.clone() };
        self.check(&Moved { posted: legs.clone(), ..Moved::default() })?;
        let effective_at = self.effective(posting.effective_at)?;
        self.book(&legs, effective_at);
        let entry = Entry::new(asked, &legs, posting.effective_at, effective_at);
        self.entries.insert(posting.name, entry);
        Ok(Outcome::Done)
    }

    pub(super) fn reverse(&mut self, reversing: &Reversing) -> Result<Outcome, Refused> {
        let original = self.entries.get(&reversing.entry).ok_or("entry-not-found")?;
        if let Some(existing) = reversing.name.and_then(|name| self.entries.get(&name)) {
            let same = existing.is_asked_by(reversing, original);
            return if same { Ok(Outcome::Already) } else { Err("external-ref-taken") };
        }
        self.check_reversible(original)?;
        let Taken { taken, left } =
            take(&original.left, &reversing.share, "amount-above-reversible")?;
        let legs = opposite(&taken);
        self.check(&Moved { posted: legs.clone(), ..Moved::default() })?;
        let meant_for = match reversing.effective_at {
            Some(at) if at < original.effective_at => return Err("effective-before-original"),
            Some(at) => Some(at),
            None => original.still_to_come(self.now),
        };
        let effective_at = self.effective(meant_for)?;
        self.book(&legs, effective_at);
        self.position += 1;
        if let Some(name) = reversing.name {
            let asked = Asked::Reverse(reversing.clone());
            let entry = Entry::new(asked, &legs, meant_for, effective_at);
            self.entries.insert(name, Entry { took_the_last: left.is_empty(), ..entry });
        }
        self.entries.get_mut(&reversing.entry).unwrap().left = left;
        Ok(Outcome::Done)
    }

    fn check_reversible(&self, original: &Entry) -> Result<(), Refused> {
        match original {
            entry if entry.left.is_empty() => Err("entry-already-reversed"),
            entry if entry.is_reversal() => Err("reversal-is-final"),
            _ => Ok(()),
        }
    }

    pub(super) fn replace(&mut self, entry: u8, by: &Posting) -> Result<Outcome, Refused> {
        let original = self.entries.get(&entry).ok_or("entry-not-found")?;
        let asked = Asked::Replace { entry, by: by.clone() };
        if let Some(existing) = self.entries.get(&by.name) {
            let same = existing.asked == asked;
            return if same { Ok(Outcome::Already) } else { Err("external-ref-taken") };
        }
        self.check_reversible(original)?;
        let undone = opposite(&original.left);
        let legs = if by.up_to { self.cut(&by.legs, &undone)? } else { by.legs.clone() };
        let posted = [undone.clone(), legs.clone()].concat();
        self.check(&Moved { posted, ..Moved::default() })?;
        let effective_at = self.effective(by.effective_at)?;
        let undone_at = by.effective_at.map(|at| at.max(original.effective_at));
        let undone_at = self.effective(undone_at.or(original.still_to_come(self.now)))?;
        self.book(&undone, undone_at);
        self.position += 1;
        self.book(&legs, effective_at);
        self.entries.get_mut(&entry).unwrap().left.clear();
        self.entries.insert(by.name, Entry::new(asked, &legs, by.effective_at, effective_at));
        Ok(Outcome::Done)
    }
}
