use super::*;
use crate::test_app::{Answer, request, send, test_ids};
use axum::routing::{get, post};

fn app() -> Router {
    let router = Router::new()
        .route("/echo", get(async |context: RequestContext| format!("{context:?}")))
        .route("/broken", get(async || -> &'static str { panic!("the secret cause") }))
        .route("/problem", get(async || Problem::conflict("the account is frozen")))
        .route("/foreign", get(async || (axum::http::StatusCode::BAD_REQUEST, "plain text")))
        .route("/stored", post(async || stored_answer()));
    with_request_context(router, test_ids())
}

fn stored_answer() -> Response {
    let first = CorrelationId::parse("the-first-request").unwrap();
    Problem::conflict("stored").render(&first).into_response()
}

async fn check(path: &str, headers: &[(&str, &str)]) -> Answer {
    send(&app(), request("GET", path, headers, "")).await
}

const TRACEPARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

#[tokio::test]
async fn a_request_has_the_name_that_the_caller_gave_or_a_fresh_one() {
    let long = "x".repeat(CORRELATION_ID_CHARACTERS_MAX + 1);
    for (headers, name) in [
        (&[][..], "drawn-by-the-id-source"),
        (&[("x-correlation-id", "mine")], "mine"),
        (&[("x-request-id", "other")], "other"),
        (&[("x-request-id", "other"), ("x-correlation-id", "mine")], "mine"),
        (&[("x-correlation-id", "a b")], "drawn-by-the-id-source"),
        (&[("x-correlation-id", "é")], "drawn-by-the-id-source"),
        (&[("x-correlation-id", "")], "drawn-by-the-id-source"),
        (&[("x-correlation-id", long.as_str())], "drawn-by-the-id-source"),
    ] {
        let answer = check("/echo", headers).await;
        assert_eq!(answer.header("x-correlation-id"), name, "{headers:?}");
        assert!(answer.body.contains(&format!("CorrelationId({name:?})")), "{}", answer.body);
    }
}

#[tokio::test]
async fn a_valid_trace_goes_through_and_out() {
    let answer = check("/echo", &[("traceparent", TRACEPARENT)]).await;
    assert_eq!(answer.header("traceparent"), TRACEPARENT);
    assert!(answer.body.contains(TRACEPARENT));
    let answer = check("/echo", &[("traceparent", "00-0-0-01")]).await;
    assert_eq!(answer.header("traceparent"), "");
}

#[test]
fn traceparents_are_checked_as_the_w3c_says() {
    let of = |text: &str| TraceParent::parse(text).map(|trace| trace.as_str().to_owned());
    assert_eq!(of(TRACEPARENT).as_deref(), Some(TRACEPARENT));
    let later = TRACEPARENT.replacen("00", "01", 1);
    assert_eq!(of(&format!("{later}-more")), Some(later.clone()));
    for text in [
        "",
        &TRACEPARENT[1..],
        &TRACEPARENT.to_uppercase(),
        &TRACEPARENT.replacen("00", "ff", 1),
        &format!("{TRACEPARENT}-more"),
        &format!("{later}more"),
        "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
        "00-4bf92f3577b34da6a3ce929d0e0e47360-0f067aa0ba902b7-01",
        "é0-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    ] {
        assert_eq!(of(text), None, "{text}");
    }
}

#[tokio::test]
async fn problems_carry_the_request_s_name() {
    insta::assert_snapshot!(check("/problem", &[("x-correlation-id", "mine")]).await);
}

#[tokio::test]
async fn a_panic_is_a_problem_that_says_nothing_of_its_cause() {
    insta::assert_snapshot!(check("/broken", &[]).await);
}

#[tokio::test]
async fn an_error_that_is_no_problem_becomes_one() {
    insta::assert_snapshot!(check("/foreign", &[]).await);
}

#[tokio::test]
async fn a_stored_answer_is_replayed_byte_for_byte() {
    let answer =
        send(&app(), request("POST", "/stored", &[("x-correlation-id", "second")], "")).await;
    assert_eq!(answer.header("x-correlation-id"), "second");
    assert!(answer.body.contains(r#""correlation_id":"the-first-request""#), "{}", answer.body);
}
