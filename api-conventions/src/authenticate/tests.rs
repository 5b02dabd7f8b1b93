use super::*;
use crate::test_app::{Answer, MemoryDirectory, bearer, request, send, test_ids};
use crate::{RateLimitPolicy, RateLimits, StrictJson, protect, with_request_context};
use axum::Router;
use axum::routing::{get, post};

const COMMANDS: &[Role] = &[Role::Merchant, Role::Operator];

fn app(directory: MemoryDirectory) -> Router {
    let limits = Arc::new(RateLimits::new(RateLimitPolicy::default()));
    let strict = async |_: StrictJson<()>| "done";
    let router = Router::new()
        .route("/who", get(async |caller: Caller| format!("{caller:?}")))
        .route("/commands", allow(COMMANDS, post(strict)));
    with_request_context(protect(router, directory.shared(), limits), test_ids())
}

async fn check(app: &Router, authorization: &[&str]) -> Answer {
    let headers: Vec<_> = authorization.iter().map(|value| ("authorization", *value)).collect();
    send(app, request("GET", "/who", &headers, "")).await
}

#[tokio::test]
async fn a_valid_key_says_who_calls() {
    let mut directory = MemoryDirectory::default();
    let merchant = bearer(&directory.issue(1, Role::Merchant));
    let app = app(directory);
    insta::assert_snapshot!(check(&app, &[&merchant]).await.body, @"Caller { key_id: key_00000000000000000000000001, merchant_id: mer_0000000000000000000000002d, role: Merchant }");
    let lower_case = merchant.replace("Bearer ", "bearer  ");
    assert_eq!(check(&app, &[&lower_case]).await.status, 200);
}

#[tokio::test]
async fn whatever_is_wrong_with_a_key_the_answer_is_the_same() {
    let mut directory = MemoryDirectory::default();
    let valid = bearer(&directory.issue(1, Role::Merchant));
    let revoked = bearer(&directory.issue(2, Role::Merchant));
    directory.keys[1].revoked = true;
    let unknown = bearer(&MemoryDirectory::default().issue(3, Role::Merchant));
    let wrong_secret = valid.replace("0101", "0102");
    let app = app(directory);
    let missing = check(&app, &[]).await.to_string();
    insta::assert_snapshot!(missing);
    for authorization in [
        &["Bearer garbled"][..],
        &[&valid.replace("Bearer", "Basic")],
        &[&valid.replace("Bearer ", "")],
        &[&unknown],
        &[&wrong_secret],
        &[&revoked],
        &[&valid, &valid],
    ] {
        assert_eq!(check(&app, authorization).await.to_string(), missing, "{authorization:?}");
    }
}

#[tokio::test]
async fn without_the_directory_nobody_is_let_in_or_turned_away() {
    let mut directory = MemoryDirectory { down: true, ..MemoryDirectory::default() };
    let token = bearer(&directory.issue(1, Role::Merchant));
    insta::assert_snapshot!(check(&app(directory), &[&token]).await);
}

#[tokio::test]
async fn the_key_is_checked_before_the_role_and_the_role_before_the_body() {
    let mut directory = MemoryDirectory::default();
    let merchant = bearer(&directory.issue(1, Role::Merchant));
    let auditor = bearer(&directory.issue(2, Role::Auditor));
    let app = app(directory);
    let post = async |authorization: &str| {
        let headers = [("authorization", authorization), ("content-type", "application/json")];
        send(&app, request("POST", "/commands", &headers, "{broken")).await
    };
    assert_eq!(post("Bearer x").await.status, 401);
    assert_eq!(post(&merchant).await.status, 400);
    insta::assert_snapshot!(post(&auditor).await.body);
}

#[tokio::test]
async fn keys_that_are_made_up_cost_so_many_look_ups_and_keep_nobody_else_out() {
    use std::sync::atomic::Ordering;

    let mut directory = MemoryDirectory::default();
    let merchant = bearer(&directory.issue(1, Role::Merchant));
    let looks = Arc::clone(&directory.looks);
    let app = app(directory);
    assert_eq!(check(&app, &[&merchant]).await.status, 200);
    let mut refused = None;
    for n in 0..2_000_u128 {
        let made_up = ApiKeyId::from_uuid(uuid::Uuid::from_u128(1_000 + n));
        let token = ApiKeyToken::generate(made_up, [7; 32]);
        let answer = check(&app, &[&bearer(&token)]).await;
        if answer.status == 429 {
            refused = Some(answer);
        } else {
            assert_eq!(answer.status, 401);
        }
    }
    insta::assert_snapshot!(refused.expect("some are refused"), @r#"
    429 Too Many Requests
    content-type: application/problem+json
    retry-after: 1
    x-correlation-id: drawn-by-the-id-source

    {"type":"/problems/too-many-requests","title":"Too many requests","status":429,"detail":"too many API keys that do not exist come from this address","code":"too-many-requests","retryable":true,"correlation_id":"drawn-by-the-id-source"}
    "#);
    let looks = looks.load(Ordering::Relaxed);
    assert!(looks < 1_000, "{looks} of 2,000 were looked up");
    for _ in 0..3 {
        assert_eq!(check(&app, &[&merchant]).await.status, 200, "it was good lately");
    }
}
