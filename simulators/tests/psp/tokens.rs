//! What each token does to requests. What tokens do to webhooks is with the webhooks.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::ground::{Folder, Running, charge_body, charge_path, eventually, path_of};

const CHARGES: &str = "/v1/charges";

#[tokio::test]
async fn declines_say_their_code_and_move_nothing() {
    let folder = Folder::new();
    let psp = Running::start(&folder).await;
    for (key, token, code) in
        [("k1", "decline_hard", "lost_card"), ("k2", "decline:do_not_honor", "do_not_honor")]
    {
        let declined = psp.charge(key, token, true).await;
        assert_eq!(declined.status, StatusCode::PAYMENT_REQUIRED);
        assert_eq!(declined.body["status"], "declined");
        assert_eq!(declined.body["decline"], json!({"code": code, "advice": null}));
        assert_eq!(psp.operation(key).await.body, declined.body);
        let capture = json!({"amount_minor": 1, "final": true});
        let capture = psp.send(&path_of(&declined.body, "captures"), "c", &capture).await;
        assert_eq!((capture.status, capture.code()), (StatusCode::CONFLICT, "charge_declined"));
    }
    assert_eq!(psp.clearing().await, json!({}));
}

#[tokio::test]
async fn soft_declines_are_counted_by_reference() {
    let folder = Folder::new();
    let psp = Running::start(&folder).await;
    for (token, code) in [
        ("decline_soft_then_ok:2", "insufficient_funds"),
        ("decline_soft_then_ok:2:issuer_down", "issuer_down"),
    ] {
        let charge = async |n: u32| {
            let body = charge_body(&format!("pay_{code}"), token, true);
            psp.send(CHARGES, &format!("{code}-{n}"), &body).await
        };
        for n in [1, 1, 2] {
            let declined = charge(n).await;
            assert_eq!(declined.status, StatusCode::PAYMENT_REQUIRED, "{n}");
            assert_eq!(declined.body["decline"]["code"], code);
        }
        assert_eq!(charge(3).await.status, StatusCode::CREATED);
    }
}

#[tokio::test]
async fn errors_are_counted_by_key_and_carry_out_nothing() {
    let folder = Folder::new();
    let psp = Running::start(&folder).await;
    for key in ["k1", "k2"] {
        for _ in 0..2 {
            let failed = psp.charge(key, "fail_5xx_then_ok:2", true).await;
            assert_eq!(failed.status, StatusCode::SERVICE_UNAVAILABLE);
            assert_eq!(psp.operation(key).await.status, StatusCode::NOT_FOUND);
        }
        assert_eq!(psp.charge(key, "fail_5xx_then_ok:2", true).await.status, StatusCode::CREATED);
    }
}

#[tokio::test]
async fn a_timeout_before_carries_out_nothing() {
    let folder = Folder::new();
    let psp = Running::start(&folder).await;
    let body = charge_body("pay_1", "timeout_before", true);
    psp.send_and_give_up(CHARGES, "k1", &body).await;
    assert_eq!(psp.operation("k1").await.status, StatusCode::NOT_FOUND);
    let again = psp.send(CHARGES, "k1", &body).await;
    assert_eq!((again.status, again.replayed), (StatusCode::CREATED, false));
    assert_eq!(psp.clearing().await, json!({"USD": 10_000}));
}

#[tokio::test]
async fn a_timeout_after_the_charge_leaves_it_carried_out() {
    let folder = Folder::new();
    let psp = Running::start(&folder).await;
    let body = charge_body("pay_1", "timeout_after_charge", true);
    psp.send_and_give_up(CHARGES, "k1", &body).await;
    let found = psp.operation("k1").await;
    assert_eq!((found.status, &found.body["status"]), (StatusCode::OK, &json!("succeeded")));
    let again = psp.send(CHARGES, "k1", &body).await;
    assert_eq!((again.status, again.replayed, again.body), (StatusCode::CREATED, true, found.body));
    assert_eq!(psp.clearing().await, json!({"USD": 10_000}));
}

