//! Money on the wire: `{"amount":"100.00","currency":"USD"}`.

use std::borrow::Cow;
use std::fmt;

use domain::{Amount, Currency, Money, MoneyError, Sum};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

use crate::field_errors::FieldErrors;
use crate::pointer::Pointer;

/// A decimal as a JSON string. A JSON number is refused, since most readers would make a float of
/// it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[serde(transparent)]
#[schema(value_type = String, example = "100.00", pattern = r"^-?[0-9]+(\.[0-9]+)?$")]
pub struct DecimalText(String);

impl DecimalText {
    /// The text as it was sent.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A positive amount of `currency`.
    ///
    /// # Errors
    /// [`MoneyError`].
    pub fn positive(&self, currency: Currency) -> Result<Amount, MoneyError> {
        Amount::parse(&self.0, currency)
    }

    /// A sum of `currency` that may be zero or negative.
    ///
    /// # Errors
    /// [`MoneyError`], except `NotPositive`.
    pub fn signed(&self, currency: Currency) -> Result<Money, MoneyError> {
        Money::parse(&self.0, currency)
    }

    /// What any number of amounts of `currency` add up to, such as a balance.
    ///
    /// # Errors
    /// [`MoneyError`], except `NotPositive` and `TooLarge`.
    pub fn sum(&self, currency: Currency) -> Result<Sum, MoneyError> {
        Sum::parse(&self.0, currency)
    }
}

impl From<Money> for DecimalText {
    fn from(money: Money) -> Self {
        Self(money.to_string())
    }
}

impl From<Sum> for DecimalText {
    fn from(sum: Sum) -> Self {
        Self(sum.to_string())
    }
}

impl<'de> Deserialize<'de> for DecimalText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(DecimalVisitor)
    }
}

struct DecimalVisitor;

impl serde::de::Visitor<'_> for DecimalVisitor {
    type Value = DecimalText;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a decimal string such as \"100.00\" (amounts are never JSON numbers)")
    }

    fn visit_str<E>(self, text: &str) -> Result<DecimalText, E> {
        Ok(DecimalText(text.to_owned()))
    }
}

/// The same as [`DecimalText`], borrowed from the body where it has no escapes: for bodies of many amounts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecimalSlice<'a>(Cow<'a, str>);

impl DecimalSlice<'_> {
    /// A positive amount of `currency`.
    ///
    /// # Errors
    /// [`MoneyError`].
    pub fn positive(&self, currency: Currency) -> Result<Amount, MoneyError> {
        Amount::parse(&self.0, currency)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for DecimalSlice<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(DecimalSliceVisitor)
    }
}

struct DecimalSliceVisitor;

impl<'de> serde::de::Visitor<'de> for DecimalSliceVisitor {
    type Value = DecimalSlice<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        DecimalVisitor.expecting(f)
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<DecimalSlice<'de>, E> {
        Ok(DecimalSlice(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<DecimalSlice<'de>, E> {
        Ok(DecimalSlice(Cow::Owned(text.to_owned())))
    }
}

/// A sum of money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Amount, example = json!({"amount": "100.00", "currency": "USD"}))]
pub struct AmountDto {
    /// The decimal, with at most as many decimals as the currency has: at most 9007199254740991 minor units.
    #[schema(value_type = String, example = "100.00")]
    pub amount: DecimalText,
    /// The upper-case ISO 4217 code.
    #[schema(example = "USD", min_length = 3, max_length = 3)]
    pub currency: String,
}

impl AmountDto {
    /// The positive amount; what is wrong is noted under `/amount` or `/currency` of `at`.
    pub fn positive(&self, errors: &mut FieldErrors, at: &Pointer) -> Option<Amount> {
        let currency = self.known_currency(errors, at)?;
        errors.check(at.key("amount"), self.amount.positive(currency))
    }

    /// The sum, which may be zero or negative; what is wrong is noted like in [`Self::positive`].
    pub fn signed(&self, errors: &mut FieldErrors, at: &Pointer) -> Option<Money> {
        let currency = self.known_currency(errors, at)?;
        errors.check(at.key("amount"), self.amount.signed(currency))
    }

    fn known_currency(&self, errors: &mut FieldErrors, at: &Pointer) -> Option<Currency> {
        errors.check(at.key("currency"), self.currency.parse())
    }
}

impl From<Money> for AmountDto {
    fn from(money: Money) -> Self {
        Self { amount: money.into(), currency: money.currency.code().to_owned() }
    }
}

impl From<Amount> for AmountDto {
    fn from(amount: Amount) -> Self {
        amount.money().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::parse_json;

    fn check_refused(body: &str) -> String {
        let at = Pointer::root();
        let problem = match parse_json::<AmountDto>(body.as_bytes()) {
            Err(problem) => problem,
            Ok(dto) => {
                let mut errors = FieldErrors::new();
                assert_eq!(dto.positive(&mut errors, &at), None, "{body}");
                errors.into_problem()
            }
        };
        problem.body_text(None)
    }

    #[test]
    fn what_is_no_positive_decimal_string_is_refused_by_field() {
        let refusals: Vec<String> = [
            r#"{"amount":100,"currency":"USD"}"#,
            r#"{"amount":100.5,"currency":"USD"}"#,
            r#"{"amount":"1.005","currency":"USD"}"#,
            r#"{"amount":"0.00","currency":"USD"}"#,
            r#"{"amount":"-5","currency":"USD"}"#,
            r#"{"amount":"1e2","currency":"USD"}"#,
            r#"{"amount":"5","currency":"usd"}"#,
            r#"{"amount":"5"}"#,
            r#"{"amount":"5","currency":"USD","fee":"1"}"#,
        ]
        .into_iter()
        .map(check_refused)
        .collect();
        insta::assert_snapshot!(refusals.join("\n"));
    }

    #[test]
    fn amounts_survive_the_wire() {
        for (text, minor) in [("100.00", 10_000), ("-0.05", -5), ("0.00", 0)] {
            let money = Money { minor, currency: "USD".parse().unwrap() };
            let json = serde_json::to_string(&AmountDto::from(money)).unwrap();
            assert_eq!(json, format!(r#"{{"amount":"{text}","currency":"USD"}}"#));
            let dto: AmountDto = parse_json(json.as_bytes()).unwrap();
            let mut errors = FieldErrors::new();
            assert_eq!(dto.signed(&mut errors, &Pointer::root()), Some(money));
        }
    }
}
