//! What bodies say of an entry or a hold besides what it moves.

use std::collections::BTreeMap;

use api_conventions::FieldErrors;
use domain::ledger::Details;
use domain::{Name, Timestamp};

use super::place::Place;
use crate::metadata::checked_metadata;

/// The fields of a body, as they were sent.
#[derive(Debug, Default)]
pub(crate) struct GivenDetails {
    pub(crate) description: Option<String>,
    pub(crate) metadata: Option<BTreeMap<String, String>>,
    pub(crate) effective_at: Option<String>,
    pub(crate) payment: Option<String>,
    pub(crate) dispute: Option<String>,
}

impl GivenDetails {
    pub(crate) fn checked(self, errors: &mut FieldErrors, place: Place) -> Option<Details> {
        let description = self.description.map(|text| Name::parse(&text));
        let description = errors.check_optional(place.field("description"), description);
        let metadata = checked_metadata(errors, place.field("metadata"), self.metadata);
        let effective_at = checked_time(errors, place, "effective_at", self.effective_at);
        let payment = self.payment.map(|text| text.parse());
        let payment_id = errors.check_optional(place.field("payment"), payment);
        let dispute = self.dispute.map(|text| text.parse());
        let dispute_id = errors.check_optional(place.field("dispute"), dispute);
        Some(Details {
            description: description?,
            metadata: metadata?,
            effective_at: effective_at?,
            payment_id: payment_id?,
            dispute_id: dispute_id?,
        })
    }
}

/// A time of a body, if one is given.
pub(crate) fn checked_time(
    errors: &mut FieldErrors,
    place: Place,
    name: &'static str,
    text: Option<String>,
) -> Option<Option<Timestamp>> {
    const EXPECTED: &str = "expected a time such as `2026-11-20T12:00:00Z` (RFC 3339)";
    let time = text.map(|text| text.parse::<Timestamp>().map_err(|_| EXPECTED));
    errors.check_optional(place.field(name), time)
}
