//! Entries and their reversal.

use serde_json::{Map, Value, json};

use crate::actors::{Actor, entry};
use crate::app::App;

/// How much of the answer is kept with every entry, for 72 hours: with a reference like a UUID.
const STORED_ANSWER_BYTES_MAX: usize = 200;

async fn cash_and_sales(actor: &Actor) -> (String, String) {
    (actor.open("cash", Some("0.00")).await, actor.open("sales", None).await)
}

#[tokio::test]
async fn an_entry_is_posted_and_its_answer_is_small() {
    let app = App::new().await;
    let (cash, sales) = cash_and_sales(&app.merchant).await;
    let mut order = entry("0190a1f0-7c3e-7d2a-9f6b-3e8d5c1a2b4c", &cash, &sales, "10.00");
    order["description"] = json!("Order 1042");
    order["metadata"] = json!({"order": "1042"});
    let posted = app.merchant.post_entry(&order).await;
    insta::assert_snapshot!(posted);
    assert!(posted.body.len() <= STORED_ANSWER_BYTES_MAX, "{} bytes", posted.body.len());
    assert_eq!(app.balance_minor(&cash).await, 1_000);
}

#[tokio::test]
async fn the_position_of_the_answer_is_that_of_the_event_and_the_event_names_the_request() {
    let app = App::new().await;
    let (cash, sales) = cash_and_sales(&app.merchant).await;
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let posted = app
        .merchant
        .request("POST", "/v1/ledger/entries")
        .body(entry("r1", &cash, &sales, "1.00").to_string())
        .header("traceparent", trace)
        .header("x-correlation-id", "order-1042")
        .key("key-1042")
        .send()
        .await
        .expect(201);
    assert_eq!(posted.header("traceparent"), trace);
    let (event_type, metadata) = app.event_at(posted.position()).await;
    assert_eq!(event_type, "ledger.entry_posted");
    assert_eq!(metadata["correlation_id"], "order-1042");
    assert_eq!(metadata["traceparent"], trace);
    assert_eq!(metadata["idempotency_key"], "key-1042");
    assert!(metadata["actor"].as_str().is_some_and(|actor| actor.starts_with("key_")));
}

#[tokio::test]
async fn a_reference_names_one_entry_whatever_the_key() {
    let app = App::new().await;
    let (cash, sales) = cash_and_sales(&app.merchant).await;
    let order = entry("order-1", &cash, &sales, "10.00");
    let first = app.merchant.post_entry(&order).await.expect(201);
    let same = app.merchant.post_entry(&order).await.expect(200);
    assert_eq!(same.body, first.body);
    assert_eq!(same.header("idempotent-replayed"), "", "it is another request");
    let other = app.merchant.post_entry(&entry("order-1", &cash, &sales, "10.01")).await;
    insta::assert_snapshot!(other);
    assert_eq!(app.balance_minor(&cash).await, 1_000);
    let (theirs, counter) = cash_and_sales(&app.other_merchant).await;
    let theirs = entry("order-1", &theirs, &counter, "7.00");
    app.other_merchant.post_entry(&theirs).await.expect(201);
}

#[tokio::test]
async fn an_entry_is_reversed_once() {
    let app = App::new().await;
    let (cash, sales) = cash_and_sales(&app.merchant).await;
    let posted = app.merchant.post_entry(&entry("r1", &cash, &sales, "10.00")).await.expect(201);
    let path = format!("/v1/ledger/entries/{}/reverse", posted.text("id"));
    let reversal = json!({"external_ref": "r1-back", "description": "Cancelled",
                          "metadata": {"reason": "cancelled"}});
    let reversed = app.merchant.post(&path, &reversal).await;
    insta::assert_snapshot!("reversed", reversed);
    assert_eq!(reversed.text("reverses"), posted.text("id"));
    assert_eq!(app.balance_minor(&cash).await, 0);
    let (event_type, _) = app.event_at(reversed.position()).await;
    assert_eq!(event_type, "ledger.entry_reversed", "the last event of the command");
    insta::assert_snapshot!("reversed_twice", app.merchant.post(&path, &json!({})).await);
    let back = format!("/v1/ledger/entries/{}/reverse", reversed.text("id"));
    let final_one = app.merchant.post(&back, &json!({})).await.expect(409);
    assert_eq!(final_one.text("code"), "reversal-is-final");
}

#[tokio::test]
async fn a_reversal_needs_no_body() {
    let app = App::new().await;
    let (cash, sales) = cash_and_sales(&app.merchant).await;
    for (reference, body) in [("r1", ""), ("r2", "null"), ("r3", "{}")] {
        let order = entry(reference, &cash, &sales, "10.00");
        let id = app.merchant.post_entry(&order).await.expect(201).text("id");
        let path = format!("/v1/ledger/entries/{id}/reverse");
        let reversed = app.merchant.request("POST", &path).body(body).send().await.expect(201);
        assert_eq!(reversed.text("external_ref"), format!("reversal:{id}"));
    }
}

#[tokio::test]
async fn an_entry_that_would_overdraw_is_refused() {
    let app = App::new().await;
    let (cash, sales) = cash_and_sales(&app.merchant).await;
    let refused = app.merchant.post_entry(&entry("r1", &sales, &cash, "0.01")).await;
    insta::assert_snapshot!(refused);
}

#[tokio::test]
async fn the_largest_entry_there_is_fits() {
    let app = App::new().await;
    let (cash, sales) = cash_and_sales(&app.merchant).await;
    let mut large = entry(&"r".repeat(255), &cash, &sales, "9007199254740.91");
    let pair = large["postings"].as_array().expect("postings").clone();
    large["postings"] = pair.iter().cycle().take(1_000).cloned().collect();
    large["description"] = json!("𝄞".repeat(255));
    let texts = (10..60).map(|n| (format!("{n}{}", "𝄞".repeat(62)), json!("𝄞".repeat(500))));
    large["metadata"] = Value::Object(texts.collect::<Map<_, _>>());
    let indented = serde_json::to_string_pretty(&large).expect("JSON");
    let posted = app.merchant.request("POST", "/v1/ledger/entries").body(indented).send().await;
    posted.expect(201);
}
