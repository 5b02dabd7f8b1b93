//! Values of rows as answers show them. What a read model holds was checked before it was appended, so
//! a value that cannot be read is a bug.

use api_conventions::{DecimalText, Problem};
use domain::{Currency, Sum, Timestamp};
use time::OffsetDateTime;

/// A currency by its code.
pub(crate) fn currency(code: &str) -> Result<Currency, Problem> {
    code.parse().map_err(|error| Problem::internal(format_args!("currency `{code}`: {error}")))
}

/// Minor units as a decimal.
pub(crate) fn decimal(minor: impl Into<i128>, currency: Currency) -> DecimalText {
    Sum { minor: minor.into(), currency }.into()
}

/// The same as a plain text.
pub(crate) fn wide_decimal(minor: i128, currency: Currency) -> String {
    Sum { minor, currency }.to_string()
}

/// A stored time.
pub(crate) fn timestamp(at: OffsetDateTime) -> Timestamp {
    Timestamp::from_datetime(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_garbled_currency_is_a_bug() {
        assert_eq!(currency("usd").unwrap_err().kind().status, 500);
    }
}
