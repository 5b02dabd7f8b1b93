//! Payments as merchants ask for them. The test itself is the worker.

use std::sync::Arc;
use std::time::Duration;

use api_conventions::Fingerprint;
use command_api::AnswerFinisher;
use domain::payments::{
    CaptureMethod, CreatePayment, Operation, Order, Payment, PaymentIntent, PaymentPolicy,
    PspOutcome, RecordOutcome, StartAttempt,
};
use domain::{Amount, Command, MerchantId, Metadata, PaymentId};
use event_store::{NewAnswer, Origin, Request, RequestKey, RequestPart};
use serde_json::{Value, json};
use sqlx::Row;

use crate::actors::Actor;
use crate::answers::Answer;
use crate::app::{App, PATIENCE};

pub(crate) fn payment(token: Option<&str>) -> Value {
    let mut payment = json!({"amount": "100.00", "currency": "USD"});
    if let Some(token) = token {
        payment["payment_method"] = json!({"token": token});
    }
    payment
}

/// Sends a command and, as a worker, carries out what it asks for.
async fn carried_out(app: &App, path: &str, body: &Value, outcome: PspOutcome) -> Answer {
    let (merchant, path, body) = (app.merchant.clone(), path.to_owned(), body.clone());
    let asking = tokio::spawn(async move { merchant.post(&path, &body).await });
    carry_out(app, outcome).await;
    asking.await.expect("an answer")
}

/// Carries out, as a worker, what is asked for next.
pub(crate) async fn carry_out(app: &App, outcome: PspOutcome) {
    let (id, operation) = due(app).await;
    let policy = PaymentPolicy::default();
    let merchant_id = app.merchant_id.parse().expect("an id");
    let psp: domain::payments::PspName = "alpha".parse().expect("a name");
    let method = stored(app, id).await.method;
    let start = StartAttempt {
        merchant_id,
        payment_id: id,
        operation,
        psp: psp.clone(),
        method: method.clone(),
        policy: policy.clone(),
    };
    give(app, Command::StartAttempt(start)).await;
    let attempt = u32::try_from(stored(app, id).await.attempts.len()).expect("few");
    let currency = "USD".parse().expect("a currency");
    let record = RecordOutcome {
        merchant_id,
        payment_id: id,
        currency,
        attempt,
        psp,
        card: method.and_then(|method| method.card(merchant_id)),
        outcome,
        elsewhere: false,
        seen: domain::StreamVersion::from_number(i64::MAX),
        policy,
    };
    give(app, Command::RecordOutcome(record)).await;
}

async fn give(app: &App, command: Command) {
    let given = app.service.store.give(Origin::default(), command).await.expect("the log is there");
    given.decision.expect("accepted");
}

async fn stored(app: &App, id: PaymentId) -> Payment {
    let payment = app.service.store.payment(id).await.expect("the log is there");
    Payment::clone(&payment.expect("it was created"))
}

/// The payment that was created last, as soon as something is due for it.
async fn due(app: &App) -> (PaymentId, Operation) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let mut head = app.service.store.head();
    loop {
        let mut owner = app.database.owner().await;
        let last = "select data::text from events where event_type = 'payment.created' \
                    order by position desc limit 1";
        if let Some(row) = sqlx::query(last).fetch_optional(&mut owner).await.expect("reads") {
            let data: Value = serde_json::from_str(row.get(0)).expect("JSON");
            let id: PaymentId = data["payment_id"].as_str().expect("an id").parse().expect("an id");
            let payment = stored(app, id).await;
            let refunds = payment.refunds.iter().filter_map(|refund| refund.open.as_ref());
            let mut open = payment.open.iter().chain(refunds);
            if let Some(open) = open.find(|open| open.attempt().is_none()) {
                // As a worker does where the PSP can sell in one call.
                let sale = open.operation == Operation::Authorize;
                return (id, if sale { Operation::Sale } else { open.operation });
            }
        }
        let changed = tokio::time::timeout_at(deadline, head.changed()).await;
        changed.expect("in time").expect("it runs");
    }
}

pub(crate) fn succeeded(minor: i64) -> PspOutcome {
    PspOutcome::Succeeded { psp_reference: "ch_1".to_owned(), amount_minor: minor }
}

