//! The balances that a consumer has, read from its body.

use std::collections::BTreeMap;

use api_conventions::{DecimalText, FieldErrors, INVALID_VALUE, MISSING_FIELD, Pointer, Problem};
use domain::{AccountId, Currency, MerchantId, Sum, Timestamp};
use event_store::log::Position;
use serde::Deserialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::caller_scope::OwnerFilter;

/// The most balances of a report: as many look-ups, in some tens of milliseconds.
pub(super) const BALANCES_MAX: usize = 1_000;

/// What a consumer has.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ConsistencyQuestion {
    /// The ledger of this merchant, or of the `platform` itself. Required of keys that see several; a merchant's
    /// is its own.
    #[schema(value_type = Option<String>, example = "mer_01h455vb4pex5vsknk084sn02q")]
    ledger: Option<OwnerFilter>,
    /// Compare with the balances after this position of the log.
    #[schema(example = 42, minimum = 0)]
    position: Option<i64>,
    /// Compare with what took effect up to this time, as known now.
    #[schema(value_type = Option<String>, format = DateTime)]
    effective_at: Option<Timestamp>,
    /// What the consumer has, each account once.
    #[schema(min_items = 1, max_items = 1000)]
    balances: Vec<TheirBalance>,
}

/// What the consumer has in an account, which it names by its `account` or its `code`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TheirBalance {
    /// The account's id.
    #[schema(example = "acc_7h455vb4pex5vsknk084sn02q0")]
    account: Option<String>,
    /// What the ledger calls it.
    #[schema(example = "cash")]
    code: Option<String>,
    /// The balance, positive on the side by which the account grows.
    #[schema(value_type = String, example = "75.00")]
    balance: DecimalText,
    /// Its upper-case ISO 4217 code.
    #[schema(example = "USD")]
    currency: String,
}

/// The same, checked.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) ledger: Uuid,
    pub(super) at: At,
    pub(super) balances: Vec<Expected>,
}

/// When the balances are of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    Now,
    Position(Position),
    Effective(Timestamp),
}

/// What the consumer has in an account.
#[derive(Debug, Clone)]
pub(super) struct Expected {
    pub(super) account: AccountId,
    /// Where it named the account by its code.
    pub(super) code: Option<String>,
    pub(super) balance: Sum,
}

impl ConsistencyQuestion {
    /// Checks all of it. `visible` is the one ledger that the key sees.
    ///
    /// # Errors
    /// 422 that names every field.
    pub(super) fn checked(self, visible: Option<Uuid>) -> Result<Asked, Problem> {
        let mut errors = FieldErrors::new();
        let ledger = self.ledger.map(OwnerFilter::uuid).or(visible);
        if ledger.is_none() {
            let detail = "required: the key sees several ledgers, a report is of one";
            errors.add("/ledger", MISSING_FIELD, detail);
        }
        let at = match (self.position, self.effective_at) {
            (Some(_), Some(_)) => {
                errors.add("/effective_at", INVALID_VALUE, "not beside `position`");
                At::Now
            }
            (Some(position), None) => {
                if position < 0 {
                    errors.add("/position", INVALID_VALUE, "expected zero or more");
                }
                At::Position(Position::from_number(position))
            }
            (None, Some(time)) => At::Effective(time),
            (None, None) => At::Now,
        };
        let balances = checked_balances(self.balances, ledger.unwrap_or_default(), &mut errors);
        errors.finish(|| Some(Asked { ledger: ledger?, at, balances }))
    }
}

fn checked_balances(
    balances: Vec<TheirBalance>,
    ledger: Uuid,
    errors: &mut FieldErrors,
) -> Vec<Expected> {
    let all = Pointer::from("/balances");
    if balances.is_empty() || balances.len() > BALANCES_MAX {
        let detail = format_args!("expected 1 to {BALANCES_MAX} balances");
        errors.add(all, INVALID_VALUE, detail);
        return Vec::new();
    }
    let mut places = BTreeMap::new();
    let mut checked = Vec::with_capacity(balances.len());
    for (index, theirs) in balances.into_iter().enumerate() {
        let at = all.index(index);
        let Some(expected) = theirs.checked(ledger, &at, errors) else { continue };
        if let Some(first) = places.insert(expected.account.uuid(), index) {
            let detail = format_args!("the same account as /balances/{first}");
            errors.add(at, INVALID_VALUE, detail);
        }
        checked.push(expected);
    }
    checked
}

impl TheirBalance {
    fn checked(self, ledger: Uuid, at: &Pointer, errors: &mut FieldErrors) -> Option<Expected> {
        let account = match (self.account, &self.code) {
            (Some(id), None) => errors.check(at.key("account"), id.parse()),
            (None, Some(code)) => Some(AccountId::of_recorded(MerchantId::from_uuid(ledger), code)),
            (Some(_), Some(_)) => {
                errors.add(at.key("code"), INVALID_VALUE, "not beside `account`");
                None
            }
            (None, None) => {
                errors.add(at.key("account"), MISSING_FIELD, "`account` or `code` is required");
                None
            }
        };
        let currency: Option<Currency> = errors.check(at.key("currency"), self.currency.parse());
        let balance = errors.check(at.key("balance"), self.balance.sum(currency?));
        Some(Expected { account: account?, code: self.code, balance: balance? })
    }
}
