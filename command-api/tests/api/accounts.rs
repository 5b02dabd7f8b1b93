//! Accounts: opened, frozen, unfrozen, closed.

use serde_json::json;

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
