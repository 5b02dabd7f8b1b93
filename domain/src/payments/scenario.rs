//! One payment in every state it can be in, for given/when/then.

use uuid::Uuid;

use super::*;
use crate::cards::{CardDeclined, CardEvent};
use crate::given_when_then::{Given, MERCHANT, given, merchant_registered};
use crate::ids::{PaymentId, RefundId};
use crate::{CardId, Command, Currency, Event};

pub(crate) const PAYMENT: PaymentId =
    PaymentId::from_uuid(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0077));
pub(crate) const REFUND: RefundId =
    RefundId::from_uuid(Uuid::from_u128(0x0190_0000_0000_7000_8000_0000_0000_0099));

/// Every history here is recorded at time 0; what is given to be decided comes at this.
pub(crate) const LATER: Timestamp = Timestamp::from_micros(1);

pub(crate) fn usd() -> Currency {
    "USD".parse().unwrap()
}

pub(crate) fn amount(text: &str) -> Amount {
    Amount::parse(text, usd()).unwrap()
}

pub(crate) fn psp() -> PspName {
    "alpha".parse().unwrap()
}

pub(crate) fn intent(text: &str) -> PaymentIntent {
    PaymentIntent {
        amount: amount(text),
        capture_method: CaptureMethod::Manual,
        psp: None,
        customer: None,
        reference: None,
        description: None,
        metadata: Metadata::default(),
        order: Order::default(),
    }
}

pub(crate) fn method(token: &str) -> PaymentMethod {
    PaymentMethod::new(MethodKind::Card, token).unwrap()
}

/// The card of every payment here.
pub(crate) fn card() -> Option<CardId> {
    method("ok").card(MERCHANT)
}

/// Short and even, so that what follows when is easily said.
pub(crate) fn policy() -> PaymentPolicy {
    PaymentPolicy {
        ask_after_ms: 10,
        ask_pause_ms: 1,
        ask_pause_max_ms: 8,
        not_found_grace_ms: 20,
        keys_kept_ms: 100,
        late_check_pause_ms: 200,
        authorization_life_ms: 1_000,
        retried_within_ms: 10_000,
        card_limits: crate::cards::CardLimit::of_schemes(),
        soft_retry_pauses_ms: vec![50, 60],
        unsent_retry_pause_ms: 5,
        unsent_attempts_max: 2,
        unsent_bound_attempts_max: 3,
    }
}

pub(crate) fn create(intent: PaymentIntent, method: Option<PaymentMethod>) -> Command {
    let (payment_id, merchant_id) = (PAYMENT, MERCHANT);
    Command::CreatePayment(CreatePayment { payment_id, merchant_id, intent, method })
}

fn event(event: PaymentEvent) -> Event {
    Event::Payment(event)
}

pub(crate) fn created_with(intent: PaymentIntent, method: Option<PaymentMethod>) -> Event {
    let (payment_id, merchant_id) = (PAYMENT, MERCHANT);
    event(PaymentEvent::Created(PaymentCreated { payment_id, merchant_id, intent, method }))
}

pub(crate) fn created(text: &str) -> Event {
    created_with(intent(text), Some(method("ok")))
}

pub(crate) fn created_without_method(text: &str) -> Event {
    created_with(intent(text), None)
}

pub(crate) fn authorization_requested() -> Event {
    event(PaymentEvent::AuthorizationRequested(AuthorizationRequested { payment_id: PAYMENT }))
}

pub(crate) fn attempt_started(attempt: u32, operation: Operation, text: &str) -> Event {
    event(PaymentEvent::AttemptStarted(AttemptStarted {
        payment_id: PAYMENT,
        attempt,
        operation,
        psp: psp(),
        key: AttemptKey::of(PAYMENT, attempt),
        amount: amount(text),
        ask_at: Timestamp::from_micros(0).plus_millis(10),
    }))
}

pub(crate) fn attempt_unknown(attempt: u32) -> Event {
    event(PaymentEvent::AttemptUnknown(AttemptUnknown {
        payment_id: PAYMENT,
        attempt,
        reason: UnknownReason::Timeout,
        ask_at: Timestamp::from_micros(0).plus_millis(1),
    }))
}

