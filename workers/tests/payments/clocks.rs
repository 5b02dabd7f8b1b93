//! A clock that leapt and is right again keeps no payment waiting.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use domain::Timestamp;
use domain::payments::{CaptureMethod, PaymentState, RefundState};
use event_store::{Clock, SystemClock};

use crate::world::World;

const DAY_MICROS: i64 = 86_400_000_000;
/// Shorter than the 20 s that a worker has a payment to itself, longer than until a PSP is asked.
const TAKEN_OVER_MAX: Duration = Duration::from_secs(15);
/// So many that both workers would take some; and shorter than the 10 s that a worker has them to itself.
const WEBHOOKS: i64 = 6;
const PASSED_ON_MAX: Duration = Duration::from_secs(9);

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

#[tokio::test]
async fn what_a_worker_was_at_when_its_clock_leapt_is_taken_over_at_once() {
    let world = World::new().await;
    let clock = Arc::<Ahead>::default();
    let leaping = world.worker_apart_with(Arc::clone(&clock) as Arc<dyn Clock>).await;
    let id = world.create("slow:200", CaptureMethod::Automatic).await;
    world.payment_when(id, "sent", |payment| payment.attempt(1).is_some()).await;
    clock.0.store(DAY_MICROS, Ordering::SeqCst);
    let leapt = Instant::now();
    let right = world.worker();
    let payment = world.settled(id).await;
    assert_eq!(payment.state(), PaymentState::Captured);
    assert!(leapt.elapsed() < TAKEN_OVER_MAX, "after {:?}", leapt.elapsed());
    assert_eq!(world.operations(id).await.len(), 1, "charged once");
    // Nor does it keep webhooks from those whose clocks are right.
    let since = Instant::now();
    for n in 0..WEBHOOKS {
        let body = format!(
            r#"{{"operation":{{"reference":"pay_01h455vb4pex5vsknk084sn02q",
            "idempotency_key":"k{n}","status":"succeeded"}}}}"#
        );
        world.store.keep_webhook("alpha", body).await.expect("kept");
        world.webhooks_reach("dead", n + 1).await;
    }
    assert!(since.elapsed() < PASSED_ON_MAX, "after {:?}", since.elapsed());
    world.check_books().await;
    leaping.stop().await;
    right.stop().await;
    world.end().await;
}

/// The database's clock alone leaps while a worker is at a payment: what is written by it then does not last.
#[tokio::test]
async fn what_the_databases_clock_said_while_it_was_ahead_holds_no_payment_up() {
    let world = World::new().await;
    let worker = world.worker_apart_with(Arc::new(SystemClock)).await;
    let id = world.create("slow:1000", CaptureMethod::Automatic).await;
    world.payment_when(id, "sent", |payment| payment.attempt(1).is_some()).await;
    world.database.skew_clock(DAY_MICROS).await;
    world.leased_for_hours().await;
    world.database.skew_clock(0).await;
    let right = Instant::now();
    let payment = world.settled(id).await;
    assert_eq!(payment.state(), PaymentState::Captured);
    assert!(right.elapsed() < TAKEN_OVER_MAX, "after {:?}", right.elapsed());
    assert_eq!(world.operations(id).await.len(), 1, "charged once");
    world.check_books().await;
    worker.stop().await;
    world.end().await;
}

/// Both clocks leap together, as on one machine: what is asked for afterwards is carried out at once.
#[tokio::test]
async fn what_was_carried_out_while_all_clocks_were_ahead_goes_on_at_once() {
    let clock = Arc::<Ahead>::default();
    let world = World::with_clock(Arc::clone(&clock) as Arc<dyn Clock>).await;
    let worker = world.worker();
    let ahead = 8 * DAY_MICROS;
    world.database.skew_clock(ahead).await;
    clock.0.store(ahead, Ordering::SeqCst);
    let id = world.create("ok", CaptureMethod::Automatic).await;
    assert_eq!(world.settled(id).await.state(), PaymentState::Captured);
    world.database.skew_clock(0).await;
    clock.0.store(0, Ordering::SeqCst);
    let right = Instant::now();
    let refund_id = world.refund(id).await;
    let payment = world.settled(id).await;
    let refund = payment.refund(refund_id).expect("the refund");
    assert_eq!(refund.state(), RefundState::Succeeded);
    assert!(right.elapsed() < TAKEN_OVER_MAX, "after {:?}", right.elapsed());
    world.check_books().await;
    worker.stop().await;
    world.end().await;
}

#[tokio::test]
async fn a_payment_that_is_due_for_more_than_a_minute_is_counted_as_overdue() {
    let world = World::new().await;
    world.create("ok", CaptureMethod::Automatic).await;
    let head = *world.store.head().borrow();
    world.queue_follows(head).await;
    world.database.skew_clock(50_000_000).await;
    assert_eq!(world.overdue().await, 0);
    world.database.skew_clock(65_000_000).await;
    assert_eq!(world.overdue().await, 1, "nobody carries it out");
    world.end().await;
}
