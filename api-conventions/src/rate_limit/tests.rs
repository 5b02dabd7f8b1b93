use super::*;
use crate::test_app::{MemoryDirectory, bearer, request, send, test_ids};
use crate::{protect, with_request_context};
use std::convert::Infallible;

use axum::Router;
use axum::body::Bytes;
use axum::routing::get;
use domain::api_keys::Role;
use http_body_util::BodyExt as _;
use uuid::Uuid;

fn limits(requests: u32, window: Duration) -> RateLimits {
    let requests = NonZeroU32::new(requests).unwrap();
    RateLimits::new(RateLimitPolicy { requests, window })
}

#[tokio::test]
async fn a_key_beyond_its_quota_is_told_when_to_come_back_and_others_are_not_affected() {
    let mut directory = MemoryDirectory::default();
    let busy = bearer(&directory.issue(1, Role::Merchant));
    let other = bearer(&directory.issue(2, Role::Merchant));
    // So slow that nothing comes back while the test runs.
    let limits = Arc::new(limits(2, Duration::from_secs(7_200)));
    let router = Router::new().route("/", get(async || "answered"));
    let app = with_request_context(protect(router, directory.shared(), limits), test_ids());
    let get = async |authorization: &str| {
        send(&app, request("GET", "/", &[("authorization", authorization)], "")).await
    };
    let first = get(&busy).await;
    assert_eq!(first.status, 200);
    assert_eq!(first.header("ratelimit"), "\"key\";r=1;t=3600");
    assert_eq!(first.header("ratelimit-policy"), "\"key\";q=2;w=7200");
    assert_eq!(get(&busy).await.header("ratelimit"), "\"key\";r=0;t=7200");
    insta::assert_snapshot!(get(&busy).await);
    assert_eq!(get(&other).await.status, 200);
}

#[test]
fn large_requests_count_by_their_size() {
    let limits = limits(10, Duration::from_secs(7_200));
    let key = ApiKeyId::from_uuid(Uuid::nil());
    for (bytes, remaining) in [(0, 9), (COUNTED_BODY_BYTES, 8), (3 * COUNTED_BODY_BYTES + 1, 4)] {
        let verdict = limits.check(&key, bytes);
        assert_eq!((verdict.let_in, verdict.remaining), (true, remaining), "{bytes} bytes");
    }
    assert!(!limits.check(&key, 5 * COUNTED_BODY_BYTES).let_in, "four are left");
    assert!(limits.check(&key, 4 * COUNTED_BODY_BYTES).let_in);
    let other = ApiKeyId::from_uuid(Uuid::max());
    let verdict = limits.check(&other, u64::MAX);
    assert_eq!((verdict.let_in, verdict.remaining), (true, 0), "the largest has a whole window");
}

#[tokio::test(start_paused = true)]
async fn a_body_of_unknown_length_comes_in_as_fast_as_its_key_may_ask() {
    let limits = Arc::new(limits(10, Duration::from_secs(1)));
    let key = ApiKeyId::from_uuid(Uuid::nil());
    assert_eq!(limits.check(&key, 0).remaining, 9);
    let piece = Bytes::from(vec![b' '; usize::try_from(COUNTED_BODY_BYTES).unwrap()]);
    let pieces = futures::stream::iter(vec![Ok::<_, Infallible>(piece); 10]);
    let body = Arc::clone(&limits).counted(key, Body::from_stream(pieces));
    let read = body.collect().await.unwrap().to_bytes();
    assert_eq!(read.len(), 10 * 1_024, "nothing is lost");
    assert!(
        !limits.check(&key, 0).let_in,
        "the first counted with the request, nine more by themselves"
    );
}

#[test]
fn idle_keys_are_forgotten_by_and_by() {
    let limits = limits(1_000_000, Duration::from_millis(1));
    for n in 0..CHECKS_BETWEEN_SHRINKS + 10 {
        let verdict = limits.check(&ApiKeyId::from_uuid(Uuid::from_u128(n.into())), 0);
        assert!(verdict.let_in);
    }
    let tracked = u64::try_from(limits.keys_tracked()).unwrap();
    assert!(tracked < CHECKS_BETWEEN_SHRINKS, "{tracked} keys");
}

#[test]
fn the_default_lets_a_benchmark_pass() {
    let limits = RateLimits::new(RateLimitPolicy::default());
    let key = ApiKeyId::from_uuid(Uuid::nil());
    assert!(
        (0..REQUESTS_PER_SECOND_DEFAULT.get())
            .all(|_| limits.check(&key, COUNTED_BODY_BYTES).let_in)
    );
}
