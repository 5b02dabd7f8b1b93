//! Rates: decimals short enough for exact products.

use std::fmt;

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::currency::Currency;
use crate::money::Amount;

/// The most significant digits of a rate. With an amount of at most 2^53 − 1 minor units the product has at most
/// 2^53 × 10^12 < 9.1 × 10^27, which is below 2^96 > 7.9 × 10^28: `Decimal` holds it without rounding.
pub const RATE_DIGITS_MAX: u32 = 12;
/// The most decimals of a rate: a millionth of a millionth, finer than any that is quoted. With the 4 decimals
/// by which two currencies differ at the most, an exact amount has 16, of the 28 that `Decimal` holds.
pub const RATE_DECIMALS_MAX: u32 = 12;

/// The largest number that the digits of a rate make, read without their point.
const DIGITS_VALUE_MAX: i128 = 10_i128.pow(RATE_DIGITS_MAX) - 1;

/// Why a text is not a rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RateError {
    /// Not digits with at most one point between them.
    #[error("expected a decimal such as \"0.92335\"")]
    Malformed,
    /// Zero.
    #[error("expected a rate above zero")]
    NotPositive,
    /// More digits or decimals than products are exact for.
    #[error("at most {RATE_DIGITS_MAX} significant digits and {RATE_DECIMALS_MAX} decimals")]
    TooPrecise,
}

/// How many units of the quote currency one unit of the base currency is: major units, as rates are quoted.
/// Without zeros at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "Decimal", try_from = "Decimal")]
pub struct Rate(Decimal);

impl Rate {
    /// Takes a rate above zero.
    ///
    /// # Errors
    /// [`RateError`], except `Malformed`.
    pub fn new(rate: Decimal) -> Result<Self, RateError> {
        let rate = rate.normalize();
        if rate <= Decimal::ZERO {
            return Err(RateError::NotPositive);
        }
        if rate.mantissa() > DIGITS_VALUE_MAX || rate.scale() > RATE_DECIMALS_MAX {
            return Err(RateError::TooPrecise);
        }
        Ok(Self(rate))
    }

    /// Reads a decimal such as `0.92335`: digits with at most one point between them.
    ///
    /// # Errors
    /// [`RateError`].
    pub fn parse(text: &str) -> Result<Self, RateError> {
        let digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_digit);
        let bytes = text.as_bytes();
        let plain = bytes.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.');
        let one_point = bytes.iter().filter(|byte| **byte == b'.').count() <= 1;
        if !plain || !one_point || !digit(bytes.first()) || !digit(bytes.last()) {
            return Err(RateError::Malformed);
        }
        // It is a decimal, so what cannot be read exactly has too many digits.
        Self::new(Decimal::from_str_exact(text).map_err(|_| RateError::TooPrecise)?)
    }

    /// The decimal.
    pub const fn decimal(self) -> Decimal {
        self.0
    }

    /// Exactly how many minor units of `quote` the amount comes to; `None` for what no account could hold.
    ///
    /// In major units this is amount × rate. In minor units the point moves by the difference of the decimals
    /// of the two currencies: to the left it costs nothing, to the right beyond the last digit it appends
    /// zeros, 4 at the most, for which `i128` has room (9.1 × 10^31 < 2^127).
    pub(super) fn exact_minor(self, sold: Amount, quote: Currency) -> Option<Decimal> {
        let product = i128::from(sold.minor()) * self.0.mantissa();
        let scale = self.0.scale() + sold.currency().exponent();
        let exact = match scale.checked_sub(quote.exponent()) {
            Some(scale) => Decimal::try_from_i128_with_scale(product, scale),
            None => {
                let zeros = 10_i128.pow(quote.exponent() - scale);
                Decimal::try_from_i128_with_scale(product * zeros, 0)
            }
        };
        exact.ok().map(|exact| exact.normalize())
    }
}

impl From<Rate> for Decimal {
    fn from(rate: Rate) -> Self {
        rate.0
    }
}

impl TryFrom<Decimal> for Rate {
    type Error = RateError;

    fn try_from(stored: Decimal) -> Result<Self, RateError> {
        Self::new(stored)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::AMOUNT_MINOR_MAX;
    use proptest::prelude::*;

    fn currency(code: &str) -> Currency {
        code.parse().unwrap()
    }

    #[test]
    fn a_rate_is_a_short_decimal_above_zero() {
        for (text, shown) in [
            ("0.92335", "0.92335"),
            ("1.50", "1.5"),
            ("16350", "16350"),
            ("0.000000000001", "0.000000000001"),
            ("999999999999", "999999999999"),
        ] {
            assert_eq!(Rate::parse(text).unwrap().to_string(), shown);
        }
        for text in ["", ".", "1.", ".5", "1e2", "-1", "+1", "1_0", "1..2", "1.2.3", " 1", "NaN"] {
            assert_eq!(Rate::parse(text), Err(RateError::Malformed), "{text:?}");
        }
        for text in ["0", "0.000"] {
            assert_eq!(Rate::parse(text), Err(RateError::NotPositive), "{text}");
        }
        let long = format!("0.{}1", "0".repeat(40));
        for text in ["1.234567890123", "1000000000000", "0.0000000000001", &"9".repeat(60), &long] {
            assert_eq!(Rate::parse(text), Err(RateError::TooPrecise), "{text}");
        }
    }

    #[test]
    fn the_decimals_of_both_currencies_count() {
        for (sold, base, rate, quote, exact) in [
            ("100.00", "USD", "0.92335", "EUR", "9233.5"),
            ("100.00", "USD", "149.25", "JPY", "14925"),
            ("7", "JPY", "0.0067", "USD", "4.69"),
            ("1.000", "KWD", "3.25", "USD", "325"),
            ("1", "JPY", "2", "CLF", "20000"),
            ("0.0001", "CLF", "0.000000000001", "JPY", "0.0000000000000001"),
        ] {
            let sold = Amount::parse(sold, currency(base)).unwrap();
            let minor = Rate::parse(rate).unwrap().exact_minor(sold, currency(quote)).unwrap();
            assert_eq!(minor.to_string(), exact, "{base} {quote}");
        }
        let most = Amount::from_minor(AMOUNT_MINOR_MAX, currency("JPY")).unwrap();
        let high = Rate::parse("999999999999").unwrap();
        assert!(high.exact_minor(most, currency("JPY")).is_some());
        assert_eq!(high.exact_minor(most, currency("CLF")), None);
    }

    proptest! {
        /// The bound on digits is what makes this so.
        #[test]
        fn an_amount_times_a_rate_is_exact_in_a_decimal(
            minor in 1..=AMOUNT_MINOR_MAX,
            digits in 1..=DIGITS_VALUE_MAX,
            scale in 0..=RATE_DECIMALS_MAX,
        ) {
            let rate = Rate::new(Decimal::from_i128_with_scale(digits, scale)).unwrap();
            let product = (Decimal::from(minor) * rate.decimal()).normalize();
            let exact = Decimal::from_i128_with_scale(i128::from(minor) * digits, scale);
            prop_assert_eq!(product, exact.normalize());
            prop_assert!(i128::from(minor) * digits < 2_i128.pow(96));
            let yen = Amount::from_minor(minor, currency("JPY")).unwrap();
            prop_assert_eq!(rate.exact_minor(yen, currency("JPY")), Some(exact.normalize()));
        }
    }
}
