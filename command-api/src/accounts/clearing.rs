//! The terms of accounts that should clear, as they stand in a body.

use api_conventions::{DecimalText, FieldErrors};
use domain::Currency;
use domain::accounts::{ClearingTerms, ClearingTermsError};
use serde::Deserialize;
use utoipa::ToSchema;

/// When a balance is a reason for an alert.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"threshold": "10.00", "max_age_hours": 48}))]
pub(crate) struct NewClearing {
    /// How far from zero the balance may stay.
    #[schema(value_type = String, example = "10.00")]
    threshold: DecimalText,
    /// For how many hours it may be further: up to a year.
    #[schema(minimum = 1, maximum = 8_784, example = 48)]
    max_age_hours: u32,
}

impl NewClearing {
    /// The terms in the account's currency; what is wrong is noted.
    pub(super) fn checked(
        &self,
        errors: &mut FieldErrors,
        currency: Currency,
    ) -> Option<ClearingTerms> {
        let threshold = self.threshold.signed(currency);
        let threshold = errors.check("/clearing/threshold", threshold)?;
        let terms = ClearingTerms::new(threshold.minor, self.max_age_hours);
        let at = match terms {
            Err(ClearingTermsError::Threshold) => "/clearing/threshold",
            Err(ClearingTermsError::Age) | Ok(_) => "/clearing/max_age_hours",
        };
        errors.check(at, terms)
    }
}