#[tokio::test]
async fn a_payment_without_a_method_is_created_and_waits_for_one() {
    let app = App::new().await;
    let created = app.merchant.post("/v1/payments", &payment(None)).await.expect(201);
    assert_eq!(created.text("state"), "created");
    assert_eq!(created.header("etag"), "\"1\"");
    let id = created.text("id");
    let refused = app.merchant.post(&format!("/v1/payments/{id}/authorize"), &json!({})).await;
    assert_eq!(refused.expect(409).text("code"), "payment-requires-method");
    let method = json!({"token": "tok_1", "type": "wallet"});
    let replaced = app.merchant.request("PUT", &format!("/v1/payments/{id}/method"));
    let replaced = replaced.body(method.to_string()).send().await.expect(200);
    assert_eq!(replaced.json()["payment_method"], json!({"type": "wallet", "token": "tok_1"}));
    let canceled = app.merchant.post(&format!("/v1/payments/{id}/cancel"), &json!({})).await;
    assert_eq!(canceled.expect(200).text("state"), "canceled");
    let again = app.merchant.post(&format!("/v1/payments/{id}/cancel"), &json!({})).await;
    let again = again.expect(409);
    assert_eq!(again.text("code"), "payment-state-forbids");
    assert!(again.text("detail").contains("is canceled; nothing can be done with it now"));
}

#[tokio::test]
async fn the_answer_waits_for_the_psp_and_is_the_answer_to_every_repetition() {
    let app = App::new().await;
    let answer =
        carried_out(&app, "/v1/payments", &payment(Some("tok_1")), succeeded(10_000)).await;
    let answer = answer.expect(201);
    assert_eq!(answer.text("state"), "captured");
    assert_eq!(answer.json()["amounts"]["captured"], "100.00");
    let path = format!("/v1/payments/{}/refunds", answer.text("id"));
    let part = json!({"amount": {"amount": "25.00", "currency": "USD"}, "reason": "damaged"});
    let refund = carried_out(&app, &path, &part, succeeded(2_500)).await.expect(201);
    assert_eq!(refund.text("state"), "succeeded");
    let above = json!({"amount": {"amount": "75.01", "currency": "USD"}});
    let above = app.merchant.post(&path, &above).await.expect(409);
    assert_eq!(above.text("code"), "amount-above-refundable");
    assert!(above.text("detail").contains("75.00 USD"), "{}", above.text("detail"));
}

#[tokio::test]
async fn who_does_not_want_to_wait_is_told_at_once_and_the_same_again() {
    let app = App::new().await;
    let ask = || {
        let request = app.merchant.request("POST", "/v1/payments").key("pay-1");
        request.header("prefer", "respond-async").body(payment(Some("tok_1")).to_string()).send()
    };
    let first = ask().await.expect(202);
    assert_eq!(first.text("state"), "authorizing");
    assert_eq!(first.header("preference-applied"), "respond-async");
    let again = ask().await.expect(202);
    assert_eq!(again.body, first.body, "byte for byte");
    assert_eq!(again.header("idempotent-replayed"), "true");
    assert_eq!(again.header("runut-position"), first.header("runut-position"));
    let other = app.merchant.post_with_key("/v1/payments", &payment(None), "pay-1").await;
    assert_eq!(other.expect(422).text("code"), "idempotency-key-reused");
}

#[tokio::test]
async fn a_slow_psp_does_not_keep_the_caller() {
    let app = App::new().await;
    let began = tokio::time::Instant::now();
    let answer = app.merchant.post("/v1/payments", &payment(Some("tok_1"))).await.expect(202);
    assert_eq!(answer.text("state"), "authorizing");
    let waited = began.elapsed();
    assert!(waited >= command_api::SYNC_PATIENCE, "{waited:?}");
    assert!(waited < command_api::SYNC_PATIENCE * 2, "{waited:?}");
}