pub(crate) fn attempt_declined(attempt: u32, code: &str, retry_at: Option<Timestamp>) -> Event {
    let class = Decline::of(code).class(None);
    event(PaymentEvent::AttemptDeclined(AttemptDeclined {
        payment_id: PAYMENT,
        attempt,
        code: code.to_owned(),
        advice: None,
        network_code: None,
        class,
        declines_version: DECLINES_VERSION,
        failover: false,
        retry_at,
        requires_method: class.requires_method(),
    }))
}

/// The attempt, which asked for 100.00, counts for the card.
pub(crate) fn card_declined(attempt: u32) -> Event {
    Event::Card(CardEvent::Declined(CardDeclined {
        card_id: card().unwrap(),
        merchant_id: MERCHANT,
        network: None,
        payment_id: PAYMENT,
        attempt,
        psp: psp(),
        amount: amount("100.00"),
        class: DeclineClass::SoftFunds,
        barred: None,
    }))
}

pub(crate) fn authorized(attempt: u32, text: &str) -> Event {
    event(PaymentEvent::Authorized(PaymentAuthorized {
        payment_id: PAYMENT,
        attempt,
        psp: psp(),
        psp_reference: "ch_1".to_owned(),
        amount: amount(text),
        expires_at: LATER.plus_millis(1_000),
    }))
}

pub(crate) fn capture_requested(capture: u32, text: &str, closes: bool) -> Event {
    let (payment_id, amount) = (PAYMENT, amount(text));
    event(PaymentEvent::CaptureRequested(CaptureRequested { payment_id, capture, amount, closes }))
}

pub(crate) fn captured(attempt: u32, capture: u32, text: &str, closes: bool) -> Event {
    let platform = crate::MerchantId::PLATFORM;
    let reference = crate::ledger::ExternalRef::of_capture(PAYMENT, capture);
    event(PaymentEvent::Captured(PaymentCaptured {
        payment_id: PAYMENT,
        capture,
        attempt,
        psp: psp(),
        psp_reference: "ch_1".to_owned(),
        amount: amount(text),
        fee_minor: 0,
        entry_id: crate::EntryId::of(platform, &reference),
        closes,
    }))
}

pub(crate) fn refund_requested(refund_id: RefundId, text: &str) -> Event {
    let (payment_id, amount) = (PAYMENT, amount(text));
    let requested = RefundRequested { payment_id, refund_id, amount, reason: None };
    event(PaymentEvent::RefundRequested(requested))
}

pub(crate) fn refund_succeeded(attempt: u32, refund_id: RefundId, text: &str) -> Event {
    let platform = crate::MerchantId::PLATFORM;
    let reference = crate::ledger::ExternalRef::of_refund(PAYMENT, refund_id);
    event(PaymentEvent::RefundSucceeded(RefundSucceeded {
        payment_id: PAYMENT,
        refund_id,
        attempt,
        psp_reference: "op_1".to_owned(),
        amount: amount(text),
        entry_id: crate::EntryId::of(platform, &reference),
    }))
}

pub(crate) fn declined_hard() -> Vec<Event> {
    vec![
        authorization_requested(),
        attempt_started(1, Operation::Authorize, "1.00"),
        attempt_declined(1, "lost_card", None),
    ]
}

