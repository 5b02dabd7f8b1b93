//! The digest of all balances of a day.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::currency::Currency;
use crate::day::Day;
use crate::ids::{AccountId, MerchantId};

const PREFIX: &str = "sha256:";

/// SHA-256 over the balances of a ledger at the end of a day; as text `sha256:<64 hexadecimal digits>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BalancesDigest([u8; 32]);

/// The text is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected `sha256:` and 64 hexadecimal digits")]
pub struct ParseDigestError;

impl fmt::Display for BalancesDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for BalancesDigest {
    type Err = ParseDigestError;

    fn from_str(text: &str) -> Result<Self, ParseDigestError> {
        let digits = text.strip_prefix(PREFIX).ok_or(ParseDigestError)?.as_bytes();
        let mut bytes = [0_u8; 32];
        if digits.len() != 2 * bytes.len() {
            return Err(ParseDigestError);
        }
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |c: u8| char::from(c).to_digit(16).and_then(|d| u8::try_from(d).ok());
            let (high, low) = (digit(pair[0]), digit(pair[1]));
            let (Some(high), Some(low)) = (high, low) else { return Err(ParseDigestError) };
            *byte = (high << 4) | low;
        }
        Ok(Self(bytes))
    }
}

impl Serialize for BalancesDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for BalancesDigest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// The balance of an account at the end of a day, in minor units: what was posted with effect until then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DayBalance {
    /// The account.
    pub account_id: AccountId,
    /// Its currency.
    pub currency: Currency,
    /// Debits less credits; not zero.
    pub balance_minor: i128,
}

/// The balances of a currency, added up in minor units. As texts in JSON: they may exceed what a number holds
/// exactly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CurrencyTotals {
    /// The currency.
    pub currency: Currency,
    /// The sum of all debit balances.
    pub debit_minor: String,
    /// The sum of all credit balances: the same.
    pub credit_minor: String,
}

/// The balances of a day, added up: what a close says of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DayBalances {
    /// How many accounts have a balance that is not zero.
    pub accounts: u64,
    /// The sums, by currency.
    pub totals: Vec<CurrencyTotals>,
    /// The digest of all of them.
    pub digest: BalancesDigest,
}

impl DayBalances {
    /// Adds up the balances of `ledger` at the end of `day`, which come in the order of the accounts' ids, each
    /// account with a balance once. The digest is SHA-256 over lines of text, each with a line feed:
    /// `runut balances 1`, the ledger, the day, the digest of the close before (or `none`), and for each account
    /// its id, its currency, and its debits less its credits in minor units, with blanks between.
    pub fn add_up(
        ledger: MerchantId,
        day: Day,
        previous: Option<BalancesDigest>,
        balances: impl IntoIterator<Item = DayBalance>,
    ) -> Self {
        let previous = previous.map_or_else(|| "none".to_owned(), |digest| digest.to_string());
        let mut hasher = Sha256::new();
        hasher.update(format!("runut balances 1\n{ledger}\n{day}\n{previous}\n"));
        let mut accounts = 0;
        let mut sums: BTreeMap<Currency, (i128, i128)> = BTreeMap::new();
        for balance in balances {
            let DayBalance { account_id, currency, balance_minor } = balance;
            hasher.update(format!("{account_id} {currency} {balance_minor}\n"));
            accounts += 1;
            let (debit, credit) = sums.entry(currency).or_default();
            *debit += balance_minor.max(0);
            *credit -= balance_minor.min(0);
        }
        let totals = sums
            .into_iter()
            .map(|(currency, (debit, credit))| CurrencyTotals {
                currency,
                debit_minor: debit.to_string(),
                credit_minor: credit.to_string(),
            })
            .collect();
        Self { accounts, totals, digest: BalancesDigest(hasher.finalize().into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn a_digest_is_of_every_balance_and_of_the_close_before() {
        let ledger = MerchantId::from_uuid(Uuid::from_u128(1));
        let day = "2026-11-20".parse().unwrap();
        let usd: Currency = "USD".parse().unwrap();
        let balance = |n, balance_minor| DayBalance {
            account_id: AccountId::from_uuid(Uuid::from_u128(n)),
            currency: usd,
            balance_minor,
        };
        let of = |previous, balances: &[DayBalance]| {
            DayBalances::add_up(ledger, day, previous, balances.iter().copied())
        };
        let first = of(None, &[balance(1, 5), balance(2, -5)]);
        insta::assert_snapshot!(first.digest);
        assert_eq!(first.accounts, 2);
        let totals = CurrencyTotals {
            currency: usd,
            debit_minor: "5".to_owned(),
            credit_minor: "5".to_owned(),
        };
        assert_eq!(first.totals, [totals]);
        assert_ne!(of(Some(first.digest), &[balance(1, 5), balance(2, -5)]).digest, first.digest);
        assert_ne!(of(None, &[balance(1, 6), balance(2, -6)]).digest, first.digest);
        assert_eq!(first.digest.to_string().parse(), Ok(first.digest));
        assert_eq!("sha256:00".parse::<BalancesDigest>(), Err(ParseDigestError));
    }
}
