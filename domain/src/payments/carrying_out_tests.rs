//! The rules by which payments are carried out, one by one.

use super::scenario::*;
use super::*;
use crate::accounts::AccountType;
use crate::command::Decision;
use crate::given_when_then::{MERCHANT, given, merchant_registered};
use crate::ledger::{Direction, EntryPosted};
use crate::merchants::{FeeTerms, MerchantRegistered, Rounding};
use crate::{Command, Event, MerchantId, Name, StreamId};

fn at(millis: i64) -> Timestamp {
    Timestamp::from_micros(0).plus_millis(millis)
}

fn sent() -> Vec<Event> {
    vec![
        created("100.00"),
        authorization_requested(),
        attempt_started(1, Operation::Authorize, "100.00"),
    ]
}

fn succeeded(minor: i64) -> PspOutcome {
    PspOutcome::Succeeded { psp_reference: "ch_1".to_owned(), amount_minor: minor }
}

fn events(decision: &Decision) -> Vec<Event> {
    decision.events().iter().map(|new| new.event.clone()).collect()
}

fn names(events: &[Event]) -> Vec<&'static str> {
    events.iter().map(Event::event_type).collect()
}

#[test]
fn an_attempts_intent_is_recorded_with_a_key_that_a_second_decision_would_give_it_too() {
    given_payment(vec![created("100.00"), authorization_requested()])
        .when(start(Operation::Authorize))
        .then([attempt_started_at(LATER)]);
}

fn attempt_started_at(now: Timestamp) -> Event {
    match attempt_started(1, Operation::Authorize, "100.00") {
        Event::Payment(PaymentEvent::AttemptStarted(started)) => {
            let ask_at = now.plus_millis(policy().ask_after_ms);
            Event::Payment(PaymentEvent::AttemptStarted(AttemptStarted { ask_at, ..started }))
        }
        other => other,
    }
}

#[test]
fn an_attempt_is_started_once_and_not_before_its_time() {
    let (payment_id, operation) = (PAYMENT, Operation::Authorize);
    let not_due = Rejection::AttemptNotDue { payment_id, operation };
    given_payment(sent()).when(start(operation)).then_rejected(not_due.clone());
    let retry = [sent(), vec![attempt_declined(1, "insufficient_funds", Some(at(50)))]].concat();
    given_payment(retry.clone()).at(at(49)).when(start(operation)).then_rejected(not_due.clone());
    given_payment(retry).at(at(50)).when(start(operation)).then_accepted();
    given_payment(vec![created("1.00")]).when(start(operation)).then_rejected(not_due);
}

#[test]
fn what_follows_an_authorization_goes_to_its_psp_only() {
    let operation = Operation::Capture { capture: 1 };
    let history = [sent(), vec![authorized(1, "100.00"), capture_requested(1, "100.00", true)]];
    let elsewhere = match start(operation) {
        Command::StartAttempt(start) => {
            Command::StartAttempt(StartAttempt { psp: "beta".parse().unwrap(), ..start })
        }
        other => other,
    };
    let rejection = Rejection::AttemptNotDue { payment_id: PAYMENT, operation };
    given_payment(history.concat()).when(elsewhere).then_rejected(rejection);
    given_payment(history.concat()).when(start(operation)).then_accepted();
}

