//! Two services on one log, as behind a load balancer.

use std::time::Duration;

use futures::future::join_all;
use serde_json::json;

use crate::actors::{Actor, entry};
use crate::app::{App, PATIENCE, Service};

const ENTRIES: &str = "/v1/ledger/entries";
/// How soon a revocation acts everywhere.
const REVOCATION_MAX: Duration = Duration::from_secs(1);

async fn opened(merchant: &Actor) -> (String, String) {
    (merchant.open("cash", Some("0.00")).await, merchant.open("sales", None).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_at_once_with_one_key_have_one_effect_and_one_answer() {
    let app = App::new().await;
    let second = Service::on(&app.database).await;
    let (cash, sales) = opened(&app.merchant).await;
    let (events, keys) = app.written().await;
    let callers = [app.merchant.clone(), second.called_by(&app.merchant)];
    let posted = entry("r1", &cash, &sales, "10.00");
    let sent = (0..50).map(|n| callers[n % 2].post_with_key(ENTRIES, &posted, "one-key"));
    let answers = join_all(sent).await;
    let fresh = answers.iter().filter(|a| a.header("idempotent-replayed").is_empty()).count();
    assert_eq!(fresh, 1, "one answer is the first");
    for answer in &answers {
        assert_eq!((answer.status, &answer.body), (201, &answers[0].body));
        assert_eq!(answer.position(), answers[0].position());
    }
    assert_eq!(app.written().await, (events + 1, keys + 1));
    assert_eq!(app.balance_minor(&cash).await, 1_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_at_once_for_one_reference_are_one_entry() {
    let app = App::new().await;
    let second = Service::on(&app.database).await;
    let (cash, sales) = opened(&app.merchant).await;
    let callers = [app.merchant.clone(), second.called_by(&app.merchant)];
    let posted = entry("r1", &cash, &sales, "10.00");
    let answers = join_all((0..50).map(|n| callers[n % 2].post_entry(&posted))).await;
    let (created, same): (Vec<_>, Vec<_>) = answers.iter().partition(|one| one.status == 201);
    assert_eq!((created.len(), same.len()), (1, 49));
    for answer in same {
        assert_eq!(answer.status, 200, "{answer}");
    }
    assert!(answers.iter().all(|answer| answer.body == answers[0].body));
    assert_eq!(app.balance_minor(&cash).await, 1_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_withdrawals_over_both_never_overdraws() {
    let app = App::new().await;
    let second = Service::on(&app.database).await;
    let (cash, sales) = opened(&app.merchant).await;
    app.merchant.post_entry(&entry("deposit", &cash, &sales, "100.00")).await.expect(201);
    let callers = [app.merchant.clone(), second.called_by(&app.merchant)];
    let withdrawals: Vec<_> =
        (0..100).map(|n| entry(&format!("w{n}"), &sales, &cash, "3.00")).collect();
    let sent = withdrawals.iter().enumerate().map(|(n, entry)| callers[n % 2].post_entry(entry));
    let answers = join_all(sent).await;
    let paid = answers.iter().filter(|answer| answer.status == 201).count();
    let refused = answers.iter().filter(|answer| answer.status == 409);
    let for_funds = refused.filter(|answer| answer.text("code") == "insufficient-funds").count();
    assert_eq!((paid, for_funds), (33, 67), "100.00 holds 33 times 3.00");
    assert_eq!(app.balance_minor(&cash).await, 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_revoked_through_one_opens_nothing_at_the_other_within_a_second() {
    let app = App::new().await;
    let second = Service::on(&app.database).await;
    let new_key = json!({"role": "merchant", "merchant": app.merchant_id});
    let issued = app.operator.post("/v1/api-keys", &new_key).await.expect(201);
    let holder = second.caller(Some(issued.text("token")));
    // Used there before, so that it is in that process' memory.
    holder.open("cash", None).await;
    let path = format!("/v1/api-keys/{}", issued.text("id"));
    let revoked = app.operator.delete(&path).await.expect(200);
    second.follows_to(revoked.position(), REVOCATION_MAX).await;
    let account = json!({"code": "bank", "type": "asset", "currency": "USD"});
    holder.post("/v1/accounts", &account).await.expect(401);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_issued_through_one_opens_the_other() {
    let app = App::new().await;
    let second = Service::on(&app.database).await;
    let new_key = json!({"role": "merchant", "merchant": app.merchant_id});
    let issued = app.operator.post("/v1/api-keys", &new_key).await.expect(201);
    second.follows_to(issued.position(), PATIENCE).await;
    second.caller(Some(issued.text("token"))).open("cash", None).await;
}
