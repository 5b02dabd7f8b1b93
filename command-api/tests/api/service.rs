//! The service itself: its document, its health, its metrics, and what it says when it cannot
//! write.

use event_store::log::Position;
use event_store::mirror::{MirrorAlarm, MirrorStatus};
use serde_json::json;

use crate::actors::entry;
use crate::app::{App, PATIENCE};

#[test]
fn the_api_is_documented() {
    let document = serde_json::to_value(command_api::openapi()).expect("JSON");
    assert_eq!(document["openapi"], "3.1.0");
    insta::assert_json_snapshot!(document);
}

#[tokio::test]
async fn the_document_is_served_as_it_is_and_readable() {
    let app = App::new().await;
    let served = app.anonymous.get("/openapi.json").await.expect(200).json();
    assert_eq!(served, serde_json::to_value(command_api::openapi()).expect("JSON"));
    app.anonymous.get("/docs/").await.expect(200);
}

/// Waits until readiness says so: what was found is answered for a moment after.
async fn ready_says(app: &App, status: u16, text: &str) {
    let said = async {
        loop {
            let ready = app.anonymous.get("/health/ready").await;
            if ready.body.contains(text) {
                return ready.status;
            }
            tokio::task::yield_now().await;
        }
    };
    assert_eq!(tokio::time::timeout(PATIENCE, said).await.expect("it is said"), status, "{text}");
}

#[tokio::test]
async fn it_is_ready_while_the_log_can_be_written_whatever_the_mirror_does() {
    let mut app = App::new().await;
    let mirror = |status| drop(app.service.mirror.send_replace(status));
    mirror(MirrorStatus::Mirrored(Position::from_number(3)));
    insta::assert_snapshot!("ready", app.anonymous.get("/health/ready").await.body);
    mirror(MirrorStatus::NatsAway("connection refused".to_owned()));
    ready_says(&app, 200, "degraded; NATS is away").await;
    let position = Position::from_number(3);
    mirror(MirrorStatus::Alarm(MirrorAlarm::OtherHistory { position }));
    ready_says(&app, 200, "alarm, a person must act").await;
    app.merchant.open("cash", None).await;
    app.service.stop_writing().await;
    ready_says(&app, 503, "the sequencer has stopped").await;
    app.anonymous.get("/health/live").await.expect(204);
}

#[tokio::test]
async fn a_command_that_cannot_be_written_now_is_to_be_sent_again() {
    let mut app = App::new().await;
    let (cash, sales) = (app.merchant.open("cash", None).await, app.merchant.open("x", None).await);
    let written = app.written().await;
    app.service.stop_writing().await;
    let refused = app.merchant.post_entry(&entry("r1", &cash, &sales, "1.00")).await;
    insta::assert_snapshot!(refused);
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(refused.json()["retryable"], json!(true));
    assert_eq!(app.written().await, written);
}

#[tokio::test]
async fn requests_are_measured_by_route_and_class_of_status() {
    let app = App::new().await;
    let (cash, sales) = (app.merchant.open("cash", None).await, app.merchant.open("x", None).await);
    app.merchant.post_entry(&entry("r1", &cash, &sales, "1.00")).await.expect(201);
    app.anonymous.post_entry(&entry("r1", &cash, &sales, "1.00")).await.expect(401);
    let metrics = app.anonymous.get("/metrics").await.expect(200).body;
    for class in ["2xx", "4xx"] {
        let labels = format!("{{route=\"/v1/ledger/entries\",status=\"{class}\"");
        assert!(metrics.contains(&format!("runut_http_request_seconds{labels}")), "{metrics}");
    }
    assert!(!metrics.contains(&cash), "no ids in labels");
}

#[tokio::test]
async fn a_request_without_a_name_is_given_one() {
    let app = App::new().await;
    let account = json!({"code": "cash", "type": "asset", "currency": "USD"}).to_string();
    let opened = app.merchant.request("POST", "/v1/accounts").without("x-correlation-id");
    let opened = opened.body(account).send().await.expect(201);
    let name = opened.header("x-correlation-id");
    assert!(!name.is_empty());
    let (_, metadata) = app.event_at(opened.position()).await;
    assert_eq!(metadata["correlation_id"], name);
}
