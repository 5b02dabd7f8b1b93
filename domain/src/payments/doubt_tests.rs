//! What is not certain, what crosses on its way, and what comes back after it was thought done.

use super::scenario::*;
use super::*;
use crate::accounts::{AccountClosed, AccountFrozen, AccountOpened, AccountType};
use crate::command::Decision;
use crate::given_when_then::{Given, MERCHANT, given, merchant_registered};
use crate::ledger::{Direction, EntryPosted, ExternalRef, Posting};
use crate::psps::{PspDisabled, PspEvent};
use crate::{Command, Event};
use proptest::prelude::*;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_micros(0).plus_millis(ms)
}

fn succeeded(minor: i64) -> PspOutcome {
    PspOutcome::Succeeded { psp_reference: "ch_1".to_owned(), amount_minor: minor }
}

fn failed_later() -> PspOutcome {
    PspOutcome::FailedLater { code: "failed_later".to_owned() }
}

fn not_sent() -> PspOutcome {
    PspOutcome::NotSent { reason: "no connection".to_owned() }
}

fn notify(attempt: u32, claim: Claim) -> Command {
    Command::NotifyAttempt(NotifyAttempt {
        payment_id: PAYMENT,
        psp: psp(),
        key: AttemptKey::of(PAYMENT, attempt),
        claim,
        digest: "ab".repeat(32),
    })
}

fn sold_or(operation: Operation) -> Vec<Event> {
    let started = attempt_started(1, operation, "100.00");
    vec![merchant_registered(), created("100.00"), authorization_requested(), started]
}

/// A history that goes on as commands decide.
#[derive(Clone)]
struct Story(Vec<Event>);

impl Story {
    #[track_caller]
    fn then(mut self, command: &Command) -> Self {
        self.0.extend(self.decided(command));
        self
    }

    #[track_caller]
    fn decided(&self, command: &Command) -> Vec<Event> {
        match self.now().decide(command) {
            Ok(decision) => decision.events().iter().map(|new| new.event.clone()).collect(),
            Err(rejection) => panic!("rejected: {rejection}"),
        }
    }

    #[track_caller]
    fn names(&self, command: &Command) -> Vec<&'static str> {
        self.decided(command).iter().map(Event::event_type).collect()
    }

    fn now(&self) -> Given {
        given(self.0.clone()).at(LATER)
    }

    fn payment(&self) -> Payment {
        self.now().payment(PAYMENT)
    }

    /// What the ledger has on accounts whose code starts so, in minor units, debits positive.
    fn booked(&self, code: &'static str) -> i64 {
        let code = crate::accounts::AccountCode::of_system(code, "alpha", usd());
        let id = crate::AccountId::of(crate::MerchantId::PLATFORM, &code);
        let postings = self.0.iter().filter_map(|event| match event {
            Event::EntryPosted(entry) => Some(&entry.postings),
            _ => None,
        });
        let of_account = postings.flatten().filter(|posting| posting.account_id == id);
        of_account.map(|one| one.direction.signed(one.amount.minor())).sum()
    }
}

#[test]
fn what_was_sent_once_is_never_taken_for_not_sent() {
    let resent = Event::Payment(PaymentEvent::AttemptResent(AttemptResent {
        payment_id: PAYMENT,
        attempt: 1,
        ask_at: at(30),
    }));
    let sent = sold_or(Operation::Sale);
    for doubt in [vec![attempt_unknown(1)], vec![attempt_unknown(1), resent.clone()], vec![resent]]
    {
        let story = Story([sent.clone(), doubt].concat());
        assert_eq!(story.names(&record(1, not_sent())), ["payment.attempt_unknown"]);
        let after = story.then(&record(1, not_sent())).payment();
        assert_eq!(after.state(), PaymentState::Unknown);
        assert!(after.steps(at(1_000_000)).contains(&Step::Ask { attempt: 1 }), "and asked for");
    }
    let first = Story(sent);
    assert_eq!(first.names(&record(1, not_sent())), ["payment.attempt_failed"]);
}

