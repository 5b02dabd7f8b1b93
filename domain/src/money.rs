//! Money: integer minor units with a currency. Decimals exist only in texts at the edges.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::currency::Currency;

/// The largest amount in minor units: 2^53 − 1, so that every JSON reader, those that keep numbers in
/// doubles too, reads a stored amount exactly.
pub const AMOUNT_MINOR_MAX: i64 = 9_007_199_254_740_991;

/// Why a text is not an amount of money.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    /// Not digits with at most one decimal point (no exponent, no sign but a leading minus, no blanks).
    #[error("expected a decimal such as \"100.00\"")]
    Malformed,
    /// More decimals than the currency has.
    #[error("{currency} has {exponent} decimals, not more")]
    TooManyDecimals {
        /// The currency named beside the amount.
        currency: Currency,
        /// How many decimals it has.
        exponent: u32,
    },
    /// Zero or less where a positive amount is meant.
    #[error("expected an amount above zero")]
    NotPositive,
    /// Beyond [`AMOUNT_MINOR_MAX`] minor units.
    #[error("at most {AMOUNT_MINOR_MAX} minor units")]
    TooLarge,
}

/// A signed sum of money: whole minor units of one currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Money {
    /// Minor units (cents, yen, fils).
    pub minor: i64,
    /// The currency they are units of.
    pub currency: Currency,
}

impl Money {
    /// Reads a decimal such as `-12.50`; the currency says how many decimals are allowed.
    ///
    /// # Errors
    /// [`MoneyError`], except `NotPositive`.
    pub fn parse(text: &str, currency: Currency) -> Result<Self, MoneyError> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let minor = parse_minor(digits, currency)?;
        Ok(Self { minor: if negative { -minor } else { minor }, currency })
    }
}

/// Digits and at most one point, as minor units of `currency`.
fn parse_minor(text: &str, currency: Currency) -> Result<i64, MoneyError> {
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) if !fraction.is_empty() => (whole, fraction),
        Some(_) => return Err(MoneyError::Malformed),
        None => (text, ""),
    };
    let digits_only = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !digits_only(whole) || !digits_only(fraction) {
        return Err(MoneyError::Malformed);
    }
    let exponent = currency.exponent();
    let padding = usize::try_from(exponent)
        .ok()
        .and_then(|decimals| decimals.checked_sub(fraction.len()))
        .ok_or(MoneyError::TooManyDecimals { currency, exponent })?;
    let mut minor = 0_i64;
    let zeros = std::iter::repeat_n(b'0', padding);
    for digit in whole.bytes().chain(fraction.bytes()).chain(zeros) {
        minor = minor * 10 + i64::from(digit - b'0');
        if minor > AMOUNT_MINOR_MAX {
            return Err(MoneyError::TooLarge);
        }
    }
    Ok(minor)
}

impl fmt::Display for Money {
    /// The decimal with all the currency's decimals, without the code: `-12.50`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.minor < 0 { "-" } else { "" };
        let minor = self.minor.unsigned_abs();
        let exponent = self.currency.exponent();
        if exponent == 0 {
            return write!(f, "{sign}{minor}");
        }
        let unit = 10_u64.pow(exponent);
        let decimals = usize::try_from(exponent).unwrap_or(0);
        write!(f, "{sign}{}.{:0decimals$}", minor / unit, minor % unit)
    }
}

/// A positive sum of money, at most [`AMOUNT_MINOR_MAX`] minor units: what a posting moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "StoredAmount", try_from = "StoredAmount")]
pub struct Amount(Money);

#[derive(Clone, Copy, Serialize, Deserialize)]
struct StoredAmount {
    minor: i64,
    currency: Currency,
}

impl From<Amount> for StoredAmount {
    fn from(amount: Amount) -> Self {
        Self { minor: amount.minor(), currency: amount.currency() }
    }
}

impl TryFrom<StoredAmount> for Amount {
    type Error = MoneyError;

    fn try_from(stored: StoredAmount) -> Result<Self, MoneyError> {
        Self::from_minor(stored.minor, stored.currency)
    }
}

impl Amount {
    /// From minor units.
    ///
    /// # Errors
    /// `NotPositive` or `TooLarge`.
    pub fn from_minor(minor: i64, currency: Currency) -> Result<Self, MoneyError> {
        match minor {
            ..=0 => Err(MoneyError::NotPositive),
            1..=AMOUNT_MINOR_MAX => Ok(Self(Money { minor, currency })),
            _ => Err(MoneyError::TooLarge),
        }
    }

    /// Reads a decimal such as `100.00`.
    ///
    /// # Errors
    /// [`MoneyError`]: malformed, too many decimals, not above zero, too large.
    pub fn parse(text: &str, currency: Currency) -> Result<Self, MoneyError> {
        let money = Money::parse(text, currency)?;
        Self::from_minor(money.minor, currency)
    }

    /// Minor units, 1 to [`AMOUNT_MINOR_MAX`].
    pub const fn minor(self) -> i64 {
        self.0.minor
    }

    /// The currency.
    pub const fn currency(self) -> Currency {
        self.0.currency
    }

    /// As a signed sum.
    pub const fn money(self) -> Money {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn currency(code: &str) -> Currency {
        code.parse().unwrap()
    }

    #[test]
    fn decimals_follow_the_currency() {
        for (text, code, minor) in [
            ("100.00", "USD", 10_000),
            ("100", "USD", 10_000),
            ("0.5", "USD", 50),
            ("7", "JPY", 7),
            ("1.234", "KWD", 1_234),
        ] {
            assert_eq!(
                Amount::parse(text, currency(code)).unwrap().minor(),
                minor,
                "{text} {code}"
            );
        }
    }

    #[test]
    fn what_is_not_a_positive_decimal_is_refused_with_its_reason() {
        let usd = currency("USD");
        let too_many = |code: &str| {
            let currency = currency(code);
            MoneyError::TooManyDecimals { currency, exponent: currency.exponent() }
        };
        assert_eq!(Amount::parse("1.000", usd), Err(too_many("USD")));
        assert_eq!(Amount::parse("1.5", currency("JPY")), Err(too_many("JPY")));
        assert_eq!(Amount::parse("0.00", usd), Err(MoneyError::NotPositive));
        assert_eq!(Amount::parse("-1.00", usd), Err(MoneyError::NotPositive));
        assert_eq!(Amount::parse("90071992547409.92", usd), Err(MoneyError::TooLarge));
        assert_eq!(Amount::parse(&"9".repeat(400), usd), Err(MoneyError::TooLarge));
        for text in [
            "", ".", "1.", ".5", "1e400", "1e2", "+1", "--1", " 1", "1,00", "1_0", "١", "NaN",
            "0x1",
        ] {
            assert_eq!(Amount::parse(text, usd), Err(MoneyError::Malformed), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn money_survives_its_text(minor in -AMOUNT_MINOR_MAX..=AMOUNT_MINOR_MAX, pick in 0_usize..150) {
            let currency = Currency::all().nth(pick).unwrap();
            let money = Money { minor, currency };
            prop_assert_eq!(Money::parse(&money.to_string(), currency), Ok(money));
        }
    }
}
