use super::*;
use crate::problem_kinds::find;
use axum::body::Body;
use domain::accounts::{AccountStatus, AccountType, Mechanism};
use domain::api_keys::Role;
use domain::holds::HoldStatus;
use domain::payments::{Operation, PaymentAction, PaymentState};
use domain::{
    AccountId, ApiKeyId, Day, EntryId, HoldId, MerchantId, PaymentId, StreamVersion, Timestamp,
};
use http_body_util::BodyExt;
use uuid::Uuid;

fn every_rejection() -> Vec<Rejection> {
    let merchant_id = MerchantId::PLATFORM;
    let key_id = ApiKeyId::from_uuid(Uuid::nil());
    let account_id = AccountId::from_uuid(Uuid::nil());
    let entry_id = EntryId::from_uuid(Uuid::nil());
    let status = |status| Rejection::AccountStatus { account_id, status };
    let external_ref = domain::ledger::ExternalRef::parse("order-1").unwrap();
    vec![
        Rejection::MerchantIdTaken { merchant_id },
        Rejection::MerchantNotFound { merchant_id },
        Rejection::RoleNeedsMerchant { role: Role::Operator },
        Rejection::ApiKeyIdTaken { key_id },
        Rejection::ApiKeyNotFound { key_id },
        Rejection::AccountCodeTaken { code: "cash".parse().unwrap() },
        Rejection::AccountNotFound { account_id },
        status(AccountStatus::Open),
        status(AccountStatus::Frozen),
        status(AccountStatus::Closed),
        Rejection::VersionMismatch { account_id, version: StreamVersion::FIRST },
        Rejection::BalanceNotZero { account_id },
        Rejection::CurrencyMismatch { account_id, currency: "USD".parse().unwrap() },
        Rejection::SystemAccount { account_id },
        Rejection::MechanismAccount { account_id, mechanism: Mechanism::Conversions },
        Rejection::InsufficientFunds { account_id },
        Rejection::ExternalRefTaken { external_ref, entry_id },
        Rejection::EntryNotFound { entry_id },
        Rejection::EntryAlreadyReversed { entry_id, reversed_by: entry_id },
        Rejection::ReversalIsFinal { entry_id },
        Rejection::EntryIsConversion { entry_id },
    ]
    .into_iter()
    .chain(every_rejection_of_limits_and_parts())
    .chain(every_rejection_of_holds())
    .chain(every_rejection_of_books())
    .chain(every_rejection_of_conversions())
    .chain(every_rejection_of_payments())
    .collect()
}

fn every_rejection_of_limits_and_parts() -> Vec<Rejection> {
    let account_id = AccountId::from_uuid(Uuid::nil());
    let entry_id = EntryId::from_uuid(Uuid::nil());
    let now = Timestamp::from_micros(0);
    vec![
        Rejection::AboveMaximum { account_id },
        Rejection::LimitsCross { min_balance_minor: 2, max_balance_minor: 1 },
        Rejection::ParentOfOtherType { parent: account_id, kind: AccountType::Asset },
        Rejection::ChartTooDeep { parent: account_id },
        Rejection::EffectiveTimeOutOfRange { earliest: now, latest: now },
        Rejection::EffectiveBeforeOriginal { entry_id, original_at: now },
        Rejection::AboveReversible { entry_id },
        Rejection::AmountAmbiguous,
        step(Rejection::AmountAmbiguous),
        step(Rejection::InsufficientFunds { account_id }),
    ]
}

fn step(rejection: Rejection) -> Rejection {
    Rejection::Step { index: 7, rejection: rejection.into() }
}

fn every_rejection_of_holds() -> Vec<Rejection> {
    let hold_id = HoldId::from_uuid(Uuid::nil());
    let external_ref = domain::ledger::ExternalRef::parse("order-1").unwrap();
    let now = Timestamp::from_micros(0);
    let by_status = HoldStatus::ALL.map(|status| Rejection::HoldStatus { hold_id, status });
    let others = [
        Rejection::HoldNotFound { hold_id },
        Rejection::HoldRefTaken { external_ref, hold_id },
        Rejection::AboveHeld { hold_id },
        Rejection::HoldEndOutOfRange { now, latest: now },
        Rejection::HoldNotOver { hold_id },
    ];
    by_status.into_iter().chain(others).collect()
}