#[test]
fn nothing_is_started_anywhere_while_an_attempt_is_unknown() {
    let story = Story([sold_or(Operation::Sale), vec![attempt_unknown(1)]].concat());
    for operation in [Operation::Sale, Operation::Authorize] {
        for name in ["alpha", "beta"] {
            let Command::StartAttempt(start) = start(operation) else { unreachable!("a start") };
            let start = StartAttempt { psp: name.parse().expect("a name"), ..start };
            let rejection = Rejection::AttemptNotDue { payment_id: PAYMENT, operation };
            let far = given(story.0.clone()).at(at(1_000_000_000));
            far.when(Command::StartAttempt(start)).then_rejected(rejection);
        }
    }
}

#[test]
fn a_refusal_of_what_was_sent_before_is_asked_about_once_more() {
    let resent = Event::Payment(PaymentEvent::AttemptResent(AttemptResent {
        payment_id: PAYMENT,
        attempt: 1,
        ask_at: at(30),
    }));
    let refused = || record(1, PspOutcome::Refused { code: "token_expired".to_owned() });
    let again = Story([sold_or(Operation::Sale), vec![attempt_unknown(1), resent]].concat());
    let checks = again.then(&refused()).payment().checks;
    assert_eq!(checks.len(), 1);
    assert_eq!(checks[0].ask_at, LATER.plus_millis(200));
    assert!(Story(sold_or(Operation::Sale)).then(&refused()).payment().checks.is_empty());
}

#[test]
fn a_failure_that_is_claimed_before_the_success_is_heard_is_asked_for() {
    let claimed = Story(sold_or(Operation::Sale)).then(&notify(1, Claim::Failed));
    let sold = claimed.then(&record(1, succeeded(10_000)));
    let payment = sold.payment();
    assert_eq!(payment.state(), PaymentState::Captured);
    assert_eq!(payment.steps(LATER), [Step::Ask { attempt: 1 }]);
    let undone = sold.clone().then(&record(1, failed_later()));
    assert_eq!(undone.payment().state(), PaymentState::CaptureFailed);
    assert!(undone.payment().at_rest());
    assert_eq!(undone.booked("psp_clearing"), 0);
    assert!(sold.then(&record(1, succeeded(10_000))).payment().at_rest());
    // A success that is claimed is what is heard.
    let expected = Story(sold_or(Operation::Sale)).then(&notify(1, Claim::Succeeded));
    assert!(expected.then(&record(1, succeeded(10_000))).payment().at_rest());
}

#[test]
fn an_answer_to_an_earlier_question_is_none_to_a_later_notification() {
    let sold = Story(sold_or(Operation::Sale)).then(&record(1, succeeded(10_000)));
    let asked = sold.then(&notify(1, Claim::Failed));
    let seen = asked.payment().version;
    let told_again = asked.then(&notify(1, Claim::Failed));
    let Command::RecordOutcome(answer) = record(1, succeeded(10_000)) else { unreachable!() };
    let early = Command::RecordOutcome(RecordOutcome { seen, ..answer.clone() });
    assert_eq!(told_again.names(&early), [] as [&str; 0]);
    assert!(!told_again.clone().then(&early).payment().at_rest());
    let seen = told_again.payment().version;
    let late = Command::RecordOutcome(RecordOutcome { seen, ..answer });
    assert_eq!(told_again.names(&late), ["payment.attempt_confirmed"]);
}

#[test]
fn a_notification_brings_a_later_check_forward() {
    let failed = AttemptFailed {
        payment_id: PAYMENT,
        attempt: 1,
        reason: "never_arrived".to_owned(),
        unsent: false,
        retry_at: None,
        check_at: Some(at(86_400_000)),
    };
    let failed = Event::Payment(PaymentEvent::AttemptFailed(failed));
    let given_up = Story([sold_or(Operation::Sale), vec![failed]].concat());
    assert_eq!(given_up.payment().due_at(), Some(at(86_400_000)));
    let told = given_up.then(&notify(1, Claim::Succeeded)).payment();
    assert_eq!(told.steps(LATER), [Step::Ask { attempt: 1 }]);
    assert_eq!(told.checks.len(), 1);
}