#[test]
fn a_sale_is_captured_and_booked_with_its_fee_in_one_append() {
    let fees = FeeTerms::new("2.9", &[amount("0.30")], Rounding::HalfEven).unwrap();
    let name = Name::parse("Toko Runut").unwrap();
    let merchant = MerchantRegistered { merchant_id: MERCHANT, name, fees };
    let history = vec![
        created("100.00"),
        authorization_requested(),
        attempt_started(1, Operation::Sale, "100.00"),
    ];
    let given = given([Event::MerchantRegistered(merchant)]).and_all(history);
    let decided = events(&given.decide(&record(1, succeeded(10_000))).unwrap());
    assert_eq!(
        names(&decided),
        [
            "payment.captured",
            "ledger.account_opened",
            "ledger.account_opened",
            "ledger.account_opened",
            "ledger.entry_posted"
        ]
    );
    let codes: Vec<(String, AccountType)> = decided
        .iter()
        .filter_map(|event| match event {
            Event::AccountOpened(opened) => Some((opened.code.to_string(), opened.kind)),
            _ => None,
        })
        .collect();
    assert_eq!(
        codes,
        [
            ("psp_clearing:alpha:USD".to_owned(), AccountType::Asset),
            (format!("merchant_payable:{MERCHANT}:USD"), AccountType::Liability),
            ("fee_income:USD".to_owned(), AccountType::Income),
        ]
    );
    let Some(Event::EntryPosted(entry)) = decided.last() else { panic!("no entry") };
    assert_eq!(entry.external_ref.as_str(), format!("payment:{PAYMENT}:capture:1:v1"));
    assert_eq!(entry.ledger, MerchantId::PLATFORM);
    assert_eq!(
        sides(entry),
        [(Direction::Debit, 10_000), (Direction::Credit, 9_680), (Direction::Credit, 320)]
    );
}

fn sides(entry: &EntryPosted) -> Vec<(Direction, i64)> {
    entry.postings.iter().map(|one| (one.direction, one.amount.minor())).collect()
}

#[test]
fn accounts_are_opened_with_the_first_booking_only() {
    let first = events(
        &given_payment(vec![
            created("100.00"),
            authorization_requested(),
            attempt_started(1, Operation::Sale, "100.00"),
        ])
        .decide(&record(1, succeeded(10_000)))
        .unwrap(),
    );
    assert_eq!(
        names(&first),
        [
            "payment.captured",
            "ledger.account_opened",
            "ledger.account_opened",
            "ledger.entry_posted"
        ],
        "without a fee, no account for fees"
    );
    let refunding = [
        vec![
            created("100.00"),
            authorization_requested(),
            attempt_started(1, Operation::Sale, "100.00"),
        ],
        first,
        vec![
            refund_requested(REFUND, "25.00"),
            attempt_started(2, Operation::Refund { refund_id: REFUND }, "25.00"),
        ],
    ];
    let given = given([merchant_registered()]).and_all(refunding.concat());
    let second = events(&given.decide(&record(2, succeeded(2_500))).unwrap());
    assert_eq!(names(&second), ["payment.refund_succeeded", "ledger.entry_posted"]);
    let Some(Event::EntryPosted(entry)) = second.last() else { panic!("no entry") };
    assert_eq!(entry.external_ref.as_str(), format!("payment:{PAYMENT}:refund:{REFUND}:v1"));
    assert_eq!(sides(entry), [(Direction::Debit, 2_500), (Direction::Credit, 2_500)]);
}

#[test]
fn an_automatic_payment_at_a_psp_without_sales_goes_on_to_its_capture_by_itself() {
    let automatic = PaymentIntent { capture_method: CaptureMethod::Automatic, ..intent("100.00") };
    let history = vec![
        created_with(automatic, Some(method("ok"))),
        authorization_requested(),
        attempt_started(1, Operation::Authorize, "100.00"),
    ];
    given_payment(history)
        .when(record(1, succeeded(10_000)))
        .then([authorized(1, "100.00"), capture_requested(1, "100.00", true)]);
}

#[test]
fn less_than_was_asked_for_may_be_authorized_and_more_is_not_believed() {
    given_payment(sent()).when(record(1, succeeded(5_000))).then([authorized(1, "50.00")]);
    let not_believed = Event::Payment(PaymentEvent::AttemptUnknown(AttemptUnknown {
        payment_id: PAYMENT,
        attempt: 1,
        reason: UnknownReason::UnreadableAnswer,
        ask_at: LATER.plus_millis(1),
    }));
    given_payment(sent()).when(record(1, succeeded(10_001))).then([not_believed.clone()]);
    given_payment(sent()).when(record(1, succeeded(0))).then([not_believed]);
}

