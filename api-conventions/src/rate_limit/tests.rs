use super::*;
use crate::test_app::{MemoryDirectory, bearer, request, send, test_ids};
use crate::{protect, with_request_context};
use axum::Router;
use axum::routing::get;
use domain::api_keys::Role;
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
fn idle_keys_are_forgotten_by_and_by() {
    let limits = limits(1_000_000, Duration::from_millis(1));
    for n in 0..CHECKS_BETWEEN_SHRINKS + 10 {
        let verdict = limits.check(&ApiKeyId::from_uuid(Uuid::from_u128(n.into())));
        assert!(verdict.let_in);
    }
    let tracked = u64::try_from(limits.keys_tracked()).unwrap();
    assert!(tracked < CHECKS_BETWEEN_SHRINKS, "{tracked} keys");
}

#[test]
fn the_default_lets_a_benchmark_pass() {
    let limits = RateLimits::new(RateLimitPolicy::default());
    let key = ApiKeyId::from_uuid(Uuid::nil());
    assert!((0..REQUESTS_PER_SECOND_DEFAULT.get()).all(|_| limits.check(&key).let_in));
}
