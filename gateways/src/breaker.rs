//! Circuit breakers: a PSP that fails is left alone for a while, so that payments go elsewhere at once
//! instead of waiting for its time-outs.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::Rng;
use tokio::time::Instant;

/// The time that errors are counted over.
pub const WINDOW: Duration = Duration::from_secs(60);
/// The share of calls that may fail in that time, in per cent; at this it opens.
pub const ERRORS_PERCENT_MAX: u64 = 20;
/// The fewest calls in that time that say anything of a share.
pub const CALLS_MIN: u64 = 20;
/// How many calls in a row may fail; at this it opens.
pub const ERRORS_IN_A_ROW_MAX: u32 = 10;
/// How long it stays open before one call is let through to see; drawn between the two.
pub const OPEN_MIN: Duration = Duration::from_secs(15);
/// See [`OPEN_MIN`].
pub const OPEN_MAX: Duration = Duration::from_secs(30);
/// How long the one call that is let through may take before another is; above a call's total time-out.
const PROBE_MAX: Duration = Duration::from_secs(15);
/// Calls are counted by the second.
const BUCKET: Duration = Duration::from_secs(1);

/// Where a breaker stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// Calls go through.
    Closed,
    /// None do.
    Open,
    /// One is let through, to see.
    HalfOpen,
}

impl BreakerState {
    /// The name, as answers say it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

#[derive(Debug)]
struct Bucket {
    began: Instant,
    calls: u64,
    errors: u64,
}

#[derive(Debug, Clone, Copy)]
enum Standing {
    Closed,
    Open { until: Instant },
    Probing { since: Instant },
}

#[derive(Debug)]
struct Counts {
    standing: Standing,
    in_a_row: u32,
    buckets: VecDeque<Bucket>,
}

/// A breaker for one PSP.
#[derive(Debug)]
pub struct Breaker {
    counts: Mutex<Counts>,
}

impl Default for Breaker {
    fn default() -> Self {
        let counts = Counts { standing: Standing::Closed, in_a_row: 0, buckets: VecDeque::new() };
        Self { counts: Mutex::new(counts) }
    }
}

impl Breaker {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether [`Breaker::admit`] would say yes.
    pub fn ready(&self) -> bool {
        self.counts().ready(Instant::now())
    }

    /// Whether a call may be made now. Where it is the one that is let through to see, what comes of it
    /// decides; [`Breaker::record`] has to follow.
    pub fn admit(&self) -> bool {
        let now = Instant::now();
        let mut counts = self.counts();
        let admitted = counts.ready(now);
        match counts.standing {
            Standing::Open { .. } | Standing::Probing { .. } if admitted => {
                counts.standing = Standing::Probing { since: now };
            }
            Standing::Closed | Standing::Open { .. } | Standing::Probing { .. } => {}
        }
        admitted
    }

    /// Notes whether a call failed: not what it was answered, but that it was not.
    pub fn record(&self, failed: bool) {
        let now = Instant::now();
        let mut counts = self.counts();
        counts.count(now, failed);
        match (counts.standing, failed) {
            (Standing::Closed, true) if counts.too_many() => counts.open(now),
            (Standing::Probing { .. }, true) => counts.open(now),
            (Standing::Probing { .. }, false) => {
                counts.standing = Standing::Closed;
                counts.buckets.clear();
            }
            (Standing::Closed | Standing::Open { .. }, _) => {}
        }
    }

    /// Where it stands.
    pub fn state(&self) -> BreakerState {
        match self.counts().standing {
            Standing::Closed => BreakerState::Closed,
            Standing::Open { until } if Instant::now() < until => BreakerState::Open,
            Standing::Open { .. } | Standing::Probing { .. } => BreakerState::HalfOpen,
        }
    }

    /// How many calls were made in the last [`WINDOW`], and how many of them failed.
    pub fn recent(&self) -> (u64, u64) {
        let mut counts = self.counts();
        counts.forget(Instant::now());
        counts.sums()
    }
}

impl Counts {
    fn count(&mut self, now: Instant, failed: bool) {
        self.forget(now);
        self.in_a_row = if failed { self.in_a_row.saturating_add(1) } else { 0 };
        let current = self.buckets.back().is_some_and(|bucket| now < bucket.began + BUCKET);
        if !current {
            self.buckets.push_back(Bucket { began: now, calls: 0, errors: 0 });
        }
        if let Some(bucket) = self.buckets.back_mut() {
            bucket.calls += 1;
            bucket.errors += u64::from(failed);
        }
    }

