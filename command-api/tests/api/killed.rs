//! Processes that die at every step of a request, each step twice, and the same request sent again to another.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use command_api::AnswerFinisher;
use serde_json::Value;
use testkit::{killed_at, killed_at_every_wait, unique_name};
use tokio_util::sync::CancellationToken;

use crate::actors::{Actor, Sending, Way, entry};
use crate::answers::Answer;
use crate::app::{App, process_on};
use crate::payments::{carry_out, leave_unanswered, payment, succeeded};

/// What a process answers that dies at its wait number `waits`, if it comes to answer.
async fn answered(
    app: &App,
    waits: usize,
    request: impl FnOnce(Router) -> Sending,
) -> Option<Answer> {
    let (router, _, sequencer) = process_on(&app.database).await;
    let sending = request(router).send();
    let process = async {
        tokio::select! {
            () = sequencer.run(CancellationToken::new()) => None,
            answer = sending => Some(answer),
        }
    };
    killed_at(waits, process).flatten()
}

/// The request of a merchant under `key`, to whoever serves it.
fn of_merchant(app: &App, router: Router, path: &str, key: &str, body: &Value) -> Sending {
    let merchant = Actor { way: Way::Router(router), token: app.merchant.token.clone() };
    merchant.request("POST", path).key(key).body(body.to_string())
}

async fn count(app: &App, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(&mut app.database.owner().await).await.expect("counts")
}

