//! The digest of a day's balances, worked out by an encoder of the auditors' own from the documented format, so
//! that a mistake in the writers' encoder cannot hide itself. Balances come in pieces: in as many as there are
//! partitions of the accounts.

use std::collections::BTreeMap;
use std::fmt::Write;

use domain::books::{BalancesDigest, CurrencyTotals};
use domain::{AccountId, Currency, Day, MerchantId};
use sha2::{Digest, Sha256};
use uuid::Uuid;

/// What a digest is as text.
const PREFIX: &str = "sha256:";

/// The balances of a day as far as they were added up.
#[derive(Debug)]
pub(super) struct DaySums {
    hasher: Sha256,
    accounts: u64,
    /// Debit and credit balances.
    sums: BTreeMap<Currency, (i128, i128)>,
    line: String,
}

impl DaySums {
    /// Of no account yet; `previous` is the digest of the close before.
    pub(super) fn of(ledger: MerchantId, day: Day, previous: Option<BalancesDigest>) -> Self {
        let previous = previous.map_or_else(|| "none".to_owned(), |digest| digest.to_string());
        let mut hasher = Sha256::new();
        hasher.update(format!("runut balances 1\n{ledger}\n{day}\n{previous}\n"));
        Self { hasher, accounts: 0, sums: BTreeMap::new(), line: String::new() }
    }

    /// Adds the next account, in the order of their ids; one without a balance is none.
    pub(super) fn add(&mut self, account: Uuid, currency: Currency, balance_minor: i128) {
        if balance_minor == 0 {
            return;
        }
        self.line.clear();
        let account = AccountId::from_uuid(account);
        // Writing to a String cannot fail.
        let _ = writeln!(self.line, "{account} {currency} {balance_minor}");
        self.hasher.update(&self.line);
        self.accounts += 1;
        let (debit, credit) = self.sums.entry(currency).or_default();
        *debit += balance_minor.max(0);
        *credit -= balance_minor.min(0);
    }

    /// How many accounts have a balance.
    pub(super) fn accounts(&self) -> u64 {
        self.accounts
    }

    /// The sums, by currency.
    pub(super) fn totals(&self) -> Vec<CurrencyTotals> {
        let total = |(currency, (debit, credit)): (&Currency, &(i128, i128))| CurrencyTotals {
            currency: *currency,
            debit_minor: debit.to_string(),
            credit_minor: credit.to_string(),
        };
        self.sums.iter().map(total).collect()
    }

    /// The digest, as text.
    pub(super) fn digest(self) -> String {
        let bytes = self.hasher.finalize();
        bytes.iter().fold(PREFIX.to_owned(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

#[cfg(test)]
mod tests {
    use domain::books::{DayBalance, DayBalances};

    use super::*;

    #[test]
    fn the_auditors_encoder_and_the_domains_agree() {
        let ledger = MerchantId::from_uuid(Uuid::from_u128(7));
        let day: Day = "2026-11-20".parse().unwrap();
        let before = DayBalances::add_up(ledger, day, None, []).digest;
        let (usd, jpy): (Currency, Currency) = ("USD".parse().unwrap(), "JPY".parse().unwrap());
        let balances = [(1, usd, 5), (2, jpy, -70), (3, usd, 1 << 100), (9, usd, -(1 << 100))];
        for previous in [None, Some(before)] {
            let theirs = DayBalances::add_up(
                ledger,
                day,
                previous,
                balances.map(|(id, currency, balance_minor)| DayBalance {
                    account_id: AccountId::from_uuid(Uuid::from_u128(id)),
                    currency,
                    balance_minor,
                }),
            );
            let mut ours = DaySums::of(ledger, day, previous);
            for (id, currency, minor) in balances {
                ours.add(Uuid::from_u128(id), currency, minor);
            }
            ours.add(Uuid::from_u128(10), usd, 0);
            assert_eq!(ours.accounts(), theirs.accounts);
            assert_eq!(ours.totals(), theirs.totals);
            assert_eq!(ours.digest(), theirs.digest.to_string());
        }
    }
}