fn every_rejection_of_books() -> Vec<Rejection> {
    let day = Day::from_number(0);
    vec![
        Rejection::DayBeforeBooks { first: day },
        Rejection::DayNotOver { day },
        Rejection::DayCutOffAlready { day },
        Rejection::DayBeingClosed { day },
        Rejection::MonthNotClosed { last_day: day },
        Rejection::DayNotCutOff { day },
    ]
}

fn every_rejection_of_conversions() -> Vec<Rejection> {
    let (base, quote) = ("USD".parse().unwrap(), "EUR".parse().unwrap());
    let (as_of, version) = (Timestamp::from_micros(0), StreamVersion::FIRST);
    let account_id = AccountId::from_uuid(Uuid::nil());
    vec![
        Rejection::PairOfOneCurrency { currency: base },
        Rejection::RateOfTheFuture { latest: as_of },
        Rejection::RateOutOfOrder { as_of },
        Rejection::RateMissing { base, quote },
        Rejection::RateChanged { base, quote, version },
        Rejection::RateTooOld { base, quote, as_of },
        Rejection::ConversionSidesDiffer { from: account_id, to: account_id },
        Rejection::NothingBought { quote },
        Rejection::TooMuchBought { quote },
    ]
}

fn every_rejection_of_payments() -> Vec<Rejection> {
    let payment_id = PaymentId::from_uuid(Uuid::nil());
    let currency = "USD".parse().unwrap();
    let (state, allowed) = (PaymentState::Captured, vec![PaymentAction::Refund]);
    vec![
        Rejection::PaymentIdTaken { payment_id },
        Rejection::PaymentNotFound { payment_id },
        Rejection::PaymentVersionMismatch { payment_id, version: StreamVersion::FIRST },
        Rejection::PaymentStateForbids { payment_id, state, allowed },
        Rejection::PaymentMethodMissing { payment_id },
        Rejection::PaymentCurrency { payment_id, currency },
        Rejection::AboveCapturable { payment_id, capturable_minor: 1, currency },
        Rejection::AboveRefundable { payment_id, refundable_minor: 1, currency },
        Rejection::TooManyCaptures { payment_id },
        Rejection::TooManyRefunds { payment_id },
        Rejection::TooManyAttempts { payment_id },
        Rejection::AttemptNotDue { payment_id, operation: Operation::Void },
        Rejection::AttemptNotFound { payment_id, attempt: 1 },
        Rejection::PspNotFound { psp: "alpha".parse().unwrap() },
        Rejection::PspIsDisabled { payment_id, psp: "alpha".parse().unwrap() },
    ]
}

/// Breaks the build when a rejection is added: then add it above, and its code to the table.
fn listed_above(rejection: &Rejection) {
    match rejection {
        Rejection::MerchantIdTaken { .. }
        | Rejection::MerchantNotFound { .. }
        | Rejection::RoleNeedsMerchant { .. }
        | Rejection::ApiKeyIdTaken { .. }
        | Rejection::ApiKeyNotFound { .. }
        | Rejection::AccountCodeTaken { .. }
        | Rejection::AccountNotFound { .. }
        | Rejection::AccountStatus { .. }
        | Rejection::VersionMismatch { .. }
        | Rejection::BalanceNotZero { .. }
        | Rejection::CurrencyMismatch { .. }
        | Rejection::SystemAccount { .. }
        | Rejection::MechanismAccount { .. }
        | Rejection::InsufficientFunds { .. }
        | Rejection::ExternalRefTaken { .. }
        | Rejection::EntryNotFound { .. }
        | Rejection::EntryAlreadyReversed { .. }
        | Rejection::ReversalIsFinal { .. }
        | Rejection::EntryIsConversion { .. }
        | Rejection::AboveMaximum { .. }
        | Rejection::LimitsCross { .. }
        | Rejection::ParentOfOtherType { .. }
        | Rejection::ChartTooDeep { .. }
        | Rejection::EffectiveTimeOutOfRange { .. }
        | Rejection::EffectiveBeforeOriginal { .. }
        | Rejection::AboveReversible { .. }
        | Rejection::AmountAmbiguous
        | Rejection::HoldNotFound { .. }
        | Rejection::HoldRefTaken { .. }
        | Rejection::HoldStatus { .. }
        | Rejection::AboveHeld { .. }
        | Rejection::HoldEndOutOfRange { .. }
        | Rejection::HoldNotOver { .. }
        | Rejection::DayBeforeBooks { .. }
        | Rejection::DayNotOver { .. }
        | Rejection::DayCutOffAlready { .. }
        | Rejection::DayBeingClosed { .. }
        | Rejection::MonthNotClosed { .. }
        | Rejection::DayNotCutOff { .. }
        | Rejection::PairOfOneCurrency { .. }
        | Rejection::RateOfTheFuture { .. }
        | Rejection::RateOutOfOrder { .. }
        | Rejection::RateMissing { .. }
        | Rejection::RateChanged { .. }
        | Rejection::RateTooOld { .. }
        | Rejection::ConversionSidesDiffer { .. }
        | Rejection::NothingBought { .. }
        | Rejection::TooMuchBought { .. }
        | Rejection::Step { .. }
        | Rejection::PaymentIdTaken { .. }
        | Rejection::PaymentNotFound { .. }
        | Rejection::PaymentVersionMismatch { .. }
        | Rejection::PaymentStateForbids { .. }
        | Rejection::PaymentMethodMissing { .. }
        | Rejection::PaymentCurrency { .. }
        | Rejection::AboveCapturable { .. }
        | Rejection::AboveRefundable { .. }
        | Rejection::TooManyCaptures { .. }
        | Rejection::TooManyRefunds { .. }
        | Rejection::TooManyAttempts { .. }
        | Rejection::AttemptNotDue { .. }
        | Rejection::AttemptNotFound { .. }
        | Rejection::PspNotFound { .. }
        | Rejection::PspIsDisabled { .. } => {}
    }
}

