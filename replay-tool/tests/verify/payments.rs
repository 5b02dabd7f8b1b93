//! A payment's money and its entry are one append: what breaks them apart is found.

use std::sync::Arc;

use domain::merchants::{FeeTerms, RegisterMerchant};
use domain::payments::{
    AttemptKey, CaptureMethod, Claim, CreatePayment, MethodKind, NotifyAttempt, Operation,
    PaymentIntent, PaymentMethod, PaymentPolicy, PspName, PspOutcome, RecordOutcome, StartAttempt,
    UnknownReason,
};
use domain::{Amount, Command, MerchantId, Metadata, Name, PaymentId};
use event_store::{IdSource, RandomIds};
use replay_tool::verify::{Check, Severity};

use crate::given::{World, merchant};
use crate::ledger::HandClock;

const MINOR: i64 = 2_500;

/// An attempt to sell that was sent to its PSP.
struct Sent {
    merchant_id: MerchantId,
    payment_id: PaymentId,
    psp: PspName,
}

/// A log with a payment of 25.00 that was captured.
async fn captured() -> World {
    let world = World::new().await;
    let sent = world.sends().await;
    world.records(&sent, succeeded()).await;
    world
}

fn succeeded() -> PspOutcome {
    PspOutcome::Succeeded { psp_reference: "ch_1".to_owned(), amount_minor: MINOR }
}

impl World {
    /// Creates a payment of 25.00, and puts its first attempt into the log.
    async fn sends(&self) -> Sent {
        let merchant_id = MerchantId::from_uuid(RandomIds.next());
        let name = Name::parse("Toko").expect("a name");
        let register = RegisterMerchant { merchant_id, name, fees: FeeTerms::free() };
        self.submit(Command::RegisterMerchant(register)).await;
        let payment_id = PaymentId::from_uuid(RandomIds.next());
        let usd = "USD".parse().expect("a currency");
        let intent = PaymentIntent {
            amount: Amount::from_minor(MINOR, usd).expect("an amount"),
            capture_method: CaptureMethod::Automatic,
            psp: None,
            customer: None,
            reference: None,
            description: None,
            metadata: Metadata::default(),
            order: domain::payments::Order::default(),
        };
        let method = PaymentMethod::new(MethodKind::Card, "ok").ok();
        let create = CreatePayment { payment_id, merchant_id, intent, method: method.clone() };
        self.submit(Command::CreatePayment(create)).await;
        let psp: PspName = "alpha".parse().expect("a name");
        let start = StartAttempt {
            merchant_id,
            payment_id,
            operation: Operation::Sale,
            psp: psp.clone(),
            method,
            policy: PaymentPolicy::default(),
        };
        self.submit(Command::StartAttempt(start)).await;
        Sent { merchant_id, payment_id, psp }
    }

    /// Records what came of the attempt.
    async fn records(&self, sent: &Sent, outcome: PspOutcome) {
        let Sent { merchant_id, payment_id, ref psp } = *sent;
        let seen = self.store.payment(payment_id).await.expect("the log is there").expect("it is");
        let record = RecordOutcome {
            merchant_id,
            payment_id,
            currency: "USD".parse().expect("a currency"),
            attempt: 1,
            psp: psp.clone(),
            card: None,
            outcome,
            elsewhere: false,
            seen: seen.version,
            policy: PaymentPolicy::default(),
        };
        assert_eq!(self.submit(Command::RecordOutcome(record)).await, 201);
    }

    /// Passes on that the PSP says of its own accord that the attempt failed.
    async fn notifies(&self, sent: &Sent) {
        let notify = NotifyAttempt {
            payment_id: sent.payment_id,
            psp: sent.psp.clone(),
            key: AttemptKey::of(sent.payment_id, 1),
            claim: Claim::Failed,
            digest: "ab".repeat(32),
        };
        assert_eq!(self.submit(Command::NotifyAttempt(notify)).await, 201);
    }
}

impl World {
    /// The position of the one event of this type.
    async fn position_of(&self, event_type: &str) -> i64 {
        let events = self.events().await;
        let mut of_type = events.iter().filter(|event| event.event_type == event_type);
        let position = of_type.next().expect("an event of the type").position;
        assert!(of_type.next().is_none(), "one {event_type}");
        position.number()
    }
}

#[tokio::test]
async fn a_captured_payment_is_clean() {
    captured().await.verified().await.assert_clean();
}

#[tokio::test]
async fn a_range_may_begin_anywhere_in_a_booking() {
    let world = captured().await;
    let (captured, entry) = (
        world.position_of("payment.captured").await,
        world.position_of("ledger.entry_posted").await,
    );
    assert!(entry > captured + 1, "accounts are opened between the two");
    for from in captured..=entry {
        let options = replay_tool::verify::VerifyOptions { from: Some(from), ..world.options() };
        crate::given::verified(&options).await.assert_clean();
    }
}

#[tokio::test]
async fn an_entry_of_another_amount_than_was_captured_is_found() {
    let world = captured().await;
    let (captured, entry) = (
        world.position_of("payment.captured").await,
        world.position_of("ledger.entry_posted").await,
    );
    let change = "update events set data = replace(data::text, '\"minor\":2500', \
                  '\"minor\":2400')::json";
    world.tamper_and_rehash(&format!("{change} where position = {captured}")).await;
    let verified = world.verified().await;
    verified.assert_finds([(Check::PaymentEntries, Some(entry))]);
    assert_eq!(verified.only().found, "2500");
}