fn late() -> Story {
    let failed = AttemptFailed {
        payment_id: PAYMENT,
        attempt: 1,
        reason: "never_arrived".to_owned(),
        unsent: false,
        retry_at: None,
        check_at: None,
    };
    let failed = Event::Payment(PaymentEvent::AttemptFailed(failed));
    let history = [sold_or(Operation::Sale), vec![failed]].concat();
    Story(history).then(&record(1, succeeded(10_000)))
}

const REVERSE: Operation = Operation::Reverse { attempt: 1 };

#[test]
fn a_reversal_is_attempted_again_however_often_it_is_not_sent() {
    let mut story = late();
    for attempt in 2..40 {
        let due = story.payment().due_at().expect("it is due");
        let again = given(story.0.clone()).at(due);
        let Ok(Decision::Append(events)) = again.decide(&start(REVERSE)) else { panic!("due") };
        story.0.extend(events.into_iter().map(|new| new.event));
        story = story.then(&record(attempt, not_sent()));
        assert!(!story.payment().at_rest(), "attempt {attempt}");
    }
    // The pauses grow, a hundredfold at most.
    let pause = 100 * policy().ask_pause_max_ms;
    assert_eq!(story.payment().due_at(), Some(LATER.plus_millis(pause)));
}

#[test]
fn a_reversal_that_comes_back_is_booked_back_and_made_again() {
    let story = late().then(&start(REVERSE)).then(&record(2, succeeded(10_000)));
    assert!(story.payment().at_rest());
    assert_eq!(story.booked("psp_clearing"), 0);
    let told = story.then(&notify(2, Claim::Failed));
    assert_eq!(told.payment().steps(LATER), [Step::Ask { attempt: 2 }]);
    assert_eq!(
        told.names(&record(2, failed_later())),
        ["payment.late_reversal_failed", "ledger.entry_posted"]
    );
    let again = told.then(&record(2, failed_later()));
    assert_eq!(again.booked("psp_clearing"), 10_000);
    assert_eq!(again.booked("unexpected_receipts"), -10_000);
    assert!(again.names(&record(2, failed_later())).is_empty(), "it is said again");
    let due = again.payment().due_at().expect("it is due");
    let Ok(Decision::Append(events)) = given(again.0.clone()).at(due).decide(&start(REVERSE))
    else {
        panic!("due");
    };
    let started = Story([again.0, events.into_iter().map(|new| new.event).collect()].concat());
    let done = started.then(&record(3, succeeded(10_000)));
    assert!(done.payment().at_rest());
    assert_eq!((done.booked("psp_clearing"), done.booked("unexpected_receipts")), (0, 0));
}

#[test]
fn a_late_charge_that_comes_back_by_itself_needs_no_reversal() {
    let told = late().then(&notify(1, Claim::Failed));
    let gone = told.then(&record(1, failed_later()));
    assert_eq!((gone.booked("psp_clearing"), gone.booked("unexpected_receipts")), (0, 0));
    assert!(gone.payment().at_rest());
    assert!(gone.names(&record(1, failed_later())).is_empty());
    assert!(gone.names(&notify(1, Claim::Failed)).is_empty());
}

/// Whether the payer got the money twice is the PSP's to say, and is booked as it says.
#[test]
fn a_late_charge_that_comes_back_while_it_is_reversed_is_followed_to_the_reversals_end() {
    let gone = late().then(&start(REVERSE)).then(&record(1, failed_later()));
    assert!(!gone.payment().at_rest(), "what was sent is asked for");
    let refused = || record(2, PspOutcome::Refused { code: "charge_failed".to_owned() });
    let [Event::Payment(PaymentEvent::AttemptFailed(ended))] = &gone.decided(&refused())[..] else {
        panic!("it has failed");
    };
    assert_eq!(ended.retry_at, None, "there is nothing left to be reversed");
    let not_twice = gone.clone().then(&refused());
    assert!(not_twice.payment().at_rest());
    assert_eq!(not_twice.booked("psp_clearing"), 0);
    let twice = gone.then(&record(2, succeeded(10_000)));
    assert!(twice.payment().at_rest());
    assert_eq!(twice.booked("psp_clearing"), -10_000);
    assert_eq!(twice.booked("unexpected_receipts"), 10_000, "it is the platform's loss");
}

