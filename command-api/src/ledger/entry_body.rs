//! An entry as it stands in a body, by itself or one of many.

use std::borrow::Cow;
use std::collections::BTreeMap;

use api_conventions::{DecimalSlice, FieldErrors};
use domain::ledger::{Direction, ExternalRef, PostEntry, Posting, Postings};
use domain::{AccountId, Currency, MerchantId};
use serde::Deserialize;
use utoipa::ToSchema;

use super::details_body::GivenDetails;
use super::place::Place;
use crate::names;

/// An entry to be posted.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewEntry, example = json!({
    "external_ref": "order-1042",
    "postings": [
        {"account": "acc_7h455vb4pex5vsknk084sn02q0", "direction": "debit",
         "amount": "10.00", "currency": "USD"},
        {"account": "acc_2m1zq4x8kd9rj5b7c3wfhvt6gy", "direction": "credit",
         "amount": "10.00", "currency": "USD"}
    ],
    "description": "Order 1042",
    "metadata": {"order": "1042"}
}))]
pub(crate) struct NewEntry<'a> {
    /// What the ledger calls it; names one entry, for ever. May not start with `payment:`,
    /// `dispute:`, `settlement:`, `reversal:`, `hold:` or `fx:`.
    #[schema(value_type = String, example = "order-1042", min_length = 1, max_length = 255)]
    #[serde(borrow)]
    pub(crate) external_ref: Cow<'a, str>,
    /// What it moves: debits and credits are equal in every currency.
    #[schema(min_items = 2, max_items = 1_000)]
    #[serde(borrow)]
    pub(crate) postings: Vec<NewPosting<'a>>,
    /// What statements say of it.
    #[schema(min_length = 1, max_length = 255)]
    pub(crate) description: Option<String>,
    /// What to find it by: at most 50 keys of up to 64 characters, with values of up to 500.
    pub(crate) metadata: Option<BTreeMap<String, String>>,
    /// When it takes effect, where that is not now: from 1970 to a year ahead. On a day whose books
    /// are closed it takes effect at the beginning of the first open day.
    #[schema(format = DateTime, example = "2026-11-20T12:00:00Z")]
    pub(crate) effective_at: Option<String>,
    /// The payment it belongs to.
    #[schema(example = "pay_01h455vb4pex5vsknk084sn02q")]
    pub(crate) payment: Option<String>,
    /// The dispute it belongs to.
    #[schema(example = "dsp_01h455vb4pex5vsknk084sn02q")]
    pub(crate) dispute: Option<String>,
    /// Whether it moves less where the limits of its accounts do not allow all of it; never nothing.
    /// For one debit and one credit, of two accounts.
    #[serde(default)]
    pub(crate) up_to: bool,
}

/// One amount on one side of one account.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewPosting)]
pub(crate) struct NewPosting<'a> {
    /// An account of the ledger.
    #[schema(value_type = String, example = "acc_7h455vb4pex5vsknk084sn02q0")]
    #[serde(borrow)]
    account: Cow<'a, str>,
    /// The side.
    #[schema(schema_with = names::direction)]
    #[serde(borrow)]
    direction: Cow<'a, str>,
    /// The amount, above zero and at most 9007199254740991 minor units, with at most as many decimals as the
    /// currency has.
    #[schema(value_type = String, example = "10.00")]
    #[serde(borrow)]
    amount: DecimalSlice<'a>,
    /// The account's currency.
    #[schema(value_type = String, example = "USD", min_length = 3, max_length = 3)]
    #[serde(borrow)]
    currency: Cow<'a, str>,
}

impl NewEntry<'_> {
    /// The command; what is wrong is noted.
    pub(crate) fn checked(
        self,
        errors: &mut FieldErrors,
        place: Place,
        ledger: MerchantId,
    ) -> Option<PostEntry> {
        let external_ref = ExternalRef::parse(&self.external_ref);
        let external_ref = errors.check(place.field("external_ref"), external_ref);
        let details = GivenDetails {
            description: self.description,
            metadata: self.metadata,
            effective_at: self.effective_at,
            payment: self.payment,
            dispute: self.dispute,
        };
        let details = details.checked(errors, place);
        let postings = checked_postings(errors, place, &self.postings);
        let entry = PostEntry::new(ledger, external_ref?, details?, postings?);
        if self.up_to { errors.check(place.field("postings"), entry.up_to()) } else { Some(entry) }
    }
}

/// The postings of a body, which balance.
pub(crate) fn checked_postings(
    errors: &mut FieldErrors,
    place: Place,
    list: &[NewPosting<'_>],
) -> Option<Postings> {
    let mut postings = Vec::with_capacity(list.len());
    for (index, posting) in list.iter().enumerate() {
        postings.extend(posting.checked(errors, place, index));
    }
    if postings.len() < list.len() {
        return None;
    }
    errors.check(place.field("postings"), Postings::new(postings))
}

impl NewPosting<'_> {
    fn checked(&self, errors: &mut FieldErrors, place: Place, index: usize) -> Option<Posting> {
        let at = |name| place.posting(index, name);
        let account_id: Option<AccountId> = errors.check(at("account"), self.account.parse());
        let direction: Option<Direction> = errors.check(at("direction"), self.direction.parse());
        let currency: Currency = errors.check(at("currency"), self.currency.parse())?;
        let amount = errors.check(at("amount"), self.amount.positive(currency))?;
        Some(Posting { account_id: account_id?, direction: direction?, amount })
    }
}
