//! A bound on what one API key may ask for, per process: 429 with the time to wait.
//!
//! What large requests cost grows with their size, so they count by it: once, and once more for each further
//! [`COUNTED_BODY_BYTES`] of the body.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use domain::ApiKeyId;
use futures::StreamExt;
use governor::clock::{Clock, DefaultClock};
use governor::middleware::{StateInformationMiddleware, StateSnapshot};
use governor::state::keyed::DefaultKeyedStateStore;
use governor::{NotUntil, Quota, RateLimiter};

use crate::authenticate::Caller;
use crate::problem::Problem;

/// Requests per second and key, where the process is not told otherwise: twice what one process was
/// measured to answer, so that it stops a runaway loop and never a benchmark.
pub const REQUESTS_PER_SECOND_DEFAULT: NonZeroU32 = NonZeroU32::new(50_000).expect("not zero");

/// So many bytes of a body count as one request: few payments or entries have more, and a batch counts about as
/// often as its entries would by themselves.
pub const COUNTED_BODY_BYTES: u64 = 1_024;

/// Keys that made no request lately are forgotten each time this many requests were counted, so the
/// memory is bounded by the keys in use, not by those that ever were.
pub const CHECKS_BETWEEN_SHRINKS: u64 = 65_536;

/// The limit's state, in answers to every authenticated request.
pub const RATE_LIMIT_HEADER: HeaderName = HeaderName::from_static("ratelimit");
/// The limit itself.
pub const RATE_LIMIT_POLICY_HEADER: HeaderName = HeaderName::from_static("ratelimit-policy");

/// How much a key may ask for: `requests` at once, refilled evenly within `window`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimitPolicy {
    /// The requests of a window, and the largest burst; a large one counts as several ([`COUNTED_BODY_BYTES`]).
    pub requests: NonZeroU32,
    /// The time in which all of them come back.
    pub window: Duration,
}

impl Default for RateLimitPolicy {
    fn default() -> Self {
        Self { requests: REQUESTS_PER_SECOND_DEFAULT, window: Duration::from_secs(1) }
    }
}

type Moment = <DefaultClock as Clock>::Instant;

type Limiter = RateLimiter<
    ApiKeyId,
    DefaultKeyedStateStore<ApiKeyId>,
    DefaultClock,
    StateInformationMiddleware,
>;

/// The counters of all keys.
#[derive(Debug)]
pub struct RateLimits {
    limiter: Limiter,
    policy: RateLimitPolicy,
    policy_header: HeaderValue,
    checks: AtomicU64,
}

/// What a check found.
struct Verdict {
    remaining: u32,
    /// Until all requests are back, or until the next is let in.
    wait_s: u64,
    let_in: bool,
}

impl RateLimits {
    /// No requests counted yet.
    pub fn new(policy: RateLimitPolicy) -> Self {
        let RateLimitPolicy { requests, window } = policy;
        let one_per = (window / requests.get()).max(Duration::from_nanos(1));
        let quota = Quota::with_period(one_per)
            .unwrap_or_else(|| Quota::per_second(requests))
            .allow_burst(requests);
        let policy_text = format!("\"key\";q={requests};w={}", whole_seconds(window));
        let policy_header = HeaderValue::from_str(&policy_text)
            .unwrap_or_else(|_| HeaderValue::from_static("\"key\""));
        let limiter = RateLimiter::keyed(quota).with_middleware();
        Self { limiter, policy, policy_header, checks: AtomicU64::new(0) }
    }

    /// How many keys are remembered.
    pub fn keys_tracked(&self) -> usize {
        self.limiter.len()
    }

    /// Forgets the keys that made no request lately.
    pub fn forget_idle_keys(&self) {
        self.limiter.retain_recent();
        self.limiter.shrink_to_fit();
    }

    /// Counts a request with a body of `bytes`. One for which a whole window would not do takes a whole window.
    fn check(&self, key: &ApiKeyId, bytes: u64) -> Verdict {
        if self.checks.fetch_add(1, Ordering::Relaxed) % CHECKS_BETWEEN_SHRINKS
            == CHECKS_BETWEEN_SHRINKS - 1
        {
            self.forget_idle_keys();
        }
        match self.count(key, bytes.div_ceil(COUNTED_BODY_BYTES)) {
            Ok(snapshot) => {
                let remaining = snapshot.remaining_burst_capacity();
                let requests = self.policy.requests.get();
                let used = requests.saturating_sub(remaining);
                let wait_s = whole_seconds(self.policy.window / requests * used);
                Verdict { remaining, wait_s, let_in: true }
            }
            Err(not_until) => {
                let wait = not_until.wait_time_from(self.limiter.clock().now());
                Verdict { remaining: 0, wait_s: whole_seconds(wait).max(1), let_in: false }
            }
        }
    }

    fn count(&self, key: &ApiKeyId, times: u64) -> Result<StateSnapshot, NotUntil<Moment>> {
        let times = u32::try_from(times).unwrap_or(u32::MAX);
        let times = NonZeroU32::new(times).unwrap_or(NonZeroU32::MIN).min(self.policy.requests);
        // More than a window has is never asked for.
        self.limiter.check_key_n(key, times).unwrap_or_else(|_| self.limiter.check_key(key))
    }

    /// A body of which nobody knows how long it is: it comes in no faster than the key's requests may.
    fn counted(self: Arc<Self>, key: ApiKeyId, body: Body) -> Body {
        let (mut came, mut counted) = (0_u64, COUNTED_BODY_BYTES);
        let pieces = body.into_data_stream().then(move |piece| {
            let limits = Arc::clone(&self);
            came += piece.as_ref().map_or(0, |piece| piece.len() as u64);
            let times = came.saturating_sub(counted).div_ceil(COUNTED_BODY_BYTES);
            counted += times * COUNTED_BODY_BYTES;
            async move {
                limits.wait_for(&key, times).await;
                piece
            }
        });
        Body::from_stream(pieces)
    }

    /// One after the other, so that those who ask for less do not keep it waiting for ever.
    async fn wait_for(&self, key: &ApiKeyId, times: u64) {
        for _ in 0..times {
            while let Err(not_until) = self.limiter.check_key(key) {
                tokio::time::sleep(not_until.wait_time_from(self.limiter.clock().now())).await;
            }
        }
    }

    fn write_headers(&self, verdict: &Verdict, headers: &mut HeaderMap) {
        let text = format!("\"key\";r={};t={}", verdict.remaining, verdict.wait_s);
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(RATE_LIMIT_HEADER, value);
        }
        headers.insert(RATE_LIMIT_POLICY_HEADER, self.policy_header.clone());
    }
}

/// Middleware that counts the caller's requests; goes right behind `authenticate`.
pub async fn limit_rate(
    State(limits): State<Arc<RateLimits>>,
    caller: Caller,
    request: Request,
    next: Next,
) -> Response {
    let announced = request.body().size_hint().exact();
    let verdict = limits.check(&caller.key_id, announced.unwrap_or(0));
    let mut response = if verdict.let_in {
        let request = match announced {
            Some(_) => request,
            None => request.map(|body| Arc::clone(&limits).counted(caller.key_id, body)),
        };
        next.run(request).await
    } else {
        Problem::too_many_requests(verdict.wait_s).into_response()
    };
    limits.write_headers(&verdict, response.headers_mut());
    response
}

fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests;