#[test]
fn every_rejection_is_in_the_table_with_the_status_of_its_class() {
    for rejection in every_rejection() {
        listed_above(&rejection);
        let kind = find(rejection.code()).unwrap_or_else(|| panic!("no row: {rejection:?}"));
        let status = match rejection.class() {
            RejectionClass::NotFound => 404,
            RejectionClass::Conflict => 409,
            RejectionClass::Precondition => 412,
            RejectionClass::Invalid => 422,
        };
        assert_eq!(kind.status, status, "{rejection:?}");
        assert_eq!(Problem::from(&rejection).kind(), kind);
    }
}

#[test]
fn the_problem_of_several_steps_is_that_of_the_one_that_is_refused_with_its_place() {
    let refused = step(Rejection::AmountAmbiguous);
    let problem = Problem::of_step(&refused, &Pointer::from("/steps"));
    assert_eq!(problem.kind().code, "amount-ambiguous");
    insta::assert_snapshot!(problem.body_text(None));
    let other = Rejection::AmountAmbiguous;
    assert_eq!(Problem::of_step(&other, &Pointer::from("/steps")), Problem::from(other));
}

#[test]
fn a_rendered_problem_is_what_is_stored_and_replayed() {
    let account_id = AccountId::from_uuid(Uuid::nil());
    let problem = Problem::from(Rejection::InsufficientFunds { account_id });
    let rendered = problem.render(&CorrelationId::parse("req-1").unwrap());
    insta::assert_snapshot!(format!("{} {}", rendered.status, rendered.body));
}

#[test]
fn the_caller_s_own_words_do_not_make_an_answer_large() {
    let problem = Problem::malformed("é".repeat(100_000));
    assert!(problem.body_text(None).len() < 2 * DETAIL_CHARACTERS_MAX + 300);
}

#[test]
fn headers_say_when_to_come_back_and_how_to_identify() {
    let header = |problem: Problem, name: &str| {
        let response = problem.into_response();
        response.headers().get(name).map(|value| value.to_str().unwrap().to_owned())
    };
    assert_eq!(header(Problem::unavailable("x"), "retry-after").as_deref(), Some("1"));
    assert_eq!(header(Problem::too_many_requests(7), "retry-after").as_deref(), Some("7"));
    assert_eq!(header(Problem::unauthorized(), "www-authenticate").as_deref(), Some("Bearer"));
    assert_eq!(header(Problem::not_found(), "retry-after"), None);
}

#[tokio::test]
async fn an_internal_cause_is_not_shown() {
    let response = Problem::internal("password authentication failed").into_response();
    assert_eq!(response.status(), 500);
    let body = Body::new(response.into_body()).collect().await.unwrap().to_bytes();
    assert!(!String::from_utf8_lossy(&body).contains("password"));
}