#[tokio::test]
async fn a_capture_that_names_another_entry_is_found_from_both_sides() {
    let world = captured().await;
    let (captured, entry) = (
        world.position_of("payment.captured").await,
        world.position_of("ledger.entry_posted").await,
    );
    let change = "update events set data = regexp_replace(data::text, '(\"entry_id\":\"ent_)....', \
                  '\\10000')::json";
    world.tamper_and_rehash(&format!("{change} where position = {captured}")).await;
    let verified = world.verified().await;
    verified.assert_finds([
        (Check::PaymentEntries, Some(captured)),
        (Check::PaymentEntries, Some(entry)),
    ]);
}

#[tokio::test]
async fn a_log_that_ends_between_a_capture_and_its_entry_is_found() {
    let world = captured().await;
    let captured = world.position_of("payment.captured").await;
    world
        .tamper(&format!(
            "delete from events where position > {captured}; \
             update log_head set position = {captured}, \
                 recorded_at = (select recorded_at from events where position = {captured})"
        ))
        .await;
    let verified = world.verified().await;
    let found = |finding: &replay_tool::verify::Finding| {
        finding.check == Check::PaymentEntries && finding.position == Some(captured)
    };
    assert!(verified.findings.iter().any(found), "{:#?}", verified.findings);
}

/// An operator may limit the accounts that payments are booked in; what the PSPs did is booked all the same.
#[tokio::test]
async fn what_a_payment_came_to_is_booked_whatever_the_limits_are() {
    let world = captured().await;
    let change = "update events set data = replace(data::text, '\"currency\":\"USD\"', \
                  '\"currency\":\"USD\",\"max_balance_minor\":1')::json";
    world
        .tamper_and_rehash(&format!(
            "{change} where event_type = 'ledger.account_opened' and data::text like '%payable%'"
        ))
        .await;
    world.verified().await.assert_clean();
}

/// A log whose times are set by hand; it begins at noon.
async fn at_noon() -> (World, Arc<HandClock>) {
    HandClock::world_at("2026-11-20T12:00:00Z").await
}

#[tokio::test]
async fn an_attempt_of_which_nothing_was_heard_for_long_is_found() {
    let (world, clock) = at_noon().await;
    let sent = world.sends().await;
    let started = world.position_of("payment.attempt_started").await;
    // The PSP is to be asked after 15 s.
    clock.set(&world, "2026-11-20T13:00:15Z").await;
    world.submit(merchant()).await;
    world.verified().await.assert_clean();
    clock.set(&world, "2026-11-20T13:00:16Z").await;
    world.submit(merchant()).await;
    let verified = world.verified().await;
    verified.assert_finds([(Check::PaymentOutcomes, Some(started))]);
    let finding = verified.only();
    assert_eq!(finding.subject, format!("payment {}, attempt 1", sent.payment_id));
    assert_eq!(finding.severity, Severity::Warning);
    // However often it was asked for in vain meanwhile, it is asked for again.
    world.records(&sent, PspOutcome::Unknown { reason: UnknownReason::Timeout }).await;
    world.verified().await.assert_clean();
    clock.set(&world, "2026-11-20T15:00:00Z").await;
    world.submit(merchant()).await;
    let unknown = world.position_of("payment.attempt_unknown").await;
    world.verified().await.assert_finds([(Check::PaymentOutcomes, Some(unknown))]);
    world.records(&sent, succeeded()).await;
    world.verified().await.assert_clean();
}

#[tokio::test]
async fn what_is_late_goes_by_when_it_was_decided_in_a_log_with_a_time_ahead() {
    let (world, clock) = at_noon().await;
    clock.set(&world, "2026-11-21T12:00:00Z").await;
    world.submit(merchant()).await;
    // Both clocks are right again; the times that are recorded stay a day ahead.
    clock.set(&world, "2026-11-20T12:00:00Z").await;
    world.sends().await;
    let started = world.position_of("payment.attempt_started").await;
    clock.set(&world, "2026-11-20T13:00:15Z").await;
    world.submit(merchant()).await;
    world.verified().await.assert_clean();
    clock.set(&world, "2026-11-20T13:00:16Z").await;
    world.submit(merchant()).await;
    world.verified().await.assert_finds([(Check::PaymentOutcomes, Some(started))]);
}

#[tokio::test]
async fn what_a_psp_said_of_its_own_accord_and_was_not_looked_into_is_found() {
    let (world, clock) = at_noon().await;
    let sent = world.sends().await;
    world.records(&sent, succeeded()).await;
    world.notifies(&sent).await;
    let notified = world.position_of("payment.psp_notified").await;
    clock.set(&world, "2026-11-20T13:00:01Z").await;
    world.submit(merchant()).await;
    world.verified().await.assert_finds([(Check::PaymentOutcomes, Some(notified))]);
    world.records(&sent, PspOutcome::FailedLater { code: "returned".to_owned() }).await;
    world.verified().await.assert_clean();
}

#[tokio::test]
async fn what_was_given_up_is_asked_for_once_more_at_its_time() {
    let (world, clock) = at_noon().await;
    let sent = world.sends().await;
    clock.set(&world, "2026-11-21T13:00:00Z").await;
    // It never arrived: the PSP is to be asked once more in a day.
    world.records(&sent, PspOutcome::NotFound).await;
    let failed = world.position_of("payment.attempt_failed").await;
    clock.set(&world, "2026-11-22T13:59:00Z").await;
    world.submit(merchant()).await;
    world.verified().await.assert_clean();
    clock.set(&world, "2026-11-22T14:01:00Z").await;
    world.submit(merchant()).await;
    world.verified().await.assert_finds([(Check::PaymentOutcomes, Some(failed))]);
    world.records(&sent, PspOutcome::NotFound).await;
    world.verified().await.assert_clean();
}
