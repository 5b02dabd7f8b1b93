//! The naive model: what a ledger is, written down once more as plainly as can be, with nothing of the domain's
//! but its words. It says of everything that is asked whether it is done and what the accounts have then.

mod entries;
mod holds;
mod legs;

use std::collections::BTreeMap;

use domain::accounts::AccountStatus;
use domain::ledger::Direction;

pub(crate) use entries::Entry;
pub(crate) use holds::Hold;
pub(crate) use legs::Worth;

use crate::commands::{Asked, DAY, Leg, NOWHERE, Opening, SECOND, Step};

/// 2026-11-28T12:00:00Z: two days before the end of a month.
const START: i64 = 1_795_867_200 * SECOND;
/// How long after its end a day may be cut off.
pub(crate) const GRACE: i64 = 60 * SECOND;
/// The longest that something may be ahead.
pub(crate) const AHEAD: i64 = 366 * DAY;

/// The code of a rejection.
pub(crate) type Refused = &'static str;

/// What becomes of what is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Done,
    Already,
    Refused(Refused),
    /// Of several steps, each in its turn.
    Several(Vec<Outcome>),
}

#[derive(Debug, Clone)]
pub(crate) struct Account {
    pub(crate) opening: Opening,
    pub(crate) min: Option<i64>,
    pub(crate) max: Option<i64>,
    pub(crate) status: AccountStatus,
}

impl Account {
    pub(crate) fn normal(&self) -> Direction {
        self.opening.contra_side.unwrap_or(self.opening.kind.normal_side())
    }
}

/// An entry in the order of the log.
#[derive(Debug, Clone)]
pub(crate) struct Booked {
    pub(crate) position: usize,
    pub(crate) recorded_at: i64,
    pub(crate) effective_at: i64,
    pub(crate) legs: Vec<Leg>,
}

#[derive(Debug, Clone)]
pub(crate) struct Model {
    pub(crate) now: i64,
    /// The number of events so far.
    pub(crate) position: usize,
    pub(crate) accounts: BTreeMap<u8, Account>,
    /// The entries that have a name of their own.
    pub(crate) entries: BTreeMap<u8, Entry>,
    pub(crate) holds: BTreeMap<u8, Hold>,
    /// Every entry.
    pub(crate) booked: Vec<Booked>,
    pub(crate) cut_off: Option<i32>,
    pub(crate) closed: Option<i32>,
    /// When the last step was.
    pub(crate) asked_at: i64,
    /// What became of it.
    pub(crate) outcome: Outcome,
}

pub(crate) fn day_of(at: i64) -> i32 {
    i32::try_from(at.div_euclid(DAY)).unwrap()
}

/// The first microsecond of a day.
pub(crate) fn start_of(day: i32) -> i64 {
    i64::from(day) * DAY
}

/// The year and month of a day.
fn month_of(day: i32) -> (i32, time::Month) {
    let at = time::OffsetDateTime::from_unix_timestamp(start_of(day) / SECOND).unwrap();
    (at.year(), at.month())
}

impl Model {
    pub(crate) fn new() -> Self {
        Self {
            now: START,
            position: 0,
            accounts: BTreeMap::new(),
            entries: BTreeMap::new(),
            holds: BTreeMap::new(),
            booked: Vec::new(),
            cut_off: None,
            closed: None,
            asked_at: START,
            outcome: Outcome::Done,
        }
    }

    /// Whether the step is about what there is. Where steps before it are taken out, this may change.
    pub(crate) fn makes_sense_of(&self, step: &Step) -> bool {
        let here = |known: bool, number: u8| known || number == NOWHERE;
        let asked = &step.asked;
        asked.accounts().into_iter().all(|one| here(self.accounts.contains_key(&one), one))
            && asked.entry().is_none_or(|one| here(self.entries.contains_key(&one), one))
            && asked.hold().is_none_or(|one| here(self.holds.contains_key(&one), one))
    }

    pub(crate) fn after(mut self, step: &Step) -> Self {
        self.outcome = match &step.asked {
            Asked::Several { steps, atomic } => self.several(steps, *atomic),
            asked => self.single(asked).unwrap_or_else(Outcome::Refused),
        };
        self.asked_at = self.now;
        self.now += step.wait;
        self
    }

    /// All that one step leads to.
    fn single(&mut self, asked: &Asked) -> Result<Outcome, Refused> {
        match asked {
            Asked::Open(opening) => self.open(opening),
            Asked::Amend { account, min, max } => self.amend(*account, *min, *max),
            Asked::Freeze(account) => self.switch(*account, AccountStatus::Frozen),
            Asked::Unfreeze(account) => self.switch(*account, AccountStatus::Open),
            Asked::Close(account) => self.switch(*account, AccountStatus::Closed),
            Asked::Post(posting) => self.post(posting),
            Asked::Reverse(reversing) => self.reverse(reversing),
            Asked::Replace { entry, by } => self.replace(*entry, by),
            Asked::Hold(holding) => self.hold(holding),
            Asked::PostHold(posting) => self.post_hold(posting),
            Asked::Void(hold) => self.void(*hold),
            Asked::Expire(hold) => self.expire(*hold),
            Asked::CutOff(day) => self.cut_off_day(*day),
            Asked::CloseDay { day, chained } => self.close_day(*day, *chained),
            Asked::Several { .. } => unreachable!("a step is one command"),
        }
    }

