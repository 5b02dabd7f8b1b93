//! What is outstanding: of a hold that is posted in steps, of an entry that is reversed in parts.

use super::{Posting, Postings};
use crate::money::Amount;

/// Postings with what is left of each. Empty once nothing is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Outstanding(Vec<Posting>);

impl Outstanding {
    /// All of `postings`.
    pub fn all(postings: &[Posting]) -> Self {
        Self(postings.to_vec())
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What is left, in the order of the postings that it is left of.
    pub fn postings(&self) -> &[Posting] {
        &self.0
    }

    /// What is left after `taken`; `None` where that is more than there is at one of its accounts and sides.
    #[must_use]
    pub fn less(&self, taken: &[Posting]) -> Option<Self> {
        if taken == self.0.as_slice() {
            return Some(Self::default());
        }
        let mut left: Vec<(Posting, i64)> =
            self.0.iter().map(|posting| (*posting, posting.amount.minor())).collect();
        for posting in taken {
            let mut wanted = posting.amount.minor();
            for (_, minor) in left.iter_mut().filter(|(of, _)| of.same_place(posting)) {
                let part = wanted.min(*minor);
                *minor -= part;
                wanted -= part;
            }
            if wanted > 0 {
                return None;
            }
        }
        let kept = left.into_iter().filter_map(|(posting, minor)| {
            let amount = Amount::from_minor(minor, posting.amount.currency()).ok()?;
            Some(Posting { amount, ..posting })
        });
        Some(Self(kept.collect()))
    }
}

/// How much of what is outstanding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// All that is left.
    Rest,
    /// This much, where one account pays another.
    Amount(Amount),
    /// Just these postings; they balance.
    Postings(Postings),
}

/// Why a part cannot be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartError {
    /// An amount of what is not one debit and one credit.
    Ambiguous,
    /// More than is left.
    More,
}

impl Part {
    /// The postings that this takes of what is outstanding, and what is left then.
    ///
    /// # Errors
    /// [`PartError`].
    pub(crate) fn of(
        &self,
        outstanding: &Outstanding,
    ) -> Result<(Vec<Posting>, Outstanding), PartError> {
        let taken = match (self, outstanding.postings()) {
            (Self::Rest, all) => all.to_vec(),
            (Self::Amount(amount), [first, second]) => {
                [first, second].map(|posting| Posting { amount: *amount, ..*posting }).to_vec()
            }
            (Self::Amount(_), _) => return Err(PartError::Ambiguous),
            (Self::Postings(postings), _) => postings.as_slice().to_vec(),
        };
        let left = outstanding.less(&taken).ok_or(PartError::More)?;
        Ok((taken, left))
    }
}

impl Posting {
    /// Whether both are on the same side of the same account, in the same currency.
    fn same_place(&self, other: &Self) -> bool {
        self.account_id == other.account_id
            && self.direction == other.direction
            && self.amount.currency() == other.amount.currency()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::given_when_then::posting;
    use crate::ledger::Direction::{Credit, Debit};

    #[test]
    fn what_is_taken_is_gone_and_more_than_there_is_cannot_be() {
        let all = Outstanding::all(&[
            posting("cash", Debit, 5),
            posting("cash", Debit, 3),
            posting("sales", Credit, 8),
        ]);
        let taken = [posting("cash", Debit, 6), posting("sales", Credit, 6)];
        let left = all.less(&taken).unwrap();
        assert_eq!(left.postings(), [posting("cash", Debit, 2), posting("sales", Credit, 2)]);
        assert_eq!(left.less(&taken), None);
        assert_eq!(left.less(&[posting("cash", Credit, 1)]), None, "the other side");
        assert!(left.less(left.postings()).unwrap().is_empty());
        assert_eq!(all.less(&[]), Some(all.clone()));
    }
}