#[test]
fn a_reversal_that_was_given_up_and_succeeded_all_the_same_is_booked_and_made_no_more() {
    let refused = |attempt| record(attempt, PspOutcome::Refused { code: "busy".to_owned() });
    let given_up = late().then(&start(REVERSE)).then(&refused(2));
    assert!(!given_up.payment().at_rest(), "another is due");
    let known = given_up.clone().then(&record(2, succeeded(10_000)));
    assert!(known.payment().at_rest());
    assert_eq!((known.booked("psp_clearing"), known.booked("unexpected_receipts")), (0, 0));
    // Where the next was sent by then, both are booked.
    let due = given_up.payment().due_at().expect("another is due");
    let Ok(Decision::Append(events)) = given(given_up.0.clone()).at(due).decide(&start(REVERSE))
    else {
        panic!("due");
    };
    let sent = Story([given_up.0, events.into_iter().map(|new| new.event).collect()].concat());
    let known = sent.then(&record(2, succeeded(10_000)));
    assert!(!known.payment().at_rest(), "the second is asked for");
    let both = known.then(&record(3, succeeded(10_000)));
    assert!(both.payment().at_rest());
    assert_eq!(
        (both.booked("psp_clearing"), both.booked("unexpected_receipts")),
        (-10_000, 10_000)
    );
}

proptest! {
    /// Whatever comes of a charge that nobody asked for and of the attempts to reverse it, in whatever order it
    /// is heard: what is booked is what the PSP has, and nothing more is done once it has nothing.
    #[test]
    fn what_is_booked_of_a_late_charge_is_what_its_psp_has(
        heard in prop::collection::vec((0_usize..6, 0_u8..5), 1..40),
    ) {
        let mut story = late();
        let mut charge_failed = false;
        // Of each attempt to reverse it: succeeded, failed after that, or ended without either.
        let mut reversals: Vec<(bool, bool, bool)> = Vec::new();
        for (which, what) in heard {
            let due = story.payment().due_at().unwrap_or(LATER);
            let due = if due > LATER { due } else { LATER };
            let decide = |command: &Command| {
                let decided = given(story.0.clone()).at(due).decide(command).ok()?;
                let events = decided.events().iter().map(|new| new.event.clone());
                Some(events.collect::<Vec<_>>())
            };
            let events = match (what, which.checked_sub(1).and_then(|one| reversals.get_mut(one))) {
                (0, _) => {
                    let started = decide(&start(REVERSE));
                    if started.is_some() {
                        reversals.push((false, false, false));
                    }
                    started
                }
                (1, _) => {
                    charge_failed = true;
                    decide(&record(1, failed_later()))
                }
                (what, Some(reversal)) => {
                    let attempt = u32::try_from(which).unwrap() + 1;
                    let outcome = match what {
                        2 if !reversal.1 => {
                            reversal.0 = true;
                            succeeded(10_000)
                        }
                        3 if reversal.0 => {
                            reversal.1 = true;
                            failed_later()
                        }
                        _ if !reversal.0 => {
                            reversal.2 = true;
                            PspOutcome::Refused { code: "busy".to_owned() }
                        }
                        _ => continue,
                    };
                    decide(&record(attempt, outcome))
                }
                (_, None) => continue,
            };
            story.0.extend(events.unwrap_or_default());
        }
        let back = reversals.iter().filter(|one| one.0 && !one.1).count();
        let held = 1 - i64::from(charge_failed) - i64::try_from(back).unwrap();
        prop_assert_eq!(story.booked("psp_clearing"), held * 10_000);
        prop_assert_eq!(story.booked("unexpected_receipts"), -held * 10_000);
        if reversals.iter().all(|one| one.0 || one.2) {
            prop_assert_eq!(story.payment().at_rest(), held <= 0, "{:?}", story.payment().late);
        }
    }
}

