//! Workers that die at every step of their work, each step twice, and what others make of what they leave.

use std::time::Duration;

use domain::payments::{
    CaptureMethod, Operation, Payment, PaymentPolicy, PaymentState, RefundPayment, VoidPayment,
};
use domain::{Command, PaymentId};
use testkit::{killed_at, killed_at_every_wait};
use tokio_util::sync::CancellationToken;

use crate::world::{PATIENCE, Process, World, amount, carried_out, policy};

/// A world where whoever takes over asks at once: those whose work it is are dead.
async fn in_a_hurry() -> World {
    let at_once =
        PaymentPolicy { ask_after_ms: 1, ask_pause_ms: 10, not_found_grace_ms: 1, ..policy() };
    let mut world = World::new().await;
    world.psps.policy = at_once;
    world
}

/// Lives of processes with a sequencer and workers of their own that carry out what is due for a payment; what
/// is done when one is dead is made whole by the next, and then the same as if none had died.
async fn dies_at_every_step(
    world: &World,
    begin: impl AsyncFn() -> PaymentId,
    check: impl AsyncFn(&Payment),
) {
    let deaths = killed_at_every_wait(async |waits| {
        let id = begin().await;
        let survived = live(world, id, waits).await;
        world.release_leases().await;
        match &survived {
            Some(payment) => check(payment).await,
            None => check(&alive(world, id).await).await,
        }
        survived.is_some()
    })
    .await;
    assert!(deaths > 10, "claims, appends, sends and receives: {deaths}");
    world.check_books().await;
}

/// What a process makes of the payment that does not die.
async fn alive(world: &World, id: PaymentId) -> Payment {
    let payment = live(world, id, usize::MAX).await.expect("it gets through");
    world.release_leases().await;
    payment
}

/// A process that works until nothing is under way with the payment, or dies at its wait number `waits`.
async fn live(world: &World, id: PaymentId, waits: usize) -> Option<Payment> {
    let Process { payments, store, sequencer, .. } = world.process().await;
    let shutdown = CancellationToken::new();
    let work = async {
        loop {
            payments.pass().await.expect("the queue is there");
            let payment = store.payment(id).await.expect("the log is there").expect("it is there");
            if payment.at_rest() {
                break Payment::clone(&payment);
            }
            let appended = *store.head().borrow();
            world.queue_follows(appended).await;
            let due = payment.due_at().expect("something is under way");
            let until = due.micros() - store.clock().now().micros();
            tokio::time::sleep(Duration::from_micros(u64::try_from(until).unwrap_or(0))).await;
        }
    };
    let process = async {
        tokio::select! {
            () = sequencer.run(shutdown) => None,
            payment = work => Some(payment),
        }
    };
    killed_at(waits, process).flatten()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_sale() {
    let world = in_a_hurry().await;
    dies_at_every_step(
        &world,
        async || world.create("ok", CaptureMethod::Automatic).await,
        async |payment| {
            assert_eq!(payment.state(), PaymentState::Captured);
            let operations = world.operations(payment.id).await;
            assert_eq!(carried_out(&operations, "sale"), 1, "{operations:#?}");
            assert_eq!(payment.captures.len(), 1);
        },
    )
    .await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_authorization_and_its_capture() {
    let mut world = in_a_hurry().await;
    for psp in &mut world.psps.psps {
        psp.sale = false;
    }
    dies_at_every_step(
        &world,
        async || world.create("ok", CaptureMethod::Automatic).await,
        async |payment| {
            assert_eq!(payment.state(), PaymentState::Captured);
            let operations = world.operations(payment.id).await;
            assert_eq!(carried_out(&operations, "authorization"), 1, "{operations:#?}");
            assert_eq!(carried_out(&operations, "capture"), 1, "{operations:#?}");
        },
    )
    .await;
    world.end().await;
}

/// A payment that others carried out so far.
async fn carried_on(world: &World, method: CaptureMethod) -> PaymentId {
    let id = world.create("ok", method).await;
    alive(world, id).await;
    id
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_refund() {
    let world = in_a_hurry().await;
    dies_at_every_step(
        &world,
        async || {
            let payment_id = carried_on(&world, CaptureMethod::Automatic).await;
            let refund = RefundPayment {
                merchant_id: world.merchant_id,
                payment_id,
                refund_id: world.new_refund_id(),
                amount: Some(amount("25.00")),
                reason: None,
                expected_versions: None,
            };
            world.give(Command::RefundPayment(refund)).await;
            payment_id
        },
        async |payment| {
            let operations = world.operations(payment.id).await;
            assert_eq!(carried_out(&operations, "refund"), 1, "{operations:#?}");
            assert_eq!(payment.amounts().refunded_minor, 2_500);
        },
    )
    .await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_void() {
    let world = in_a_hurry().await;
    dies_at_every_step(
        &world,
        async || {
            let payment_id = carried_on(&world, CaptureMethod::Manual).await;
            let (merchant_id, expected_versions) = (world.merchant_id, None);
            let void = VoidPayment { merchant_id, payment_id, expected_versions };
            world.give(Command::VoidPayment(void)).await;
            payment_id
        },
        async |payment| {
            assert_eq!(payment.state(), PaymentState::Voided);
            let operations = world.operations(payment.id).await;
            assert_eq!(carried_out(&operations, "void"), 1, "{operations:#?}");
        },
    )
    .await;
    world.end().await;
}

/// Of a webhook that tells that a capture failed: it is worked off, and then the PSP is asked.
#[tokio::test(flavor = "multi_thread")]
async fn of_a_webhook() {
    let world = in_a_hurry().await;
    let mut told = 0;
    let deaths = killed_at_every_wait(async |waits| {
        let id = world.create("ok", CaptureMethod::Automatic).await;
        let sold = alive(&world, id).await;
        let sale = sold.attempts.last().expect("an attempt").clone();
        assert_eq!(sale.operation, Operation::Sale);
        world.webhooks_settle().await;
        world.claim_failure(&sale, id).await;
        let survived = world.webhooks_worked_off(waits).await;
        if !survived {
            // A claim that was in flight when its worker died may be made only after all claims were released.
            let until_told = async {
                loop {
                    world.release_leases().await;
                    assert!(world.webhooks_worked_off(usize::MAX).await);
                    if world.notified().await > told {
                        break;
                    }
                }
            };
            tokio::time::timeout(PATIENCE, until_told).await.expect("it is asked for");
        }
        // One that died before it could say that it had worked it off leaves that to the next.
        let notified = world.notified().await - std::mem::take(&mut told);
        assert!((1..=2).contains(&notified), "it is asked for: {notified}");
        told = world.notified().await;
        assert_eq!(alive(&world, id).await.state(), PaymentState::Captured);
        survived
    })
    .await;
    assert!(deaths > 5, "claims, appends and notes: {deaths}");
    world.check_books().await;
    world.end().await;
}
