//! What legs do to accounts, and what is left of them: the rules that every movement keeps.

use std::collections::BTreeSet;

use domain::accounts::AccountStatus;
use domain::ledger::Direction;

use super::{Model, Refused};
use crate::commands::{Leg, Share};

/// What an account has, in minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Worth {
    pub(crate) debits: i128,
    pub(crate) credits: i128,
    pub(crate) held_debits: i128,
    pub(crate) held_credits: i128,
}

impl Worth {
    pub(crate) fn post(&mut self, leg: Leg) {
        match leg.side {
            Direction::Debit => self.debits += i128::from(leg.minor),
            Direction::Credit => self.credits += i128::from(leg.minor),
        }
    }

    pub(crate) fn hold(&mut self, leg: Leg, sign: i128) {
        let minor = sign * i128::from(leg.minor);
        match leg.side {
            Direction::Debit => self.held_debits += minor,
            Direction::Credit => self.held_credits += minor,
        }
    }

    pub(crate) fn balance(self, normal: Direction) -> i128 {
        match normal {
            Direction::Debit => self.debits - self.credits,
            Direction::Credit => self.credits - self.debits,
        }
    }

    /// The balance if of all that is held only what lowers it is posted.
    pub(crate) fn lowest(self, normal: Direction) -> i128 {
        match normal {
            Direction::Debit => self.balance(normal) - self.held_credits,
            Direction::Credit => self.balance(normal) - self.held_debits,
        }
    }

    /// The balance if of all that is held only what raises it is posted.
    pub(crate) fn highest(self, normal: Direction) -> i128 {
        match normal {
            Direction::Debit => self.balance(normal) + self.held_debits,
            Direction::Credit => self.balance(normal) + self.held_credits,
        }
    }
}

/// What one command moves.
#[derive(Debug, Default)]
pub(super) struct Moved {
    pub(super) posted: Vec<Leg>,
    pub(super) held: Vec<Leg>,
    pub(super) released: Vec<Leg>,
}

impl Model {
    /// What was posted to an account, and what the holds that are open hold of it.
    pub(crate) fn worth(&self, account: u8) -> Worth {
        let mut worth = Worth::default();
        for leg in self.booked.iter().flat_map(|booked| &booked.legs) {
            if leg.account == account {
                worth.post(*leg);
            }
        }
        for leg in self.holds.values().flat_map(|hold| &hold.left) {
            if leg.account == account {
                worth.hold(*leg, 1);
            }
        }
        worth
    }

    /// Whether all of it may be moved.
    pub(super) fn check(&self, moved: &Moved) -> Result<(), Refused> {
        let Moved { posted, held, released } = moved;
        let all = || posted.iter().chain(held).chain(released);
        for leg in all() {
            self.account(leg.account)?;
        }
        for leg in posted.iter().chain(held) {
            match self.accounts[&leg.account].status {
                AccountStatus::Open => {}
                AccountStatus::Frozen => return Err("account-frozen"),
                AccountStatus::Closed => return Err("account-closed"),
            }
        }
        if all().any(|leg| leg.currency != self.accounts[&leg.account].opening.currency) {
            return Err("currency-mismatch");
        }
        let mut too_low = false;
        let mut too_high = false;
        for number in all().map(|leg| leg.account).collect::<BTreeSet<u8>>() {
            let own = |legs: &[Leg]| -> Vec<Leg> {
                legs.iter().copied().filter(|leg| leg.account == number).collect()
            };
            let account = &self.accounts[&number];
            let normal = account.normal();
            let before = self.worth(number);
            let mut after = before;
            own(posted).into_iter().for_each(|leg| after.post(leg));
            own(held).into_iter().for_each(|leg| after.hold(leg, 1));
            own(released).into_iter().for_each(|leg| after.hold(leg, -1));
            let (low, high) = (after.lowest(normal), after.highest(normal));
            too_low |=
                account.min.is_some_and(|min| low < min.into()) && low < before.lowest(normal);
            too_high |=
                account.max.is_some_and(|max| high > max.into()) && high > before.highest(normal);
        }
        match (too_low, too_high) {
            (true, _) => Err("insufficient-funds"),
            (false, true) => Err("balance-above-maximum"),
            (false, false) => Ok(()),
        }
    }

    /// The legs with no more than the accounts' limits let through once others are posted; all of it where
    /// they let nothing through.
    pub(super) fn cut(&self, legs: &[Leg], others: &[Leg]) -> Result<Vec<Leg>, Refused> {
        let mut most = i64::MAX;
        for leg in legs {
            let account = self.account(leg.account)?;
            let normal = account.normal();
            let mut worth = self.worth(leg.account);
            let own = others.iter().filter(|other| other.account == leg.account);
            own.for_each(|other| worth.post(*other));
            let room = if leg.side == normal {
                account.max.map(|max| i128::from(max) - worth.highest(normal))
            } else {
                account.min.map(|min| worth.lowest(normal) - i128::from(min))
            };
            let room = i64::try_from(room.unwrap_or(i64::MAX.into())).unwrap();
            most = most.min(leg.minor).min(room);
        }
        let minor = |leg: &Leg| if most > 0 { most } else { leg.minor };
        Ok(legs.iter().map(|leg| Leg { minor: minor(leg), ..*leg }).collect())
    }
}

/// What is left after a share was taken of it.
pub(super) struct Taken {
    pub(super) taken: Vec<Leg>,
    pub(super) left: Vec<Leg>,
}

/// Takes a share of what is left; refused with `too_much` where that is more than there is.
pub(super) fn take(of: &[Leg], share: &Share, too_much: Refused) -> Result<Taken, Refused> {
    let taken = match (share, of) {
        (Share::Rest, _) => of.to_vec(),
        (Share::Amount { minor, currency }, [_, _]) => {
            of.iter().map(|leg| Leg { minor: *minor, currency: *currency, ..*leg }).collect()
        }
        (Share::Amount { .. }, _) => return Err("amount-ambiguous"),
        (Share::Legs(legs), _) => legs.clone(),
    };
    let mut left = of.to_vec();
    for leg in &taken {
        for _ in 0..leg.minor {
            let place = left.iter_mut().find(|other| other.same_place(*leg) && other.minor > 0);
            place.ok_or(too_much)?.minor -= 1;
        }
    }
    left.retain(|leg| leg.minor > 0);
    Ok(Taken { taken, left })
}
