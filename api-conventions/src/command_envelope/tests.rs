use super::*;
use crate::test_app::{Answer, MemoryDirectory, bearer, request, send, test_ids};
use crate::{RateLimitPolicy, RateLimits, protect, with_request_context};
use axum::Router;
use axum::routing::post;
use domain::api_keys::Role;
use std::sync::Arc;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Freeze {
    reason: String,
}

fn app() -> (Router, String) {
    let mut directory = MemoryDirectory::default();
    let token = bearer(&directory.issue(1, Role::Merchant));
    let freeze = async |command: CommandEnvelope| -> Result<String, Problem> {
        let freeze: Freeze = command.json()?;
        Ok(format!("{} {}", command.idempotency_key.as_str(), freeze.reason))
    };
    let reverse = async |command: CommandEnvelope| -> Result<String, Problem> {
        command.no_body()?;
        Ok(command.fingerprint.to_string())
    };
    let router = Router::new()
        .nest("/v1", Router::new().route("/freeze", post(freeze)).route("/reverse", post(reverse)));
    let limits = Arc::new(RateLimits::new(RateLimitPolicy::default()));
    (with_request_context(protect(router, directory.shared(), limits), test_ids()), token)
}

async fn check(path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let (app, token) = app();
    let mut all = vec![("authorization", token.as_str())];
    all.extend_from_slice(headers);
    send(&app, request("POST", path, &all, body.to_owned())).await
}

const KEY: (&str, &str) = ("idempotency-key", "order-1");
const JSON: (&str, &str) = ("content-type", "application/json");

#[tokio::test]
async fn a_command_is_read_with_its_key() {
    let answer = check("/v1/freeze", &[KEY, JSON], r#"{"reason":"fraud"}"#).await;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, "order-1 fraud"));
}

#[tokio::test]
async fn a_command_without_a_key_is_refused_before_its_body_is_looked_at() {
    let answer = check("/v1/freeze", &[JSON], "{broken").await;
    insta::assert_snapshot!(answer.body);
}

#[tokio::test]
async fn media_type_and_if_match_are_checked() {
    assert_eq!(check("/v1/freeze", &[KEY], r#"{"reason":"x"}"#).await.status, 415);
    assert_eq!(check("/v1/freeze", &[KEY, JSON], "{broken").await.status, 400);
    assert_eq!(check("/v1/freeze", &[KEY, JSON, ("if-match", "3")], "{}").await.status, 400);
}

#[tokio::test]
async fn a_command_without_a_body_takes_none_or_an_empty_object() {
    assert_eq!(check("/v1/reverse", &[KEY], "").await.status, 200);
    assert_eq!(check("/v1/reverse", &[KEY, JSON], " {} ").await.status, 200);
    assert_eq!(check("/v1/reverse", &[KEY, JSON], r#"{"force":true}"#).await.status, 422);
    assert_eq!(check("/v1/reverse", &[KEY], "x").await.status, 415);
}

#[tokio::test]
async fn the_fingerprint_is_over_the_whole_path_of_a_nested_route() {
    let uri = axum::http::Uri::from_static("/v1/reverse?x=1");
    let merchant = domain::MerchantId::from_uuid(uuid::Uuid::from_u128(77));
    let expected = Fingerprint::of(&axum::http::Method::POST, &uri, merchant, b"{}");
    let answer = check("/v1/reverse?x=1", &[KEY, JSON], "{}").await;
    assert_eq!(answer.body, expected.to_string());
}
