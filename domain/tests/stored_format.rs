//! The stored format of every event, for ever: a change of one of these is a change of history's meaning.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};

use domain::accounts::{AccountClosed, AccountFrozen, AccountOpened, AccountType, AccountUnfrozen};
use domain::api_keys::{ApiKeyIssued, ApiKeyRevoked, Role, SecretDigest};
use domain::cards::{CardDeclined, CardEvent, CardNetwork};
use domain::ledger::{Direction, EntryPosted, EntryReversed, ExternalRef, Posting};
use domain::merchants::{FeeTerms, MerchantRegistered, Rounding};
use domain::payments::*;
use domain::psps::{PspDisabled, PspEnabled, PspEvent};
use domain::{
    AccountId, Amount, ApiKeyId, CardId, EntryId, Event, MerchantId, Metadata, Name, PaymentId,
    RefundId, StreamId, Timestamp,
};
use uuid::Uuid;

const MERCHANT: MerchantId =
    MerchantId::from_uuid(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0001));
const KEY: ApiKeyId =
    ApiKeyId::from_uuid(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0002));
const ENTRY: EntryId =
    EntryId::from_uuid(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0003));
const REVERSAL: EntryId =
    EntryId::from_uuid(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0004));

const PAYMENT: PaymentId =
    PaymentId::from_uuid(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0005));
const REFUND: RefundId =
    RefundId::from_uuid(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0006));
/// 2026-01-02T03:04:05.000006Z
const AT: Timestamp = Timestamp::from_micros(1_767_323_045_000_006);

fn account(code: &str) -> AccountId {
    AccountId::of(MERCHANT, &code.parse().unwrap())
}

fn amount(text: &str, currency: &str) -> Amount {
    Amount::parse(text, currency.parse().unwrap()).unwrap()
}

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

/// One of each, and where a field may be absent, one with and one without.
fn examples() -> Vec<(&'static str, Event)> {
    let payments = [intents(), attempts(), captures(), refunds(), unasked()].concat();
    let payments = payments.into_iter().map(|(what, event)| (what, Event::Payment(event)));
    [merchants(), accounts(), entries(), payments.collect(), cards(), psps()].concat()
}

fn merchants() -> Vec<(&'static str, Event)> {
    let fees =
        FeeTerms::new("2.90", &[amount("0.30", "USD"), amount("30", "JPY")], Rounding::HalfEven);
    let registered = MerchantRegistered {
        merchant_id: MERCHANT,
        name: name("Toko \"Runut\""),
        fees: fees.unwrap(),
    };
    let issued = ApiKeyIssued {
        key_id: KEY,
        merchant_id: MERCHANT,
        role: Role::MerchantRead,
        label: None,
        secret_sha256: SecretDigest::of("secret"),
    };
    let labelled = ApiKeyIssued { label: Some(name("till 3")), ..issued.clone() };
    vec![
        ("merchant", Event::MerchantRegistered(registered)),
        ("key", Event::ApiKeyIssued(issued)),
        ("key with label", Event::ApiKeyIssued(labelled)),
        ("key revoked", Event::ApiKeyRevoked(ApiKeyRevoked { key_id: KEY })),
    ]
}

fn accounts() -> Vec<(&'static str, Event)> {
    let account_id = account("cash");
    let opened = AccountOpened {
        account_id,
        ledger: MERCHANT,
        code: "cash".parse().unwrap(),
        name: None,
        kind: AccountType::Asset,
        currency: "USD".parse().unwrap(),
        min_balance_minor: None,
    };
    let full = AccountOpened {
        name: Some(name("Cash in the till")),
        min_balance_minor: Some(-5_000),
        ..opened.clone()
    };
    vec![
        ("account", Event::AccountOpened(opened)),
        ("account with all", Event::AccountOpened(full)),
        ("frozen", Event::AccountFrozen(AccountFrozen { account_id })),
        ("unfrozen", Event::AccountUnfrozen(AccountUnfrozen { account_id })),
        ("closed", Event::AccountClosed(AccountClosed { account_id })),
    ]
}

fn entries() -> Vec<(&'static str, Event)> {
    let posting = |code: &str, direction, text: &str| Posting {
        account_id: account(code),
        direction,
        amount: amount(text, "USD"),
    };
    let posted = EntryPosted {
        entry_id: ENTRY,
        ledger: MERCHANT,
        external_ref: ExternalRef::parse("order 4711").unwrap(),
        description: None,
        metadata: Metadata::default(),
        postings: vec![
            posting("cash", Direction::Debit, "10.00"),
            posting("sales", Direction::Credit, "10.00"),
        ],
        reverses: None,
    };
    let order = BTreeMap::from([("order".to_owned(), "4711 ☕".to_owned())]);
    let full = EntryPosted {
        entry_id: REVERSAL,
        description: Some(name("Refund of order 4711")),
        metadata: Metadata::parse(order).unwrap(),
        reverses: Some(ENTRY),
        ..posted.clone()
    };
    vec![
        ("entry", Event::EntryPosted(posted)),
        ("entry with all", Event::EntryPosted(full)),
        (
            "reversed",
            Event::EntryReversed(EntryReversed { entry_id: ENTRY, reversed_by: REVERSAL }),
        ),
    ]
}

