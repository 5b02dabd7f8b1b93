//! Wallets: opened, paid in to and out of, reserved.

use domain::{AccountId, HoldId};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::actors::Actor;
use crate::answers::Answer;
use crate::app::App;

const WALLETS: &str = "/v1/wallets";

async fn open(actor: &Actor, name: &str) -> String {
    let wallet = json!({"name": name, "currency": "USD"});
    actor.post(WALLETS, &wallet).await.expect(201).text("id")
}

async fn ask(actor: &Actor, wallet: &str, verb: &str, body: &Value) -> Answer {
    actor.post(&format!("{WALLETS}/{wallet}/{verb}"), body).await
}

fn movement(reference: &str, amount: &str) -> Value {
    json!({"external_ref": reference, "amount": amount, "currency": "USD"})
}

/// A wallet with 50.00 in it.
async fn funded(app: &App) -> String {
    let wallet = open(&app.merchant, "customer-42").await;
    let top_up = movement("top-up", "50.00");
    ask(&app.merchant, &wallet, "cash-in", &top_up).await.expect(201);
    wallet
}

/// What the customer owns, in minor units.
async fn owned(app: &App, wallet: &str) -> i64 {
    -app.balance_minor(wallet).await
}

/// The account that wallets in dollars are paid in to.
fn cash(app: &App) -> String {
    let ledger = app.merchant_id.parse().expect("an id");
    AccountId::of(ledger, &"wallets:cash:USD".parse().expect("a code")).to_string()
}

#[tokio::test]
async fn a_wallet_is_opened_under_a_name_of_its_own() {
    let app = App::new().await;
    let wallet = json!({"name": "customer-42", "currency": "USD", "holder": "Ibu Sri",
                        "max_balance": "100.00", "metadata": {"tier": "1"}});
    let opened = app.merchant.post(WALLETS, &wallet).await;
    insta::assert_snapshot!(opened);
    let again = app.merchant.post(WALLETS, &wallet).await.expect(409);
    assert_eq!(again.text("code"), "account-code-taken");
    app.other_merchant.post(WALLETS, &wallet).await.expect(201);
    let id = opened.text("id");
    let too_much = ask(&app.merchant, &id, "cash-in", &movement("r1", "100.01")).await.expect(409);
    assert_eq!(too_much.text("code"), "balance-above-maximum");
}

#[tokio::test]
async fn money_comes_in_and_goes_out() {
    let app = App::new().await;
    let wallet = funded(&app).await;
    let out = movement("payout", "30.00");
    let path = format!("{WALLETS}/{wallet}/cash-out");
    let paid = app.merchant.post_with_key(&path, &out, "payout").await;
    insta::assert_snapshot!(paid);
    let again = app.merchant.post_with_key(&path, &out, "payout").await;
    assert_eq!((again.header("idempotent-replayed"), &again.body), ("true", &paid.body));
    let top_up = movement("top-up", "50.00");
    ask(&app.merchant, &wallet, "cash-in", &top_up).await.expect(200);
    assert_eq!((owned(&app, &wallet).await, app.balance_minor(&cash(&app)).await), (2_000, 2_000));
    let refused = ask(&app.merchant, &wallet, "cash-out", &movement("r2", "20.01")).await;
    assert_eq!(refused.expect(409).text("code"), "insufficient-funds");
    let mut euros = movement("r3", "1.00");
    euros["currency"] = json!("EUR");
    let refused = ask(&app.merchant, &wallet, "cash-in", &euros).await.expect(422);
    assert_eq!(refused.text("code"), "currency-mismatch");
}

#[tokio::test]
async fn money_goes_from_wallet_to_wallet() {
    let app = App::new().await;
    let (wallet, other) = (funded(&app).await, open(&app.merchant, "customer-43").await);
    let mut transfer = movement("gift", "12.50");
    transfer["to"] = json!(other);
    let path = format!("{WALLETS}/{wallet}/transfer");
    let first = app.merchant.post_with_key(&path, &transfer, "one-key").await.expect(201);
    let again = app.merchant.post_with_key(&path, &transfer, "one-key").await.expect(201);
    assert_eq!((again.header("idempotent-replayed"), &again.body), ("true", &first.body));
    assert_eq!((owned(&app, &wallet).await, owned(&app, &other).await), (3_750, 1_250));
    let cash = cash(&app);
    for (to, status) in [(&wallet, 422), (&cash, 404)] {
        transfer["to"] = json!(to);
        transfer["external_ref"] = json!("another");
        ask(&app.merchant, &wallet, "transfer", &transfer).await.expect(status);
    }
}

