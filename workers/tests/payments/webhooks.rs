//! What PSPs say unasked: signed by them, over real HTTP; duplicated, reversed, lost, late.

use domain::payments::{CaptureMethod, Payment, PaymentPolicy, PaymentState, RefundState};
use event_store::WebhookOutcome;

use crate::world::{World, carried_out, policy};

#[tokio::test]
async fn a_capture_that_fails_later_is_undone() {
    let world = World::new().await;
    let worker = world.worker();
    let id = world.create("capture_failed_later", CaptureMethod::Automatic).await;
    let failed = |payment: &Payment| payment.state() == PaymentState::CaptureFailed;
    let payment = world.payment_when(id, "undone", failed).await;
    assert_eq!(payment.amounts().captured_minor, 0);
    assert_eq!(world.balance_minor("fee_income:USD").await, 0, "the fee goes back as well");
    world.check_books().await;
    worker.stop().await;
    world.end().await;
}

#[tokio::test]
async fn a_refund_that_fails_later_is_undone() {
    let world = World::new().await;
    let worker = world.worker();
    let id = world.create("refund_fails_later", CaptureMethod::Automatic).await;
    world.settled(id).await;
    let refund_id = world.refund(id).await;
    let failed = |payment: &Payment| {
        payment.refund(refund_id).is_some_and(|refund| refund.state() == RefundState::Failed)
    };
    let payment = world.payment_when(id, "undone", failed).await;
    assert_eq!(payment.amounts().refundable_minor, 10_000, "it may be tried again");
    world.check_books().await;
    worker.stop().await;
    world.end().await;
}

#[tokio::test]
async fn repeated_reversed_and_lost_webhooks_do_no_harm() {
    let world = World::new().await;
    let worker = world.worker();
    for token in ["webhook_dup:3", "webhook_ooo", "webhook_lost"] {
        let id = world.create(token, CaptureMethod::Automatic).await;
        assert_eq!(world.settled(id).await.state(), PaymentState::Captured, "{token}");
        assert_eq!(carried_out(&world.operations(id).await, "sale"), 1, "{token}");
    }
    world.check_books().await;
    assert_eq!(world.webhooks_in("dead").await, 0);
    worker.stop().await;
    world.end().await;
}

/// The PSP charges, says nothing, and denies it for longer than its keys are kept.
#[tokio::test]
async fn a_charge_that_turns_up_after_it_was_given_up_goes_back() {
    let mut world = World::new().await;
    world.psps.policy = PaymentPolicy {
        not_found_grace_ms: 100,
        keys_kept_ms: 150,
        late_check_pause_ms: 3_000,
        ..policy()
    };
    for psp in &mut world.psps.psps {
        // One try and no more, or its repetition would be told.
        psp.timeouts.total_ms = psp.timeouts.request_ms;
    }
    let worker = world.worker();
    let id = world.create("status_not_found_for:2500", CaptureMethod::Automatic).await;
    let given_up = |payment: &Payment| payment.state() == PaymentState::Failed;
    world.payment_when(id, "given up", given_up).await;
    let payment = world.settled(id).await;
    assert_eq!(payment.state(), PaymentState::Failed, "what the merchant was told holds");
    assert_eq!(payment.late.len(), 1, "{payment:#?}");
    let operations = world.operations(id).await;
    assert_eq!(carried_out(&operations, "sale"), 1);
    assert_eq!(carried_out(&operations, "refund"), 1, "it went back");
    for psp in &world.psps.psps {
        let unexpected = format!("unexpected_receipts:{}:USD", psp.name);
        assert_eq!(world.balance_minor(&unexpected).await, 0);
    }
    world.check_books().await;
    worker.stop().await;
    world.end().await;
}

#[tokio::test]
async fn what_cannot_be_worked_off_is_a_dead_letter_until_it_is_replayed() {
    let world = World::new().await;
    let worker = world.worker();
    let garbled = world.store.keep_webhook("alpha", &b"garbled"[..]).await.expect("kept");
    let unknown = br#"{"operation":{"reference":"pay_01h455vb4pex5vsknk084sn02q",
        "idempotency_key":"k","status":"succeeded"}}"#;
    world.store.keep_webhook("alpha", &unknown[..]).await.expect("kept");
    world.store.keep_webhook("nobody", &b"{}"[..]).await.expect("kept");
    world.webhooks_reach("dead", 3).await;
    assert!(world.store.replay_webhook(garbled).await.expect("replays"));
    world.webhooks_reach("dead", 3).await;
    worker.stop().await;
    world.end().await;
}

/// As a constraint does of which the domain knows nothing.
#[tokio::test]
async fn a_webhook_of_which_the_log_refuses_what_it_says_is_a_dead_letter() {
    let world = World::new().await;
    let worker = world.worker();
    let id = world.create("ok", CaptureMethod::Automatic).await;
    let payment = world.settled(id).await;
    world.webhooks_settle().await;
    let mut owner = world.database.owner().await;
    let refuse =
        "alter table events add constraint unnotified check (event_type <> 'payment.psp_notified')";
    sqlx::query(refuse).execute(&mut owner).await.expect("altered");
    world.claim_failure(&payment.attempts[0], id).await;
    world.webhooks_reach("dead", 1).await;
    assert_eq!(world.notified().await, 0);
    worker.stop().await;
    world.end().await;
}

#[tokio::test]
async fn what_was_concluded_of_a_webhook_is_not_overwritten() {
    let world = World::new().await;
    world.store.keep_webhook("alpha", &b"{}"[..]).await.expect("kept");
    let claimed = world.store.claim_webhooks(1).await.expect("claims");
    let webhook = claimed.into_iter().next().expect("a webhook");
    let conclude = async |outcome| {
        let concluded = [(webhook.clone(), outcome)];
        world.store.conclude_webhooks(&concluded).await.expect("concludes");
    };
    conclude(WebhookOutcome::Dead { reason: "unreadable".to_owned() }).await;
    // By a worker that had it before, and whose claim ran out.
    conclude(WebhookOutcome::Waiting).await;
    assert_eq!(world.webhooks_in("dead").await, 1);
    assert_eq!(world.store.claim_webhooks(1).await.expect("claims"), []);
    world.end().await;
}
