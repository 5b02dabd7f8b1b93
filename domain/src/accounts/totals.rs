//! The totals of an account: what was ever posted to it, and what is held on it now.

use crate::ledger::Direction;
use crate::money::SUM_MINOR_MAX;

/// All that was ever posted to an account and what is held now, in minor units of its currency. What was
/// posted only grows; the balance is its difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Sum of all debits.
    pub debits_posted: i128,
    /// Sum of all credits.
    pub credits_posted: i128,
    /// Sum of the debits held, not posted.
    pub debits_pending: i128,
    /// Sum of the credits held, not posted.
    pub credits_pending: i128,
}

fn sum(total: i128, more: i128) -> i128 {
    total.checked_add(more).unwrap_or_else(|| unreachable!("at most {SUM_MINOR_MAX} are added up"))
}

impl Totals {
    /// The totals after one more posting.
    #[must_use]
    pub fn with(self, direction: Direction, minor: i64) -> Self {
        let minor = i128::from(minor);
        match direction {
            Direction::Debit => Self { debits_posted: sum(self.debits_posted, minor), ..self },
            Direction::Credit => Self { credits_posted: sum(self.credits_posted, minor), ..self },
        }
    }

    /// The totals with `minor` more held on a side, less where it is negative.
    #[must_use]
    pub fn holding(self, direction: Direction, minor: i64) -> Self {
        let minor = i128::from(minor);
        match direction {
            Direction::Debit => Self { debits_pending: sum(self.debits_pending, minor), ..self },
            Direction::Credit => Self { credits_pending: sum(self.credits_pending, minor), ..self },
        }
    }

    /// Whether more was released on a side than was held there, which no sequence of decisions leads to.
    pub const fn released_too_much(self) -> bool {
        self.debits_pending < 0 || self.credits_pending < 0
    }

    /// The balance if of all that is held just what lowers it comes about: what a minimum is compared with.
    pub fn lowest(self, normal: Direction) -> i128 {
        let against = match normal {
            Direction::Debit => self.credits_pending,
            Direction::Credit => self.debits_pending,
        };
        sum(self.balance(normal), -against)
    }

    /// The balance if of all that is held just what raises it comes about: what a maximum is compared with.
    pub fn highest(self, normal: Direction) -> i128 {
        let for_it = match normal {
            Direction::Debit => self.debits_pending,
            Direction::Credit => self.credits_pending,
        };
        sum(self.balance(normal), for_it)
    }

    /// Whether nothing is held on either side.
    pub const fn nothing_held(self) -> bool {
        self.debits_pending == 0 && self.credits_pending == 0
    }

    /// The posted balance in minor units, positive on the side `normal`.
    pub const fn balance(self, normal: Direction) -> i128 {
        // Both totals are 0 or more, so the difference always fits.
        match normal {
            Direction::Debit => self.debits_posted - self.credits_posted,
            Direction::Credit => self.credits_posted - self.debits_posted,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::AMOUNT_MINOR_MAX;

    #[test]
    fn totals_go_beyond_64_bits() {
        let most = AMOUNT_MINOR_MAX;
        let totals = (0..2_000).fold(Totals::default(), |totals, _| {
            totals.with(Direction::Debit, most).holding(Direction::Debit, most)
        });
        let sum = 2_000 * i128::from(most);
        assert!(sum > i128::from(i64::MAX));
        assert_eq!((totals.debits_posted, totals.debits_pending), (sum, sum));
        assert_eq!(
            (totals.balance(Direction::Debit), totals.balance(Direction::Credit)),
            (sum, -sum)
        );
        assert_eq!(totals.highest(Direction::Debit), 2 * sum);
        assert_eq!(totals.lowest(Direction::Credit), -2 * sum);
        assert!(!totals.released_too_much());
        assert!(Totals::default().holding(Direction::Credit, -1).released_too_much());
    }
}