#[test]
fn parts_are_captured_until_nothing_is_left_or_one_is_the_last() {
    let part = histories().into_iter().find(|(name, _)| *name == "authorized, part captured");
    let part = part.unwrap().1;
    let capturable_minor = 6_000;
    let above =
        Rejection::AboveCapturable { payment_id: PAYMENT, capturable_minor, currency: usd() };
    given_payment(part.clone()).when(capture(Some("60.01"), false)).then_rejected(above);
    given_payment(part.clone())
        .when(capture(Some("20.00"), false))
        .then([capture_requested(2, "20.00", false)]);
    given_payment(part.clone())
        .when(capture(Some("20.00"), true))
        .then([capture_requested(2, "20.00", true)]);
    given_payment(part).when(capture(None, false)).then([capture_requested(2, "60.00", true)]);
}

#[test]
fn refunds_under_way_count_against_what_may_be_refunded() {
    let refunding = histories().into_iter().find(|(name, _)| *name == "captured, refunding");
    let refunding = refunding.unwrap().1;
    let other = RefundId::from_uuid(uuid::Uuid::from_u128(6));
    let above = Rejection::AboveRefundable {
        payment_id: PAYMENT,
        refundable_minor: 7_500,
        currency: usd(),
    };
    given_payment(refunding.clone()).when(refund(other, Some("75.01"))).then_rejected(above);
    given_payment(refunding).when(refund(other, None)).then([refund_requested(other, "75.00")]);
}

#[test]
fn another_currency_than_the_payments_is_refused() {
    let yen = Amount::parse("1", "JPY".parse().unwrap()).unwrap();
    let held = [sent(), vec![authorized(1, "100.00")]].concat();
    let command = match capture(None, false) {
        Command::CapturePayment(capture) => {
            Command::CapturePayment(CapturePayment { amount: Some(yen), ..capture })
        }
        other => other,
    };
    let rejection = Rejection::PaymentCurrency { payment_id: PAYMENT, currency: usd() };
    given_payment(held).when(command).then_rejected(rejection);
}

#[test]
fn soft_declines_are_tried_again_on_schedule_until_it_ends() {
    let soft = |attempt| record(attempt, PspOutcome::Declined(Decline::of("insufficient_funds")));
    let declined = |attempt, retry_at| attempt_declined(attempt, "insufficient_funds", retry_at);
    let retry_at = Some(LATER.plus_millis(50));
    given_payment(sent()).when(soft(1)).then([declined(1, retry_at), card_declined(1)]);
    let mut history = sent();
    for attempt in 1..=2 {
        history.push(declined(attempt, Some(at(0))));
        history.push(attempt_started(attempt + 1, Operation::Authorize, "100.00"));
    }
    given_payment(history).when(soft(3)).then([declined(3, None), card_declined(3)]);
}

#[test]
fn not_found_is_unknown_then_sent_again_under_the_same_key_and_only_then_a_failure() {
    let unknown = |ask_at| {
        Event::Payment(PaymentEvent::AttemptUnknown(AttemptUnknown {
            payment_id: PAYMENT,
            attempt: 1,
            reason: UnknownReason::NotFoundYet,
            ask_at,
        }))
    };
    let not_found = || record(1, PspOutcome::NotFound);
    given_payment(sent()).at(at(19)).when(not_found()).then([unknown(at(20))]);
    let resent = AttemptResent { payment_id: PAYMENT, attempt: 1, ask_at: at(30) };
    let resent = Event::Payment(PaymentEvent::AttemptResent(resent));
    given_payment(sent()).at(at(20)).when(not_found()).then([resent.clone()]);
    let failed = Event::Payment(PaymentEvent::AttemptFailed(AttemptFailed {
        payment_id: PAYMENT,
        attempt: 1,
        reason: "never_arrived".to_owned(),
        unsent: false,
        retry_at: None,
        check_at: Some(at(300)),
    }));
    given_payment(sent()).at(at(100)).when(not_found()).then([failed]);
    let again = given_payment([sent(), vec![resent]].concat());
    assert_eq!(again.payment(PAYMENT).attempts[0].key, AttemptKey::of(PAYMENT, 1));
    assert_eq!(again.payment(PAYMENT).attempts[0].resent, 1);
}