#[tokio::test]
async fn fifty_at_once_with_one_key_make_one_payment() {
    let app = App::new().await;
    let callers = (0..50).map(|_| {
        let merchant = app.merchant.clone();
        let body = payment(None);
        async move { merchant.post_with_key("/v1/payments", &body, "pay-once").await.expect(201) }
    });
    let answers = futures::future::join_all(callers).await;
    for answer in &answers {
        assert_eq!(answer.body, answers[0].body);
    }
    let mut owner = app.database.owner().await;
    let created = "select count(*) from events where event_type = 'payment.created'";
    let created: i64 = sqlx::query_scalar(created).fetch_one(&mut owner).await.expect("counts");
    assert_eq!(created, 1);
}

/// As a process leaves it that dies after its first append: a payment whose request under `key` has no answer.
pub(crate) async fn leave_unanswered(app: &App, key: &str) -> PaymentId {
    let body = payment(None).to_string();
    let merchant_id: MerchantId = app.merchant_id.parse().expect("an id");
    let uri = "/v1/payments".parse().expect("a URI");
    let fingerprint =
        Fingerprint::of(&axum::http::Method::POST, &uri, merchant_id, body.as_bytes());
    let payment_id = PaymentId::from_uuid(app.service.store.ids().next());
    let amount = Amount::parse("100.00", "USD".parse().expect("a currency")).expect("an amount");
    let intent = PaymentIntent {
        amount,
        capture_method: CaptureMethod::Automatic,
        psp: None,
        customer: None,
        reference: None,
        description: None,
        metadata: Metadata::default(),
        order: Order::default(),
    };
    let claim = Request {
        bytes: Request::BYTES_USUAL,
        command: Command::CreatePayment(CreatePayment {
            payment_id,
            merchant_id,
            intent,
            method: None,
        }),
        key: Some(RequestKey {
            owner: merchant_id,
            key: key.to_owned(),
            fingerprint: *fingerprint.as_bytes(),
            part: RequestPart::First,
        }),
        origin: Origin::default(),
        answer: Arc::new(move |_, _| NewAnswer {
            status: 202,
            resource_id: payment_id.to_string(),
            body: String::new(),
            replay_body: None,
        }),
    };
    app.service.store.submit(claim).await.expect("claimed");
    payment_id
}

/// Where the process died after its first append, the answer is given by another.
#[tokio::test]
async fn what_a_process_that_died_left_without_an_answer_is_answered_by_another() {
    let app = App::new().await;
    let payment_id = leave_unanswered(&app, "left").await;
    let finisher = AnswerFinisher::new(app.service.store.clone());
    assert_eq!(finisher.pass(Duration::from_secs(3_600)).await, 0, "it may still be at it");
    assert_eq!(finisher.pass(Duration::ZERO).await, 1);
    assert_eq!(finisher.pass(Duration::ZERO).await, 0, "once");
    let request = app.merchant.request("POST", "/v1/payments").key("left");
    let answer = request.body(payment(None).to_string()).send().await.expect(201);
    assert_eq!(answer.text("id"), payment_id.to_string());
    assert_eq!(answer.header("idempotent-replayed"), "true");
}

