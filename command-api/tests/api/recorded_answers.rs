//! Answers made again from the log after their rows were lost.

use domain::Timestamp;
use event_store::rebuild::idempotency_keys;
use serde_json::json;

use crate::actors::entry;
use crate::app::{App, Service};

const ROWS: &str = "select string_agg(k::text, E'\\n' order by position, key) \
    from idempotency_keys k where status < 300";

/// A request of every kind that appends events.
async fn everything(app: &App) -> (String, String) {
    let fees = json!({"percent": "1.5", "fixed": [{"amount": "0.30", "currency": "USD"}],
                      "rounding": "half_even"});
    let merchant = json!({"name": "Kedai", "fees": fees});
    app.operator.post("/v1/merchants", &merchant).await.expect(201);
    let key = json!({"role": "auditor", "label": "the books"});
    let key = app.operator.post("/v1/api-keys", &key).await.expect(201).text("id");
    app.operator.delete(&format!("/v1/api-keys/{key}")).await.expect(200);
    let cash = app.merchant.open("cash", Some("-5.00")).await;
    let sales = app.merchant.open("sales", None).await;
    let old = app.merchant.open("old", None).await;
    for change in ["freeze", "unfreeze", "close"] {
        let path = format!("/v1/accounts/{old}/{change}");
        app.merchant.request("POST", &path).send().await.expect(200);
    }
    let sale = entry("order-1", &cash, &sales, "10.00");
    let entry_id = app.merchant.post_entry(&sale).await.expect(201).text("id");
    let reversal = json!({"description": "never mind"});
    let path = format!("/v1/ledger/entries/{entry_id}/reverse");
    app.merchant.post(&path, &reversal).await.expect(201);
    (cash, sales)
}

#[tokio::test]
async fn every_answer_is_the_first_one_again() {
    let app = App::new().await;
    let (cash, sales) = everything(&app).await;
    let sale = entry("order-2", &cash, &sales, "20.00");
    let first = app.merchant.post_with_key("/v1/ledger/entries", &sale, "one-key").await;
    let mut owner = app.database.owner().await;
    let rows: String = sqlx::query_scalar(ROWS).fetch_one(&mut owner).await.expect("rows");
    sqlx::raw_sql("truncate idempotency_keys").execute(&mut owner).await.expect("truncated");

    let long_ago = Timestamp::from_micros(0);
    let answer = command_api::recorded_answer;
    let made = idempotency_keys(&mut owner, long_ago, answer, |_, _| {}).await.expect("made");
    assert_eq!((made.restored, made.unanswered), (made.requests, 0));
    let again: String = sqlx::query_scalar(ROWS).fetch_one(&mut owner).await.expect("rows");
    same_rows(&again, &rows);

    // A process that has no answers in memory.
    let second = Service::on(&app.database).await;
    let merchant = second.called_by(&app.merchant);
    let replayed = merchant.post_with_key("/v1/ledger/entries", &sale, "one-key").await;
    assert_eq!((replayed.status, &replayed.body), (201, &first.body));
    assert_eq!(replayed.header("idempotent-replayed"), "true");
    assert_eq!(replayed.position(), first.position());
    let changed = entry("order-3", &cash, &sales, "20.00");
    merchant.post_with_key("/v1/ledger/entries", &changed, "one-key").await.expect(422);
}

#[track_caller]
fn same_rows(again: &str, rows: &str) {
    for (made, was) in again.lines().zip(rows.lines()) {
        assert_eq!(made, was);
    }
    assert_eq!(again.lines().count(), rows.lines().count());
}