#[test]
fn an_unknown_outcome_is_asked_for_ever_more_rarely() {
    let mut history = sent();
    for (asked, pause) in [(0, 1), (1, 2), (2, 4), (3, 8), (4, 8)] {
        let given = given_payment(history.clone());
        assert_eq!(given.payment(PAYMENT).open.unwrap().asked, asked);
        let unknown = Event::Payment(PaymentEvent::AttemptUnknown(AttemptUnknown {
            payment_id: PAYMENT,
            attempt: 1,
            reason: UnknownReason::ServerError,
            ask_at: LATER.plus_millis(pause),
        }));
        let outcome = PspOutcome::Unknown { reason: UnknownReason::ServerError };
        given_payment(history.clone()).when(record(1, outcome)).then([unknown.clone()]);
        history.push(unknown);
    }
}

#[test]
fn an_attempt_that_never_left_is_made_again_under_another_key_a_few_times() {
    let not_sent =
        |attempt| record(attempt, PspOutcome::NotSent { reason: "no connection".to_owned() });
    let failed = |attempt, retry_at| {
        Event::Payment(PaymentEvent::AttemptFailed(AttemptFailed {
            payment_id: PAYMENT,
            attempt,
            reason: "no connection".to_owned(),
            unsent: true,
            retry_at,
            check_at: None,
        }))
    };
    given_payment(sent()).when(not_sent(1)).then([failed(1, Some(LATER.plus_millis(5)))]);
    let again =
        [sent(), vec![failed(1, Some(at(0))), attempt_started(2, Operation::Authorize, "100.00")]];
    given_payment(again.concat()).when(not_sent(2)).then([failed(2, None)]);
    assert_ne!(AttemptKey::of(PAYMENT, 1), AttemptKey::of(PAYMENT, 2));
}

#[test]
fn an_outcome_said_twice_has_one_effect() {
    let held = [sent(), vec![authorized(1, "100.00")]].concat();
    given_payment(held.clone()).when(record(1, succeeded(10_000))).then_already();
    given_payment(held).when(record(1, PspOutcome::NotFound)).then_already();
}

#[test]
fn what_failed_later_is_undone_once_with_the_fee() {
    let fees = FeeTerms::new("10", &[], Rounding::HalfEven).unwrap();
    let name = Name::parse("Toko Runut").unwrap();
    let merchant = MerchantRegistered { merchant_id: MERCHANT, name, fees };
    let history = vec![
        Event::MerchantRegistered(merchant),
        created("100.00"),
        authorization_requested(),
        attempt_started(1, Operation::Sale, "100.00"),
    ];
    let later = || record(1, PspOutcome::FailedLater { code: "failed_later".to_owned() });
    let sold = events(&given(history.clone()).decide(&record(1, succeeded(10_000))).unwrap());
    let taken = [history.clone(), sold].concat();
    let undone = events(&given(taken.clone()).decide(&later()).unwrap());
    assert_eq!(names(&undone), ["payment.capture_failed", "ledger.entry_posted"]);
    let Some(Event::EntryPosted(entry)) = undone.last() else { panic!("no entry") };
    assert_eq!(
        sides(entry),
        [(Direction::Credit, 10_000), (Direction::Debit, 9_000), (Direction::Debit, 1_000)]
    );
    let after = given([taken, undone].concat());
    assert_eq!(after.payment(PAYMENT).state(), PaymentState::CaptureFailed);
    assert_eq!(after.payment(PAYMENT).amounts().captured_minor, 0);
    after.when(later()).then_already();
    // Heard of both at once: both are booked.
    let both = events(&given(history).decide(&later()).unwrap());
    let booked = both.iter().filter(|event| matches!(event, Event::EntryPosted(_))).count();
    assert_eq!(booked, 2);
}

