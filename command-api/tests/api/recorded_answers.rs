//! Answers made again from the log after their rows were lost.

use domain::Timestamp;
use event_store::rebuild::idempotency_keys;
use serde_json::json;

use crate::actors::{Actor, entry};
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
    of_holds_and_books(app, &cash, &sales).await;
    exchanges_and_wallets(app).await;
    (cash, sales)
}

async fn of_holds_and_books(app: &App, cash: &str, sales: &str) {
    let merchant = &app.merchant;
    let account = format!("/v1/accounts/{cash}");
    merchant.patch(&account, &json!({"name": "Cash", "max_balance": "500.00"})).await.expect(200);
    merchant.post("/v1/ledger/closes", &json!({"day": "2020-01-31"})).await.expect(202);
    let mut late = entry("late", cash, sales, "4.00");
    late["effective_at"] = json!("2020-01-15T12:00:00Z");
    let late = merchant.post_entry(&late).await.expect(201).text("id");
    let part = json!({"amount": "1.00", "currency": "USD"});
    merchant.post(&format!("/v1/ledger/entries/{late}/reverse"), &part).await.expect(201);
    let better = entry("better", cash, sales, "5.00");
    merchant.post(&format!("/v1/ledger/entries/{late}/replace"), &better).await.expect(201);
    let mut sweep = entry("sweep", sales, cash, "7.50");
    sweep["up_to"] = json!(true);
    merchant.post_entry(&sweep).await.expect(201);
    for verb in ["post", "void"] {
        let hold = entry(&format!("to-{verb}"), cash, sales, "3.00");
        let hold = merchant.post("/v1/ledger/holds", &hold).await.expect(201).text("id");
        let path = format!("/v1/ledger/holds/{hold}");
        merchant.post(&format!("{path}/post"), &part).await.expect(201);
        let last = merchant.post(&format!("{path}/{verb}"), &json!({})).await;
        assert!(last.status < 300, "{last}");
    }
}

async fn exchanges_and_wallets(app: &App) {
    let merchant = &app.merchant;
    let wallet = json!({"name": "dollars", "currency": "USD", "max_balance": "99.00"});
    let dollars = merchant.post("/v1/wallets", &wallet).await.expect(201).text("id");
    let wallet = json!({"name": "euros", "currency": "EUR", "holder": "Ibu Sri"});
    let euros = merchant.post("/v1/wallets", &wallet).await.expect(201).text("id");
    let amount = |name: &str, amount: &str| {
        let currency = "USD";
        json!({"external_ref": name, "amount": amount, "currency": currency})
    };
    let ask = async |verb: &str, body| {
        merchant.post(&format!("/v1/wallets/{dollars}/{verb}"), &body).await
    };
    ask("cash-in", amount("w1", "50.00")).await.expect(201);
    let hold = ask("reserve", amount("w2", "5.00")).await.expect(201).text("id");
    ask("settle", json!({"hold": hold, "amount": "1.00"})).await.expect(201);
    ask("release", json!({"hold": hold})).await.expect(200);
    let rate = json!({"base": "USD", "quote": "EUR", "rate": "0.9251",
                      "as_of": "2026-01-02T03:04:05Z", "source": "the bank"});
    merchant.post("/v1/ledger/rates", &rate).await.expect(201);
    let mut conversion = amount("w3", "3.00");
    conversion["from"] = json!(dollars);
    conversion["to"] = json!(euros);
    merchant.post("/v1/ledger/conversions", &conversion).await.expect(201);
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

/// Of what came together the log has what was made, and says so.
#[tokio::test]
async fn of_several_the_answer_is_made_of_what_was_new() {
    let app = App::new().await;
    let cash = app.merchant.open("cash", Some("0.00")).await;
    let sales = app.merchant.open("sales", None).await;
    let deposit = |reference: &str| entry(reference, &cash, &sales, "5.00");
    app.merchant.post_entry(&deposit("r0")).await.expect(201);
    let overdrawn = entry("r3", &sales, &cash, "99.00");
    let batch = json!({"entries": [deposit("r0"), deposit("r1"), overdrawn, deposit("r2")]});
    let mut step = deposit("r4");
    step["type"] = json!("entry");
    let mut hold = deposit("h1");
    hold["type"] = json!("hold");
    let chain = json!({"steps": [step, hold]});
    let requests =
        [("/v1/ledger/entries:batch", &batch, "batch"), ("/v1/ledger/chains", &chain, "chain")];
    for (path, body, key) in requests {
        app.merchant.post_with_key(path, body, key).await;
    }
    let import = "/v1/ledger/imports";
    let lines = format!("{}\n{}\n", deposit("r5"), deposit("r6"));
    let import = |merchant: &Actor| {
        let request = merchant.request("POST", import).key("import").body(lines.clone());
        request.header("content-type", "application/x-ndjson").send()
    };
    import(&app.merchant).await.expect(200);
    let mut owner = app.database.owner().await;
    sqlx::raw_sql("truncate idempotency_keys").execute(&mut owner).await.expect("truncated");
    let answer = command_api::recorded_answer;
    let long_ago = Timestamp::from_micros(0);
    idempotency_keys(&mut owner, long_ago, answer, |_, _| {}).await.expect("made");

    let second = Service::on(&app.database).await;
    let merchant = second.called_by(&app.merchant);
    for (path, body, key) in requests {
        let replayed = merchant.post_with_key(path, body, key).await;
        assert_eq!(replayed.header("idempotent-replayed"), "true");
        insta::assert_snapshot!(key, replayed);
    }
    let (events, _) = app.written().await;
    insta::assert_snapshot!("import", import(&merchant).await);
    assert_eq!(app.written().await.0, events);
}

#[track_caller]
fn same_rows(again: &str, rows: &str) {
    for (made, was) in again.lines().zip(rows.lines()) {
        assert_eq!(made, was);
    }
    assert_eq!(again.lines().count(), rows.lines().count());
}