fn psp() -> PspName {
    "alpha".parse().unwrap()
}

fn intents() -> Vec<(&'static str, PaymentEvent)> {
    let intent = PaymentIntent {
        amount: amount("100.00", "USD"),
        capture_method: CaptureMethod::Automatic,
        psp: None,
        customer: None,
        reference: None,
        description: None,
        metadata: Metadata::default(),
        order: Order::default(),
    };
    let line = LineItem { name: name("Kopi ☕"), quantity: 4, unit_amount_minor: 2_500 };
    let order = BTreeMap::from([("order".to_owned(), "4711".to_owned())]);
    let full = PaymentIntent {
        capture_method: CaptureMethod::Manual,
        psp: Some(psp()),
        customer: Some(name("customer 7")),
        reference: Some(name("order 4711")),
        description: Some(name("Four coffees")),
        metadata: Metadata::parse(order).unwrap(),
        order: Order::new(vec![line]).unwrap(),
        ..intent.clone()
    };
    let method = PaymentMethod::new(MethodKind::Card, "tok_1").unwrap();
    let other = PaymentMethod::new(MethodKind::BankAccount, "ba_1").unwrap();
    let (payment_id, merchant_id) = (PAYMENT, MERCHANT);
    let created = PaymentCreated { payment_id, merchant_id, intent, method: None };
    let with_all = PaymentCreated { intent: full, method: Some(method), ..created.clone() };
    vec![
        ("payment", PaymentEvent::Created(created)),
        ("payment with all", PaymentEvent::Created(with_all)),
        (
            "method replaced",
            PaymentEvent::MethodReplaced(MethodReplaced { payment_id, method: other }),
        ),
        (
            "authorization requested",
            PaymentEvent::AuthorizationRequested(AuthorizationRequested { payment_id }),
        ),
        ("canceled", PaymentEvent::Canceled(PaymentCanceled { payment_id })),
        ("expired", PaymentEvent::Expired(PaymentExpired { payment_id })),
    ]
}

fn attempts() -> Vec<(&'static str, PaymentEvent)> {
    let payment_id = PAYMENT;
    let started = |attempt, operation| {
        PaymentEvent::AttemptStarted(AttemptStarted {
            payment_id,
            attempt,
            operation,
            psp: psp(),
            key: AttemptKey::of(PAYMENT, attempt),
            amount: amount("100.00", "USD"),
            ask_at: AT,
        })
    };
    let unknown = |reason| {
        PaymentEvent::AttemptUnknown(AttemptUnknown { payment_id, attempt: 1, reason, ask_at: AT })
    };
    let declined = AttemptDeclined {
        payment_id,
        attempt: 1,
        code: "insufficient_funds".to_owned(),
        advice: None,
        network_code: None,
        class: DeclineClass::SoftFunds,
        declines_version: 1,
        failover: false,
        retry_at: Some(AT),
        requires_method: false,
    };
    let never_again = AttemptDeclined {
        code: "expired_card".to_owned(),
        advice: Some("confirm_card_data".to_owned()),
        network_code: Some("54".to_owned()),
        class: DeclineClass::DataFix,
        retry_at: None,
        requires_method: true,
        ..declined.clone()
    };
    let elsewhere = AttemptDeclined { failover: true, ..declined.clone() };
    let limit = "mastercard_day".to_owned();
    let put_off = AttemptWithheld { payment_id, limit, retry_at: Some(AT) };
    let withheld = AttemptWithheld { retry_at: None, ..put_off.clone() };
    let failed = AttemptFailed {
        payment_id,
        attempt: 1,
        reason: "no connection".to_owned(),
        unsent: true,
        retry_at: Some(AT),
        check_at: None,
    };
    let for_good = AttemptFailed {
        reason: "never_arrived".to_owned(),
        unsent: false,
        retry_at: None,
        check_at: Some(AT),
        ..failed.clone()
    };
    vec![
        ("attempt to authorize", started(1, Operation::Authorize)),
        ("attempt of a sale", started(2, Operation::Sale)),
        ("attempt to capture", started(3, Operation::Capture { capture: 2 })),
        ("attempt to void", started(4, Operation::Void)),
        ("attempt to refund", started(5, Operation::Refund { refund_id: REFUND })),
        (
            "attempt resent",
            PaymentEvent::AttemptResent(AttemptResent { payment_id, attempt: 1, ask_at: AT }),
        ),
        (
            "attempt pending",
            PaymentEvent::AttemptPending(AttemptPending { payment_id, attempt: 1, ask_at: AT }),
        ),
        ("unknown: time-out", unknown(UnknownReason::Timeout)),
        ("unknown: server", unknown(UnknownReason::ServerError)),
        ("unknown: connection", unknown(UnknownReason::ConnectionLost)),
        ("unknown: answer", unknown(UnknownReason::UnreadableAnswer)),
        ("unknown: not found yet", unknown(UnknownReason::NotFoundYet)),
        ("attempt declined", PaymentEvent::AttemptDeclined(declined)),
        ("attempt declined for good", PaymentEvent::AttemptDeclined(never_again)),
        ("attempt declined, made elsewhere", PaymentEvent::AttemptDeclined(elsewhere)),
        ("attempt put off", PaymentEvent::AttemptWithheld(put_off)),
        ("attempt withheld", PaymentEvent::AttemptWithheld(withheld)),
        ("attempt failed", PaymentEvent::AttemptFailed(failed)),
        ("attempt failed for good", PaymentEvent::AttemptFailed(for_good)),
    ]
}