#[tokio::test(flavor = "multi_thread")]
async fn of_an_entry_that_is_posted() {
    let app = App::new().await;
    let cash = app.merchant.open("cash", None).await;
    let sales = app.merchant.open("sales", None).await;
    let path = "/v1/ledger/entries";
    let mut posted = 0;
    let deaths = killed_at_every_wait(async |waits| {
        let key = unique_name("key");
        let body = entry(&key, &cash, &sales, "1.00");
        let lived =
            answered(&app, waits, |router| of_merchant(&app, router, path, &key, &body)).await;
        let again = of_merchant(&app, app.service.router.clone(), path, &key, &body).send().await;
        let again = again.expect(201);
        if let Some(first) = &lived {
            assert_eq!((first.status, &first.body), (201, &again.body));
            assert_eq!(again.header("idempotent-replayed"), "true");
        }
        posted += 1;
        assert_eq!(app.balance_minor(&cash).await, posted * 100, "once");
        lived.is_some()
    })
    .await;
    assert!(deaths > 3, "it is authenticated, loaded and appended: {deaths}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_chain() {
    let app = App::new().await;
    let cash = app.merchant.open("cash", None).await;
    let sales = app.merchant.open("sales", None).await;
    let path = "/v1/ledger/chains";
    let mut taken = 0;
    let deaths = killed_at_every_wait(async |waits| {
        let key = unique_name("key");
        let mut steps = [entry(&key, &cash, &sales, "1.00"), entry(&key, &cash, &sales, "2.00")];
        steps[0]["type"] = "entry".into();
        steps[1]["type"] = "hold".into();
        let body = serde_json::json!({ "steps": steps });
        let lived =
            answered(&app, waits, |router| of_merchant(&app, router, path, &key, &body)).await;
        let again = of_merchant(&app, app.service.router.clone(), path, &key, &body).send().await;
        let again = again.expect(201);
        if let Some(first) = &lived {
            assert_eq!((first.status, &first.body), (201, &again.body));
        }
        taken += 1;
        let totals = app.totals(&cash).await;
        assert_eq!((totals.debits_posted, totals.debits_pending), (taken * 100, taken * 200));
        lived.is_some()
    })
    .await;
    assert!(deaths > 3, "it is authenticated, loaded and appended: {deaths}");
}

/// Somebody else is the worker: what is asked for is carried out, whoever of them asked for it in the end.
#[tokio::test(flavor = "multi_thread")]
async fn of_a_payment_that_is_asked_for() {
    let app = Arc::new(App::new().await);
    let finisher = AnswerFinisher::new(app.service.store.clone());
    let (path, body) = ("/v1/payments", payment(Some("tok_1")));
    let mut made = 0;
    let deaths = killed_at_every_wait(async |waits| {
        let key = unique_name("key");
        let for_worker = Arc::clone(&app);
        let worker = tokio::spawn(async move { carry_out(&for_worker, succeeded(10_000)).await });
        let lived =
            answered(&app, waits, |router| of_merchant(&app, router, path, &key, &body)).await;
        let again = of_merchant(&app, app.service.router.clone(), path, &key, &body).send();
        let finish = async {
            worker.await.expect("it is carried out");
            finisher.pass(Duration::ZERO).await;
        };
        let (again, ()) = tokio::join!(again, finish);
        let again = again.expect(201);
        assert_eq!(again.text("state"), "captured");
        if let Some(first) = &lived {
            assert_eq!((first.status, &first.body), (201, &again.body));
        }
        let third = of_merchant(&app, app.service.router.clone(), path, &key, &body).send().await;
        assert_eq!((third.status, &third.body), (201, &again.body));
        made += 1;
        let created = "select count(*) from events where event_type = 'payment.created'";
        assert_eq!(count(&app, created).await, made, "once");
        let unanswered = finisher.pass(Duration::ZERO).await;
        assert_eq!(unanswered, 0, "nobody is left without an answer");
        lived.is_some()
    })
    .await;
    assert!(deaths > 5, "two appends, and a wait between them: {deaths}");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_webhook_that_comes_in() {
    let app = App::new().await;
    let send = |router: Router, body: &str| {
        let psp = Actor { way: Way::Router(router), token: None };
        let request = psp.request("POST", "/v1/webhooks/alpha").header("x-password", "sesame");
        request.without("idempotency-key").body(body)
    };
    let mut sent = 0;
    let deaths = killed_at_every_wait(async |waits| {
        let body = unique_name("webhook");
        let lived = answered(&app, waits, |router| send(router, &body)).await;
        sent += 1;
        if let Some(first) = &lived {
            assert_eq!(first.status, 200, "{first}");
            assert_eq!(count(&app, "select count(*) from webhooks").await, sent, "it is kept");
        }
        send(app.service.router.clone(), &body).send().await.expect(200);
        assert_eq!(count(&app, "select count(*) from webhooks").await, sent, "once");
        lived.is_some()
    })
    .await;
    assert!(deaths > 0, "it is stored: {deaths}");
}

/// A process that answers what others left dies as well.
#[tokio::test(flavor = "multi_thread")]
async fn of_an_answer_that_another_left() {
    let app = App::new().await;
    let (path, body) = ("/v1/payments", payment(None));
    let mut made = 0;
    let deaths = killed_at_every_wait(async |waits| {
        let key = unique_name("key");
        let id = leave_unanswered(&app, &key).await;
        let (_, store, sequencer) = process_on(&app.database).await;
        let finisher = AnswerFinisher::new(store);
        let process = async {
            tokio::select! {
                () = sequencer.run(CancellationToken::new()) => 0,
                finished = finisher.pass(Duration::ZERO) => finished,
            }
        };
        let lived = killed_at(waits, process);
        if lived.is_none() {
            AnswerFinisher::new(app.service.store.clone()).pass(Duration::ZERO).await;
        }
        let again = of_merchant(&app, app.service.router.clone(), path, &key, &body).send().await;
        let again = again.expect(201);
        assert_eq!(again.header("idempotent-replayed"), "true");
        assert_eq!(again.text("id"), id.to_string());
        made += 1;
        let created = "select count(*) from events where event_type = 'payment.created'";
        assert_eq!(count(&app, created).await, made, "once");
        lived.is_some()
    })
    .await;
    assert!(deaths > 1, "it is looked for, and appended: {deaths}");
}
