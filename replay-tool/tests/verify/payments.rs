//! A payment's money and its entry are one append: what breaks them apart is found.

use domain::merchants::{FeeTerms, RegisterMerchant};
use domain::payments::{
    CaptureMethod, CreatePayment, MethodKind, Operation, PaymentIntent, PaymentMethod,
    PaymentPolicy, PspName, PspOutcome, RecordOutcome, StartAttempt,
};
use domain::{Amount, Command, MerchantId, Metadata, Name, PaymentId};
use event_store::{IdSource, RandomIds};
use replay_tool::verify::Check;

use crate::given::World;

const MINOR: i64 = 2_500;

/// A log with a payment of 25.00 that was captured.
async fn captured() -> World {
    let world = World::new().await;
    let merchant_id = MerchantId::from_uuid(RandomIds.next());
    let name = Name::parse("Toko").expect("a name");
    let register = RegisterMerchant { merchant_id, name, fees: FeeTerms::free() };
    world.submit(Command::RegisterMerchant(register)).await;
    let payment_id = PaymentId::from_uuid(RandomIds.next());
    let amount = Amount::from_minor(MINOR, "USD".parse().expect("a currency")).expect("an amount");
    let intent = PaymentIntent {
        amount,
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
    world.submit(Command::CreatePayment(create)).await;
    let psp: PspName = "alpha".parse().expect("a name");
    let policy = PaymentPolicy::default();
    let start = StartAttempt {
        merchant_id,
        payment_id,
        operation: Operation::Sale,
        psp: psp.clone(),
        method,
        policy: policy.clone(),
    };
    world.submit(Command::StartAttempt(start)).await;
    let seen = world.store.payment(payment_id).await.expect("the log is there").expect("it is");
    let record = RecordOutcome {
        merchant_id,
        payment_id,
        currency: amount.currency(),
        attempt: 1,
        psp,
        card: None,
        outcome: PspOutcome::Succeeded { psp_reference: "ch_1".to_owned(), amount_minor: MINOR },
        elsewhere: false,
        seen: seen.version,
        policy,
    };
    assert_eq!(world.submit(Command::RecordOutcome(record)).await, 201);
    world
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
