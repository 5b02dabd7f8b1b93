//! The JSON of entries, written by hand: making it may not take what is to be measured.

use std::fmt::{self, Write};
use std::sync::Arc;

use super::accounts::{Pairs, Spread};
use super::splitmix::SplitMix;

/// The bytes of an entry, to make room for at once: two ids of 30, a reference, and what names them.
pub(super) const ENTRY_BYTES: usize = 256;
/// Amounts go round from 0.01 to so many cents: a prime, so that they fall together with nothing else.
const AMOUNT_MINOR_MAX: u64 = 9_973;
/// Cents in a dollar.
const MINOR_UNITS: u64 = 100;

/// The entries of one run: each under a reference of its own, between two of the accounts.
#[derive(Debug)]
pub(super) struct Entries {
    run: u64,
    accounts: Arc<[String]>,
    pairs: Pairs,
}

impl Entries {
    /// Over the first of `accounts` (their ids); `run` tells their references from those of other runs.
    pub(super) fn new(run: u64, accounts: &Arc<[String]>, spread: Spread) -> Self {
        Self { run, accounts: Arc::clone(accounts), pairs: Pairs::of(spread) }
    }

    /// The number that tells this run from others.
    pub(super) fn run(&self) -> u64 {
        self.run
    }

    /// What entry `n` moves, in cents.
    pub(super) fn minor(n: u64) -> u64 {
        1 + n % AMOUNT_MINOR_MAX
    }

    /// Writes entry `n` behind what is in `body`.
    pub(super) fn write(&self, body: &mut String, n: u64) -> fmt::Result {
        let (debit, credit) = self.pairs.draw(&mut SplitMix::of(self.run, n));
        write!(body, "{{\"external_ref\":\"run{}-{n}\",\"postings\":[", self.run)?;
        posting(body, &self.accounts[debit], "debit", Self::minor(n))?;
        body.push(',');
        posting(body, &self.accounts[credit], "credit", Self::minor(n))?;
        body.push_str("]}");
        Ok(())
    }
}

fn posting(body: &mut String, account: &str, direction: &str, minor: u64) -> fmt::Result {
    body.push_str("{\"account\":\"");
    body.push_str(account);
    body.push_str("\",\"direction\":\"");
    body.push_str(direction);
    let (whole, cents) = (minor / MINOR_UNITS, minor % MINOR_UNITS);
    write!(body, "\",\"amount\":\"{whole}.{cents:02}\",\"currency\":\"USD\"}}")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn an_entry_is_json_that_balances_between_two_accounts() {
        let accounts: Arc<[String]> = ["acc_a".to_owned(), "acc_b".to_owned()].into();
        let entries = Entries::new(3, &accounts, Spread::Uniform(2));
        let mut body = String::new();
        entries.write(&mut body, 1_204).unwrap();
        let entry: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(entry["external_ref"], "run3-1204");
        let [debit, credit] = entry["postings"].as_array().unwrap().as_slice() else {
            panic!("two postings: {body}");
        };
        assert_ne!(debit["account"], credit["account"]);
        for (posting, direction) in [(debit, "debit"), (credit, "credit")] {
            let account = &posting["account"];
            let expected = json!({
                "account": account, "direction": direction, "amount": "12.05", "currency": "USD",
            });
            assert_eq!(*posting, expected);
        }
        assert!(body.len() <= ENTRY_BYTES);
    }

    #[test]
    fn amounts_are_above_zero_and_have_two_decimals() {
        assert_eq!(Entries::minor(0), 1);
        assert_eq!(Entries::minor(AMOUNT_MINOR_MAX), 1);
        let mut body = String::new();
        posting(&mut body, "acc_a", "debit", 7).unwrap();
        assert!(body.contains("\"amount\":\"0.07\""), "{body}");
    }
}