#[test]
fn what_is_unknown_to_a_psp_that_is_switched_off_is_not_sent_again() {
    let disabled = Event::Psp(PspEvent::Disabled(PspDisabled { psp: psp(), reason: None }));
    let sent = Story([sold_or(Operation::Sale), vec![attempt_unknown(1)]].concat());
    let not_found = record(1, PspOutcome::NotFound);
    let later = |story: &Story| {
        let decided = given(story.0.clone()).at(at(50)).decide(&not_found);
        let Ok(Decision::Append(events)) = decided else { panic!("events") };
        events.iter().map(|new| new.event.event_type()).collect::<Vec<_>>()
    };
    assert_eq!(later(&sent), ["payment.attempt_resent"]);
    let off = Story([sent.0, vec![disabled]].concat());
    assert_eq!(later(&off), ["payment.attempt_unknown"]);
    // Past the time that its key is kept nothing would be sent, so that it comes to an end all the same.
    let kept = policy().keys_kept_ms;
    let decided = given(off.0).at(LATER.plus_millis(kept)).decide(&not_found);
    let Ok(Decision::Append(events)) = decided else { panic!("events") };
    assert_eq!(events[0].event.event_type(), "payment.attempt_failed");
}

#[test]
fn a_void_that_moves_nothing_is_believed() {
    let voiding = histories().into_iter().find(|(name, _)| *name == "authorized, voiding");
    given_payment(voiding.expect("there").1).when(record(2, succeeded(0))).then_accepted();
}

#[test]
fn what_is_said_to_have_failed_without_having_succeeded_has_failed() {
    let authorizing = Story(sold_or(Operation::Authorize));
    assert_eq!(authorizing.names(&record(1, failed_later())), ["payment.attempt_failed"]);
}

#[test]
fn one_refund_that_cannot_be_sent_does_not_use_up_anothers_attempts() {
    let taken = histories().into_iter().find(|(name, _)| *name == "captured");
    let mut story = Story([vec![merchant_registered()], taken.expect("there").1].concat());
    for number in 0..5_u32 {
        let refund_id = RefundId::from_uuid(uuid::Uuid::from_u128(u128::from(number) + 1));
        let operation = Operation::Refund { refund_id };
        let ask = refund(refund_id, Some("1.00"));
        story = story.then(&ask).then(&start(operation)).then(&record(3 + number, not_sent()));
        let refund = story.payment().refund(refund_id).cloned().expect("it is there");
        assert!(refund.open.is_some(), "refund {number} is to be made again");
    }
}

#[test]
fn merchants_are_not_told_that_a_card_is_stolen_by_a_refund() {
    let refunding = histories().into_iter().find(|(name, _)| *name == "captured, refunding");
    let story = Story([vec![merchant_registered()], refunding.expect("there").1].concat());
    let declined = story.then(&record(3, PspOutcome::Declined(Decline::of("stolen_card"))));
    let failure = declined.payment().refund(REFUND).and_then(|one| one.failure.clone());
    assert_eq!(failure.as_deref(), Some("card_declined"));
    assert_eq!(MERCHANT, declined.payment().merchant_id);
}

/// The account that what `alpha` owes is booked in.
fn clearing_account() -> AccountOpened {
    let (code, kind) = ("psp_clearing:alpha:USD".parse().unwrap(), AccountType::Asset);
    AccountOpened::plain(MerchantId::PLATFORM, code, kind, usd())
}

