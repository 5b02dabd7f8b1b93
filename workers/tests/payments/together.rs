//! Many payments, several workers, and what may become of those.

use std::time::Duration;

use domain::payments::{CaptureMethod, PaymentState};
use migrations::Role;

use crate::world::{World, carried_out};

const TOKENS: [&str; 6] = [
    "ok",
    "decline_hard",
    "fail_5xx_then_ok:2",
    "timeout_after_charge",
    "reset_after_charge",
    "decline_soft_then_ok:1",
];

/// All settle, and none was charged twice.
async fn check_all(world: &World, payments: &[(domain::PaymentId, &str)]) {
    for (id, token) in payments {
        let payment = world.settled(*id).await;
        let declined = *token == "decline_hard";
        let expected = if declined { PaymentState::Declined } else { PaymentState::Captured };
        assert_eq!(payment.state(), expected, "{token}: {:#?}", payment.attempts);
        let charges = carried_out(&world.operations(*id).await, "sale");
        assert_eq!(charges, usize::from(!declined), "{token}");
    }
    world.check_books().await;
}

async fn create_all(world: &World, count: usize) -> Vec<(domain::PaymentId, &'static str)> {
    let mut payments = Vec::new();
    for n in 0..count {
        let token = TOKENS[n % TOKENS.len()];
        payments.push((world.create(token, CaptureMethod::Automatic).await, token));
    }
    payments
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_workers_carry_out_each_payment_once() {
    let world = World::new().await;
    let workers = [world.worker(), world.worker_apart().await, world.worker_apart().await];
    let payments = create_all(&world, 90).await;
    check_all(&world, &payments).await;
    for worker in workers {
        worker.stop().await;
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_that_are_killed_again_and_again_leave_nothing_undone_or_done_twice() {
    let world = World::new().await;
    let payments = create_all(&world, 60).await;
    // Each dies at another point of its work: what matters is that it is not told to stop.
    for round in 0..12_u64 {
        let worker = world.worker_apart().await;
        tokio::time::sleep(Duration::from_millis(15 * (round + 1))).await;
        worker.kill().await;
        world.release_leases().await;
    }
    let worker = world.worker();
    check_all(&world, &payments).await;
    worker.stop().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_queue_may_be_rebuilt_while_they_work() {
    let world = World::new().await;
    let worker = world.worker();
    let payments = create_all(&world, 60).await;
    let url = world.database.url(Role::Projector);
    let database = event_store::log::connect_options(&url).expect("a URL");
    let payments_projection = projections::named("payments").expect("the projection");
    for _ in 0..3 {
        projections::rebuild(&database, &*payments_projection, &|_| {}).await.expect("rebuilt");
    }
    check_all(&world, &payments).await;
    worker.stop().await;
    world.end().await;
}
