//! Over which accounts entries are spread: all alike, or few of them often and most seldom.

use std::fmt;
use std::str::FromStr;

use anyhow::{Context, bail, ensure};

use super::splitmix::SplitMix;

/// The fewest: an entry's debit and credit are on two accounts.
const ACCOUNTS_MIN: u32 = 2;
/// The most: opening so many takes minutes, and their states some hundred MiB.
const ACCOUNTS_MAX: u32 = 1_000_000;
/// The weight of the first account of a Zipf distribution. That of the last one of a million still has seven
/// digits, and the sum of all fits into 64 bits.
const ZIPF_WEIGHT_FIRST: u64 = 1 << 43;
/// How often a credit is drawn again because it is on the account of the debit; then it goes to the next
/// account. Of three accounts by Zipf that is one entry in thirty thousand.
const REDRAWS_MAX: usize = 16;

/// A distribution over accounts, named `uniform:1000` or `zipf:100000`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Spread {
    /// Every account as often as any other.
    Uniform(u32),
    /// The second account half as often as the first, the third a third as often, and so on (exponent 1.0).
    Zipf(u32),
}

impl Spread {
    /// Over how many accounts.
    pub(super) fn accounts(self) -> usize {
        let (Self::Uniform(count) | Self::Zipf(count)) = self;
        usize::try_from(count).unwrap_or(usize::MAX)
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Uniform(count) => write!(f, "uniform:{count}"),
            Self::Zipf(count) => write!(f, "zipf:{count}"),
        }
    }
}

impl FromStr for Spread {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (name, count) = text.split_once(':').context("expected `uniform:N` or `zipf:N`")?;
        let count: u32 = count.parse().context("expected a number of accounts behind the colon")?;
        ensure!(
            (ACCOUNTS_MIN..=ACCOUNTS_MAX).contains(&count),
            "expected {ACCOUNTS_MIN} to {ACCOUNTS_MAX} accounts"
        );
        match name {
            "uniform" => Ok(Self::Uniform(count)),
            "zipf" => Ok(Self::Zipf(count)),
            _ => bail!("expected `uniform:N` or `zipf:N`"),
        }
    }
}

/// Draws the two accounts of an entry.
#[derive(Debug)]
pub(super) enum Pairs {
    /// Of so many, all alike.
    Uniform(u64),
    /// By the sums of the weights up to each account, that one included.
    Zipf(Vec<u64>),
}

impl Pairs {
    pub(super) fn of(spread: Spread) -> Self {
        match spread {
            Spread::Uniform(count) => Self::Uniform(u64::from(count)),
            Spread::Zipf(count) => {
                let weights = (1..=u64::from(count)).map(|rank| ZIPF_WEIGHT_FIRST / rank);
                let sums = weights.scan(0, |sum, weight| {
                    *sum += weight;
                    Some(*sum)
                });
                Self::Zipf(sums.collect())
            }
        }
    }

    /// The places of the debit's account and of the credit's, which differ.
    pub(super) fn draw(&self, draws: &mut SplitMix) -> (usize, usize) {
        let debit = self.one(draws);
        for _ in 0..REDRAWS_MAX {
            let credit = self.one(draws);
            if credit != debit {
                return (debit, credit);
            }
        }
        (debit, (debit + 1) % self.accounts())
    }

    fn accounts(&self) -> usize {
        match self {
            Self::Uniform(count) => usize::try_from(*count).unwrap_or(usize::MAX),
            Self::Zipf(sums) => sums.len(),
        }
    }

    fn one(&self, draws: &mut SplitMix) -> usize {
        match self {
            Self::Uniform(count) => usize::try_from(draws.below(*count)).unwrap_or(0),
            Self::Zipf(sums) => {
                let drawn = draws.below(sums.last().copied().unwrap_or(0));
                sums.partition_point(|sum| *sum <= drawn)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAWS: u64 = 200_000;

    /// How often each account is debited.
    fn debits(spread: Spread) -> Vec<u64> {
        let pairs = Pairs::of(spread);
        let mut debits = vec![0; spread.accounts()];
        for n in 0..DRAWS {
            let (debit, credit) = pairs.draw(&mut SplitMix::of(1, n));
            assert_ne!(debit, credit);
            assert!(credit < spread.accounts());
            debits[debit] += 1;
        }
        debits
    }

    #[test]
    fn spreads_are_read_as_they_are_written() {
        for text in ["uniform:2", "uniform:1000", "zipf:100000"] {
            assert_eq!(text.parse::<Spread>().unwrap().to_string(), text);
        }
        for text in ["uniform", "uniform:1", "zipf:1000001", "normal:10", "zipf:", "10"] {
            assert!(text.parse::<Spread>().is_err(), "{text}");
        }
    }

    #[test]
    fn uniform_debits_every_account_alike() {
        let expected = DRAWS / 100;
        for count in debits(Spread::Uniform(100)) {
            assert!(count.abs_diff(expected) < expected / 5, "{count} of {expected}");
        }
    }

    #[test]
    fn of_two_accounts_each_is_debited_half_the_time() {
        assert!(debits(Spread::Uniform(2))[0].abs_diff(DRAWS / 2) < DRAWS / 100);
    }

    #[test]
    fn zipf_debits_an_account_as_often_as_its_rank_says() {
        let debits = debits(Spread::Zipf(100_000));
        // The first of N has a share of one in the N-th harmonic number, which is 12.09 here.
        let first = DRAWS * 100 / 1_209;
        for rank in 1..=5 {
            let (count, expected) = (debits[rank - 1], first / u64::try_from(rank).unwrap());
            assert!(count.abs_diff(expected) < expected / 10, "rank {rank}: {count} of {expected}");
        }
    }

    #[test]
    fn the_last_account_is_drawn_too() {
        assert!(debits(Spread::Zipf(1_000))[999] > 0);
        let Pairs::Zipf(sums) = Pairs::of(Spread::Zipf(ACCOUNTS_MAX)) else { panic!("a table") };
        assert!(sums.is_sorted_by(|a, b| a < b), "every account has a weight");
    }

    #[test]
    fn the_same_entry_is_between_the_same_accounts_again() {
        let pairs = Pairs::of(Spread::Zipf(1_000));
        let drawn = |n| pairs.draw(&mut SplitMix::of(4, n));
        assert!((0..100).all(|n| drawn(n) == drawn(n)));
    }
}
