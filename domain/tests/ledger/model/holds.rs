//! Holding, posting what is held and letting it go, in the model.

use domain::holds::HoldStatus;

use super::entries::Entry;
use super::legs::{Moved, Taken, take};
use super::{AHEAD, Model, Outcome, Refused};
use crate::commands::{Asked, HoldPosting, Holding, Leg, Share};

#[derive(Debug, Clone)]
pub(crate) struct Hold {
    pub(crate) asked: Holding,
    pub(crate) left: Vec<Leg>,
    pub(crate) status: HoldStatus,
}

impl Hold {
    fn is_over(&self, now: i64) -> bool {
        self.asked.expires_at.is_some_and(|at| now >= at)
    }

    fn check_held(&self, now: i64) -> Result<(), Refused> {
        match self.status {
            HoldStatus::Held if self.is_over(now) => Err("hold-expired"),
            HoldStatus::Held => Ok(()),
            over => Err(ended(over)),
        }
    }

    fn end(&mut self, status: HoldStatus) {
        self.left.clear();
        self.status = status;
    }
}

fn ended(status: HoldStatus) -> Refused {
    match status {
        HoldStatus::Held => "hold-held",
        HoldStatus::Posted => "hold-posted",
        HoldStatus::Voided => "hold-voided",
        HoldStatus::Expired => "hold-expired",
    }
}

impl Entry {
    /// Whether this is what is asked for, once more: it moved the same and let go of the same. A rest is all that
    /// was held.
    fn is_posted_by(&self, again: &HoldPosting, hold: &Hold) -> bool {
        let Asked::PostHold(before) = &self.asked else { return false };
        let same_share = match &again.share {
            Share::Rest => self.took_the_last && !self.let_go,
            Share::Amount { minor, currency } => {
                self.legs.iter().all(|leg| (leg.minor, leg.currency) == (*minor, *currency))
            }
            Share::Legs(legs) => self.legs == *legs,
        };
        let said = |one: &HoldPosting| (one.hold, one.note.or(hold.asked.note), one.effective_at);
        let same_end = if again.last { self.took_the_last } else { !self.let_go };
        said(before) == said(again) && same_share && same_end
    }
}

impl Model {
    pub(super) fn hold(&mut self, holding: &Holding) -> Result<Outcome, Refused> {
        if let Some(existing) = self.holds.get(&holding.name) {
            let same = existing.asked == *holding;
            return if same { Ok(Outcome::Already) } else { Err("hold-ref-taken") };
        }
        if holding.expires_at.is_some_and(|at| at <= self.now || at > self.now + AHEAD) {
            return Err("hold-end-out-of-range");
        }
        self.check(&Moved { held: holding.legs.clone(), ..Moved::default() })?;
        let (asked, left) = (holding.clone(), holding.legs.clone());
        self.holds.insert(holding.name, Hold { asked, left, status: HoldStatus::Held });
        self.position += 1;
        Ok(Outcome::Done)
    }

    pub(super) fn post_hold(&mut self, posting: &HoldPosting) -> Result<Outcome, Refused> {
        let hold = self.holds.get(&posting.hold).ok_or("hold-not-found")?;
        if let Some(existing) = posting.name.and_then(|name| self.entries.get(&name)) {
            let same = existing.is_posted_by(posting, hold);
            return if same { Ok(Outcome::Already) } else { Err("external-ref-taken") };
        }
        hold.check_held(self.now)?;
        let Taken { taken, left } = take(&hold.left, &posting.share, "amount-above-held")?;
        let let_go = posting.last && !left.is_empty();
        let left = if posting.last { Vec::new() } else { left };
        let released = if posting.last { hold.left.clone() } else { taken.clone() };
        let moved = Moved { posted: taken.clone(), released, ..Moved::default() };
        // What is held needs no other room.
        let refused = self.check(&moved).err();
        assert!(refused.is_none_or(|code| code.starts_with("account-")), "{refused:?}");
        refused.map_or(Ok(()), Err)?;
        let effective_at = self.effective(posting.effective_at)?;
        self.book(&taken, effective_at);
        self.position += 1;
        if let Some(name) = posting.name {
            let asked = Asked::PostHold(posting.clone());
            let entry = Entry::new(asked, &taken, posting.effective_at, effective_at);
            let took_the_last = left.is_empty();
            self.entries.insert(name, Entry { took_the_last, let_go, ..entry });
        }
        let hold = self.holds.get_mut(&posting.hold).unwrap();
        match left.is_empty() {
            true => hold.end(HoldStatus::Posted),
            false => hold.left = left,
        }
        Ok(Outcome::Done)
    }

    pub(super) fn void(&mut self, number: u8) -> Result<Outcome, Refused> {
        let now = self.now;
        let hold = self.holds.get_mut(&number).ok_or("hold-not-found")?;
        hold.check_held(now)?;
        hold.end(HoldStatus::Voided);
        self.position += 1;
        Ok(Outcome::Done)
    }

    pub(super) fn expire(&mut self, number: u8) -> Result<Outcome, Refused> {
        let now = self.now;
        let hold = self.holds.get_mut(&number).ok_or("hold-not-found")?;
        match hold.status {
            HoldStatus::Held if hold.is_over(now) => hold.end(HoldStatus::Expired),
            HoldStatus::Held => return Err("hold-not-over"),
            over => return Err(ended(over)),
        }
        self.position += 1;
        Ok(Outcome::Done)
    }
}
