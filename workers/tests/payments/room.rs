//! Whatever was charged is booked, however much there is already; and what cannot be recorded is not tried in a
//! tight circle.

use std::time::Duration;

use domain::payments::{CaptureMethod, PaymentPolicy, PaymentState};
use domain::{AMOUNT_MINOR_MAX, Amount, Timestamp};
use time::OffsetDateTime;
use tokio_util::sync::CancellationToken;

use crate::world::{Process, World, carried_out, policy};

/// So many captures of the largest amount are more than 64 bits hold.
const CAPTURES: usize = 1_025;

#[tokio::test(flavor = "multi_thread")]
async fn no_number_of_captures_keeps_another_merchants_payment_from_being_booked() {
    let world = World::new().await;
    let worker = world.worker();
    let unidad = "CLF".parse().expect("a currency");
    let most = Amount::from_minor(AMOUNT_MINOR_MAX, unidad).expect("an amount");
    let mut payments = Vec::with_capacity(CAPTURES);
    for _ in 0..CAPTURES {
        payments.push(world.create_at("alpha", "ok", most).await);
    }
    for payment in payments {
        assert_eq!(world.settled(payment).await.state(), PaymentState::Captured);
    }
    let sum = i128::from(AMOUNT_MINOR_MAX) * 1_025;
    assert!(sum > i128::from(i64::MAX));
    assert_eq!(world.balance_minor("psp_clearing:alpha:CLF").await, sum);

    let other = world.another_merchant().await;
    let one = Amount::parse("1.0000", unidad).expect("an amount");
    let payment = world.create_for(other, "alpha", "ok", one).await;
    assert_eq!(world.settled(payment).await.state(), PaymentState::Captured);
    assert_eq!(world.balance_minor("psp_clearing:alpha:CLF").await, sum + 10_000);
    assert_eq!(world.shown_balance("psp_clearing:alpha:CLF").await, (sum + 10_000).to_string());
    worker.stop().await;
    world.end().await;
}

/// What makes the database refuse a capture; and what lets it take captures again.
const REFUSE: &str = "
    create function refuse_captures() returns trigger language plpgsql as
        $$ begin raise exception 'no captures now'; end $$;
    create trigger refuse_captures before insert on events for each row
        when (new.event_type = 'payment.captured') execute function refuse_captures()";
const TAKE: &str = "drop trigger refuse_captures on events";

/// For about how many seconds nobody looks at any payment.
async fn left_alone_s(world: &World) -> i64 {
    let mut owner = world.database.owner().await;
    let until: OffsetDateTime = sqlx::query_scalar("select max(until) from payment_leases")
        .fetch_one(&mut owner)
        .await
        .expect("a lease");
    let now = world.store.clock().now();
    (Timestamp::from_datetime(until).micros() - now.micros() + 500_000) / 1_000_000
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_recorded_is_left_alone_for_ever_longer_and_is_booked_once_it_can_be() {
    let mut world = World::new().await;
    world.psps.policy = PaymentPolicy { ask_after_ms: 1, ask_pause_ms: 1, ..policy() };
    let mut owner = world.database.owner().await;
    sqlx::raw_sql(REFUSE).execute(&mut owner).await.expect("refuses");
    let payment = world.create("ok", CaptureMethod::Automatic).await;
    let Process { payments, store, sequencer, .. } = world.process().await;
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(sequencer.run(shutdown.clone()));
    for seconds in [20, 40, 80] {
        assert_eq!(payments.pass().await.expect("the queue is there"), 1);
        let alone = left_alone_s(&world).await;
        assert!((seconds - 2..=seconds).contains(&alone), "{alone}, not {seconds}");
        assert_eq!(payments.pass().await.expect("the queue is there"), 0);
        world.release_leases().await;
        let appended = *store.head().borrow();
        world.queue_follows(appended).await;
        // What is asked for is due a millisecond after it was sent.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(world.balance_minor("psp_clearing:alpha:USD").await, 0);
    sqlx::raw_sql(TAKE).execute(&mut owner).await.expect("takes");
    assert_eq!(payments.pass().await.expect("the queue is there"), 1);
    let settled = world.settled(payment).await;
    assert_eq!(settled.state(), PaymentState::Captured);
    let operations = world.operations(payment).await;
    assert_eq!(carried_out(&operations, "sale"), 1, "charged once, whatever became of the answer");
    world.check_books().await;
    shutdown.cancel();
    running.await.expect("it stops");
    world.end().await;
}