#[tokio::test]
async fn what_is_reserved_is_settled_in_parts_and_the_rest_released() {
    let app = App::new().await;
    let wallet = funded(&app).await;
    let mut ride = movement("ride-17", "40.00");
    ride["expires_at"] = json!("2999-01-01T00:00:00Z");
    let late = ask(&app.merchant, &wallet, "reserve", &ride).await.expect(422);
    assert_eq!(late.text("code"), "hold-end-out-of-range");
    let ride = movement("ride-17", "40.00");
    let reserved = ask(&app.merchant, &wallet, "reserve", &ride).await.expect(201);
    assert_eq!((reserved.text("status"), reserved.header("etag")), ("held".into(), "\"1\""));
    let spent = ask(&app.merchant, &wallet, "cash-out", &movement("r2", "10.01")).await;
    assert_eq!(spent.expect(409).text("code"), "insufficient-funds");

    let hold = reserved.text("id");
    let part = json!({"hold": hold, "amount": "17.20"});
    let settled = ask(&app.merchant, &wallet, "settle", &part).await.expect(201);
    assert_eq!(settled.json()["remaining"], json!({"amount": "22.80", "currency": "USD"}));
    assert_eq!(owned(&app, &wallet).await, 3_280);
    let above = json!({"hold": hold, "amount": "22.81"});
    let above = ask(&app.merchant, &wallet, "settle", &above).await.expect(409);
    assert_eq!(above.text("code"), "amount-above-held");

    let all = json!({"hold": hold});
    let released = ask(&app.merchant, &wallet, "release", &all).await.expect(200);
    assert_eq!(released.text("status"), "voided");
    let over = ask(&app.merchant, &wallet, "settle", &all).await.expect(409);
    assert_eq!(over.text("code"), "hold-voided");
    ask(&app.merchant, &wallet, "cash-out", &movement("r3", "32.80")).await.expect(201);
    assert_eq!(owned(&app, &wallet).await, 0);
}

#[tokio::test]
async fn all_that_is_reserved_is_settled_where_no_amount_is_given() {
    let app = App::new().await;
    let wallet = funded(&app).await;
    let reserved = ask(&app.merchant, &wallet, "reserve", &movement("r1", "40.00")).await;
    let all = json!({"hold": reserved.expect(201).text("id")});
    let settled = ask(&app.merchant, &wallet, "settle", &all).await.expect(201);
    assert_eq!(settled.text("status"), "posted");
    assert_eq!(owned(&app, &wallet).await, 1_000);
}

/// Every movement of a wallet, with bodies that are as they should be.
fn movements(other: &str, hold: &str) -> Vec<(&'static str, Value)> {
    let mut transfer = movement("r1", "1.00");
    transfer["to"] = json!(other);
    vec![
        ("cash-in", movement("r1", "1.00")),
        ("cash-out", movement("r1", "1.00")),
        ("transfer", transfer),
        ("reserve", movement("r1", "1.00")),
        ("release", json!({"hold": hold})),
        ("settle", json!({"hold": hold})),
    ]
}

