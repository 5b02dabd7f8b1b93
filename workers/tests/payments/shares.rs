//! What one PSP takes long for is not waited for by payments of another.

use std::time::Duration;

use domain::PaymentId;
use domain::payments::PaymentState;
use gateways::{CALLS_AT_ONCE_MAX, Timeouts};
use tokio::time::Instant;

use crate::world::{PATIENCE, World, amount};

/// Longer than the test takes, and less than a PSP is given: no breaker opens.
const SLOW: &str = "slow:20000";
const TIMEOUTS: Timeouts = Timeouts { connect_ms: 500, request_ms: 30_000, total_ms: 30_000 };
/// Far more than all places and lines of a PSP.
const SLOW_PAYMENTS: usize = 1_000;
const QUICK_PAYMENTS: usize = 40;
/// What two thousand payments at the slow ones may cost those of the third.
const DELAY_MAX: Duration = Duration::from_millis(250);

async fn create(world: &World, psp: &str, token: &str, many: usize) -> Vec<PaymentId> {
    let create = |_| world.create_at(psp, token, amount("100.00"));
    futures::future::join_all((0..many).map(create)).await
}

/// How long payments of the third take from the first command to the last capture.
async fn quick_ones(world: &World) -> Duration {
    let began = Instant::now();
    for id in create(world, "gamma", "ok", QUICK_PAYMENTS).await {
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_slow_psps_do_not_delay_a_healthy_third() {
    let mut world = World::new().await;
    for psp in &mut world.psps.psps {
        psp.timeouts = TIMEOUTS;
    }
    let worker = world.worker();
    quick_ones(&world).await;
    let alone = quick_ones(&world).await;
    for slow in ["alpha", "beta"] {
        create(&world, slow, SLOW, SLOW_PAYMENTS).await;
    }
    let full = i64::try_from(2 * CALLS_AT_ONCE_MAX).expect("a few");
    let deadline = Instant::now() + PATIENCE;
    while under_way(&world).await < full {
        assert!(Instant::now() < deadline, "the slow ones are not full");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let beside = quick_ones(&world).await;
    assert_eq!(under_way(&world).await, full, "nothing more was sent, and nothing answered");
    assert!(beside <= alone + DELAY_MAX, "{beside:?}, alone {alone:?}");
    worker.kill().await;
    world.end().await;
}
