//! The kill switch of PSPs.

use domain::Command;
use domain::payments::{CaptureMethod, CapturePayment, Payment, PaymentState, PspName};
use domain::psps::{DisablePsp, EnablePsp};

use crate::world::{World, psp_of};

fn psp(name: &str) -> PspName {
    name.parse().expect("a name")
}

#[tokio::test]
async fn nothing_goes_to_a_psp_that_is_switched_off() {
    let world = World::new().await;
    let worker = world.worker();
    for name in ["alpha", "beta"] {
        world.give(Command::DisablePsp(DisablePsp { psp: psp(name), reason: None })).await;
    }
    for _ in 0..12 {
        let id = world.create("ok", CaptureMethod::Automatic).await;
        let payment = world.settled(id).await;
        assert_eq!(payment.state(), PaymentState::Captured);
        assert_eq!(psp_of(&payment), psp("gamma"));
        assert_eq!(payment.attempts.len(), 1, "no attempt was made elsewhere");
    }
    world.check_books().await;
    worker.stop().await;
    world.end().await;
}

#[tokio::test]
async fn what_follows_an_authorization_waits_for_its_psp() {
    let world = World::new().await;
    let worker = world.worker();
    let id = world.create("ok", CaptureMethod::Manual).await;
    let held = world.settled(id).await;
    let psp = psp_of(&held);
    world.give(Command::DisablePsp(DisablePsp { psp: psp.clone(), reason: None })).await;
    let capture = CapturePayment {
        merchant_id: world.merchant_id,
        payment_id: id,
        amount: None,
        final_capture: false,
        expected_versions: None,
    };
    world.give(Command::CapturePayment(capture)).await;
    // Others are carried out meanwhile, so the worker has seen this one too.
    for _ in 0..3 {
        let other = world.create("ok", CaptureMethod::Automatic).await;
        world.settled(other).await;
    }
    let waiting = world.store.payment(id).await.expect("the log is there").expect("there");
    assert_eq!(waiting.attempts.len(), 1, "nothing was sent");
    world.give(Command::EnablePsp(EnablePsp { psp })).await;
    assert_eq!(world.settled(id).await.state(), PaymentState::Captured);
    world.check_books().await;
    worker.stop().await;
    world.end().await;
}

/// The switch is an event, and so is each attempt: what comes after it in the log was decided after it, in
/// whichever process, however long that one takes to hear of it.
#[tokio::test]
async fn from_its_answer_on_no_process_begins_anything_there() {
    let world = World::new().await;
    let workers = [world.worker_apart().await, world.worker_apart().await];
    let mut payments = Vec::new();
    for _ in 0..20 {
        payments.push(world.create("ok", CaptureMethod::Automatic).await);
    }
    world.give(Command::DisablePsp(DisablePsp { psp: psp("alpha"), reason: None })).await;
    for _ in 0..20 {
        payments.push(world.create("ok", CaptureMethod::Automatic).await);
    }
    for id in payments {
        assert_eq!(world.settled(id).await.state(), PaymentState::Captured);
    }
    let begun_after = "select count(*) from events where event_type = 'payment.attempt_started' \
        and data->>'psp' = 'alpha' \
        and position > (select position from events where event_type = 'psp.disabled')";
    let mut owner = world.database.owner().await;
    let begun: i64 = sqlx::query_scalar(begun_after).fetch_one(&mut owner).await.expect("counts");
    assert_eq!(begun, 0);
    world.check_books().await;
    for worker in workers {
        worker.stop().await;
    }
    world.end().await;
}

/// Not even where its PSP is switched off, says again and again that it knows of nothing, and could be sent
/// nothing any more.
#[tokio::test]
async fn a_payment_of_which_the_outcome_is_unknown_goes_to_no_other_psp() {
    let world = World::new().await;
    let worker = world.worker();
    let id = world.create("fail_5xx_then_ok:4", CaptureMethod::Automatic).await;
    let unknown = |payment: &Payment| payment.state() == PaymentState::Unknown;
    let first = psp_of(&world.payment_when(id, "unknown", unknown).await);
    world.give(Command::DisablePsp(DisablePsp { psp: first.clone(), reason: None })).await;
    let asked = |payment: &Payment| payment.open.as_ref().is_some_and(|open| open.asked >= 8);
    let waiting = world.payment_when(id, "asked for many times", asked).await;
    assert_eq!((waiting.state(), waiting.attempts.len()), (PaymentState::Unknown, 1));
    assert!(world.operations(id).await.is_empty(), "at none of the three");
    world.give(Command::EnablePsp(EnablePsp { psp: first.clone() })).await;
    let known = world.settled(id).await;
    assert_eq!((known.state(), psp_of(&known)), (PaymentState::Captured, first));
    assert_eq!(known.attempts.len(), 1, "{:#?}", known.attempts);
    world.check_books().await;
    worker.stop().await;
    world.end().await;
}
