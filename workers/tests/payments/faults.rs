//! What a PSP may do to a payment: each ends as it should, charged at most once, booked as the PSP has it.

use domain::payments::{AttemptConclusion, CaptureMethod, PaymentState, RefundState};

use crate::world::{World, carried_out};

/// A sale with this token ends in `state`, after `charges` charges at the PSPs.
async fn check_sale(token: &str, state: PaymentState, charges: usize) {
    let world = World::new().await;
    let worker = world.worker();
    let id = world.create(token, CaptureMethod::Automatic).await;
    let payment = world.settled(id).await;
    assert_eq!(payment.state(), state, "{token}: {:#?}", payment.attempts);
    let operations = world.operations(id).await;
    assert_eq!(carried_out(&operations, "sale"), charges, "{token}: {operations:#?}");
    let succeeded = payment
        .attempts
        .iter()
        .filter(|attempt| matches!(attempt.conclusion, Some(AttemptConclusion::Succeeded { .. })));
    assert_eq!(succeeded.count(), charges, "{token}");
    world.check_books().await;
    worker.stop().await;
    world.end().await;
}

macro_rules! sales {
    ($($name:ident: $token:literal ends $state:ident after $charges:literal;)*) => {
        $(#[tokio::test]
        async fn $name() {
            check_sale($token, PaymentState::$state, $charges).await;
        })*
    };
}

sales! {
    a_hard_decline_is_final: "decline_hard" ends Declined after 0;
    a_decline_that_another_method_would_cure_asks_for_one: "decline:expired_card" ends RequiresMethod after 0;
    a_soft_decline_is_tried_again: "decline_soft_then_ok:2" ends Captured after 1;
    soft_declines_end_with_their_schedule: "decline_soft_then_ok:40" ends Declined after 0;
    a_psp_that_fails_twice_is_asked_a_third_time: "fail_5xx_then_ok:2" ends Captured after 1;
    a_psp_that_fails_for_longer_than_a_call_leaves_it_unknown_and_then_known: "fail_5xx_then_ok:7" ends Captured after 1;
    a_request_that_never_arrives_is_sent_again: "timeout_before" ends Captured after 1;
    a_charge_of_which_the_answer_is_lost_is_found: "timeout_after_charge" ends Captured after 1;
    a_charge_of_which_the_connection_breaks_is_found: "reset_after_charge" ends Captured after 1;
    a_slow_psp_is_waited_for: "slow:700" ends Captured after 1;
    what_the_psp_says_later_is_asked_for: "webhook_only" ends Captured after 1;
    what_the_psp_does_not_know_of_yet_is_asked_for_again: "status_not_found_for:400" ends Captured after 1;
    less_than_was_asked_for_is_what_is_booked: "partial_auth:40" ends Captured after 1;
    a_psp_that_is_down_for_one_is_waited_for: "down_for:1200" ends Captured after 1;
}

/// A refund at a PSP that behaves like this ends in `state`, carried out `refunds` times.
async fn check_refund(token: &str, state: RefundState, refunds: usize) {
    let world = World::new().await;
    let worker = world.worker();
    let id = world.create(token, CaptureMethod::Automatic).await;
    assert_eq!(world.settled(id).await.state(), PaymentState::Captured, "{token}");
    let refund_id = world.refund(id).await;
    let payment = world.settled(id).await;
    let refund = payment.refund(refund_id).expect("the refund");
    assert_eq!(refund.state(), state, "{token}: {refund:#?}");
    let operations = world.operations(id).await;
    assert_eq!(carried_out(&operations, "refund"), refunds, "{token}: {operations:#?}");
    world.check_books().await;
    worker.stop().await;
    world.end().await;
}

macro_rules! refunds {
    ($($name:ident: $token:literal ends $state:ident after $refunds:literal;)*) => {
        $(#[tokio::test]
        async fn $name() {
            check_refund($token, RefundState::$state, $refunds).await;
        })*
    };
}

refunds! {
    a_refund_that_is_refused_has_failed_and_is_not_booked: "refund_fails" ends Failed after 0;
    a_refund_of_which_the_answer_is_lost_is_found: "timeout_after_charge@refund" ends Succeeded after 1;
    a_refund_that_never_arrives_is_sent_again: "timeout_before@refund" ends Succeeded after 1;
    a_refund_at_a_failing_psp_is_made_once: "fail_5xx_then_ok:4@refund" ends Succeeded after 1;
}
