//! Fee terms: a percentage and a fixed amount, with a named rounding rule.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::currency::Currency;
use crate::money::{Amount, MoneyError};
use crate::rounding::Rounding;

/// Why fee terms are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FeeTermsError {
    /// Not a decimal, below 0, above 100, or with more than four decimals.
    #[error("expected a decimal percentage from \"0\" to \"100\" with at most 4 decimals")]
    Percent,
    /// Two fixed fees in one currency.
    #[error("one fixed fee for each currency at the most")]
    FixedTwice,
}

/// What the platform keeps of a sum: `percent` of it plus the fixed fee of its currency.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeeTerms {
    percent: Decimal,
    fixed: Vec<FixedFee>,
    rounding: Rounding,
}

/// A fixed fee as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct FixedFee {
    amount_minor: i64,
    currency: Currency,
}

impl FeeTerms {
    /// The most decimals of a percentage: hundredths of a basis point.
    pub const PERCENT_DECIMALS_MAX: u32 = 4;

    /// No fees at all.
    pub fn free() -> Self {
        Self { percent: Decimal::ZERO, fixed: Vec::new(), rounding: Rounding::HalfEven }
    }

    /// `percent` as a decimal text of per cent (`"2.9"`), `fixed` one amount for each currency that has one.
    ///
    /// # Errors
    /// [`FeeTermsError`].
    pub fn new(percent: &str, fixed: &[Amount], rounding: Rounding) -> Result<Self, FeeTermsError> {
        let plain = percent.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
        let percent: Decimal =
            percent.parse().ok().filter(|_| plain).ok_or(FeeTermsError::Percent)?;
        let hundred = Decimal::ONE_HUNDRED;
        let in_range = (Decimal::ZERO..=hundred).contains(&percent);
        if !in_range || percent.scale() > Self::PERCENT_DECIMALS_MAX {
            return Err(FeeTermsError::Percent);
        }
        for (index, amount) in fixed.iter().enumerate() {
            if fixed[..index].iter().any(|other| other.currency() == amount.currency()) {
                return Err(FeeTermsError::FixedTwice);
            }
        }
        let fixed = fixed
            .iter()
            .map(|amount| FixedFee { amount_minor: amount.minor(), currency: amount.currency() })
            .collect();
        Ok(Self { percent, fixed, rounding })
    }

    /// Per cent of the sum.
    pub fn percent(&self) -> Decimal {
        self.percent
    }

    /// The rounding rule.
    pub fn rounding(&self) -> Rounding {
        self.rounding
    }

    /// The fixed fees, one for each currency that has one.
    ///
    /// # Errors
    /// [`MoneyError`] when a stored fee is not a positive amount.
    pub fn fixed(&self) -> Result<Vec<Amount>, MoneyError> {
        self.fixed.iter().map(|fee| Amount::from_minor(fee.amount_minor, fee.currency)).collect()
    }

    /// The fee on `sum`, in minor units of its currency: rounded once, after both parts are added,
    /// and never more than the sum itself.
    pub fn fee_minor(&self, sum: Amount) -> i64 {
        let fixed = self
            .fixed
            .iter()
            .find(|fee| fee.currency == sum.currency())
            .map_or(0, |fee| fee.amount_minor);
        let share = Decimal::from(sum.minor()) * self.percent / Decimal::ONE_HUNDRED;
        let fee = self.rounding.whole(share + Decimal::from(fixed));
        i64::try_from(fee).unwrap_or(i64::MAX).min(sum.minor())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usd(text: &str) -> Amount {
        Amount::parse(text, "USD".parse().unwrap()).unwrap()
    }

    #[test]
    fn a_fee_is_percent_plus_fixed_rounded_once() {
        for (rounding, fee) in [
            (Rounding::HalfEven, 32),
            (Rounding::HalfUp, 33),
            (Rounding::Down, 32),
            (Rounding::Up, 33),
        ] {
            let terms = FeeTerms::new("2.5", &[usd("0.30")], rounding).unwrap();
            assert_eq!(terms.fee_minor(usd("1.00")), fee, "2.5 + 30 = 32.5, {rounding:?}");
        }
    }

    #[test]
    fn a_fixed_fee_applies_in_its_own_currency_only() {
        let terms = FeeTerms::new("1", &[usd("0.30")], Rounding::HalfEven).unwrap();
        let yen = Amount::parse("1000", "JPY".parse().unwrap()).unwrap();
        assert_eq!(terms.fee_minor(yen), 10);
    }

    #[test]
    fn a_fee_never_exceeds_the_sum() {
        let terms = FeeTerms::new("0", &[usd("0.30")], Rounding::HalfEven).unwrap();
        assert_eq!(terms.fee_minor(usd("0.10")), 10);
    }

    #[test]
    fn odd_terms_are_refused() {
        for percent in ["-1", "101", "2.12345", "x", "", "1e1"] {
            let terms = FeeTerms::new(percent, &[], Rounding::Up);
            assert_eq!(terms, Err(FeeTermsError::Percent), "{percent}");
        }
        let twice = FeeTerms::new("1", &[usd("1"), usd("2")], Rounding::Up);
        assert_eq!(twice, Err(FeeTermsError::FixedTwice));
    }
}
