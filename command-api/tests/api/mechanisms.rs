//! Accounts that a mechanism keeps: what their owner may not do to them, on every way there is.

use domain::AccountId;
use serde_json::{Value, json};

use crate::actors::entry;
use crate::app::App;

/// The account of that code in the merchant's ledger.
fn account(app: &App, code: &str) -> String {
    let ledger = app.merchant_id.parse().expect("an id");
    AccountId::of(ledger, &code.parse().expect("a code")).to_string()
}

/// A merchant that has converted dollars into euros; its two accounts.
async fn traded() -> (App, String, String) {
    let app = App::new().await;
    let open = async |code: &str, currency: &str| {
        let account = json!({"code": code, "type": "liability", "currency": currency});
        app.merchant.post("/v1/accounts", &account).await.expect(201).text("id")
    };
    let (dollars, euros) = (open("dollars", "USD").await, open("euros", "EUR").await);
    let rate = json!({"base": "USD", "quote": "EUR", "rate": "0.9251",
                      "as_of": "2026-01-02T03:04:05Z", "source": "the bank"});
    app.merchant.post("/v1/ledger/rates", &rate).await.expect(201);
    let conversion = json!({"external_ref": "c1", "from": dollars, "to": euros,
                            "amount": "3.00", "currency": "USD"});
    app.merchant.post("/v1/ledger/conversions", &conversion).await.expect(201);
    (app, dollars, euros)
}

fn with_type(kind: &str, body: &Value) -> Value {
    let mut step = body.clone();
    step["type"] = json!(kind);
    step
}

/// Every way to move money in an account of `currency`, and to say how it stands.
fn commands(kept: &str, other: &str, currency: &str) -> Vec<(String, Value)> {
    let mut moving = entry("r1", kept, other, "0.01");
    for posting in moving["postings"].as_array_mut().expect("postings") {
        posting["currency"] = json!(currency);
    }
    let steps = ["entry", "hold"]
        .map(|kind| ("/v1/ledger/chains".to_owned(), json!({"steps": [with_type(kind, &moving)]})));
    let posting = vec![
        ("/v1/ledger/entries".to_owned(), moving.clone()),
        ("/v1/ledger/holds".to_owned(), moving.clone()),
        ("/v1/ledger/entries:batch".to_owned(), json!({"atomic": true, "entries": [moving]})),
    ];
    let standing = ["freeze", "unfreeze", "close"]
        .map(|verb| (format!("/v1/accounts/{kept}/{verb}"), json!({})));
    posting.into_iter().chain(steps).chain(standing).collect()
}

#[tokio::test]
async fn nobody_but_conversions_touches_the_exchange_and_its_rounding() {
    let (app, dollars, euros) = traded().await;
    let before = app.written().await.0;
    for (code, other, currency) in [
        ("fx:exchange:USD", &dollars, "USD"),
        ("fx:exchange:EUR", &euros, "EUR"),
        ("fx:rounding:EUR", &euros, "EUR"),
    ] {
        let kept = account(&app, code);
        for (path, body) in commands(&kept, other, currency) {
            let refused = app.merchant.post(&path, &body).await.expect(422);
            assert_eq!(refused.text("code"), "mechanism-account", "{path} of {code}");
        }
        let path = format!("/v1/accounts/{kept}");
        for amendment in [
            json!({"min_balance": "0.00"}),
            json!({"max_balance": "0.00"}),
            json!({"name": "Mine"}),
        ] {
            let refused = app.merchant.patch(&path, &amendment).await.expect(422);
            assert_eq!(refused.text("code"), "mechanism-account", "{amendment} of {code}");
        }
        let conversion = json!({"external_ref": "c2", "from": dollars, "to": kept,
                                "amount": "1.00", "currency": "USD"});
        let refused = app.merchant.post("/v1/ledger/conversions", &conversion).await.expect(422);
        assert_eq!(refused.text("code"), "mechanism-account", "converted into {code}");
        let mut line = entry("r2", &kept, other, "0.01");
        for posting in line["postings"].as_array_mut().expect("postings") {
            posting["currency"] = json!(currency);
        }
        let import = app.merchant.request("POST", "/v1/ledger/imports").body(line.to_string());
        let import = import.header("content-type", "application/x-ndjson").send().await;
        assert!(import.body.contains("mechanism-account"), "{}", import.body);
    }
    assert_eq!(app.written().await.0, before, "no event");
    let again = json!({"external_ref": "c3", "from": dollars, "to": euros,
                       "amount": "1.00", "currency": "USD"});
    app.merchant.post("/v1/ledger/conversions", &again).await.expect(201);
}

#[tokio::test]
async fn a_conversion_is_neither_reversed_nor_replaced_by_hand() {
    let (app, dollars, euros) = traded().await;
    let ledger: domain::MerchantId = app.merchant_id.parse().expect("an id");
    let reference = domain::ledger::ExternalRef::parse("c1").expect("a reference");
    let converted = domain::EntryId::of(ledger, &reference);
    let mut other = entry("r1", &dollars, &dollars, "1.00");
    other["external_ref"] = json!("instead");
    for (verb, body) in [("reverse", json!({})), ("replace", other)] {
        let path = format!("/v1/ledger/entries/{converted}/{verb}");
        let refused = app.merchant.post(&path, &body).await.expect(409);
        assert_eq!(refused.text("code"), "entry-is-a-conversion", "{verb}");
    }
    assert_eq!(app.balance_minor(&euros).await, -278);
}

#[tokio::test]
async fn a_wallet_cannot_be_made_to_fall_below_zero() {
    let app = App::new().await;
    let wallet = json!({"name": "customer-42", "currency": "USD"});
    let wallet = app.merchant.post("/v1/wallets", &wallet).await.expect(201).text("id");
    let movement = |reference: &str, amount: &str| json!({"external_ref": reference, "amount": amount, "currency": "USD"});
    let cash_in = format!("/v1/wallets/{wallet}/cash-in");
    app.merchant.post(&cash_in, &movement("top-up", "5.00")).await.expect(201);
    let path = format!("/v1/accounts/{wallet}");
    for least in [Value::Null, json!("-0.01")] {
        let refused = app.merchant.patch(&path, &json!({"min_balance": least})).await.expect(422);
        assert_eq!(refused.text("code"), "mechanism-account", "{least}");
    }
    let cash_out = format!("/v1/wallets/{wallet}/cash-out");
    let refused = app.merchant.post(&cash_out, &movement("payout", "5.01")).await.expect(409);
    assert_eq!(refused.text("code"), "insufficient-funds");
    // All else of it is its owner's.
    let amendment = json!({"min_balance": "1.00", "max_balance": "9.00", "name": "Ibu Sri"});
    app.merchant.patch(&path, &amendment).await.expect(200);
    app.merchant.post(&format!("{path}/freeze"), &json!({})).await.expect(200);
}

#[tokio::test]
async fn an_operator_says_of_a_system_account_only_when_it_is_to_have_cleared() {
    let app = App::new().await;
    let system = app.open_system_account("psp_clearing:alpha:USD").await;
    let path = format!("/v1/accounts/{system}");
    for verb in ["freeze", "unfreeze", "close"] {
        let refused = app.operator.post(&format!("{path}/{verb}"), &json!({})).await.expect(422);
        assert_eq!(refused.text("code"), "system-account", "{verb}");
    }
    let refused = app.operator.patch(&path, &json!({"max_balance": "1.00"})).await.expect(422);
    assert_eq!(refused.text("code"), "system-account");
    let clearing = json!({"clearing": {"threshold": "10.00", "max_age_hours": 48}});
    app.operator.patch(&path, &clearing).await.expect(200);
}