#[tokio::test]
async fn one_that_cannot_be_read_keeps_no_other_without_an_answer() {
    let app = App::new().await;
    let unreadable = leave_unanswered(&app, "of a newer program").await;
    leave_unanswered(&app, "left").await;
    let mut owner = app.database.owner().await;
    let newer = format!(
        "alter table events disable trigger all;
         update events set schema_version = 99
         where event_type = 'payment.created' and stream_id = 'payment-{unreadable}'"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(newer)).execute(&mut owner).await.expect("changed");
    let finisher = AnswerFinisher::new(app.service.store.clone());
    assert_eq!(finisher.pass(Duration::ZERO).await, 1);
    let without = "select count(*) from idempotency_keys where response is null";
    let without: i64 = sqlx::query_scalar(without).fetch_one(&mut owner).await.expect("counts");
    assert_eq!(without, 1, "the one of the newer program");
}

/// Every field that is wrong is named, and nothing is written.
#[tokio::test]
async fn odd_payments_are_refused_by_their_fields() {
    let app = App::new().await;
    let written = app.written().await;
    let card = "4242 4242 4242 4242";
    for (field, value, pointer) in [
        ("amount", json!("0.00"), "/amount"),
        ("amount", json!("-1.00"), "/amount"),
        ("amount", json!("1.001"), "/amount"),
        ("amount", json!("1e400"), "/amount"),
        ("currency", json!("XXX"), "/currency"),
        ("capture_method", json!("later"), "/capture_method"),
        ("payment_method", json!({"token": ""}), "/payment_method/token"),
        ("payment_method", json!({"token": "4242424242424242"}), "/payment_method/token"),
        ("payment_method", json!({"token": "ok", "type": "cheque"}), "/payment_method/type"),
        ("payment_method", json!({"token": "ok", "network": "visas"}), "/payment_method/network"),
        (
            "payment_method",
            json!({"token": "ok", "fingerprint": "4242424242424242"}),
            "/payment_method/fingerprint",
        ),
        (
            "payment_method",
            json!({"token": "ok", "type": "wallet", "network": "visa"}),
            "/payment_method/network",
        ),
        (
            "payment_method",
            json!({"token": "ok", "type": "bank_account", "fingerprint": "x"}),
            "/payment_method/fingerprint",
        ),
        ("psp", json!("a b"), "/psp"),
        ("psp", json!("alpah"), "/psp"),
        ("customer", json!(card), "/customer"),
        ("reference", json!(format!("card {card}")), "/reference"),
        ("description", json!("5555-5555-5555-4444"), "/description"),
        ("metadata", json!({"card": card}), "/metadata/card"),
        ("metadata", json!({card: "x"}), &format!("/metadata/{card}")),
        (
            "order",
            json!([{"name": "x", "quantity": 0, "unit_amount": "1.00"}]),
            "/order/0/quantity",
        ),
        (
            "order",
            json!([{"name": "x", "quantity": 1, "unit_amount": "-1.00"}]),
            "/order/0/unit_amount",
        ),
        ("order", json!([{"name": card, "quantity": 1, "unit_amount": "1.00"}]), "/order/0/name"),
    ] {
        let mut body = payment(Some("ok"));
        body[field] = value;
        let refused = app.merchant.post("/v1/payments", &body).await;
        let refused = refused.expect(422).json();
        assert_eq!(refused["errors"][0]["pointer"], pointer, "{refused}");
        assert!(!refused.to_string().contains("4242424242424242"), "{refused}");
    }
    for (field, value) in [("amount", json!(100)), ("surprise", json!(1)), ("order", json!({}))] {
        let mut body = payment(None);
        body[field] = value;
        let refused = app.merchant.post("/v1/payments", &body).await;
        assert!([400, 422].contains(&refused.status), "{field}: {}", refused.body);
    }
    assert_eq!(app.written().await, written, "nothing was written");
}

#[tokio::test]
async fn only_its_merchant_may_touch_a_payment() {
    let app = App::new().await;
    let id = app.merchant.post("/v1/payments", &payment(None)).await.expect(201).text("id");
    for action in ["authorize", "capture", "cancel", "void", "refunds"] {
        let path = format!("/v1/payments/{id}/{action}");
        let refused = |actor: &Actor| {
            let actor = actor.clone();
            let path = path.clone();
            async move { actor.post(&path, &json!({})).await.status }
        };
        assert_eq!(refused(&app.other_merchant).await, 404, "{action}");
        assert_eq!(refused(&app.merchant_read).await, 403, "{action}");
        assert_eq!(refused(&app.operator).await, 403, "{action}");
        assert_eq!(refused(&app.anonymous).await, 401, "{action}");
        let garbled = app.merchant.post(&path.replace(&id, "pay_x"), &json!({})).await;
        assert_eq!(garbled.status, 404, "{action}");
    }
}

#[tokio::test]
async fn another_version_than_the_caller_saw_is_refused() {
    let app = App::new().await;
    let id = app.merchant.post("/v1/payments", &payment(None)).await.expect(201).text("id");
    let path = format!("/v1/payments/{id}/cancel");
    let at = |version: &str| app.merchant.request("POST", &path).header("if-match", version);
    assert_eq!(at("\"7\"").send().await.expect(412).text("code"), "precondition-failed");
    assert_eq!(at("\"1\"").send().await.expect(200).text("state"), "canceled");
    let event = app.service.store.payment(id.parse().expect("an id")).await.expect("there");
    assert!(event.is_some_and(|payment| payment.state().name() == "canceled"));
}
