//! Accounts: opened, amended, frozen, unfrozen, closed.

use domain::accounts::ClearingTerms;
use domain::ledger::Direction;
use serde_json::{Value, json};

use crate::actors::entry;
use crate::app::App;

#[tokio::test]
async fn an_account_is_opened_frozen_unfrozen_and_closed() {
    let app = App::new().await;
    let account = json!({
        "code": "cash", "type": "asset", "currency": "USD", "min_balance": "-5.00", "name": "Cash"
    });
    let opened = app.merchant.post("/v1/accounts", &account).await;
    insta::assert_snapshot!("opened", opened);
    let id = opened.text("id");
    for verb in ["freeze", "unfreeze", "close"] {
        let path = format!("/v1/accounts/{id}/{verb}");
        let changed = app.merchant.post(&path, &json!({})).await;
        assert_eq!(changed.text("id"), id);
        insta::assert_snapshot!(verb, changed);
    }
    let path = format!("/v1/accounts/{id}/freeze");
    insta::assert_snapshot!("frozen_when_closed", app.merchant.post(&path, &json!({})).await);
}

#[tokio::test]
async fn an_account_needs_no_name_and_no_limit() {
    let app = App::new().await;
    let account = json!({"code": "fees:2026", "type": "income", "currency": "JPY"});
    insta::assert_snapshot!(app.merchant.post("/v1/accounts", &account).await);
}

#[tokio::test]
async fn a_code_is_used_once_in_a_ledger_and_again_in_another() {
    let app = App::new().await;
    let account = json!({"code": "cash", "type": "asset", "currency": "USD"});
    let first = app.merchant.post("/v1/accounts", &account).await.expect(201);
    let again = app.merchant.post("/v1/accounts", &account).await;
    insta::assert_snapshot!(again);
    let other = app.other_merchant.post("/v1/accounts", &account).await.expect(201);
    assert_ne!(first.text("id"), other.text("id"));
}

#[tokio::test]
async fn an_operator_opens_accounts_in_the_ledger_of_the_platform() {
    let app = App::new().await;
    let id = app.operator.open("psp:clearing", None).await;
    let code = "psp:clearing".parse().expect("a code");
    let system = domain::AccountId::of(domain::MerchantId::PLATFORM, &code);
    assert_eq!(id, system.to_string());
}

#[tokio::test]
async fn accounts_that_come_with_conversions_wallets_and_payments_are_opened_by_nobody_else() {
    let app = App::new().await;
    let (events, _) = app.written().await;
    let account = |code: &str| json!({"code": code, "type": "liability", "currency": "USD"});
    for code in ["fx:exchange:USD", "fx:rounding:EUR", "wallet:customer-42", "wallets:cash:USD"] {
        for owner in [&app.merchant, &app.operator] {
            let refused = owner.post("/v1/accounts", &account(code)).await.expect(422);
            assert_eq!(refused.pointers(), ["/code"], "{code}");
        }
    }
    for code in ["psp_clearing:alpha:USD", "merchant_payable:1:USD", "fee_income:USD"] {
        let refused = app.operator.post("/v1/accounts", &account(code)).await.expect(422);
        assert_eq!(refused.pointers(), ["/code"], "{code}");
    }
    assert_eq!(app.written().await.0, events, "no event");
    app.merchant.post("/v1/accounts", &account("fee_income:USD")).await.expect(201);
    let wallet = json!({"name": "customer-42", "currency": "USD"});
    let wallet = app.merchant.post("/v1/wallets", &wallet).await.expect(201);
    assert_eq!(wallet.text("code"), "wallet:customer-42");
}

#[tokio::test]
async fn a_status_is_changed_only_at_a_version_that_the_caller_has_seen() {
    let app = App::new().await;
    let id = app.merchant.open("cash", None).await;
    let path = format!("/v1/accounts/{id}/freeze");
    let freeze = |if_match: &str, key: &str| {
        app.merchant.request("POST", &path).header("if-match", if_match).key(key).send()
    };
    let stale = freeze("\"2\"", "stale").await;
    insta::assert_snapshot!(stale);
    assert_eq!(freeze("\"another\"", "foreign").await.status, 412);
    assert_eq!(freeze("2", "garbled").await.status, 400);
    let frozen = freeze("\"7\", \"1\"", "seen").await.expect(200);
    assert_eq!(frozen.header("etag"), "\"2\"");
    // The refusal was an answer too: it stays what it was, although the account is at 2 now.
    let replayed = freeze("\"2\"", "stale").await;
    assert_eq!((replayed.status, &replayed.body), (412, &stale.body));
    let unfreeze = format!("/v1/accounts/{id}/unfreeze");
    let any = app.merchant.request("POST", &unfreeze).header("if-match", "*").send().await;
    assert_eq!(any.expect(200).header("etag"), "\"3\"");
}

#[tokio::test]
async fn an_account_with_money_in_it_is_not_closed_and_a_frozen_one_takes_none() {
    let app = App::new().await;
    let (cash, sales) =
        (app.merchant.open("cash", None).await, app.merchant.open("sales", None).await);
    app.merchant.post_entry(&entry("r1", &cash, &sales, "1.00")).await.expect(201);
    let close = app.merchant.post(&format!("/v1/accounts/{cash}/close"), &json!({})).await;
    assert_eq!(close.expect(409).text("code"), "balance-not-zero");
    app.merchant.post(&format!("/v1/accounts/{cash}/freeze"), &json!({})).await.expect(200);
    let refused = app.merchant.post_entry(&entry("r2", &cash, &sales, "1.00")).await;
    assert_eq!(refused.expect(409).text("code"), "account-frozen");
}

