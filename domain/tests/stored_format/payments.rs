//! Examples of what happens to payments.

use std::collections::BTreeMap;

use domain::payments::*;
use domain::{Event, Metadata};

use crate::{AT, ENTRY, MERCHANT, PAYMENT, REFUND, REVERSAL, amount, name, psp};

/// All of them.
pub(crate) fn examples() -> Vec<(&'static str, Event)> {
    let all = [intents(), attempts(), captures(), refunds(), unasked()].concat();
    all.into_iter().map(|(what, event)| (what, Event::Payment(event))).collect()
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