/// What mistakes of the past, and much money, can have made of the account that payments are booked in.
fn accounts_in_the_way() -> Vec<(&'static str, Vec<Event>)> {
    let opened = clearing_account();
    let (account_id, ledger) = (opened.account_id, opened.ledger);
    let limited = AccountOpened {
        min_balance_minor: Some(0),
        max_balance_minor: Some(0),
        ..clearing_account()
    };
    let most = Amount::from_minor(AMOUNT_MINOR_MAX, usd()).unwrap();
    let full = (0..1_025).map(|number| {
        let posting = |direction| Posting { account_id, direction, amount: most };
        let postings = vec![posting(Direction::Debit), posting(Direction::Credit)];
        let reference = ExternalRef::parse(&format!("r{number}")).unwrap();
        Event::EntryPosted(EntryPosted::plain(ledger, reference, postings))
    });
    let opened = Event::AccountOpened(opened);
    vec![
        ("not there", vec![]),
        ("limited", vec![Event::AccountOpened(limited)]),
        ("frozen", vec![opened.clone(), Event::AccountFrozen(AccountFrozen { account_id })]),
        ("closed", vec![opened.clone(), Event::AccountClosed(AccountClosed { account_id })]),
        ("full of 64 bits", std::iter::once(opened).chain(full).collect()),
    ]
}

#[test]
fn whatever_a_psp_says_is_recorded_whatever_the_accounts_are_like() {
    for (account, events) in accounts_in_the_way() {
        let books = || given(events.clone());
        for (name, history) in histories() {
            let payment = books().and_all(history.clone()).payment(PAYMENT);
            for attempt in &payment.attempts {
                for (outcome_name, outcome) in outcomes(attempt.amount_minor) {
                    // No merchant either.
                    let state = books().and_all(history.clone()).at(LATER);
                    let decided = state.decide(&record(attempt.number, outcome));
                    let number = attempt.number;
                    assert!(
                        decided.is_ok(),
                        "{account}; {name}, attempt {number}, {outcome_name}: {decided:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_capture_is_booked_in_a_clearing_account_that_is_frozen_and_has_no_room() {
    for (account, events) in accounts_in_the_way() {
        let story = Story([events, sold_or(Operation::Sale)].concat());
        let before = story.booked("psp_clearing");
        let after = story.then(&record(1, succeeded(10_000)));
        assert_eq!(after.booked("psp_clearing") - before, 10_000, "{account}");
        assert_eq!(after.payment().state(), PaymentState::Captured, "{account}");
    }
}

/// A refund that could not be sent in attempt 3 and was sent again in attempt 4.
fn refunding_again() -> Story {
    let taken = histories().into_iter().find(|(name, _)| *name == "captured");
    let story = Story([vec![merchant_registered()], taken.expect("there").1].concat());
    let operation = Operation::Refund { refund_id: REFUND };
    let asked = story.then(&refund(REFUND, Some("25.00")));
    let mut story = asked.then(&start(operation)).then(&record(3, not_sent()));
    let again = story.now().at(at(10)).decide(&start(operation)).unwrap();
    story.0.extend(again.events().iter().map(|new| new.event.clone()));
    story
}

#[test]
fn a_refund_that_was_carried_out_twice_is_booked_twice() {
    for order in [[3, 4], [4, 3]] {
        let story = refunding_again();
        let before = story.booked("psp_clearing");
        let [first, second] = order.map(|attempt| record(attempt, succeeded(2_500)));
        let once = story.then(&first);
        assert_eq!(once.booked("psp_clearing") - before, -2_500);
        let twice = once.then(&second);
        assert_eq!(twice.booked("psp_clearing") - before, -5_000, "{order:?}");
        let entries = twice.0.iter().filter_map(|event| match event {
            Event::EntryPosted(entry) => Some(entry.entry_id),
            _ => None,
        });
        let entries: Vec<_> = entries.collect();
        let distinct: std::collections::BTreeSet<_> = entries.iter().collect();
        assert_eq!(distinct.len(), entries.len(), "each booking has a reference of its own");
        assert!(twice.payment().at_rest(), "{order:?}");
        assert_eq!(twice.payment().refund(REFUND).unwrap().state(), RefundState::Succeeded);
    }
}

#[test]
fn a_refund_that_one_attempt_carried_out_is_not_failed_by_another() {
    let refused = PspOutcome::Refused { code: "already_refunded".to_owned() };
    let story = refunding_again().then(&record(3, succeeded(2_500))).then(&record(4, refused));
    assert!(story.payment().at_rest());
    assert_eq!(story.payment().refund(REFUND).unwrap().state(), RefundState::Succeeded);
}
