//! Values of rows as answers show them. What a read model holds was checked before it was appended, so
//! a value that cannot be read is a bug.

use api_conventions::{DecimalText, Problem};
use domain::{Currency, Money, Timestamp};
use time::OffsetDateTime;

/// A currency by its code.
pub(crate) fn currency(code: &str) -> Result<Currency, Problem> {
    code.parse().map_err(|error| Problem::internal(format_args!("currency `{code}`: {error}")))
}

/// Minor units as a decimal.
pub(crate) fn decimal(minor: i64, currency: Currency) -> DecimalText {
    Money { minor, currency }.into()
}

/// Minor units as a decimal, where a sum over many accounts may exceed 64 bits.
pub(crate) fn wide_decimal(minor: i128, currency: Currency) -> String {
    let sign = if minor < 0 { "-" } else { "" };
    let minor = minor.unsigned_abs();
    let exponent = currency.exponent();
    if exponent == 0 {
        return format!("{sign}{minor}");
    }
    let unit = 10_u128.pow(exponent);
    let decimals = usize::try_from(exponent).unwrap_or(0);
    format!("{sign}{}.{:0decimals$}", minor / unit, minor % unit)
}

/// A stored time.
pub(crate) fn timestamp(at: OffsetDateTime) -> Timestamp {
    Timestamp::from_datetime(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_sums_read_like_narrow_ones() {
        for code in ["USD", "JPY", "KWD"] {
            let currency = currency(code).unwrap();
            for minor in [0, 1, -1, 99, 100, -12_345, i64::MAX, i64::MIN] {
                let narrow = Money { minor, currency }.to_string();
                assert_eq!(wide_decimal(i128::from(minor), currency), narrow);
            }
        }
        let usd = currency("USD").unwrap();
        assert_eq!(wide_decimal(-(1_i128 << 70), usd), "-11805916207174113034.24");
    }

    #[test]
    fn a_garbled_currency_is_a_bug() {
        assert_eq!(currency("usd").unwrap_err().kind().status, 500);
    }
}
