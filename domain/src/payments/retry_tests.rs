//! When a declined payment is tried again, where, and when no more: by schedule, scheme and card.

use super::scenario::*;
use super::*;
use crate::cards::{CardDeclined, CardEvent, CardLimit, CardNetwork};
use crate::given_when_then::{Given, MERCHANT, given, merchant_registered};
use crate::{Command, Decision, Event};

const DAY_MS: i64 = 24 * 3_600_000;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_micros(0).plus_millis(ms)
}

fn sent() -> Vec<Event> {
    let started = attempt_started(1, Operation::Authorize, "100.00");
    vec![created("100.00"), authorization_requested(), started]
}

/// By the schedule and the limits that are shipped.
fn shipped() -> PaymentPolicy {
    PaymentPolicy::default()
}

fn declined_for(decline: Decline, elsewhere: bool) -> Command {
    let record = record(1, PspOutcome::Declined(decline));
    with_policy(record, shipped(), elsewhere)
}

fn with_policy(command: Command, policy: PaymentPolicy, elsewhere: bool) -> Command {
    match command {
        Command::RecordOutcome(record) => {
            Command::RecordOutcome(RecordOutcome { policy, elsewhere, ..record })
        }
        Command::StartAttempt(start) => Command::StartAttempt(StartAttempt { policy, ..start }),
        other => other,
    }
}

/// When a payment that was declined so is tried again, and whether elsewhere.
#[track_caller]
fn tried_again(given: &Given, command: &Command) -> (Option<Timestamp>, bool) {
    let Ok(Decision::Append(events)) = given.decide(command) else { panic!("events") };
    let declined = events.iter().find_map(|new| match &new.event {
        Event::Payment(PaymentEvent::AttemptDeclined(event)) => Some(event),
        _ => None,
    });
    let declined = declined.expect("it was declined");
    (declined.retry_at, declined.failover)
}

/// A decline of the card with another payment.
fn card_declined_before(network: Option<CardNetwork>, barred: Option<Barred>) -> Event {
    Event::Card(CardEvent::Declined(CardDeclined {
        card_id: card().expect("a card"),
        merchant_id: MERCHANT,
        network,
        payment_id: PaymentId::from_uuid(uuid::Uuid::from_u128(1)),
        attempt: 1,
        psp: "beta".parse().expect("a name"),
        amount: amount("100.00"),
        class: DeclineClass::SoftFunds,
        barred,
    }))
}

#[test]
fn a_decline_counts_for_the_card_in_the_same_append() {
    let events = given_payment(sent()).decide(&declined_for(Decline::of("lost_card"), false));
    let Ok(Decision::Append(events)) = events else { panic!("events") };
    let [payment, of_card] = &events[..] else { panic!("two events, got {events:?}") };
    assert_eq!(payment.event.event_type(), "payment.attempt_declined");
    let Event::Card(CardEvent::Declined(counted)) = &of_card.event else { panic!("a card's") };
    assert_eq!((counted.payment_id, counted.attempt), (PAYMENT, 1));
    assert_eq!(counted.barred, Some(Barred::Card));
    assert_eq!(of_card.merchant_id, MERCHANT);
}

