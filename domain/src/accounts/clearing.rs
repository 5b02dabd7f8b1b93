//! Clearing accounts: what passes through them should leave soon.

use serde::{Deserialize, Serialize};

/// The longest that a balance may be allowed to stay, in days: a year. Longer is no clearing account.
pub const CLEARING_DAYS_MAX: u32 = 366;

const HOURS_MAX: u32 = CLEARING_DAYS_MAX * 24;

/// When the balance of an account that should clear is a reason for an alert: further from zero than
/// `threshold_minor`, for longer than `max_age_hours`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "StoredTerms", into = "StoredTerms")]
pub struct ClearingTerms {
    threshold_minor: i64,
    max_age_hours: u32,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
struct StoredTerms {
    threshold_minor: i64,
    max_age_hours: u32,
}

/// Why terms are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClearingTermsError {
    /// A threshold below zero.
    #[error("expected zero or more")]
    Threshold,
    /// Not between 1 and [`CLEARING_DAYS_MAX`] days.
    #[error("expected 1 to {HOURS_MAX} hours")]
    Age,
}

impl ClearingTerms {
    /// From the threshold in minor units of the account's currency, and whole hours.
    ///
    /// # Errors
    /// [`ClearingTermsError`].
    pub fn new(threshold_minor: i64, max_age_hours: u32) -> Result<Self, ClearingTermsError> {
        if threshold_minor < 0 {
            return Err(ClearingTermsError::Threshold);
        }
        if !(1..=HOURS_MAX).contains(&max_age_hours) {
            return Err(ClearingTermsError::Age);
        }
        Ok(Self { threshold_minor, max_age_hours })
    }

    /// How far from zero the balance may stay, in minor units.
    pub const fn threshold_minor(self) -> i64 {
        self.threshold_minor
    }

    /// For how many hours it may be further.
    pub const fn max_age_hours(self) -> u32 {
        self.max_age_hours
    }
}

impl From<ClearingTerms> for StoredTerms {
    fn from(terms: ClearingTerms) -> Self {
        let ClearingTerms { threshold_minor, max_age_hours } = terms;
        Self { threshold_minor, max_age_hours }
    }
}

impl TryFrom<StoredTerms> for ClearingTerms {
    type Error = ClearingTermsError;

    fn try_from(stored: StoredTerms) -> Result<Self, ClearingTermsError> {
        Self::new(stored.threshold_minor, stored.max_age_hours)
    }
}
