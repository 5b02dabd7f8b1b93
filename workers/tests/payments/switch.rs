//! The kill switch of PSPs.

use domain::Command;
use domain::payments::{CaptureMethod, CapturePayment, PaymentState, PspName};
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
