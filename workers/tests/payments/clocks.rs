//! A clock that leapt and is right again keeps no payment waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use domain::Timestamp;
use domain::payments::{CaptureMethod, PaymentState};
use event_store::{Clock, SystemClock};

use crate::world::World;

const DAY_MICROS: i64 = 86_400_000_000;

/// The machine's clock, so many microseconds ahead.
#[derive(Debug, Default)]
struct Ahead(AtomicI64);

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(SystemClock.now().micros() + self.0.load(Ordering::SeqCst))
    }
}

#[tokio::test]
async fn payments_of_a_day_that_has_not_come_are_carried_out_today() {
    let clock = Arc::<Ahead>::default();
    let world = World::with_clock(Arc::clone(&clock) as Arc<dyn Clock>).await;
    world.database.skew_clock(DAY_MICROS).await;
    clock.0.store(DAY_MICROS, Ordering::SeqCst);
    let during = world.create("ok", CaptureMethod::Automatic).await;
    world.database.skew_clock(0).await;
    clock.0.store(0, Ordering::SeqCst);
    let after = world.create("ok", CaptureMethod::Automatic).await;
    let worker = world.worker();
    for id in [during, after] {
        let payment = world.settled(id).await;
        assert_eq!(payment.state(), PaymentState::Captured);
        assert!(payment.updated_at <= SystemClock.now(), "it says when it happened");
    }
    // What has to be tried again is tried when its pause is over, not when the head's time is reached, nor at once.
    let declined = world.create("fail_5xx_then_ok:2", CaptureMethod::Automatic).await;
    assert_eq!(world.settled(declined).await.state(), PaymentState::Captured);
    world.check_books().await;
    worker.stop().await;
    world.end().await;
}
