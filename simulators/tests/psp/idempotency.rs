//! One key, one operation.

use reqwest::StatusCode;
use serde_json::json;

use crate::ground::{Folder, Running, charge_body, eventually, path_of};

#[tokio::test]
async fn a_repetition_gets_the_first_answer_byte_for_byte() {
    let folder = Folder::new();
    let psp = Running::start(&folder).await;
    for (key, token) in [("k1", "ok"), ("k2", "decline_hard"), ("k3", "webhook_only")] {
        let first = psp.charge(key, token, true).await;
        assert!(!first.replayed);
        if token == "webhook_only" {
            psp.comes_to(key, "succeeded").await;
        }
        let again = psp.charge(key, token, true).await;
        assert!(again.replayed, "{token}");
        assert_eq!((again.status, again.text), (first.status, first.text), "{token}");
    }
    assert_eq!(psp.get("/ledger/summary").await.body["charges"], 3);
}

#[tokio::test]
async fn a_key_belongs_to_its_path_and_body() {
    let folder = Folder::new();
    let psp = Running::start(&folder).await;
    let charge = psp.authorized("k1", "ok").await;
    let other_body = psp.charge("k1", "ok", true).await;
    let capture = json!({"amount_minor": 1, "final": true});
    let other_path = psp.send(&path_of(&charge, "captures"), "k1", &capture).await;
    for refused in [other_body, other_path] {
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(refused.code(), "idempotency_key_reused");
    }
    assert_eq!(psp.operation("k1").await.body, charge);
}

#[tokio::test]
async fn a_key_is_in_use_until_its_request_is_answered() {
    let folder = Folder::new();
    let psp = Running::start(&folder).await;
    let slow = psp.charge("k1", "slow:3000", true);
    let meanwhile = async {
        // It is carried out at once, so the query shows when the request has come.
        let found = eventually(|| async {
            let found = psp.operation("k1").await;
            (found.status == StatusCode::OK).then_some(found)
        });
        let found = found.await;
        (found, psp.charge("k1", "slow:3000", true).await)
    };
    let (answered, (found, refused)) = tokio::join!(slow, meanwhile);
    assert_eq!((refused.status, refused.code()), (StatusCode::CONFLICT, "idempotency_key_in_use"));
    assert_eq!((answered.status, &answered.body), (StatusCode::CREATED, &found.body));
    let again = psp.charge("k1", "slow:3000", true).await;
    assert_eq!((again.replayed, again.text), (true, answered.text));
}

#[tokio::test]
async fn a_key_whose_caller_left_is_not_in_use_any_more() {
    let folder = Folder::new();
    let psp = Running::start(&folder).await;
    let body = charge_body("pay_1", "slow:60000", true);
    psp.send_and_give_up("/v1/charges", "k1", &body).await;
    let again = eventually(|| async {
        let again = psp.send("/v1/charges", "k1", &body).await;
        (again.status != StatusCode::CONFLICT).then_some(again)
    })
    .await;
    assert_eq!((again.status, again.replayed), (StatusCode::CREATED, true));
}

#[tokio::test]
async fn many_at_once_under_one_key_are_one_charge() {
    let folder = Folder::new();
    let psp = Running::start(&folder).await;
    let (a, b, c, d) = tokio::join!(
        psp.charge("k1", "ok", true),
        psp.charge("k1", "ok", true),
        psp.charge("k1", "ok", true),
        psp.charge("k1", "ok", true),
    );
    let answers = [a, b, c, d];
    assert_eq!(answers.iter().filter(|answer| !answer.replayed).count(), 1);
    assert!(answers.iter().all(|answer| answer.text == answers[0].text));
    assert_eq!(psp.clearing().await, json!({"USD": 10_000}));
}
