//! What the bodies of a wallet's movements have in common.

use std::collections::BTreeMap;

use api_conventions::{DecimalText, FieldErrors, Problem};
use domain::ledger::{Details, Direction, ExternalRef, PostEntry, Posting, Postings};
use domain::{AccountId, Amount, Currency, MerchantId};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::ledger::details_body::GivenDetails;
use crate::ledger::place::Place;

/// Money that comes into a wallet or leaves it.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewWalletMovement, example = json!({
    "external_ref": "top-up-17", "amount": "50.00", "currency": "USD"
}))]
pub(crate) struct NewMovement {
    /// What the ledger calls it; names one entry, for ever.
    #[schema(example = "top-up-17", min_length = 1, max_length = 255)]
    pub(super) external_ref: String,
    /// How much, above zero and at most 9007199254740991 minor units.
    #[schema(value_type = String, example = "50.00")]
    pub(super) amount: DecimalText,
    /// The wallet's currency.
    #[schema(example = "USD", min_length = 3, max_length = 3)]
    pub(super) currency: String,
    /// What statements say of it.
    #[schema(min_length = 1, max_length = 255)]
    pub(super) description: Option<String>,
    /// What to find it by: at most 50 keys of up to 64 characters, with values of up to 500.
    pub(super) metadata: Option<BTreeMap<String, String>>,
}

/// A movement that has nothing wrong in it.
pub(super) struct Movement {
    pub(super) external_ref: ExternalRef,
    pub(super) amount: Amount,
    pub(super) details: Details,
}

impl NewMovement {
    /// The movement; what is wrong is noted.
    pub(super) fn checked(self, errors: &mut FieldErrors) -> Option<Movement> {
        let external_ref = errors.check("/external_ref", ExternalRef::parse(&self.external_ref));
        let currency: Option<Currency> = errors.check("/currency", self.currency.parse());
        // Without its currency, an amount says nothing.
        let amount =
            currency.and_then(|currency| errors.check("/amount", self.amount.positive(currency)));
        let (description, metadata) = (self.description, self.metadata);
        let details = GivenDetails { description, metadata, ..GivenDetails::default() };
        let details = details.checked(errors, Place::Body)?;
        Some(Movement { external_ref: external_ref?, amount: amount?, details })
    }

    /// The movement where there is nothing else in the body.
    ///
    /// # Errors
    /// 422 with every field that is wrong.
    pub(super) fn alone(self) -> Result<Movement, Problem> {
        let mut errors = FieldErrors::new();
        let movement = self.checked(&mut errors);
        errors.finish(|| movement)
    }
}

impl Movement {
    /// The entry that moves it from one account's debit to another's credit.
    ///
    /// # Errors
    /// None that a positive amount on both sides could lead to.
    pub(super) fn entry(
        self,
        ledger: MerchantId,
        debit: AccountId,
        credit: AccountId,
    ) -> Result<PostEntry, Problem> {
        let postings = pair(self.amount, debit, credit)?;
        Ok(PostEntry::new(ledger, self.external_ref, self.details, postings))
    }
}

/// One amount on both sides.
///
/// # Errors
/// None: it balances.
pub(super) fn pair(
    amount: Amount,
    debit: AccountId,
    credit: AccountId,
) -> Result<Postings, Problem> {
    let posting = |account_id, direction| Posting { account_id, direction, amount };
    let both = vec![posting(debit, Direction::Debit), posting(credit, Direction::Credit)];
    Postings::new(both).map_err(Problem::internal)
}