#[test]
fn an_authorization_lapses_at_its_time_and_not_while_something_is_under_way() {
    let (merchant_id, payment_id) = (MERCHANT, PAYMENT);
    let expire = || Command::ExpireAuthorization(ExpireAuthorization { merchant_id, payment_id });
    let held = [sent(), vec![authorized(1, "100.00")]].concat();
    let lapsed = LATER.plus_millis(1_000);
    given_payment(held.clone())
        .at(lapsed)
        .when(expire())
        .then([Event::Payment(PaymentEvent::Expired(PaymentExpired { payment_id }))]);
    given_payment(held.clone()).at(at(999)).when(expire()).then_already();
    let capturing = [held, vec![capture_requested(1, "100.00", true)]].concat();
    given_payment(capturing).at(lapsed).when(expire()).then_already();
}

#[test]
fn what_is_to_be_done_and_when_follows_from_the_state() {
    for (name, history) in histories() {
        let payment = given_payment(history).payment(PAYMENT);
        let far = LATER.plus_millis(10_000);
        let steps = payment.steps(far);
        assert_eq!(payment.due_at().is_some(), !steps.is_empty(), "{name}");
        if let Some(due_at) = payment.due_at() {
            let before = Timestamp::from_micros(due_at.micros() - 1);
            if due_at > payment.updated_at {
                assert_eq!(payment.steps(before), [], "{name}: nothing before its time");
            } else {
                // At once, even by a clock that is behind the one that recorded it.
                assert!(!payment.steps(before).is_empty(), "{name}");
            }
            assert!(!payment.steps(due_at).is_empty(), "{name}");
        }
        let asked = steps.iter().any(|step| matches!(step, Step::Ask { .. }));
        let sent = payment.attempts.last().is_some_and(|attempt| attempt.conclusion.is_none());
        let expected = sent || !payment.checks.is_empty();
        assert_eq!(
            asked, expected,
            "{name}: what may have been sent is asked for, never sent anew"
        );
    }
}

#[test]
fn another_merchants_payment_is_not_there() {
    let other = MerchantId::from_uuid(uuid::Uuid::from_u128(77));
    for (name, command) in merchants_commands() {
        let command = of_merchant(command, other);
        let rejection = Rejection::PaymentNotFound { payment_id: PAYMENT };
        let decided = given_payment(sent()).decide(&command);
        assert_eq!(decided, Err(rejection), "{name}");
    }
}

fn of_merchant(command: Command, merchant_id: MerchantId) -> Command {
    match command {
        Command::AuthorizePayment(command) => {
            Command::AuthorizePayment(AuthorizePayment { merchant_id, ..command })
        }
        Command::ReplaceMethod(command) => {
            Command::ReplaceMethod(ReplaceMethod { merchant_id, ..command })
        }
        Command::CapturePayment(command) => {
            Command::CapturePayment(CapturePayment { merchant_id, ..command })
        }
        Command::CancelPayment(command) => {
            Command::CancelPayment(CancelPayment { merchant_id, ..command })
        }
        Command::VoidPayment(command) => {
            Command::VoidPayment(VoidPayment { merchant_id, ..command })
        }
        Command::RefundPayment(command) => {
            Command::RefundPayment(RefundPayment { merchant_id, ..command })
        }
        other => other,
    }
}