#[tokio::test]
async fn what_is_no_wallet_of_the_merchants_is_not_there() {
    let app = App::new().await;
    let (wallet, other) = (funded(&app).await, open(&app.merchant, "customer-43").await);
    let reserved = ask(&app.merchant, &wallet, "reserve", &movement("r9", "1.00")).await;
    let hold = reserved.expect(201).text("id");
    let unknown = AccountId::from_uuid(Uuid::nil()).to_string();
    let plain = json!({"code": "plain", "type": "liability", "currency": "USD"});
    let plain = app.merchant.post("/v1/accounts", &plain).await.expect(201).text("id");
    let before = app.written().await;
    for (verb, body) in movements(&other, &hold) {
        let missing = ask(&app.merchant, &unknown, verb, &body).await.expect(404);
        assert_eq!(missing.text("code"), "account-not-found");
        for (actor, id) in [(&app.other_merchant, &wallet), (&app.merchant, &plain)] {
            let refused = ask(actor, id, verb, &body).await.expect(404);
            assert_eq!(refused.redacted(), missing.redacted(), "{verb}");
        }
        ask(&app.merchant, "acc_1", verb, &body).await.expect(404);
    }
    // A hold of another wallet.
    let never = HoldId::from_uuid(Uuid::nil()).to_string();
    for verb in ["release", "settle"] {
        for hold in [&hold, &never] {
            let refused = ask(&app.merchant, &other, verb, &json!({"hold": hold})).await;
            assert_eq!(refused.expect(404).text("code"), "hold-not-found");
        }
    }
    assert_eq!(app.written().await, before, "nothing was written");
}

#[tokio::test]
async fn wallets_are_for_keys_that_may_write() {
    let app = App::new().await;
    let (wallet, other) = (funded(&app).await, open(&app.merchant, "customer-43").await);
    let reserved = ask(&app.merchant, &wallet, "reserve", &movement("r9", "1.00")).await;
    let hold = reserved.expect(201).text("id");
    let before = app.written().await;
    let new = json!({"name": "customer-44", "currency": "USD"});
    for (actor, status) in [(&app.anonymous, 401), (&app.merchant_read, 403)] {
        actor.post(WALLETS, &new).await.expect(status);
        for (verb, body) in movements(&other, &hold) {
            ask(actor, &wallet, verb, &body).await.expect(status);
        }
    }
    assert_eq!(app.written().await, before);
    for (verb, body) in movements(&other, &hold) {
        ask(&app.operator, &wallet, verb, &body).await.expect(404);
    }
    assert_eq!(app.written().await, before, "another ledger's wallet");
}

#[tokio::test]
async fn every_field_that_is_wrong_is_named() {
    let app = App::new().await;
    let wallet = funded(&app).await;
    let before = app.written().await;
    let mut lines = Vec::new();
    for body in [
        json!({"name": "", "currency": "US", "holder": "", "metadata": {"": "x"}}),
        json!({"name": "n".repeat(94), "currency": "USD", "max_balance": "0.001"}),
        json!({"name": "a b", "currency": "USD"}),
        json!({"name": "a", "currency": "USD", "min_balance": "0.00"}),
    ] {
        lines.push(app.merchant.post(WALLETS, &body).await.expect(422).redacted());
    }
    let wrong = json!({"external_ref": "", "amount": "0", "currency": "USD", "description": ""});
    let mut transfer = wrong.clone();
    transfer["to"] = json!("acc_1");
    let mut reservation = wrong.clone();
    reservation["expires_at"] = json!("soon");
    for (verb, body) in [
        ("cash-in", wrong.clone()),
        ("cash-out", json!({"external_ref": "r1"})),
        ("transfer", transfer),
        ("reserve", reservation),
        ("release", json!({"hold": "hld_1"})),
        ("settle", json!({"hold": "hld_1", "amount": "1.001"})),
    ] {
        lines.push(ask(&app.merchant, &wallet, verb, &body).await.expect(422).redacted());
    }
    insta::assert_snapshot!(lines.join("\n"));
    assert_eq!(app.written().await, before);
}

#[tokio::test]
async fn a_wallet_that_is_frozen_stays_as_it_is() {
    let app = App::new().await;
    let wallet = funded(&app).await;
    app.merchant.post(&format!("/v1/accounts/{wallet}/freeze"), &json!({})).await.expect(200);
    for verb in ["cash-in", "cash-out", "reserve"] {
        let refused = ask(&app.merchant, &wallet, verb, &movement("r1", "1.00")).await.expect(409);
        assert_eq!(refused.text("code"), "account-frozen", "{verb}");
    }
}
