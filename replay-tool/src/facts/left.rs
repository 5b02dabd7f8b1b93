//! What is left of postings: of a hold that is posted in steps, of an entry that is reversed in parts. The
//! auditors' own sum, so that a mistake in the domain's cannot hide itself.

use super::PostingFacts;

/// Postings with what is left of each; none of them once nothing is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Left(Vec<PostingFacts>);

impl Left {
    /// All of `postings`.
    pub(crate) fn all(postings: &[PostingFacts]) -> Self {
        Self(postings.to_vec())
    }

    /// What is left, in the order of the postings that it is left of.
    pub(crate) fn postings(&self) -> &[PostingFacts] {
        &self.0
    }

    /// Whether nothing is.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes `taken`, or of it as much as there is; whether there was enough on every side of every account.
    pub(crate) fn take(&mut self, taken: &[PostingFacts]) -> bool {
        if self.0 == taken {
            self.0.clear();
            return true;
        }
        let mut enough = true;
        for posting in taken {
            let mut wanted = posting.minor;
            for left in self.0.iter_mut().filter(|left| same_place(left, posting)) {
                let part = wanted.min(left.minor);
                left.minor -= part;
                wanted -= part;
            }
            enough &= wanted == 0;
        }
        self.0.retain(|left| left.minor > 0);
        enough
    }
}

/// Whether both are on the same side of the same account, in the same currency.
fn same_place(one: &PostingFacts, other: &PostingFacts) -> bool {
    one.account == other.account
        && one.direction == other.direction
        && one.currency == other.currency
}

#[cfg(test)]
mod tests {
    use domain::ledger::Direction::{Credit, Debit};
    use domain::ledger::{Direction, Outstanding, Posting};
    use domain::{AccountId, Amount};
    use uuid::Uuid;

    use super::*;

    fn posting(account: u128, direction: Direction, minor: i64) -> Posting {
        let amount = Amount::from_minor(minor, "USD".parse().unwrap()).unwrap();
        Posting { account_id: AccountId::from_uuid(Uuid::from_u128(account)), direction, amount }
    }

    /// What the domain makes of the same.
    #[test]
    fn as_much_is_left_as_the_domain_says() {
        let all = [posting(1, Debit, 5), posting(1, Debit, 3), posting(2, Credit, 8)];
        for taken in [
            vec![],
            vec![posting(1, Debit, 6), posting(2, Credit, 6)],
            vec![posting(1, Debit, 8), posting(2, Credit, 8)],
            vec![posting(1, Debit, 9), posting(2, Credit, 9)],
            vec![posting(1, Credit, 1)],
            all.to_vec(),
        ] {
            let mut left = Left::all(&PostingFacts::all(&all));
            let enough = left.take(&PostingFacts::all(&taken));
            match Outstanding::all(&all).less(&taken) {
                Some(domain) => {
                    assert!(enough, "{taken:?}");
                    assert_eq!(left.postings(), PostingFacts::all(domain.postings()));
                }
                None => assert!(!enough, "{taken:?}"),
            }
        }
    }
}