    fn several(&mut self, steps: &[Asked], atomic: bool) -> Outcome {
        let before = self.clone();
        let mut outcomes = Vec::new();
        for step in steps {
            let outcome = self.single(step).unwrap_or_else(Outcome::Refused);
            if let (true, Outcome::Refused(_)) = (atomic, &outcome) {
                *self = before;
                return outcome;
            }
            outcomes.push(outcome);
        }
        Outcome::Several(outcomes)
    }

    pub(super) fn account(&self, number: u8) -> Result<&Account, Refused> {
        self.accounts.get(&number).ok_or("account-not-found")
    }

    fn open(&mut self, opening: &Opening) -> Result<Outcome, Refused> {
        if self.accounts.contains_key(&opening.account) {
            return Err("account-code-taken");
        }
        check_limits(opening.min, opening.max)?;
        let (min, max) = (opening.min, opening.max);
        let status = AccountStatus::Open;
        let account = Account { opening: opening.clone(), min, max, status };
        self.accounts.insert(opening.account, account);
        self.position += 1;
        Ok(Outcome::Done)
    }

    fn amend(
        &mut self,
        number: u8,
        min: Option<Option<i64>>,
        max: Option<Option<i64>>,
    ) -> Result<Outcome, Refused> {
        let account = self.account(number)?;
        if account.status == AccountStatus::Closed {
            return Err("account-closed");
        }
        let (before, after) =
            ((account.min, account.max), (min.unwrap_or(account.min), max.unwrap_or(account.max)));
        check_limits(after.0, after.1)?;
        if before == after {
            return Ok(Outcome::Already);
        }
        let account = self.accounts.get_mut(&number).unwrap();
        (account.min, account.max) = after;
        self.position += 1;
        Ok(Outcome::Done)
    }

    fn switch(&mut self, number: u8, to: AccountStatus) -> Result<Outcome, Refused> {
        use AccountStatus::{Closed, Frozen, Open};
        match (self.account(number)?.status, to) {
            (Open, Frozen) | (Frozen, Open) => {}
            (Open | Frozen, Closed) => {
                let worth = self.worth(number);
                let balance = worth.debits - worth.credits;
                if (balance, worth.held_debits, worth.held_credits) != (0, 0, 0) {
                    return Err("balance-not-zero");
                }
            }
            (Open, Open) => return Err("account-open"),
            (Frozen, Frozen) => return Err("account-frozen"),
            (Closed, _) => return Err("account-closed"),
        }
        self.accounts.get_mut(&number).unwrap().status = to;
        self.position += 1;
        Ok(Outcome::Done)
    }

    fn cut_off_day(&mut self, day: i32) -> Result<Outcome, Refused> {
        if start_of(day) < 0 {
            return Err("day-before-books");
        }
        if self.now < start_of(day + 1) + GRACE {
            return Err("day-not-over");
        }
        if let Some(last) = self.cut_off {
            if day <= last {
                return Err("day-cut-off");
            }
            if month_of(day) != month_of(last + 1) {
                return Err("month-not-closed");
            }
            if self.closed != Some(last) {
                return Err("day-being-closed");
            }
        }
        self.cut_off = Some(day);
        self.position += 1;
        Ok(Outcome::Done)
    }

    fn close_day(&mut self, day: i32, chained: bool) -> Result<Outcome, Refused> {
        let builds_on_the_last = chained || self.closed.is_none();
        if self.cut_off != Some(day) || self.closed == Some(day) || !builds_on_the_last {
            return Err("day-not-cut-off");
        }
        self.closed = Some(day);
        self.position += if month_of(day) == month_of(day + 1) { 1 } else { 2 };
        Ok(Outcome::Done)
    }

    /// When something that is meant for a time takes effect.
    pub(super) fn effective(&self, meant_for: Option<i64>) -> Result<i64, Refused> {
        let Some(at) = meant_for else { return Ok(self.now) };
        if at < 0 || at > self.now + AHEAD {
            return Err("effective-time-out-of-range");
        }
        Ok(match self.cut_off {
            Some(last) => at.max(start_of(last + 1)),
            None => at,
        })
    }

    /// Puts an entry into the log.
    pub(super) fn book(&mut self, legs: &[Leg], effective_at: i64) {
        self.position += 1;
        let (position, recorded_at) = (self.position, self.now);
        self.booked.push(Booked { position, recorded_at, effective_at, legs: legs.to_vec() });
    }
}

fn check_limits(min: Option<i64>, max: Option<i64>) -> Result<(), Refused> {
    let crossed = min.zip(max).is_some_and(|(min, max)| min > max);
    if crossed { Err("limits-cross") } else { Ok(()) }
}
