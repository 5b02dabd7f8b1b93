//! The same request again: the same answer, byte for byte.

use serde_json::{Value, json};

use crate::actors::entry;
use crate::answers::Answer;
use crate::app::{App, Service};

const ENTRIES: &str = "/v1/ledger/entries";

/// Status, body and all headers but those that are about the one request.
fn lasting(answer: &Answer) -> (u16, String, Vec<(String, String)>) {
    let about_the_request = ["idempotent-replayed", "ratelimit", "x-correlation-id"];
    let headers = (answer.headers.iter())
        .filter(|(name, _)| !about_the_request.contains(&name.as_str()))
        .map(|(name, value)| (name.to_string(), value.to_str().expect("a text").to_owned()))
        .collect();
    (answer.status, answer.body.clone(), headers)
}

#[tokio::test]
async fn a_repetition_gets_the_first_answer_here_and_elsewhere() {
    let app = App::new().await;
    let elsewhere = Service::on(&app.database).await;
    let (cash, sales) =
        (app.merchant.open("cash", Some("0.00")).await, app.merchant.open("sales", None).await);
    let posted = entry("r1", &cash, &sales, "10.00");
    let overdrawn = entry("r2", &sales, &cash, "10.01");
    let account = json!({"code": "bank", "type": "asset", "currency": "USD"});
    let freeze = format!("/v1/accounts/{sales}/freeze");
    let commands: [(&str, &Value, u16); 6] = [
        (ENTRIES, &posted, 201),
        (ENTRIES, &overdrawn, 409),
        ("/v1/accounts", &account, 201),
        (&freeze, &json!({}), 200),
        (&freeze, &json!({"a": 1}), 422),
        ("/v1/ledger/entries/ent_00000000000000000000000001/reverse", &json!({}), 404),
    ];
    let mut first_answers = Vec::new();
    for (index, (path, body, status)) in commands.into_iter().enumerate() {
        let key = format!("key-{index}");
        let first = app.merchant.post_with_key(path, body, &key).await.expect(status);
        assert_eq!(first.header("idempotent-replayed"), "");
        first_answers.push((path, body, key, first));
    }
    let written = app.written().await;
    for (path, body, key, first) in &first_answers {
        for caller in [&app.merchant, &elsewhere.called_by(&app.merchant)] {
            let again = caller.request("POST", path).body(body.to_string()).key(key);
            let again = again.header("x-correlation-id", "another-request").send().await;
            let replayed = if first.status == 422 { "" } else { "true" };
            assert_eq!(again.header("idempotent-replayed"), replayed, "{again}");
            if first.status != 422 {
                assert_eq!(lasting(&again), lasting(first));
                assert_eq!(again.header("x-correlation-id"), "another-request");
            }
        }
    }
    assert_eq!(app.written().await, written, "nothing more was written");
}

#[tokio::test]
async fn a_key_is_for_one_request() {
    let app = App::new().await;
    let (cash, sales) =
        (app.merchant.open("cash", None).await, app.merchant.open("sales", None).await);
    let posted = entry("r1", &cash, &sales, "10.00");
    app.merchant.post_with_key(ENTRIES, &posted, "k").await.expect(201);
    let written = app.written().await;
    let other_body = entry("r1", &cash, &sales, "10.01");
    let reused = app.merchant.post_with_key(ENTRIES, &other_body, "k").await;
    insta::assert_snapshot!(reused);
    let freeze = format!("/v1/accounts/{cash}/freeze");
    app.merchant.post_with_key(&freeze, &json!({}), "k").await.expect(422);
    let blanks = app.merchant.request("POST", ENTRIES).key("k").body(format!("{posted} "));
    blanks.send().await.expect(422);
    assert_eq!(app.written().await, written);
    // Another merchant's key of the same name is another key.
    let theirs = json!({"code": "cash", "type": "asset", "currency": "USD"});
    app.other_merchant.post_with_key("/v1/accounts", &theirs, "k").await.expect(201);
}

#[tokio::test]
async fn what_was_refused_before_it_was_decided_may_be_mended_under_the_same_key() {
    let app = App::new().await;
    let wrong = json!({"code": "cash", "type": "asset", "currency": "US"});
    app.merchant.post_with_key("/v1/accounts", &wrong, "k").await.expect(422);
    let right = json!({"code": "cash", "type": "asset", "currency": "USD"});
    app.merchant.post_with_key("/v1/accounts", &right, "k").await.expect(201);
}

#[tokio::test]
async fn a_stored_refusal_keeps_the_name_of_the_first_request() {
    let app = App::new().await;
    let (cash, sales) =
        (app.merchant.open("cash", Some("0")).await, app.merchant.open("x", None).await);
    let overdrawn = entry("r1", &sales, &cash, "1.00").to_string();
    let post = |name: &'static str| {
        let sending = app.merchant.request("POST", ENTRIES).key("k").body(overdrawn.clone());
        sending.header("x-correlation-id", name).send()
    };
    let first = post("first").await.expect(409);
    let again = post("second").await.expect(409);
    assert_eq!(first.text("correlation_id"), "first");
    assert_eq!(again.body, first.body);
    assert_eq!(again.header("content-type"), "application/problem+json");
    assert_eq!(again.position(), first.position());
}