#[test]
fn the_version_that_the_caller_insists_on_goes_before_the_state() {
    let command = match authorize() {
        Command::AuthorizePayment(command) => Command::AuthorizePayment(AuthorizePayment {
            expected_versions: Some(vec![StreamVersion::from_number(7)]),
            ..command
        }),
        other => other,
    };
    let version = StreamVersion::from_number(3);
    let rejection = Rejection::PaymentVersionMismatch { payment_id: PAYMENT, version };
    given_payment(sent()).when(command).then_rejected(rejection);
}

#[test]
fn a_payments_stream_is_named_by_its_id() {
    assert_eq!(StreamId::payment(PAYMENT).as_str(), format!("payment-{PAYMENT}"));
}

fn notify(claim: Claim) -> Command {
    Command::NotifyAttempt(NotifyAttempt {
        payment_id: PAYMENT,
        psp: psp(),
        key: AttemptKey::of(PAYMENT, 1),
        claim,
        digest: "00".repeat(32),
    })
}

fn notified(claim: Claim) -> Event {
    Event::Payment(PaymentEvent::PspNotified(PspNotified {
        payment_id: PAYMENT,
        attempt: 1,
        claim,
        digest: "00".repeat(32),
    }))
}

#[test]
fn a_notification_only_has_the_psp_asked_sooner() {
    let waiting = given_payment(sent()).payment(PAYMENT);
    assert_eq!(waiting.due_at(), Some(at(10)));
    given_payment(sent()).when(notify(Claim::Succeeded)).then([notified(Claim::Succeeded)]);
    let asked = given_payment([sent(), vec![notified(Claim::Succeeded)]].concat());
    let payment = asked.payment(PAYMENT);
    assert_eq!(payment.state(), PaymentState::Authorizing, "nothing is believed");
    assert_eq!(payment.steps(at(0)), [Step::Ask { attempt: 1 }]);
}

#[test]
fn a_notification_of_what_is_known_changes_nothing() {
    let held = [sent(), vec![authorized(1, "100.00")]].concat();
    given_payment(held).when(notify(Claim::Succeeded)).then_already();
    let declined = [sent(), vec![attempt_declined(1, "lost_card", None)]].concat();
    given_payment(declined).when(notify(Claim::Declined)).then_already();
}

#[test]
fn a_notification_of_an_attempt_that_there_is_not_is_refused() {
    let rejection = Rejection::AttemptNotFound { payment_id: PAYMENT, attempt: 0 };
    given_payment(vec![created("1.00")])
        .when(notify(Claim::Failed))
        .then_rejected(rejection.clone());
    let elsewhere = match notify(Claim::Failed) {
        Command::NotifyAttempt(notify) => {
            Command::NotifyAttempt(NotifyAttempt { psp: "beta".parse().unwrap(), ..notify })
        }
        other => other,
    };
    given_payment(sent()).when(elsewhere).then_rejected(rejection);
    given([])
        .when(notify(Claim::Failed))
        .then_rejected(Rejection::PaymentNotFound { payment_id: PAYMENT });
}

fn given_up(operation: Operation) -> Vec<Event> {
    let failed = AttemptFailed {
        payment_id: PAYMENT,
        attempt: 1,
        reason: "never_arrived".to_owned(),
        unsent: false,
        retry_at: None,
        check_at: None,
    };
    vec![
        created("100.00"),
        authorization_requested(),
        attempt_started(1, operation, "100.00"),
        Event::Payment(PaymentEvent::AttemptFailed(failed)),
    ]
}

