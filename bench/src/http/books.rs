//! Whether the ledger holds what was answered, to the cent.

use anyhow::{Context, ensure};
use serde::Deserialize;

use super::generator::Counts;
use crate::read_models::ReadModels;

/// The currency of all that benchmarks post.
const CURRENCY: &str = "USD";
/// Its decimals.
const DECIMALS: usize = 2;

#[derive(Deserialize)]
struct TrialBalance {
    currencies: Vec<CurrencyBalance>,
}

#[derive(Deserialize)]
struct CurrencyBalance {
    currency: String,
    debits: String,
    credits: String,
    difference: String,
}

/// The trial balance as it was when it was looked at last.
#[derive(Debug)]
pub(super) struct Books {
    debits_minor: i128,
}

impl Books {
    /// As they are now.
    pub(super) async fn read(reads: &ReadModels) -> anyhow::Result<Self> {
        let answer = reads.get("/v1/ledger/trial-balance").await?;
        let balance: TrialBalance = serde_json::from_value(answer).context("a trial balance")?;
        let mut debits_minor = 0;
        for CurrencyBalance { currency, debits, credits, difference } in balance.currencies {
            let balances = debits == credits && is_zero(&difference);
            ensure!(balances, "{currency} does not balance: {debits} and {credits}, {difference}");
            if currency == CURRENCY {
                debits_minor = minor_units(&debits).with_context(|| format!("a sum: {debits}"))?;
            }
        }
        Ok(Self { debits_minor })
    }

    /// Looks again, once nothing is behind; by how many cents the ledger differs from what was answered.
    pub(super) async fn drift(
        &mut self,
        reads: &ReadModels,
        counts: &Counts,
    ) -> anyhow::Result<i128> {
        let before = std::mem::replace(self, Self::read(reads).await?);
        let posted = self.debits_minor - before.debits_minor;
        Ok(drift(posted, counts.moved_minor, counts.unclear_minor))
    }
}

/// How far `posted` is from `moved`; what is unclear may be there or not.
fn drift(posted: i128, moved: i128, unclear: i128) -> i128 {
    posted - posted.clamp(moved, moved + unclear)
}

/// Cents of a decimal such as `-12.05`.
fn minor_units(text: &str) -> Option<i128> {
    let (whole, decimals) = text.split_once('.')?;
    if decimals.len() != DECIMALS {
        return None;
    }
    format!("{whole}{decimals}").parse().ok()
}

fn is_zero(decimal: &str) -> bool {
    !decimal.is_empty() && decimal.bytes().all(|byte| matches!(byte, b'0' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_answered_is_there_or_it_is_drift() {
        assert_eq!(drift(100, 100, 0), 0);
        assert_eq!(drift(99, 100, 0), -1);
        assert_eq!(drift(101, 100, 0), 1);
    }

    #[test]
    fn what_is_unclear_may_be_there_but_no_more() {
        assert_eq!(drift(100, 100, 50), 0);
        assert_eq!(drift(150, 100, 50), 0);
        assert_eq!(drift(151, 100, 50), 1);
        assert_eq!(drift(99, 100, 50), -1);
    }

    #[test]
    fn decimals_are_read_to_the_cent() {
        assert_eq!(minor_units("12.05"), Some(1_205));
        assert_eq!(minor_units("-0.01"), Some(-1));
        assert_eq!(minor_units("0.00"), Some(0));
        for text in ["12", "12.5", "12.050", "", "a.00"] {
            assert_eq!(minor_units(text), None, "{text}");
        }
    }

    #[test]
    fn zero_is_zero_in_any_currency() {
        assert!(["0", "0.00", "0.000"].into_iter().all(is_zero));
        assert!(["", "0.01", "-0.01", "1"].into_iter().all(|text| !is_zero(text)));
    }
}