#[tokio::test]
async fn a_reset_breaks_the_connection_after_the_charge() {
    let folder = Folder::new();
    let psp = Running::start(&folder).await;
    let body = charge_body("pay_1", "reset_after_charge", true);
    psp.send_and_be_cut(CHARGES, "k1", &body).await;
    assert_eq!(psp.operation("k1").await.body["status"], "succeeded");
    let again = psp.send(CHARGES, "k1", &body).await;
    assert_eq!((again.status, again.replayed), (StatusCode::CREATED, true));
}

#[tokio::test]
async fn a_slow_answer_takes_that_long() {
    let folder = Folder::new();
    let psp = Running::start(&folder).await;
    let start = Instant::now();
    psp.sold("k1", "slow:300").await;
    assert!(start.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn a_pending_charge_settles_and_allows_nothing_before() {
    let folder = Folder::new();
    let psp = Running::start(&folder).await;
    let refund = json!({"amount_minor": 10_000});
    let charges = AtomicU32::new(0);
    // On a busy machine a charge may settle before its refund comes; then it takes another.
    let (key, charge) = eventually(|| async {
        let key = format!("k{}", charges.fetch_add(1, Ordering::Relaxed));
        let charge = psp.charge(&key, "webhook_only", true).await;
        assert_eq!(charge.status, StatusCode::ACCEPTED);
        assert_eq!(charge.body["status"], "pending");
        let early = psp.send(&path_of(&charge.body, "refunds"), &format!("{key}-r"), &refund).await;
        (early.code() == "operation_pending").then_some((key, charge.body))
    })
    .await;
    psp.comes_to(&key, "succeeded").await;
    let refunded = psp.send(&path_of(&charge, "refunds"), &format!("{key}-r"), &refund).await;
    assert_eq!((refunded.status, refunded.replayed), (StatusCode::CREATED, false));
}

#[tokio::test]
async fn a_status_is_not_found_for_a_while() {
    let folder = Folder::new();
    let psp = Running::start(&folder).await;
    let body = charge_body("pay_1", "status_not_found_for:2500", true);
    let start = Instant::now();
    psp.send_and_give_up(CHARGES, "k1", &body).await;
    assert_eq!(psp.operation("k1").await.status, StatusCode::NOT_FOUND);
    let again = psp.send(CHARGES, "k1", &body).await;
    assert_eq!((again.status, again.replayed), (StatusCode::CREATED, true));
    assert_eq!(psp.operation("k1").await.status, StatusCode::NOT_FOUND);
    let found = psp.comes_to("k1", "succeeded").await;
    assert!(start.elapsed() >= Duration::from_millis(2_500));
    assert_eq!(found, again.body);
}

#[tokio::test]
async fn a_capture_succeeds_and_fails_later() {
    let folder = Folder::new();
    let psp = Running::start(&folder).await;
    let sale = psp.sold("k1", "capture_failed_later").await;
    assert_eq!(psp.comes_to("k1", "failed").await["id"], sale["id"]);
    let charge = psp.authorized("k2", "capture_failed_later").await;
    let capture = json!({"amount_minor": 4_000, "final": false});
    let captured = psp.send(&path_of(&charge, "captures"), "k3", &capture).await;
    assert_eq!(captured.body["status"], "succeeded");
    psp.comes_to("k3", "failed").await;
    assert_eq!(psp.operation("k2").await.body["status"], "succeeded");
    assert_eq!(psp.clearing().await, json!({"USD": 0}));
}

#[tokio::test]
async fn a_refund_fails_at_once_or_later() {
    let folder = Folder::new();
    let psp = Running::start(&folder).await;
    let refund = json!({"amount_minor": 3_000});
    let sale = psp.sold("k1", "refund_fails").await;
    let refused = psp.send(&path_of(&sale, "refunds"), "k2", &refund).await;
    assert_eq!((refused.status, &refused.body["status"]), (StatusCode::CREATED, &json!("failed")));
    let sale = psp.sold("k3", "refund_fails_later").await;
    let refunded = psp.send(&path_of(&sale, "refunds"), "k4", &refund).await;
    assert_eq!(refunded.body["status"], "succeeded");
    psp.comes_to("k4", "failed").await;
    assert_eq!(psp.clearing().await, json!({"USD": 20_000}));
    let charge = psp.get(&charge_path(&sale)).await.body;
    assert_eq!(charge["refunded_minor"], 3_000);
    assert_eq!(charge["refunds_failed_minor"], 3_000);
}

#[tokio::test]
async fn a_part_of_the_amount_is_approved() {
    let folder = Folder::new();
    let psp = Running::start(&folder).await;
    let charge = psp.authorized("k1", "partial_auth:33").await;
    assert_eq!(charge["amount_minor"], 3_300);
    let captures = path_of(&charge, "captures");
    let beyond = psp.send(&captures, "k2", &json!({"amount_minor": 3_301, "final": true})).await;
    assert_eq!((beyond.status, beyond.code()), (StatusCode::CONFLICT, "amount_too_large"));
    psp.sold("k3", "partial_auth:50").await;
    assert_eq!(psp.clearing().await, json!({"USD": 5_000}));
}

#[tokio::test]
async fn while_down_every_request_of_the_reference_is_refused() {
    let folder = Folder::new();
    let psp = Running::start(&folder).await;
    let start = Instant::now();
    for key in ["k1", "k2"] {
        let refused = psp.charge(key, "down_for:2500", true).await;
        assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(psp.operation(key).await.status, StatusCode::SERVICE_UNAVAILABLE);
    }
    let other = psp.send(CHARGES, "k3", &charge_body("pay_2", "ok", true)).await;
    assert_eq!(other.status, StatusCode::CREATED);
    let body = charge_body("pay_1", "down_for:2500", true);
    let up = eventually(|| async {
        let answer = psp.send(CHARGES, "k1", &body).await;
        (answer.status != StatusCode::SERVICE_UNAVAILABLE).then_some(answer)
    })
    .await;
    assert!(start.elapsed() >= Duration::from_millis(2_500));
    assert_eq!((up.status, up.replayed), (StatusCode::CREATED, false));
    assert_eq!(psp.operation("k2").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_suffix_moves_the_fault_to_a_later_operation() {
    let folder = Folder::new();
    let psp = Running::start(&folder).await;
    let capture = json!({"amount_minor": 10_000, "final": true});
    let refund = json!({"amount_minor": 10_000});

    let charge = psp.authorized("a1", "timeout_before@capture").await;
    psp.send_and_give_up(&path_of(&charge, "captures"), "a2", &capture).await;
    assert_eq!(psp.operation("a2").await.status, StatusCode::NOT_FOUND);
    assert_eq!(
        psp.send(&path_of(&charge, "captures"), "a2", &capture).await.status,
        StatusCode::CREATED
    );

    let charge = psp.authorized("b1", "fail_5xx_then_ok:1@void").await;
    let void = async |key: &'static str| psp.send(&path_of(&charge, "void"), key, &json!({})).await;
    assert_eq!(void("b2").await.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(void("b2").await.status, StatusCode::CREATED);

    let sale = psp.sold("c1", "timeout_after_charge@refund").await;
    psp.send_and_give_up(&path_of(&sale, "refunds"), "c2", &refund).await;
    assert_eq!(psp.operation("c2").await.body["kind"], "refund");

    let sale = psp.sold("d1", "reset_after_charge@refund").await;
    psp.send_and_be_cut(&path_of(&sale, "refunds"), "d2", &refund).await;
    assert!(psp.send(&path_of(&sale, "refunds"), "d2", &refund).await.replayed);
    assert_eq!(psp.clearing().await, json!({"USD": 10_000}));
}

#[tokio::test]
async fn a_later_operation_that_is_declined_fails() {
    let folder = Folder::new();
    let psp = Running::start(&folder).await;
    let charge = psp.authorized("k1", "decline_soft_then_ok:1:try_later@capture").await;
    let captures = path_of(&charge, "captures");
    let capture = json!({"amount_minor": 10_000, "final": true});
    let refused = psp.send(&captures, "k2", &capture).await;
    assert_eq!((refused.status, &refused.body["status"]), (StatusCode::CREATED, &json!("failed")));
    assert_eq!(refused.body["decline"]["code"], "try_later");
    let captured = psp.send(&captures, "k3", &capture).await;
    assert_eq!(captured.body["status"], "succeeded");
    assert_eq!(captured.body["decline"], Value::Null);
}