/// A payment of 100.00 USD in each of its states, by the name of that.
pub(crate) fn histories() -> Vec<(&'static str, Vec<Event>)> {
    let due = vec![created("100.00"), authorization_requested()];
    let sent = [due.clone(), vec![attempt_started(1, Operation::Authorize, "100.00")]].concat();
    let after = |more: Vec<Event>| [sent.clone(), more].concat();
    let held = after(vec![authorized(1, "100.00")]);
    let capture = Operation::Capture { capture: 1 };
    let capturing = [held.clone(), vec![capture_requested(1, "100.00", true)]].concat();
    let capture_sent = [capturing.clone(), vec![attempt_started(2, capture, "100.00")]].concat();
    let taken = [capture_sent.clone(), vec![captured(2, 1, "100.00", true)]].concat();
    let part = [
        held.clone(),
        vec![
            capture_requested(1, "40.00", false),
            attempt_started(2, capture, "40.00"),
            captured(2, 1, "40.00", false),
        ],
    ];
    let void_requested = event(PaymentEvent::VoidRequested(VoidRequested { payment_id: PAYMENT }));
    let void_due = [held.clone(), vec![void_requested]].concat();
    let voiding = [void_due.clone(), vec![attempt_started(2, Operation::Void, "100.00")]];
    let psp_reference = "op_1".to_owned();
    let voided = PaymentVoided { payment_id: PAYMENT, attempt: 2, psp_reference };
    let refund = Operation::Refund { refund_id: REFUND };
    let refunding = [
        taken.clone(),
        vec![refund_requested(REFUND, "25.00"), attempt_started(3, refund, "25.00")],
    ]
    .concat();
    let retry = LATER.plus_millis(50);
    let failed = AttemptFailed {
        payment_id: PAYMENT,
        attempt: 1,
        reason: "never_arrived".to_owned(),
        unsent: false,
        retry_at: None,
        check_at: None,
    };
    let asked = AttemptFailed { check_at: Some(LATER.plus_millis(200)), ..failed.clone() };
    let ask_at = LATER.plus_millis(10);
    let resent = AttemptResent { payment_id: PAYMENT, attempt: 1, ask_at };
    let resent = event(PaymentEvent::AttemptResent(resent));
    let late = LateSuccess {
        payment_id: PAYMENT,
        attempt: 1,
        psp: psp(),
        psp_reference: "ch_1".to_owned(),
        amount: amount("100.00"),
        entry_id: None,
    };
    let late = event(PaymentEvent::LateSuccess(late));
    let came_late = after(vec![event(PaymentEvent::AttemptFailed(failed.clone())), late]);
    let reverse = Operation::Reverse { attempt: 1 };
    let reversing = [came_late.clone(), vec![attempt_started(2, reverse, "100.00")]].concat();
    let capture_failed = CaptureFailed {
        payment_id: PAYMENT,
        capture: 1,
        code: "failed_later".to_owned(),
        entry_id: crate::EntryId::from_uuid(Uuid::from_u128(9)),
    };
    vec![
        ("created, no method", vec![created_without_method("100.00")]),
        ("created", vec![created("100.00")]),
        ("authorizing, due", due),
        ("authorizing, sent", sent.clone()),
        ("unknown", after(vec![attempt_unknown(1)])),
        ("authorizing, retry", after(vec![attempt_declined(1, "insufficient_funds", Some(retry))])),
        ("declined", after(vec![attempt_declined(1, "lost_card", None)])),
        ("requires_method", after(vec![attempt_declined(1, "expired_card", None)])),
        ("failed", after(vec![event(PaymentEvent::AttemptFailed(failed))])),
        (
            "canceled",
            vec![
                created("100.00"),
                event(PaymentEvent::Canceled(PaymentCanceled { payment_id: PAYMENT })),
            ],
        ),
        ("authorized", held.clone()),
        ("capturing, due", capturing),
        ("capturing, sent", capture_sent.clone()),
        ("unknown, capture", [capture_sent, vec![attempt_unknown(2)]].concat()),
        ("authorized, part captured", part.concat()),
        ("authorized, voiding", voiding.concat()),
        ("voided", [voiding.concat(), vec![event(PaymentEvent::Voided(voided))]].concat()),
        (
            "expired",
            [held, vec![event(PaymentEvent::Expired(PaymentExpired { payment_id: PAYMENT }))]]
                .concat(),
        ),
        ("captured", taken.clone()),
        ("captured, refunding", refunding.clone()),
        (
            "captured, part refunded",
            [refunding.clone(), vec![refund_succeeded(3, REFUND, "25.00")]].concat(),
        ),
        ("captured, refund due", [taken.clone(), vec![refund_requested(REFUND, "25.00")]].concat()),
        ("captured, refund unknown", [refunding.clone(), vec![attempt_unknown(3)]].concat()),
        ("authorized, void due", void_due),
        ("authorized, void unknown", [voiding.concat(), vec![attempt_unknown(2)]].concat()),
        ("authorizing, sent again", after(vec![attempt_unknown(1), resent])),
        ("failed, to be asked once more", after(vec![event(PaymentEvent::AttemptFailed(asked))])),
        ("failed, to be reversed", came_late.clone()),
        ("failed, being reversed", reversing),
        (
            "capture_failed",
            [taken, vec![event(PaymentEvent::CaptureFailed(capture_failed))]].concat(),
        ),
    ]
}

