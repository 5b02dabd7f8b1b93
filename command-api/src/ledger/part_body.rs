//! How bodies say how much of something: of an entry to be reversed, of a hold to be posted.

use api_conventions::{DecimalText, FieldErrors, INVALID_VALUE, MISSING_FIELD};
use domain::Currency;
use domain::ledger::Part;

use super::entry_body::{NewPosting, checked_postings};
use super::place::Place;

/// The fields of a body, as they were sent; none for all that is left.
#[derive(Debug, Default)]
pub(crate) struct GivenPart<'a> {
    pub(crate) amount: Option<DecimalText>,
    pub(crate) currency: Option<String>,
    pub(crate) postings: Option<Vec<NewPosting<'a>>>,
}

impl GivenPart<'_> {
    pub(crate) fn checked(self, errors: &mut FieldErrors, place: Place) -> Option<Part> {
        match (self.amount, self.currency, self.postings) {
            (None, None, None) => Some(Part::Rest),
            (None, None, Some(postings)) => {
                checked_postings(errors, place, &postings).map(Part::Postings)
            }
            (Some(_), _, Some(_)) | (_, Some(_), Some(_)) => {
                let detail = "expected `amount` with `currency`, or `postings`, not both";
                errors.add(place.field("postings"), INVALID_VALUE, detail);
                None
            }
            (Some(amount), Some(currency), None) => {
                let known = currency.parse::<Currency>();
                let currency = errors.check(place.field("currency"), known)?;
                let amount = errors.check(place.field("amount"), amount.positive(currency))?;
                Some(Part::Amount(amount))
            }
            (Some(_), None, None) => {
                errors.add(place.field("currency"), MISSING_FIELD, "missing field `currency`");
                None
            }
            (None, Some(_), None) => {
                errors.add(place.field("amount"), MISSING_FIELD, "missing field `amount`");
                None
            }
        }
    }
}
