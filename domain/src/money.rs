//! Money: integer minor units with a currency. Decimals exist only in texts at the edges.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::currency::Currency;
use crate::ledger::POSTINGS_MAX;

/// The largest amount of a payment, a posting, a fee or a limit, in minor units: 2^53 − 1, so that every JSON
/// reader, those that keep numbers in doubles too, reads a stored amount exactly. What one entry or one payment
/// adds up fits into 64 bits; what is added up over many does not, and is 128 bits wide.
pub const AMOUNT_MINOR_MAX: i64 = 9_007_199_254_740_991;
const _: () = assert!(
    AMOUNT_MINOR_MAX as i128 * POSTINGS_MAX as i128 <= i64::MAX as i128,
    "what one entry adds up fits into 64 bits"
);

/// The most that amounts could ever add up to, in minor units: the largest one, in every posting of the largest
/// entry, at every position of a log. It is below 2^126: no total of 128 bits overflows, neither does a balance
/// less what is held and a limit, nor the difference of two balances.
pub const SUM_MINOR_MAX: i128 = AMOUNT_MINOR_MAX as i128 * POSTINGS_MAX as i128 * i64::MAX as i128;
const _: () = assert!(SUM_MINOR_MAX < i128::MAX / 2 - i64::MAX as i128, "no total overflows");

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
    /// More than amounts can ever add up to.
    #[error("more than any amounts add up to")]
    BeyondAnySum,
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
        let (negative, text) = unsigned(text);
        let minor = minor_digits(text, currency)?.try_fold(0_i64, |minor, digit| {
            let minor = minor * 10 + i64::from(digit);
            if minor > AMOUNT_MINOR_MAX { Err(MoneyError::TooLarge) } else { Ok(minor) }
        })?;
        Ok(Self { minor: if negative { -minor } else { minor }, currency })
    }
}

/// Whether there is a minus, and what is behind it.
fn unsigned(text: &str) -> (bool, &str) {
    match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    }
}

/// Digits with at most one point, as the digits of so many minor units of `currency`.
fn minor_digits(text: &str, currency: Currency) -> Result<impl Iterator<Item = u8>, MoneyError> {
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
    let zeros = std::iter::repeat_n(b'0', padding);
    Ok(whole.bytes().chain(fraction.bytes()).chain(zeros).map(|digit| digit - b'0'))
}

impl fmt::Display for Money {
    /// The decimal with all the currency's decimals, without the code: `-12.50`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Sum::from(*self).fmt(f)
    }
}

/// What any number of amounts add up to, such as a balance: whole minor units of one currency, of which there
/// may be more than 64 bits hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sum {
    /// Minor units.
    pub minor: i128,
    /// The currency they are units of.
    pub currency: Currency,
}

impl Sum {
    /// Reads a decimal such as `-12.50`; the currency says how many decimals are allowed.
    ///
    /// # Errors
    /// [`MoneyError`], except `NotPositive` and `TooLarge`. At most [`SUM_MINOR_MAX`] minor units.
    pub fn parse(text: &str, currency: Currency) -> Result<Self, MoneyError> {
        let (negative, text) = unsigned(text);
        let minor = minor_digits(text, currency)?.try_fold(0_i128, |minor, digit| {
            let minor = minor.checked_mul(10).and_then(|tens| tens.checked_add(digit.into()));
            minor.filter(|minor| *minor <= SUM_MINOR_MAX).ok_or(MoneyError::BeyondAnySum)
        })?;
        Ok(Self { minor: if negative { -minor } else { minor }, currency })
    }
}

impl From<Money> for Sum {
    fn from(Money { minor, currency }: Money) -> Self {
        Self { minor: minor.into(), currency }
    }
}

impl fmt::Display for Sum {
    /// As [`Money`] is displayed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.minor < 0 { "-" } else { "" };
        let minor = self.minor.unsigned_abs();
        let exponent = self.currency.exponent();
        if exponent == 0 {
            return write!(f, "{sign}{minor}");
        }
        let unit = 10_u128.pow(exponent);
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

    /// From minor units that an event recorded as an amount, and that a state keeps without their currency.
    pub(crate) fn recorded(minor: i64, currency: Currency) -> Self {
        Self::from_minor(minor, currency)
            .unwrap_or_else(|_| unreachable!("{minor} minor units were read as an amount"))
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
    fn sums_go_beyond_the_largest_amount_and_read_alike() {
        let usd = currency("USD");
        for (text, minor) in [
            ("90071992547409.92", i128::from(AMOUNT_MINOR_MAX) + 1),
            ("-11805916207174113034.24", -(1 << 70)),
            ("830767497365572328241087051580047370.00", SUM_MINOR_MAX),
        ] {
            let sum = Sum { minor, currency: usd };
            assert_eq!((Sum::parse(text, usd), sum.to_string()), (Ok(sum), text.to_owned()));
            assert_eq!(Money::parse(text, usd), Err(MoneyError::TooLarge));
        }
        for beyond in ["830767497365572328241087051580047370.01", &"9".repeat(400)] {
            assert_eq!(Sum::parse(beyond, usd), Err(MoneyError::BeyondAnySum));
        }
        assert_eq!(Sum::parse("1.", usd), Err(MoneyError::Malformed));
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