fn captures() -> Vec<(&'static str, PaymentEvent)> {
    let (payment_id, amount) = (PAYMENT, amount("40.00", "USD"));
    let psp_reference = "ch_1".to_owned();
    let authorized = PaymentAuthorized {
        payment_id,
        attempt: 1,
        psp: psp(),
        psp_reference: psp_reference.clone(),
        amount,
        expires_at: AT,
    };
    let requested = CaptureRequested { payment_id, capture: 1, amount, closes: false };
    let captured = PaymentCaptured {
        payment_id,
        capture: 1,
        attempt: 2,
        psp: psp(),
        psp_reference: psp_reference.clone(),
        amount,
        fee_minor: 146,
        entry_id: ENTRY,
        closes: false,
    };
    let code = "failed_later".to_owned();
    let failed = CaptureFailed { payment_id, capture: 1, code, entry_id: REVERSAL };
    let voided = PaymentVoided { payment_id, attempt: 3, psp_reference };
    vec![
        ("authorized", PaymentEvent::Authorized(authorized)),
        ("capture requested", PaymentEvent::CaptureRequested(requested)),
        ("captured", PaymentEvent::Captured(captured)),
        ("capture failed", PaymentEvent::CaptureFailed(failed)),
        ("void requested", PaymentEvent::VoidRequested(VoidRequested { payment_id })),
        ("voided", PaymentEvent::Voided(voided)),
    ]
}

fn refunds() -> Vec<(&'static str, PaymentEvent)> {
    let (payment_id, refund_id, amount) = (PAYMENT, REFUND, amount("25.00", "USD"));
    let requested = RefundRequested { payment_id, refund_id, amount, reason: None };
    let with_reason = RefundRequested { reason: Some(name("damaged")), ..requested.clone() };
    let succeeded = RefundSucceeded {
        payment_id,
        refund_id,
        attempt: 3,
        psp_reference: "op_1".to_owned(),
        amount,
        entry_id: ENTRY,
    };
    let code = "failed_later".to_owned();
    let failed = RefundFailed { payment_id, refund_id, code, entry_id: REVERSAL };
    vec![
        ("refund requested", PaymentEvent::RefundRequested(requested)),
        ("refund with reason", PaymentEvent::RefundRequested(with_reason)),
        ("refund succeeded", PaymentEvent::RefundSucceeded(succeeded)),
        ("refund failed", PaymentEvent::RefundFailed(failed)),
    ]
}

fn cards() -> Vec<(&'static str, Event)> {
    let declined = CardDeclined {
        card_id: CardId::of(MERCHANT, "tok_1"),
        merchant_id: MERCHANT,
        network: None,
        payment_id: PAYMENT,
        attempt: 1,
        psp: psp(),
        amount: amount("100.00", "USD"),
        class: DeclineClass::SoftFunds,
        barred: None,
    };
    let barred = CardDeclined {
        network: Some(CardNetwork::Mastercard),
        class: DeclineClass::Hard,
        barred: Some(Barred::Card),
        ..declined.clone()
    };
    let events = [("card declined", declined), ("card barred", barred)];
    events.map(|(what, event)| (what, Event::Card(CardEvent::Declined(event)))).to_vec()
}

fn psps() -> Vec<(&'static str, Event)> {
    let disabled = PspDisabled { psp: psp(), reason: None };
    let with_reason = PspDisabled { reason: Some(name("too many time-outs")), ..disabled.clone() };
    let events = [
        ("PSP disabled", PspEvent::Disabled(disabled)),
        ("PSP disabled with reason", PspEvent::Disabled(with_reason)),
        ("PSP enabled", PspEvent::Enabled(PspEnabled { psp: psp() })),
    ];
    events.map(|(what, event)| (what, Event::Psp(event))).to_vec()
}