#[tokio::test]
async fn an_account_has_a_place_in_the_chart_limits_and_terms() {
    let app = App::new().await;
    let parent = app.merchant.open("assets", None).await;
    let account = json!({
        "code": "provisions", "type": "asset", "currency": "USD", "normal_side": "credit",
        "parent": parent, "min_balance": "-5.00", "max_balance": "10.00",
        "metadata": {"branch": "7"}, "clearing": {"threshold": "0.00", "max_age_hours": 48}
    });
    let id = app.merchant.post("/v1/accounts", &account).await.expect(201).text("id");
    let id = id.parse().expect("an id");
    let opened = app.service.store.account(id).await.expect("read").expect("an account").profile;
    assert_eq!(opened.normal_side(), Direction::Credit);
    assert_eq!(opened.parent.map(|parent| parent.to_string()), Some(parent.clone()));
    assert_eq!((opened.min_balance_minor, opened.max_balance_minor), (Some(-500), Some(1_000)));
    assert_eq!(opened.clearing, ClearingTerms::new(0, 48).ok());
    assert_eq!(opened.metadata.entries()["branch"], "7");
    let other = |change: Value| {
        let mut account = json!({"code": "x", "type": "asset", "currency": "USD"});
        for (key, value) in change.as_object().expect("an object") {
            account[key] = value.clone();
        }
        app.merchant.request("POST", "/v1/accounts").body(account.to_string()).send()
    };
    let refusals = [
        (json!({"min_balance": "1.00", "max_balance": "0.99"}), 422, "limits-cross"),
        (json!({"type": "income", "parent": parent}), 422, "parent-of-other-type"),
        (json!({"parent": "acc_00000000000000000000000001"}), 404, "account-not-found"),
    ];
    for (change, status, code) in refusals {
        assert_eq!(other(change).await.expect(status).text("code"), code);
    }
    let wrong = json!({
        "normal_side": "left", "parent": "ent_1", "metadata": {"": "x"}, "min_balance": "1.000",
        "max_balance": "x", "clearing": {"threshold": "-1.00", "max_age_hours": 48}
    });
    let pointers = other(wrong).await.expect(422).pointers();
    let expected = ["/normal_side", "/parent", "/metadata", "/min_balance", "/max_balance"];
    assert_eq!(pointers[..5], expected);
    assert_eq!(pointers[5..], ["/clearing/threshold"]);
    let long = json!({"clearing": {"threshold": "0", "max_age_hours": 9_000}});
    assert_eq!(other(long).await.expect(422).pointers(), ["/clearing/max_age_hours"]);
}

#[tokio::test]
async fn an_account_is_amended_field_by_field() {
    let app = App::new().await;
    let id = app.merchant.open("cash", Some("-5.00")).await;
    let path = format!("/v1/accounts/{id}");
    let account = async || {
        let id = id.parse().expect("an id");
        app.service.store.account(id).await.expect("read").expect("an account").profile
    };
    let all = json!({
        "name": "Cash", "metadata": {"branch": "7"}, "min_balance": "0.00",
        "max_balance": "100.00", "clearing": {"threshold": "10.00", "max_age_hours": 48}
    });
    let amended = app.merchant.patch(&path, &all).await;
    insta::assert_snapshot!("amended", amended);
    let as_it_is = app.merchant.patch(&path, &all).await.expect(200);
    assert_eq!((as_it_is.header("etag"), as_it_is.position()), ("\"2\"", amended.position()));
    app.merchant.patch(&path, &json!({})).await.expect(200);
    app.merchant.patch(&path, &json!({"max_balance": null, "name": null})).await.expect(200);
    let profile = account().await;
    assert_eq!((profile.min_balance_minor, profile.max_balance_minor), (Some(0), None));
    assert_eq!((profile.name.as_ref(), profile.metadata.entries().len()), (None, 1));
    let nothing = json!({"metadata": null, "clearing": null, "min_balance": null});
    app.merchant.patch(&path, &nothing).await.expect(200);
    let profile = account().await;
    assert!(profile.metadata.is_empty() && profile.clearing.is_none());
    assert_eq!(profile.min_balance_minor, None);
    let stale = app.merchant.request("PATCH", &path).header("if-match", "\"1\"");
    let stale = stale.body(r#"{"name":"Bank"}"#).send().await.expect(412);
    assert_eq!(stale.text("code"), "precondition-failed");
    let crossed = json!({"min_balance": "2.00", "max_balance": "1.00"});
    assert_eq!(app.merchant.patch(&path, &crossed).await.text("code"), "limits-cross");
    let wrong = json!({"name": "", "metadata": {"": "x"}, "min_balance": "0.001",
                       "max_balance": "1e2", "clearing": {"threshold": "x", "max_age_hours": 1}});
    let refused = app.merchant.patch(&path, &wrong).await.expect(422);
    let expected = ["/name", "/metadata", "/min_balance", "/max_balance", "/clearing/threshold"];
    assert_eq!(refused.pointers(), expected);
    let unknown = app.merchant.patch(&path, &json!({"code": "bank"})).await.expect(422);
    assert_eq!(unknown.pointers(), ["/code"]);
    app.merchant.post(&format!("{path}/close"), &json!({})).await.expect(200);
    let closed = app.merchant.patch(&path, &json!({"name": "Bank"})).await.expect(409);
    assert_eq!(closed.text("code"), "account-closed");
}

#[tokio::test]
async fn an_operator_looks_after_the_accounts_of_the_platform() {
    let app = App::new().await;
    let path = format!("/v1/accounts/{}", app.operator.open("psp:clearing", None).await);
    app.operator.patch(&path, &json!({"name": "Clearing"})).await.expect(200);
    for verb in ["freeze", "unfreeze", "close"] {
        app.operator.post(&format!("{path}/{verb}"), &json!({})).await.expect(200);
    }
}