    fn forget(&mut self, now: Instant) {
        while self.buckets.front().is_some_and(|bucket| bucket.began + WINDOW <= now) {
            self.buckets.pop_front();
        }
    }

    fn sums(&self) -> (u64, u64) {
        let sum = |(calls, errors): (u64, u64), bucket: &Bucket| {
            (calls + bucket.calls, errors + bucket.errors)
        };
        self.buckets.iter().fold((0, 0), sum)
    }

    fn ready(&self, now: Instant) -> bool {
        match self.standing {
            Standing::Closed => true,
            Standing::Open { until } => now >= until,
            Standing::Probing { since } => now >= since + PROBE_MAX,
        }
    }

    fn too_many(&self) -> bool {
        let (calls, errors) = self.sums();
        let share = calls >= CALLS_MIN && errors * 100 >= calls * ERRORS_PERCENT_MAX;
        share || self.in_a_row >= ERRORS_IN_A_ROW_MAX
    }

    fn open(&mut self, now: Instant) {
        let range = OPEN_MIN.as_millis()..=OPEN_MAX.as_millis();
        let pause = u64::try_from(rand::rng().random_range(range)).unwrap_or(u64::MAX);
        self.standing = Standing::Open { until: now + Duration::from_millis(pause) };
        self.in_a_row = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    fn record(breaker: &Breaker, failed: bool, times: u32) {
        for _ in 0..times {
            breaker.record(failed);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_opens_after_so_many_errors_in_a_row() {
        let breaker = Breaker::default();
        record(&breaker, true, ERRORS_IN_A_ROW_MAX - 1);
        assert!(breaker.admit());
        breaker.record(false);
        record(&breaker, true, ERRORS_IN_A_ROW_MAX - 2);
        assert_eq!(breaker.state(), BreakerState::Closed, "a success begins the row anew");
    }

    #[tokio::test(start_paused = true)]
    async fn it_opens_at_a_share_of_errors_once_there_are_enough_calls() {
        let breaker = Breaker::default();
        for _ in 0..3 {
            record(&breaker, false, 5);
            breaker.record(true);
        }
        assert_eq!(breaker.state(), BreakerState::Closed, "3 of 18");
        record(&breaker, false, 1);
        breaker.record(true);
        assert_eq!(breaker.recent(), (20, 4));
        assert_eq!(breaker.state(), BreakerState::Open, "a fifth of twenty");
        assert!(!breaker.admit());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_older_than_the_window_is_forgotten() {
        let breaker = Breaker::default();
        record(&breaker, false, 15);
        record(&breaker, true, 3);
        advance(WINDOW).await;
        record(&breaker, false, 18);
        record(&breaker, true, 2);
        assert_eq!(breaker.recent(), (20, 2));
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn one_call_is_let_through_to_see_and_decides() {
        let breaker = Breaker::default();
        record(&breaker, true, ERRORS_IN_A_ROW_MAX);
        assert_eq!(breaker.state(), BreakerState::Open);
        advance(OPEN_MIN - Duration::from_millis(1)).await;
        assert!(!breaker.admit(), "not before");
        advance(OPEN_MAX - OPEN_MIN + Duration::from_millis(1)).await;
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
        assert!(breaker.admit());
        assert!(!breaker.admit(), "one, not two");
        breaker.record(true);
        assert_eq!(breaker.state(), BreakerState::Open, "it was too early");
        advance(OPEN_MAX).await;
        assert!(breaker.admit());
        breaker.record(false);
        assert_eq!(breaker.state(), BreakerState::Closed);
        assert!(breaker.admit() && breaker.admit());
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_was_let_through_and_is_never_heard_of_again_does_not_keep_it_shut() {
        let breaker = Breaker::default();
        record(&breaker, true, ERRORS_IN_A_ROW_MAX);
        advance(OPEN_MAX).await;
        assert!(breaker.admit());
        advance(PROBE_MAX).await;
        assert!(breaker.admit());
    }
}
