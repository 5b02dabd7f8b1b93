//! What is told of operations, and what tokens do to it. Every receiver here checks signatures.

use serde_json::{Value, json};
use simulators::psp::signature;

use crate::ground::{Folder, Running, path_of};
use crate::receiver::Receiver;

async fn start() -> (Folder, Receiver, Running) {
    let (folder, receiver) = (Folder::new(), Receiver::start().await);
    let psp = Running::start_with(&folder, Some(receiver.target())).await;
    (folder, receiver, psp)
}

fn types(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["type"].as_str().expect("a type")).collect()
}

#[test]
fn the_signature_is_the_known_one() {
    let body = br#"{"id":"evt_test_1","object":"event","type":"payment_intent.succeeded"}"#;
    assert_eq!(
        signature("whsec_test_secret", 1_700_000_000, body),
        "t=1700000000,v1=871acfe933554b446cc41d791076dd56a10c0553cc61aafbeb881d0082b45043"
    );
}

#[tokio::test]
async fn an_event_tells_of_the_operation() {
    let (_folder, receiver, psp) = start().await;
    let sale = psp.sold("k1", "ok").await;
    let events = receiver.first(1).await;
    let id = sale["id"].as_str().expect("an id").replace("op_", "evt_") + "_succeeded";
    let expected = json!({
        "id": id,
        "type": "charge.captured",
        "created_at": sale["created_at"],
        "operation": sale,
    });
    assert_eq!(events, [expected]);
}

#[tokio::test]
async fn each_end_of_an_operation_has_its_event() {
    let (_folder, receiver, psp) = start().await;
    psp.charge("k1", "decline_hard", true).await;
    assert_eq!(types(&receiver.first(1).await)[0..], ["charge.declined"]);
    let charge = psp.authorized("k2", "ok").await;
    assert_eq!(types(&receiver.first(2).await)[1..], ["charge.authorized"]);
    psp.send(&path_of(&charge, "void"), "k3", &json!({})).await;
    assert_eq!(types(&receiver.first(3).await)[2..], ["charge.voided"]);
    let charge = psp.authorized("k4", "refund_fails").await;
    receiver.first(4).await;
    let capture = json!({"amount_minor": 10_000, "final": true});
    psp.send(&path_of(&charge, "captures"), "k5", &capture).await;
    assert_eq!(types(&receiver.first(5).await)[4..], ["charge.captured"]);
    psp.send(&path_of(&charge, "refunds"), "k6", &json!({"amount_minor": 1})).await;
    assert_eq!(types(&receiver.first(6).await)[5..], ["refund.failed"]);
    let sale = psp.sold("k7", "ok").await;
    receiver.first(7).await;
    psp.send(&path_of(&sale, "refunds"), "k8", &json!({"amount_minor": 1})).await;
    assert_eq!(types(&receiver.first(8).await)[7..], ["refund.succeeded"]);
}

#[tokio::test]
async fn a_later_change_has_an_event_of_its_own() {
    let (_folder, receiver, psp) = start().await;
    let sale = psp.sold("k1", "capture_failed_later").await;
    let events = receiver.first(2).await;
    assert_eq!(types(&events), ["charge.captured", "capture.failed"]);
    assert_eq!(events[0]["operation"], sale);
    assert_eq!(events[1]["operation"]["status"], "failed");
    assert_ne!(events[0]["id"], events[1]["id"]);

    let sale = psp.sold("k2", "refund_fails_later").await;
    receiver.first(3).await;
    psp.send(&path_of(&sale, "refunds"), "k3", &json!({"amount_minor": 1})).await;
    let events = receiver.first(5).await;
    assert_eq!(types(&events)[3..], ["refund.succeeded", "refund.failed"]);
}

#[tokio::test]
async fn what_is_only_told_by_webhook_is_told_once_it_is_settled() {
    let (_folder, receiver, psp) = start().await;
    psp.charge("k1", "webhook_only", true).await;
    let events = receiver.first(1).await;
    assert_eq!(types(&events), ["charge.captured"]);
    assert_eq!(events[0]["operation"], psp.operation("k1").await.body);
    assert_eq!(events[0]["operation"]["status"], "succeeded");
}

#[tokio::test]
async fn a_refused_event_is_sent_again_under_the_same_id() {
    let (folder, receiver) = (Folder::new(), Receiver::refusing_first(3).await);
    let psp = Running::start_with(&folder, Some(receiver.target())).await;
    let sale = psp.sold("k1", "ok").await;
    assert_eq!(receiver.first(1).await[0]["operation"], sale);
}

#[tokio::test]
async fn duplicated_events_are_the_same() {
    let (_folder, receiver, psp) = start().await;
    psp.sold("k1", "webhook_dup:3").await;
    let events = receiver.first(3).await;
    assert!(events.iter().all(|event| *event == events[0]));
    // Not more than three, or the fourth would not be another charge's.
    psp.sold("k2", "ok").await;
    assert_eq!(receiver.first(4).await[3]["operation"]["idempotency_key"], "k2");
}

#[tokio::test]
async fn events_out_of_order_are_overtaken_by_the_next() {
    let (_folder, receiver, psp) = start().await;
    let charge = psp.authorized("k1", "webhook_ooo").await;
    let capture = json!({"amount_minor": 10_000, "final": true});
    psp.send(&path_of(&charge, "captures"), "k2", &capture).await;
    let events = receiver.first(2).await;
    assert_eq!(types(&events), ["charge.captured", "charge.authorized"]);
    // A third has nothing behind it and comes in the end.
    psp.send(&path_of(&charge, "refunds"), "k3", &json!({"amount_minor": 1})).await;
    assert_eq!(types(&receiver.first(3).await)[2..], ["refund.succeeded"]);
}

#[tokio::test]
async fn lost_events_do_not_come() {
    let (_folder, receiver, psp) = start().await;
    let lost = psp.authorized("k1", "webhook_lost").await;
    let capture = json!({"amount_minor": 10_000, "final": true});
    psp.send(&path_of(&lost, "captures"), "k2", &capture).await;
    let moved = psp.authorized("k3", "webhook_lost@capture").await;
    psp.send(&path_of(&moved, "captures"), "k4", &capture).await;
    psp.sold("k5", "ok").await;
    let comes_last = |events: &Vec<Value>| {
        events.iter().any(|event| event["operation"]["idempotency_key"] == "k5")
    };
    receiver.until(comes_last).await;
    let mut keys: Vec<_> = receiver.first(2).await;
    keys.iter_mut().for_each(|event| *event = event["operation"]["idempotency_key"].take());
    keys.sort_by_key(Value::to_string);
    assert_eq!(keys, ["k3", "k5"]);
}

#[tokio::test]
async fn every_event_of_many_comes() {
    let (folder, receiver, psp) = start().await;
    for n in 0..100 {
        psp.sold(&format!("k{n}"), "ok").await;
    }
    let events = receiver.first(100).await;
    let ids: std::collections::BTreeSet<_> =
        events.iter().map(|event| event["id"].to_string()).collect();
    assert_eq!(ids.len(), 100);
    let delivered =
        || async { (folder.lines().matches("\"delivered\"").count() == 100).then_some(()) };
    crate::ground::eventually(delivered).await;
}