#[test]
fn a_charge_that_turns_up_after_it_was_given_up_goes_back_by_itself() {
    let history = [vec![merchant_registered()], given_up(Operation::Sale)].concat();
    let told = events(&given(history.clone()).decide(&notify(Claim::Succeeded)).unwrap());
    assert_eq!(names(&told), ["payment.psp_notified"]);
    let history = [history, told].concat();
    let asked = given(history.clone());
    assert_eq!(asked.payment(PAYMENT).steps(LATER), [Step::Ask { attempt: 1 }]);
    assert!(!asked.payment(PAYMENT).at_rest());
    let late = events(&asked.decide(&record(1, succeeded(10_000))).unwrap());
    assert_eq!(
        names(&late),
        [
            "payment.late_success",
            "ledger.account_opened",
            "ledger.account_opened",
            "ledger.entry_posted"
        ]
    );
    let history = [history, late].concat();
    let operation = Operation::Reverse { attempt: 1 };
    let payment = given(history.clone()).payment(PAYMENT);
    assert_eq!(payment.state(), PaymentState::Failed, "the merchant was told, and that holds");
    assert_eq!(payment.steps(LATER), [Step::Attempt { operation }]);
    let started = events(&given(history.clone()).decide(&start(operation)).unwrap());
    let history = [history, started].concat();
    let reversed = events(&given(history.clone()).decide(&record(2, succeeded(10_000))).unwrap());
    assert_eq!(names(&reversed), ["payment.late_success_reversed", "ledger.entry_posted"]);
    let done = given([history, reversed].concat());
    assert!(done.payment(PAYMENT).at_rest());
    done.when(notify(Claim::Succeeded)).then_already();
}

#[test]
fn an_authorization_that_turns_up_late_is_released_and_nothing_is_booked() {
    let history = [vec![merchant_registered()], given_up(Operation::Authorize)].concat();
    let late = events(&given(history).decide(&record(1, succeeded(10_000))).unwrap());
    assert_eq!(names(&late), ["payment.late_success"]);
}

#[test]
fn a_reversal_that_a_psp_refuses_is_attempted_again() {
    let history = [vec![merchant_registered()], given_up(Operation::Sale)].concat();
    let late = events(&given(history.clone()).decide(&record(1, succeeded(10_000))).unwrap());
    let history = [history, late].concat();
    let operation = Operation::Reverse { attempt: 1 };
    let started = events(&given(history.clone()).decide(&start(operation)).unwrap());
    let history = [history, started].concat();
    let refused = PspOutcome::Refused { code: "try_later".to_owned() };
    let refused = events(&given(history.clone()).decide(&record(2, refused)).unwrap());
    let after = given([history, refused].concat()).payment(PAYMENT);
    assert_eq!(after.due_at(), Some(LATER.plus_millis(policy().ask_pause_max_ms)));
}

#[test]
fn what_is_said_to_have_failed_is_asked_for_and_confirmed_or_undone() {
    let history = vec![
        merchant_registered(),
        created("100.00"),
        authorization_requested(),
        attempt_started(1, Operation::Sale, "100.00"),
    ];
    let sold = events(&given(history.clone()).decide(&record(1, succeeded(10_000))).unwrap());
    let history = [history, sold, vec![notified(Claim::Failed)]].concat();
    let unknown = PspOutcome::Unknown { reason: UnknownReason::Timeout };
    let asked = events(&given(history.clone()).decide(&record(1, unknown)).unwrap());
    assert_eq!(names(&asked), ["payment.attempt_unknown"]);
    let payment = given([history.clone(), asked].concat()).payment(PAYMENT);
    assert_eq!(payment.state(), PaymentState::Captured, "until the PSP itself says otherwise");
    assert_eq!(payment.due_at(), Some(LATER.plus_millis(1)));
    let confirmed = AttemptConfirmed { payment_id: PAYMENT, attempt: 1 };
    given(history.clone())
        .when(record(1, succeeded(10_000)))
        .then([Event::Payment(PaymentEvent::AttemptConfirmed(confirmed))]);
    let later = PspOutcome::FailedLater { code: "failed_later".to_owned() };
    let undone = events(&given(history.clone()).decide(&record(1, later)).unwrap());
    assert_eq!(names(&undone), ["payment.capture_failed", "ledger.entry_posted"]);
    assert!(given([history, undone].concat()).payment(PAYMENT).at_rest());
}
