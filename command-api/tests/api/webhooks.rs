//! Webhooks at the door: who is let in, what is kept, and what operators do with what cannot be worked off.

use std::net::IpAddr;

use axum::body::Body;
use axum::http::HeaderMap;
use bytes::Bytes;
use command_api::{BodyCheck, NotLetIn, PspDirectory, WEBHOOK_BODY_BYTES_MAX};
use domain::Timestamp;
use domain::payments::PspName;
use event_store::{WebhookDigest, WebhookOutcome};
use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::app::App;
use crate::sockets::{Served, read_until};

/// Lets in what says the password; that real signatures are checked rightly is shown where they are.
#[derive(Debug)]
pub(crate) struct OnlyAlpha;

impl PspDirectory for OnlyAlpha {
    fn names(&self) -> Option<Vec<PspName>> {
        Some(vec!["alpha".parse().expect("a name")])
    }

    fn expect_webhook(
        &self,
        psp: &str,
        _: Option<IpAddr>,
        headers: &HeaderMap,
        _: Timestamp,
    ) -> Result<BodyCheck, NotLetIn> {
        match headers.get("x-password") {
            _ if psp != "alpha" => Err(NotLetIn::NotExpected),
            Some(password) if password == "sesame" => Ok(Box::new(let_in)),
            Some(_) | None => Err(NotLetIn::NotSigned { reason: "no password".to_owned() }),
        }
    }
}

/// What begins with `forged` is not by that PSP.
fn let_in(body: &[u8]) -> Result<(), NotLetIn> {
    match body.starts_with(b"forged") {
        true => Err(NotLetIn::NotSigned { reason: "forged".to_owned() }),
        false => Ok(()),
    }
}

async fn states(app: &App) -> Vec<(String, i32)> {
    let mut owner = app.database.owner().await;
    let all = "select state, deliveries from webhooks order by received_at";
    sqlx::query_as(all).fetch_all(&mut owner).await.expect("reads")
}

#[tokio::test]
async fn what_is_signed_is_kept_once_however_often_it_comes() {
    let app = App::new().await;
    let send = |body: &'static str| {
        let request = app.anonymous.request("POST", "/v1/webhooks/alpha");
        request.without("idempotency-key").header("x-password", "sesame").body(body).send()
    };
    let kept = send("{\"a\":1}").await.expect(200);
    assert_eq!(kept.text("digest"), WebhookDigest::of(b"{\"a\":1}").to_string());
    send("{\"a\":1}").await.expect(200);
    // Whatever it is: it is worked off later.
    send("not JSON").await.expect(200);
    assert_eq!(states(&app).await, [("received".to_owned(), 2), ("received".to_owned(), 1)]);
}

#[tokio::test]
async fn what_is_not_signed_or_expected_is_not_kept() {
    let app = App::new().await;
    for (path, password, status) in [
        ("/v1/webhooks/alpha", "guess", 401),
        ("/v1/webhooks/nobody", "sesame", 404),
        ("/v1/webhooks/", "sesame", 404),
    ] {
        let request = app.anonymous.request("POST", path).header("x-password", password);
        request.body("{}").send().await.expect(status);
    }
    let large = vec![b' '; WEBHOOK_BODY_BYTES_MAX + 1];
    let request = app.anonymous.request("POST", "/v1/webhooks/alpha").body(large);
    request.header("x-password", "sesame").send().await.expect(413);
    assert_eq!(states(&app).await, []);
}

/// Whoever is turned away by the headers is turned away before a byte of the body is read.
#[tokio::test]
async fn a_webhook_that_its_headers_refuse_is_not_read() {
    let app = App::new().await;
    for (path, password, status) in
        [("/v1/webhooks/alpha", "guess", 401), ("/v1/webhooks/nobody", "sesame", 404)]
    {
        let never = futures::stream::pending::<Result<Bytes, axum::Error>>();
        let request = app.anonymous.request("POST", path).header("x-password", password);
        let answer = request.send_body(Body::from_stream(never)).await;
        assert_eq!(answer.status(), status);
    }
}

#[tokio::test]
async fn a_large_webhook_is_checked_like_a_small_one() {
    let app = App::new().await;
    for (beginning, status) in [("forged", 401), ("good", 200)] {
        for length in [10, WEBHOOK_BODY_BYTES_MAX] {
            let mut body = vec![b' '; length];
            body[..beginning.len()].copy_from_slice(beginning.as_bytes());
            let digest = WebhookDigest::of(&body);
            let request = app.anonymous.request("POST", "/v1/webhooks/alpha");
            let answer = request.header("x-password", "sesame").body(body).send().await;
            let answer = answer.expect(status);
            if status == 200 {
                assert_eq!(answer.text("digest"), digest.to_string());
            }
        }
    }
}

/// What comes from one address without a key has its room, and what comes from another has room beside it.
#[tokio::test]
async fn bodies_of_webhooks_from_one_address_take_a_share_of_the_memory() {
    let app = App::new().await;
    let served = Served::on_loopback(app.service.router.clone()).await;
    let head = format!(
        "POST /v1/webhooks/alpha HTTP/1.1\r\nhost: test\r\nx-password: sesame\r\n\
         content-length: {WEBHOOK_BODY_BYTES_MAX}\r\nexpect: 100-continue\r\n\r\n"
    );
    let mut silent = Vec::new();
    let refused = loop {
        let mut connection = served.connect_raw().await;
        connection.write_all(head.as_bytes()).await.expect("sent");
        let answer = read_until(&mut connection, "\r\n\r\n").await;
        if !answer.starts_with("HTTP/1.1 100") {
            break answer;
        }
        silent.push(connection);
    };
    assert!(refused.starts_with("HTTP/1.1 429"), "{refused}");
    assert_eq!(silent.len(), 32, "a quarter of the room, in webhooks of the largest size");
    let mut elsewhere = served.connect_raw_from("127.0.0.2").await;
    elsewhere.write_all(head.as_bytes()).await.expect("sent");
    read_until(&mut elsewhere, "100 Continue").await;
}

#[tokio::test]
async fn an_operator_has_a_dead_letter_worked_off_again() {
    let app = App::new().await;
    let store = &app.service.store;
    let digest = store.keep_webhook("alpha", &b"{}"[..]).await.expect("kept");
    let claimed = store.claim_webhooks(10).await.expect("claimed");
    assert_eq!(claimed.len(), 1);
    assert_eq!(store.claim_webhooks(10).await.expect("claims"), [], "one worker at a time");
    let reason = "it makes no sense".to_owned();
    let dead = WebhookOutcome::Dead { reason };
    let concluded = [(claimed[0].clone(), dead)];
    store.conclude_webhooks(&concluded).await.expect("concluded");
    assert_eq!(store.claim_webhooks(10).await.expect("claims"), [], "it is left alone");
    let path = format!("/v1/dead-letters/{digest}/replay");
    assert_eq!(app.merchant.post(&path, &json!({})).await.status, 403);
    for _ in 0..2 {
        app.operator.post(&path, &json!({})).await.expect(202);
    }
    assert_eq!(store.claim_webhooks(10).await.expect("claims").len(), 1);
    for nothing in ["/v1/dead-letters/00/replay", "/v1/dead-letters/x/replay"] {
        app.operator.post(nothing, &json!({})).await.expect(404);
    }
}
