//! The straight road: created, authorized, captured, given back.

use domain::Command;
use domain::payments::{
    CaptureMethod, CapturePayment, Operation, PaymentState, RefundPayment, RefundState, VoidPayment,
};

use crate::world::{World, amount, carried_out, operations_of, psp_of};

#[tokio::test]
async fn an_automatic_payment_is_captured_and_booked_in_one_call() {
    let world = World::new().await;
    let worker = world.worker();
    let id = world.create("ok", CaptureMethod::Automatic).await;
    let payment = world.settled(id).await;
    assert_eq!(payment.state(), PaymentState::Captured);
    assert_eq!(operations_of(&payment), [Operation::Sale]);
    let operations = world.operations(id).await;
    assert_eq!((operations.len(), carried_out(&operations, "sale")), (1, 1), "{operations:#?}");
    let clearing = format!("psp_clearing:{}:USD", psp_of(&payment));
    assert_eq!(world.balance_minor(&clearing).await, 10_000);
    assert_eq!(world.balance_minor("fee_income:USD").await, 320);
    world.check_books().await;
    worker.stop().await;
    world.end().await;
}

#[tokio::test]
async fn what_is_due_since_just_now_does_not_wait_for_the_queue() {
    let world = World::new().await;
    let head = *world.store.head().borrow();
    world.queue_follows(head).await;
    let mut owner = world.database.owner().await;
    let stopped = "update read.checkpoint set state = 'diverged' where projection = 'payments'";
    sqlx::query(stopped).execute(&mut owner).await.expect("the queue does not follow");
    let worker = world.worker();
    let id = world.create("ok", CaptureMethod::Automatic).await;
    assert_eq!(world.settled(id).await.state(), PaymentState::Captured);
    let operations = world.operations(id).await;
    assert_eq!((operations.len(), carried_out(&operations, "sale")), (1, 1), "{operations:#?}");
    let queued = "select count(*) from read.payment_work";
    let queued: i64 = sqlx::query_scalar(queued).fetch_one(&mut owner).await.expect("a count");
    assert_eq!(queued, 0, "it never was in the queue");
    worker.stop().await;
    world.end().await;
}

#[tokio::test]
async fn where_the_psp_cannot_sell_in_one_call_it_is_authorized_and_captured() {
    let mut world = World::new().await;
    for psp in &mut world.psps.psps {
        psp.sale = false;
    }
    let worker = world.worker();
    let id = world.create("ok", CaptureMethod::Automatic).await;
    let payment = world.settled(id).await;
    assert_eq!(payment.state(), PaymentState::Captured);
    let capture = Operation::Capture { capture: 1 };
    assert_eq!(operations_of(&payment), [Operation::Authorize, capture]);
    world.check_books().await;
    worker.stop().await;
    world.end().await;
}

#[tokio::test]
async fn parts_are_captured_and_refunded_each_with_its_entry() {
    let world = World::new().await;
    let worker = world.worker();
    let id = world.create("ok", CaptureMethod::Manual).await;
    let held = world.settled(id).await;
    assert_eq!(held.state(), PaymentState::Authorized);
    for (part, final_capture, state) in
        [("40.00", false, PaymentState::Authorized), ("50.00", true, PaymentState::Captured)]
    {
        let capture = CapturePayment {
            merchant_id: world.merchant_id,
            payment_id: id,
            amount: Some(amount(part)),
            final_capture,
            expected_versions: None,
        };
        world.give(Command::CapturePayment(capture)).await;
        assert_eq!(world.settled(id).await.state(), state, "{part}");
    }
    let refunds = [world.new_refund_id(), world.new_refund_id()];
    for (refund_id, part) in refunds.into_iter().zip(["25.00", "65.00"]) {
        let refund = RefundPayment {
            merchant_id: world.merchant_id,
            payment_id: id,
            refund_id,
            amount: Some(amount(part)),
            reason: None,
            expected_versions: None,
        };
        world.give(Command::RefundPayment(refund)).await;
    }
    let payment = world.settled(id).await;
    let states: Vec<RefundState> = payment.refunds.iter().map(|refund| refund.state()).collect();
    assert_eq!(states, [RefundState::Succeeded; 2]);
    let amounts = payment.amounts();
    assert_eq!((amounts.captured_minor, amounts.refunded_minor), (9_000, 9_000));
    let operations = world.operations(id).await;
    let done = |kind| carried_out(&operations, kind);
    assert_eq!((done("authorization"), done("capture"), done("refund")), (1, 2, 2));
    world.check_books().await;
    worker.stop().await;
    world.end().await;
}

#[tokio::test]
async fn an_authorization_is_released() {
    let world = World::new().await;
    let worker = world.worker();
    let id = world.create("ok", CaptureMethod::Manual).await;
    world.settled(id).await;
    let (merchant_id, payment_id) = (world.merchant_id, id);
    let void = VoidPayment { merchant_id, payment_id, expected_versions: None };
    world.give(Command::VoidPayment(void)).await;
    assert_eq!(world.settled(id).await.state(), PaymentState::Voided);
    assert_eq!(carried_out(&world.operations(id).await, "void"), 1);
    worker.stop().await;
    world.end().await;
}
