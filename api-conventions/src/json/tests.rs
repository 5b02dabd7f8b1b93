use super::*;
use crate::amounts::AmountDto;
use crate::problem::PROBLEM_MEDIA_TYPE;
use crate::test_app::{Answer, request, send, test_ids};
use crate::with_request_context;
use axum::Router;
use axum::body::Body;
use axum::routing::post;
use serde::Deserialize;

const BYTES_MAX: usize = 1_024;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only whether it can be read is of interest")]
struct Entry {
    external_ref: String,
    postings: Vec<Posting>,
    #[serde(default)]
    metadata: std::collections::BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only whether it can be read is of interest")]
struct Posting {
    account: String,
    amount: AmountDto,
}

fn app() -> Router {
    let handler = async |entry: StrictJson<Entry, BYTES_MAX>| {
        format!("{} bytes, {} postings", entry.raw.len(), entry.value.postings.len())
    };
    with_request_context(Router::new().route("/entries", post(handler)), test_ids())
}

async fn check(body: impl Into<Body>) -> Answer {
    let headers = [("content-type", "application/json")];
    send(&app(), request("POST", "/entries", &headers, body)).await
}

async fn check_refused(bodies: &[&[u8]]) -> String {
    let mut refusals = Vec::new();
    for body in bodies {
        let answer = check(body.to_vec()).await;
        assert!(answer.status.is_client_error(), "{}", String::from_utf8_lossy(body));
        assert_eq!(answer.header("content-type"), PROBLEM_MEDIA_TYPE);
        let body = String::from_utf8_lossy(body).replace('\0', "<NUL>");
        let shown: String = body.chars().take(120).collect();
        refusals.push(format!("{shown}\n{} {}\n", answer.status.as_u16(), answer.body));
    }
    refusals.join("\n")
}

#[tokio::test]
async fn a_valid_body_is_read_and_its_bytes_are_kept() {
    let body = r#" {"external_ref":"r/\u00e9","postings":[{"account":"acc","amount":{"amount":"1","currency":"USD"}}]} "#;
    let answer = check(body).await;
    assert_eq!(answer.body, format!("{} bytes, 1 postings", body.len()));
}

#[tokio::test]
async fn what_is_not_json_is_malformed() {
    let deep = [b"{\"external_ref\":".to_vec(), b"[".repeat(500)].concat();
    insta::assert_snapshot!(
        check_refused(&[
            b"",
            b"  ",
            b"{",
            b"{} {}",
            b"nil",
            b"{\"external_ref\":\"\xff\"}",
            b"{\"external_ref\":\"\\ud800\"}",
            b"{\"postings\":[{\"amount\":1e400}]}",
            b"{\"postings\":[{\"amount\":NaN}]}",
            &deep,
        ])
        .await
    );
}

#[tokio::test]
async fn nul_and_duplicate_keys_are_refused_by_place() {
    insta::assert_snapshot!(
        check_refused(&[
            br#"{"external_ref":"a\u0000b","postings":[]}"#,
            b"{\"external_ref\":\"a\0b\",\"postings\":[]}",
            br#"{"external_ref":"a","postings":[],"metadata":{"a\u0000":"1"}}"#,
            b"{\"external_ref\":\"a\",\"postings\":[],\"metadata\":{\"a\0\":\"1\"}}",
            br#"{"external_ref":"a","postings":[],"metadata":{"a/b":["x",{"~":"\u0000"}]}}"#,
            br#"{"external_ref":"a","external_ref":"b","postings":[]}"#,
            br#"{"external_ref":"a","postings":[{"account":"a","acc\u006funt":"b"}]}"#,
        ])
        .await
    );
}

#[tokio::test]
async fn fields_that_do_not_fit_the_type_are_named() {
    insta::assert_snapshot!(
        check_refused(&[
            br"[]",
            br#"["a",[],{}]"#,
            br#"{"external_ref":"a","postings":[{"account":"a","amount":["1","USD"]}]}"#,
            br"{}",
            br#"{"external_ref":7,"postings":[]}"#,
            br#"{"external_ref":null,"postings":[]}"#,
            br#"{"external_ref":"a","postings":[],"extra":1}"#,
            br#"{"external_ref":"a","postings":[{"account":"a"}]}"#,
            br#"{"external_ref":"a","postings":[{"account":"a","amount":{"amount":100,"currency":"USD"}}]}"#,
            br#"{"external_ref":"a","postings":[{"account":"a","amount":{"amount":1e2,"currency":"USD"}}]}"#,
            br#"{"external_ref":"a","postings":[],"metadata":{"a/b":1}}"#,
        ])
        .await
    );
}

#[tokio::test]
async fn nesting_below_the_bound_is_judged_by_the_type() {
    let deep = format!(r#"{{"external_ref":{}{}}}"#, "[".repeat(100), "]".repeat(100));
    assert_eq!(check(deep).await.status, 422);
}

#[tokio::test]
async fn another_media_type_is_refused_before_the_body_is_read() {
    for (media_type, status) in [
        ("application/json", 422),
        ("Application/JSON; charset=utf-8", 422),
        ("text/plain", 415),
        ("application/jsonp", 415),
        ("", 415),
    ] {
        let headers = [("content-type", media_type)];
        let answer = send(&app(), request("POST", "/entries", &headers, "{}")).await;
        assert_eq!(answer.status.as_u16(), status, "{media_type}");
    }
    let answer = send(&app(), request("POST", "/entries", &[], "{")).await;
    insta::assert_snapshot!(answer);
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused_announced_or_streamed() {
    let at_limit = " ".repeat(BYTES_MAX);
    assert_eq!(check(at_limit.clone()).await.status, 400);
    let beyond = format!("{at_limit} ");
    insta::assert_snapshot!(check(beyond.clone()).await);
    let chunks = beyond.into_bytes().chunks(100).map(<[u8]>::to_vec).collect::<Vec<_>>();
    let chunks = chunks.into_iter().map(Ok::<_, std::io::Error>);
    assert_eq!(check(Body::from_stream(futures::stream::iter(chunks))).await.status, 413);
    let headers = [("content-type", "application/json"), ("content-length", "1025")];
    let never = Body::from_stream(futures::stream::pending::<Result<Vec<u8>, std::io::Error>>());
    assert_eq!(send(&app(), request("POST", "/entries", &headers, never)).await.status, 413);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_does_not_arrive_is_given_up() {
    let never = futures::stream::pending::<Result<Vec<u8>, std::io::Error>>();
    assert_eq!(check(Body::from_stream(never)).await.status, 408);
    let broken = futures::stream::iter([Err::<Vec<u8>, _>(std::io::Error::other("reset"))]);
    assert_eq!(check(Body::from_stream(broken)).await.status, 400);
}

#[tokio::test]
async fn a_byte_order_mark_before_the_text_is_skipped_and_only_there() {
    let entry = r#"{"external_ref":"x","postings":[]}"#;
    assert_eq!(check(format!("\u{feff}{entry}")).await.status, 200);
    assert_eq!(check(format!("\u{feff}\u{feff}{entry}")).await.status, 400);
    assert_eq!(check(format!("{entry}\u{feff}")).await.status, 400);
}