/// The payment of one of the [`histories`], with its merchant.
pub(crate) fn given_payment(history: Vec<Event>) -> Given {
    given([merchant_registered()]).and_all(history)
}

pub(crate) fn authorize() -> Command {
    let (merchant_id, payment_id) = (MERCHANT, PAYMENT);
    Command::AuthorizePayment(AuthorizePayment { merchant_id, payment_id, expected_versions: None })
}

pub(crate) fn capture(part: Option<&str>, final_capture: bool) -> Command {
    Command::CapturePayment(CapturePayment {
        merchant_id: MERCHANT,
        payment_id: PAYMENT,
        amount: part.map(amount),
        final_capture,
        expected_versions: None,
    })
}

pub(crate) fn refund(refund_id: RefundId, part: Option<&str>) -> Command {
    Command::RefundPayment(RefundPayment {
        merchant_id: MERCHANT,
        payment_id: PAYMENT,
        refund_id,
        amount: part.map(amount),
        reason: None,
        expected_versions: None,
    })
}

pub(crate) fn start(operation: Operation) -> Command {
    Command::StartAttempt(StartAttempt {
        merchant_id: MERCHANT,
        payment_id: PAYMENT,
        operation,
        psp: psp(),
        method: Some(method("ok")),
        policy: policy(),
    })
}

pub(crate) fn record(attempt: u32, outcome: PspOutcome) -> Command {
    Command::RecordOutcome(RecordOutcome {
        merchant_id: MERCHANT,
        payment_id: PAYMENT,
        currency: usd(),
        attempt,
        psp: psp(),
        card: card(),
        outcome,
        elsewhere: false,
        seen: StreamVersion::from_number(i64::MAX),
        policy: policy(),
    })
}

/// What merchants may ask of a payment.
pub(crate) fn merchants_commands() -> Vec<(&'static str, Command)> {
    let (merchant_id, payment_id, expected_versions) = (MERCHANT, PAYMENT, None);
    let other = PaymentMethod::new(MethodKind::Wallet, "other").unwrap();
    vec![
        ("authorize", authorize()),
        (
            "replace method",
            Command::ReplaceMethod(ReplaceMethod {
                merchant_id,
                payment_id,
                method: other,
                expected_versions: expected_versions.clone(),
            }),
        ),
        ("capture", capture(None, false)),
        (
            "cancel",
            Command::CancelPayment(CancelPayment {
                merchant_id,
                payment_id,
                expected_versions: expected_versions.clone(),
            }),
        ),
        ("void", Command::VoidPayment(VoidPayment { merchant_id, payment_id, expected_versions })),
        ("refund", refund(RefundId::from_uuid(Uuid::from_u128(5)), Some("10.00"))),
    ]
}

/// What may be heard of an attempt.
pub(crate) fn outcomes(asked_minor: i64) -> Vec<(&'static str, PspOutcome)> {
    let declined = |code: &str| PspOutcome::Declined(Decline::of(code));
    vec![
        (
            "succeeded",
            PspOutcome::Succeeded { psp_reference: "ch_1".to_owned(), amount_minor: asked_minor },
        ),
        ("declined, soft", declined("insufficient_funds")),
        ("declined, hard", declined("lost_card")),
        ("declined, data", declined("expired_card")),
        ("pending", PspOutcome::Pending),
        ("failed later", PspOutcome::FailedLater { code: "failed_later".to_owned() }),
        ("unknown", PspOutcome::Unknown { reason: UnknownReason::Timeout }),
        ("not found", PspOutcome::NotFound),
        ("not sent", PspOutcome::NotSent { reason: "no connection".to_owned() }),
        ("refused", PspOutcome::Refused { code: "charge_voided".to_owned() }),
    ]
}