#[test]
fn what_fails_for_now_goes_elsewhere_at_once_and_once_then_by_schedule() {
    let down = || Decline::of("issuer_not_available");
    let first = given_payment(sent());
    assert_eq!(tried_again(&first, &declined_for(down(), true)), (Some(LATER), true));
    let quarter = LATER.plus_millis(15 * 60_000);
    assert_eq!(tried_again(&first, &declined_for(down(), false)), (Some(quarter), false));
    let funds = declined_for(Decline::of("insufficient_funds"), true);
    assert_eq!(tried_again(&first, &funds), (Some(quarter), false));
    let declined = AttemptDeclined {
        payment_id: PAYMENT,
        attempt: 1,
        code: "issuer_not_available".to_owned(),
        advice: None,
        network_code: None,
        class: DeclineClass::SoftTemporary,
        declines_version: DECLINES_VERSION,
        failover: true,
        retry_at: Some(LATER),
        requires_method: false,
    };
    let elsewhere = [
        Event::Payment(PaymentEvent::AttemptDeclined(declined)),
        attempt_started(2, Operation::Authorize, "100.00"),
    ];
    let second = given_payment([sent(), elsewhere.to_vec()].concat());
    let again = with_policy(record(2, PspOutcome::Declined(down())), shipped(), true);
    assert_eq!(tried_again(&second, &again), (Some(quarter), false));
    // Neither where the one in between never got to its PSP.
    let unsent = AttemptFailed {
        payment_id: PAYMENT,
        attempt: 2,
        reason: "no connection".to_owned(),
        unsent: true,
        retry_at: Some(LATER),
        check_at: None,
    };
    let third = [
        Event::Payment(PaymentEvent::AttemptFailed(unsent)),
        attempt_started(3, Operation::Authorize, "100.00"),
    ];
    let third = given_payment([sent(), elsewhere.to_vec(), third.to_vec()].concat());
    let again = with_policy(record(3, PspOutcome::Declined(down())), shipped(), true);
    assert_eq!(tried_again(&third, &again), (Some(quarter), false));
    assert_eq!(third.payment(PAYMENT).turned_away_by().map(PspName::as_str), Some("alpha"));
}

#[test]
fn the_schemes_wait_goes_before_a_shorter_pause() {
    let advised = |advice: &str| Decline {
        advice: Some(advice.to_owned()),
        ..Decline::of("insufficient_funds")
    };
    let given = given_payment(sent());
    for (advice, ms) in [("24", 3_600_000), ("27", 4 * DAY_MS), ("02", 3 * DAY_MS)] {
        let (retry_at, failover) = tried_again(&given, &declined_for(advised(advice), true));
        assert_eq!((retry_at, failover), (Some(LATER.plus_millis(ms)), false), "{advice}");
    }
    assert_eq!(tried_again(&given, &declined_for(advised("03"), true)), (None, false));
    assert_eq!(tried_again(&given, &declined_for(advised("21"), true)), (None, false));
}

#[test]
fn a_retry_waits_until_the_card_has_room_over_all_psps() {
    let mastercard = Some(CardNetwork::Mastercard);
    let nine = vec![card_declined_before(mastercard, None); 9];
    let soft = || declined_for(Decline::of("insufficient_funds"), true);
    let quarter = LATER.plus_millis(15 * 60_000);
    let eight = given_payment(sent()).and_all(nine[..8].to_vec());
    assert_eq!(tried_again(&eight, &soft()), (Some(quarter), false));
    let tenth = given_payment(sent()).and_all(nine.clone());
    assert_eq!(tried_again(&tenth, &soft()), (Some(at(DAY_MS)), false));
    // Nor is it tried elsewhere at once.
    let down = declined_for(Decline::of("issuer_not_available"), true);
    assert_eq!(tried_again(&tenth, &down), (Some(at(DAY_MS)), false));
}

#[test]
fn a_payment_is_not_tried_for_longer_than_thirty_days() {
    let soft = || declined_for(Decline::of("insufficient_funds"), false);
    let last = at(30 * DAY_MS - 15 * 60_000);
    let quarter = last.plus_millis(15 * 60_000);
    let given = given_payment(sent()).at(last);
    assert_eq!(tried_again(&given, &soft()), (Some(quarter), false));
    let too_late = given_payment(sent()).at(last.plus_millis(1));
    assert_eq!(tried_again(&too_late, &soft()), (None, false));
}

fn withheld(limit: &str, retry_at: Option<Timestamp>) -> Event {
    let limit = limit.to_owned();
    Event::Payment(PaymentEvent::AttemptWithheld(AttemptWithheld {
        payment_id: PAYMENT,
        limit,
        retry_at,
    }))
}

