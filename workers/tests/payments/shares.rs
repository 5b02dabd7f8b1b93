//! What one PSP takes long for is not waited for by payments of another, nor what it does for one merchant by another.

use std::time::Duration;

use domain::payments::{CaptureMethod, PaymentState};
use domain::{MerchantId, PaymentId};
use gateways::{CALLS_AT_ONCE_MAX, Timeouts};
use tokio::time::Instant;

use crate::world::{PATIENCE, World, amount, psp_of};

/// Longer than the test takes, and less than a PSP is given: no breaker opens.
const SLOW: &str = "slow:20000";
const TIMEOUTS: Timeouts = Timeouts { connect_ms: 30_000, request_ms: 30_000, total_ms: 30_000 };
/// Far more than all places and lines of a PSP.
const SLOW_PAYMENTS: usize = 1_000;
const QUICK_PAYMENTS: usize = 40;
/// What one merchant has of a PSP's places.
const OF_ONE_MAX: usize = CALLS_AT_ONCE_MAX / 4 * 3;
/// How long those may take that may go anywhere: less than one waits for its turn at a PSP.
const ANYWHERE_MAX: Duration = Duration::from_secs(4);
/// What thousands of slow payments may cost those that nothing has to do with them.
const DELAY_MAX: Duration = Duration::from_millis(250);

async fn create(
    world: &World,
    (merchant, psp): (MerchantId, &str),
    token: &str,
    many: usize,
) -> Vec<PaymentId> {
    let create = |_| world.create_for(merchant, psp, token, amount("100.00"));
    futures::future::join_all((0..many).map(create)).await
}

/// How long payments take from the first command to the last capture.
async fn quick_ones(world: &World, at: (MerchantId, &str)) -> Duration {
    let began = Instant::now();
    for id in create(world, at, "ok", QUICK_PAYMENTS).await {
        assert_eq!(world.settled(id).await.state(), PaymentState::Captured);
    }
    began.elapsed()
}

/// How many attempts are under way.
async fn under_way(world: &World) -> i64 {
    let mut owner = world.database.owner().await;
    let count =
        "select count(*) from read.payments where state = 'authorizing' and psp is not null";
    sqlx::query_scalar(count).fetch_one(&mut owner).await.expect("counts")
}

async fn under_way_reach(world: &World, many: usize) {
    let (many, deadline) = (i64::try_from(many).expect("a few"), Instant::now() + PATIENCE);
    while under_way(world).await < many {
        assert!(Instant::now() < deadline, "the slow ones are not full");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Many slow payments do not delay quick ones elsewhere, and no more than `full` of the slow ones are sent.
async fn check_undelayed(
    slow: &[(Whose, &'static str)],
    quick: (Whose, &'static str),
    full: usize,
) {
    let mut world = World::new().await;
    for psp in &mut world.psps.psps {
        psp.timeouts = TIMEOUTS;
    }
    let other = world.another_merchant().await;
    let at = |(whose, psp): (Whose, &'static str)| match whose {
        Whose::First => (world.merchant_id, psp),
        Whose::Second => (other, psp),
    };
    let worker = world.worker();
    quick_ones(&world, at(quick)).await;
    let alone = quick_ones(&world, at(quick)).await;
    let alone = alone.max(quick_ones(&world, at(quick)).await);
    for slow in slow {
        create(&world, at(*slow), SLOW, SLOW_PAYMENTS).await;
    }
    under_way_reach(&world, full).await;
    // Whoever waits for the slow ones waits for seconds each time; what else the machine is busy with passes.
    let mut beside = quick_ones(&world, at(quick)).await;
    for _ in 0..2 {
        beside = beside.min(quick_ones(&world, at(quick)).await);
    }
    let full = i64::try_from(full).expect("a few");
    let head = *world.store.head().borrow();
    world.queue_follows(head).await;
    assert_eq!(under_way(&world).await, full, "nothing more was sent, and nothing answered");
    assert!(beside <= alone + DELAY_MAX, "{beside:?}, alone {alone:?}");
    worker.kill().await;
    world.end().await;
}

#[derive(Clone, Copy)]
enum Whose {
    First,
    Second,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_slow_psps_do_not_delay_a_healthy_third() {
    let slow = [
        (Whose::First, "alpha"),
        (Whose::Second, "alpha"),
        (Whose::First, "beta"),
        (Whose::Second, "beta"),
    ];
    check_undelayed(&slow, (Whose::First, "gamma"), 2 * CALLS_AT_ONCE_MAX).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_psp_is_slow_with_for_one_merchant_does_not_delay_another() {
    check_undelayed(&[(Whose::First, "alpha")], (Whose::Second, "alpha"), OF_ONE_MAX).await;
}

/// They go to a PSP that has room for their merchant.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn payments_that_may_go_anywhere_avoid_a_psp_that_is_slow_with_their_merchants() {
    let mut world = World::new().await;
    for psp in &mut world.psps.psps {
        psp.timeouts = TIMEOUTS;
    }
    // So that they can be counted.
    let head = *world.store.head().borrow();
    world.queue_follows(head).await;
    let worker = world.worker();
    create(&world, (world.merchant_id, "alpha"), SLOW, SLOW_PAYMENTS).await;
    under_way_reach(&world, OF_ONE_MAX).await;
    let began = Instant::now();
    let anywhere = (0..QUICK_PAYMENTS).map(|_| world.create("ok", CaptureMethod::Automatic));
    for id in futures::future::join_all(anywhere).await {
        let payment = world.settled(id).await;
        assert_eq!(payment.state(), PaymentState::Captured);
        assert_ne!(psp_of(&payment).as_str(), "alpha");
    }
    assert!(began.elapsed() < ANYWHERE_MAX, "{:?}", began.elapsed());
    worker.kill().await;
    world.end().await;
}
