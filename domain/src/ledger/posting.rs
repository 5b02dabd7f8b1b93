//! Postings: one side of one account, moved by one amount.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::currency::Currency;
use crate::ids::AccountId;
use crate::money::{Amount, MoneyError};

/// The fewest postings of an entry: money comes from somewhere and goes somewhere.
pub const POSTINGS_MIN: usize = 2;
/// The most postings of an entry. At some 120 bytes each, with metadata at its longest, an event stays below
/// its 256 KiB.
pub const POSTINGS_MAX: usize = 1_000;

/// The side of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// The left side.
    Debit,
    /// The right side.
    Credit,
}

impl Direction {
    /// The other side.
    #[must_use]
    pub const fn opposite(self) -> Self {
        match self {
            Self::Debit => Self::Credit,
            Self::Credit => Self::Debit,
        }
    }

    /// The name as stored and on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Debit => "debit",
            Self::Credit => "credit",
        }
    }

    /// The amount with the sign that sums to zero over a balanced entry: debits +, credits −.
    pub const fn signed(self, minor: i64) -> i64 {
        match self {
            Self::Debit => minor,
            Self::Credit => -minor,
        }
    }
}

impl FromStr for Direction {
    type Err = UnknownDirection;

    fn from_str(text: &str) -> Result<Self, UnknownDirection> {
        match text {
            "debit" => Ok(Self::Debit),
            "credit" => Ok(Self::Credit),
            _ => Err(UnknownDirection),
        }
    }
}

/// The text names no side.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected `debit` or `credit`")]
pub struct UnknownDirection;

/// One amount on one side of one account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "StoredPosting", try_from = "StoredPosting")]
pub struct Posting {
    /// The account.
    pub account_id: AccountId,
    /// The side.
    pub direction: Direction,
    /// The amount.
    pub amount: Amount,
}

impl Posting {
    /// The posting that undoes this one.
    #[must_use]
    pub const fn opposite(self) -> Self {
        Self { direction: self.direction.opposite(), ..self }
    }
}

#[derive(Clone, Copy, Serialize, Deserialize)]
struct StoredPosting {
    account_id: AccountId,
    direction: Direction,
    amount_minor: i64,
    currency: Currency,
}

impl From<Posting> for StoredPosting {
    fn from(posting: Posting) -> Self {
        Self {
            account_id: posting.account_id,
            direction: posting.direction,
            amount_minor: posting.amount.minor(),
            currency: posting.amount.currency(),
        }
    }
}

impl TryFrom<StoredPosting> for Posting {
    type Error = MoneyError;

    fn try_from(stored: StoredPosting) -> Result<Self, MoneyError> {
        Ok(Self {
            account_id: stored.account_id,
            direction: stored.direction,
            amount: Amount::from_minor(stored.amount_minor, stored.currency)?,
        })
    }
}

/// Why a list of postings is not an entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PostingsError {
    /// Fewer than [`POSTINGS_MIN`] or more than [`POSTINGS_MAX`].
    #[error("expected {POSTINGS_MIN} to {POSTINGS_MAX} postings")]
    Count,
    /// Not one amount from one account to another, where only that can be cut to what is available.
    #[error("expected one debit and one credit, of two accounts, beside `up_to`")]
    NotOnePair,
    /// Debits and credits of a currency differ.
    #[error("debits and credits differ in {currency}")]
    Unbalanced {
        /// The first such currency by its code.
        currency: Currency,
    },
}

/// The postings of an entry: 2 to 1,000 of them, balanced in every currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Postings(Vec<Posting>);

impl Postings {
    /// Checks the number and the balance.
    ///
    /// # Errors
    /// [`PostingsError`]; the number is checked first.
    pub fn new(postings: Vec<Posting>) -> Result<Self, PostingsError> {
        if !(POSTINGS_MIN..=POSTINGS_MAX).contains(&postings.len()) {
            return Err(PostingsError::Count);
        }
        match unbalanced_currencies(&postings).first() {
            Some(&currency) => Err(PostingsError::Unbalanced { currency }),
            None => Ok(Self(postings)),
        }
    }

    /// The postings that undo these: same amounts, other sides.
    #[must_use]
    pub fn opposite(postings: &[Posting]) -> Vec<Posting> {
        postings.iter().map(|posting| posting.opposite()).collect()
    }

    /// The postings, in the order given.
    pub fn as_slice(&self) -> &[Posting] {
        &self.0
    }
}

/// The currencies in which debits and credits differ, in the order of their codes.
pub fn unbalanced_currencies(postings: &[Posting]) -> Vec<Currency> {
    let mut sums: BTreeMap<Currency, i128> = BTreeMap::new();
    for posting in postings {
        let signed = posting.direction.signed(posting.amount.minor());
        *sums.entry(posting.amount.currency()).or_default() += i128::from(signed);
    }
    sums.into_iter().filter(|(_, sum)| *sum != 0).map(|(currency, _)| currency).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use uuid::Uuid;

    fn posting(direction: Direction, minor: i64, currency: &str) -> Posting {
        let amount = Amount::from_minor(minor, currency.parse().unwrap()).unwrap();
        Posting { account_id: AccountId::from_uuid(Uuid::nil()), direction, amount }
    }

    #[test]
    fn an_entry_balances_in_each_currency_by_itself() {
        use Direction::{Credit, Debit};
        let crossed = vec![posting(Debit, 5, "USD"), posting(Credit, 5, "JPY")];
        let jpy = "JPY".parse().unwrap();
        assert_eq!(Postings::new(crossed), Err(PostingsError::Unbalanced { currency: jpy }));
        let both = vec![
            posting(Debit, 5, "USD"),
            posting(Credit, 5, "USD"),
            posting(Debit, 7, "JPY"),
            posting(Credit, 7, "JPY"),
        ];
        assert!(Postings::new(both).is_ok());
    }

    #[test]
    fn an_entry_has_2_to_1000_postings() {
        use Direction::{Credit, Debit};
        let pairs = |n: usize| {
            (0..n)
                .flat_map(|_| [posting(Debit, 1, "USD"), posting(Credit, 1, "USD")])
                .collect::<Vec<_>>()
        };
        assert_eq!(Postings::new(pairs(0)), Err(PostingsError::Count));
        assert_eq!(Postings::new(vec![posting(Debit, 1, "USD")]), Err(PostingsError::Count));
        assert!(Postings::new(pairs(500)).is_ok());
        assert_eq!(Postings::new(pairs(501)), Err(PostingsError::Count));
    }

    proptest! {
        #[test]
        fn any_split_of_a_sum_balances_and_its_opposite_does(parts in prop::collection::vec(1_i64..1_000_000, 1..99)) {
            let total: i64 = parts.iter().sum();
            let mut list: Vec<Posting> =
                parts.iter().map(|&minor| posting(Direction::Debit, minor, "USD")).collect();
            list.push(posting(Direction::Credit, total, "USD"));
            prop_assert!(unbalanced_currencies(&Postings::opposite(&list)).is_empty());
            prop_assert!(Postings::new(list.clone()).is_ok());
            list.push(posting(Direction::Credit, 1, "USD"));
            prop_assert!(Postings::new(list).is_err());
        }
    }
}