#[test]
fn a_card_without_room_is_not_tried_with_a_new_payment() {
    let due = || given([merchant_registered(), created("100.00"), authorization_requested()]);
    let start = || with_policy(start(Operation::Authorize), shipped(), false);
    let visa = Some(CardNetwork::Visa);
    let fifteen = vec![card_declined_before(visa, None); 15];
    due().and_all(fifteen[..14].to_vec()).when(start()).then_accepted();
    let full = due().and_all(fifteen);
    full.when(start()).then([withheld("visa_30_days", None)]);
    let barred = due().and(card_declined_before(visa, Some(Barred::Card)));
    barred.when(start()).then([withheld("barred", None)]);
    let after = due().and(card_declined_before(visa, Some(Barred::Card))).at(at(300 * DAY_MS));
    after.when(start()).then([withheld("barred", None)]);

    let declined = due().and(withheld("barred", None)).payment(PAYMENT);
    assert_eq!(declined.state(), PaymentState::Declined);
    assert_eq!(declined.decline(), Some((DeclineClass::Hard, "barred")));
    assert!(declined.at_rest() && declined.allows(PaymentAction::ReplaceMethod));
}

#[test]
fn a_retry_that_lost_its_room_to_another_payment_is_put_off() {
    let retry = attempt_declined(1, "insufficient_funds", Some(at(60)));
    let ten = vec![card_declined_before(Some(CardNetwork::Mastercard), None); 10];
    let given = || given_payment([sent(), vec![retry.clone()], ten.clone()].concat()).at(at(60));
    let start = || with_policy(start(Operation::Authorize), shipped(), false);
    given().when(start()).then([withheld("mastercard_day", Some(at(DAY_MS)))]);
    let put_off = given().and(withheld("mastercard_day", Some(at(DAY_MS))));
    let payment = put_off.payment(PAYMENT);
    assert_eq!(payment.state(), PaymentState::Authorizing);
    assert_eq!(payment.due_at(), Some(at(DAY_MS)));
    assert!(payment.allows(PaymentAction::Cancel), "a retry can be cancelled");
    put_off.at(at(DAY_MS)).when(start()).then_accepted();
}

#[test]
fn another_card_is_another_count_and_other_methods_have_none() {
    let fifteen = vec![card_declined_before(Some(CardNetwork::Visa), None); 15];
    let start_with = |method: PaymentMethod| {
        let start = with_policy(start(Operation::Authorize), shipped(), false);
        let Command::StartAttempt(start) = start else { unreachable!("a start") };
        let with = Some(method.clone());
        given([merchant_registered(), created_with(intent("100.00"), Some(method))])
            .and(authorization_requested())
            .and_all(fifteen.clone())
            .when(Command::StartAttempt(StartAttempt { method: with, ..start }))
    };
    start_with(method("ok")).then([withheld("visa_30_days", None)]);
    start_with(method("other")).then_accepted();
    start_with(method("ok").with_fingerprint("fp").expect("a text")).then_accepted();
    let renewed = method("other").with_fingerprint("ok").expect("a text");
    start_with(renewed).then([withheld("visa_30_days", None)]);
    let bank = PaymentMethod::new(MethodKind::BankAccount, "ok").expect("a token");
    start_with(bank).then_accepted();
}

#[test]
fn a_start_with_a_method_that_was_replaced_is_not_due() {
    let due = given([merchant_registered(), created("100.00"), authorization_requested()]);
    let Command::StartAttempt(start) = start(Operation::Authorize) else { unreachable!("a start") };
    let other = StartAttempt { method: Some(method("other")), ..start };
    let operation = Operation::Authorize;
    due.when(Command::StartAttempt(other))
        .then_rejected(Rejection::AttemptNotDue { payment_id: PAYMENT, operation });
}

#[test]
fn limits_that_cannot_be_kept_are_refused() {
    for (attempts_max, window_ms) in [(0, 1), (101, 1), (1, 0), (1, 30 * DAY_MS + 1)] {
        let limit = CardLimit {
            name: "mine".to_owned(),
            networks: Vec::new(),
            attempts_max,
            window_ms,
            same_amount: false,
        };
        assert!(limit.check().is_err(), "{attempts_max} {window_ms}");
    }
    assert!(CardLimit::of_schemes().iter().all(|limit| limit.check().is_ok()));
}