fn unasked() -> Vec<(&'static str, PaymentEvent)> {
    let (payment_id, attempt) = (PAYMENT, 1);
    let notified = |claim| {
        let digest = "ab".repeat(32);
        PaymentEvent::PspNotified(PspNotified { payment_id, attempt, claim, digest })
    };
    let late = LateSuccess {
        payment_id,
        attempt,
        psp: psp(),
        psp_reference: "ch_1".to_owned(),
        amount: amount("100.00", "USD"),
        entry_id: None,
    };
    let taken = LateSuccess { entry_id: Some(ENTRY), ..late.clone() };
    let released = LateSuccessReversed {
        payment_id,
        reversed: 1,
        attempt: 2,
        psp_reference: "op_1".to_owned(),
        entry_id: None,
    };
    let given_back = LateSuccessReversed { entry_id: Some(REVERSAL), ..released.clone() };
    let confirmed = AttemptConfirmed { payment_id, attempt };
    let code = "failed_later".to_owned();
    let lapsed = LateSuccessFailed { payment_id, attempt, code: code.clone(), entry_id: None };
    let came_back = LateSuccessFailed { entry_id: Some(REVERSAL), ..lapsed.clone() };
    let in_vain = LateReversalFailed {
        payment_id,
        reversed: attempt,
        attempt: 2,
        code,
        entry_id: Some(ENTRY),
        retry_at: Some(AT),
    };
    let for_good = LateReversalFailed { entry_id: None, retry_at: None, ..in_vain.clone() };
    let reverse = AttemptStarted {
        payment_id,
        attempt: 2,
        operation: Operation::Reverse { attempt: 1 },
        psp: psp(),
        key: AttemptKey::of(PAYMENT, 2),
        amount: amount("100.00", "USD"),
        ask_at: AT,
    };
    vec![
        ("notified of a success", notified(Claim::Succeeded)),
        ("notified of a decline", notified(Claim::Declined)),
        ("notified of a failure", notified(Claim::Failed)),
        ("confirmed", PaymentEvent::AttemptConfirmed(confirmed)),
        ("late authorization", PaymentEvent::LateSuccess(late)),
        ("late charge", PaymentEvent::LateSuccess(taken)),
        ("attempt to reverse", PaymentEvent::AttemptStarted(reverse)),
        ("late authorization released", PaymentEvent::LateSuccessReversed(released)),
        ("late charge given back", PaymentEvent::LateSuccessReversed(given_back)),
        ("late authorization lapsed", PaymentEvent::LateSuccessFailed(lapsed)),
        ("late charge came back", PaymentEvent::LateSuccessFailed(came_back)),
        ("late charge given back in vain", PaymentEvent::LateReversalFailed(in_vain)),
        ("late charge given back in vain for good", PaymentEvent::LateReversalFailed(for_good)),
    ]
}

#[test]
fn every_event_is_stored_as_it_always_was() {
    let lines: Vec<String> = examples()
        .into_iter()
        .map(|(what, event)| {
            format!(
                "{what}: {} v{} {}",
                event.event_type(),
                event.schema_version(),
                event.to_json()
            )
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn every_event_has_an_example_and_survives_storage() {
    let mut seen = BTreeSet::new();
    for (what, event) in examples() {
        let stored = event.to_json();
        let read = Event::decode(event.event_type(), event.schema_version(), &stored).unwrap();
        assert_eq!(read, event, "{what}");
        assert_eq!(read.to_json(), stored, "{what}");
        seen.insert(event.event_type());
    }
    assert_eq!(seen, Event::types().into_iter().collect());
}

#[test]
fn stream_names_are_stored_too() {
    let order = ExternalRef::parse("order 4711").unwrap();
    let names = [
        StreamId::merchant(MERCHANT),
        StreamId::api_key(KEY),
        StreamId::account(account("cash")),
        StreamId::entry(EntryId::of(MERCHANT, &order)),
        StreamId::payment(PAYMENT),
        StreamId::psp(&psp()),
    ];
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(names.join("\n"));
}

#[test]
fn what_is_not_an_event_says_why() {
    for (event_type, version, data) in [
        ("ledger.entry_vanished", 1, "{}"),
        ("ledger.account_closed", 2, "{}"),
        ("ledger.account_closed", 0, "{}"),
        ("ledger.account_closed", 1, "{}"),
        ("ledger.account_closed", 1, "{\"account_id\":\"acc_1\"}"),
    ] {
        let refused = Event::decode(event_type, version, data);
        assert!(refused.is_err(), "{event_type} v{version} {data}");
    }
}
