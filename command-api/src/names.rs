//! The names that fields take, for the documentation: taken from the domain, so that it cannot
//! drift.

use domain::accounts::{AccountStatus, AccountType};
use domain::api_keys::Role;
use domain::cards::CardNetwork;
use domain::holds::HoldStatus;
use domain::ledger::Direction;
use domain::merchants::Rounding;
use domain::payments::{CaptureMethod, MethodKind};
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

fn one_of<const N: usize>(names: [&'static str; N], description: &str) -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(names))
        .description(Some(description))
        .build()
}

pub(crate) fn role() -> Object {
    let description = "What the key allows: `merchant` and `merchant_read` for one merchant; \
                       `operator`, `auditor` and `analyst` for the platform.";
    one_of(Role::ALL.map(Role::name), description)
}

pub(crate) fn account_type() -> Object {
    let description = "What the account stands for: `asset` and `expense` grow by debits, \
                       `liability`, `equity` and `income` by credits.";
    one_of(AccountType::ALL.map(AccountType::name), description)
}

pub(crate) fn account_status() -> Object {
    let all = [AccountStatus::Open, AccountStatus::Frozen, AccountStatus::Closed];
    one_of(all.map(AccountStatus::name), "Whether the account takes postings: only if `open`.")
}

/// What the steps of a chain do.
pub(crate) const STEP_TYPES: [&str; 5] = ["entry", "reverse", "hold", "post_hold", "void_hold"];

pub(crate) fn step_type() -> Object {
    one_of(STEP_TYPES, "What the step does.")
}

pub(crate) fn hold_status() -> Object {
    let description = "What a hold is: `held` while something of it is held; `posted`, `voided` or \
                       `expired` by what became of the last of it.";
    one_of(HoldStatus::ALL.map(HoldStatus::name), description)
}

pub(crate) fn direction() -> Object {
    one_of([Direction::Debit, Direction::Credit].map(Direction::name), "The side of the account.")
}

pub(crate) fn normal_side() -> Object {
    let sides = [Direction::Debit, Direction::Credit].map(Direction::name);
    one_of(sides, "The side that makes the balance grow; that of the type where it is not given.")
}

pub(crate) fn rounding() -> Object {
    let description = "How what falls between two minor units is rounded; `half_even` where \
                       it is not given.";
    one_of(Rounding::ALL.map(Rounding::name), description)
}

pub(crate) fn capture_method() -> Object {
    let description = "When the money is taken: as soon as it is authorized, or when the merchant \
                       says so.";
    one_of(CaptureMethod::ALL.map(CaptureMethod::name), description)
}

pub(crate) fn method_kind() -> Object {
    one_of(MethodKind::ALL.map(MethodKind::name), "What the token stands for.")
}

pub(crate) fn card_network() -> Object {
    let description = "A card's scheme. Without it the card is tried as often as the strictest \
                       scheme allows.";
    one_of(CardNetwork::ALL.map(CardNetwork::name), description)
}
