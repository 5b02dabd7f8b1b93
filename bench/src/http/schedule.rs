//! When requests are due.

use std::cell::Cell;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

/// How often what has become due is let go, at least: the runtime's own timers keep time to a millisecond
/// only, and rounded up. Waking more often takes from what is measured.
const RELEASE_INTERVAL: Duration = Duration::from_micros(500);
/// How long after the measured time requests that were due in it may still be sent.
const DRAIN_MAX: Duration = Duration::from_secs(30);

const NANOS_PER_S: u128 = 1_000_000_000;

/// At which pace requests are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// So many a second, each at its time whatever the answers do.
    Open {
        /// Requests a second.
        rate: u32,
        /// For how long, in seconds.
        seconds: u32,
    },
    /// So many in all, each as soon as a connection is free.
    Count(u64),
    /// Each as soon as a connection is free, for so many seconds.
    Closed {
        /// For how long, in seconds.
        seconds: u32,
    },
}

impl Pace {
    /// How long is measured, if it is said beforehand.
    pub(super) fn lasts(self) -> Option<Duration> {
        match self {
            Self::Open { seconds, .. } | Self::Closed { seconds } => {
                Some(Duration::from_secs(u64::from(seconds)))
            }
            Self::Count(_) => None,
        }
    }

    /// How many requests there are, if it is said beforehand.
    pub(super) fn count(self) -> Option<u64> {
        match self {
            Self::Open { rate, seconds } => Some(u64::from(rate) * u64::from(seconds)),
            Self::Count(count) => Some(count),
            Self::Closed { .. } => None,
        }
    }
}

/// A request's turn: its number, and when it was due.
#[derive(Debug, Clone, Copy)]
pub(super) struct Turn {
    pub(super) n: u64,
    pub(super) due: Instant,
}

/// Deals out turns to connections that are free, in the order in which they are due.
#[derive(Debug)]
pub(super) struct Schedule {
    pace: Pace,
    started: Instant,
    next: Cell<u64>,
    /// One permit for each request that has become due and has no connection yet.
    due: Arc<Semaphore>,
}

impl Schedule {
    /// Begins now.
    pub(super) fn start(pace: Pace, connections: usize) -> Self {
        let (started, due) = (Instant::now(), Arc::new(Semaphore::new(0)));
        if let (Pace::Open { rate, .. }, Some(count)) = (pace, pace.count()) {
            let due = Arc::downgrade(&due);
            tokio::task::spawn_blocking(move || release(started, rate, count, connections, &due));
        }
        Self { pace, started, next: Cell::new(0), due }
    }

    /// When it began.
    pub(super) fn started(&self) -> Instant {
        self.started
    }

    /// When the measured time ends, if that is said beforehand.
    pub(super) fn ends(&self) -> Option<Instant> {
        self.pace.lasts().map(|lasts| self.started + lasts)
    }

    /// Whether it is too late to send what has waited since the measured time.
    pub(super) fn given_up(&self, now: Instant) -> bool {
        self.ends().is_some_and(|ends| now > ends + DRAIN_MAX)
    }

    /// Waits for the next turn; `None` when there is none left.
    pub(super) async fn next(&self) -> Option<Turn> {
        if let Pace::Open { .. } = self.pace {
            self.due.acquire().await.ok()?.forget();
        }
        let (n, now) = (self.next.get(), Instant::now());
        let over = match self.pace {
            Pace::Open { .. } | Pace::Count(_) => self.pace.count().is_some_and(|count| n >= count),
            Pace::Closed { .. } => self.ends().is_some_and(|ends| now >= ends),
        };
        if over {
            return None;
        }
        self.next.set(n + 1);
        let due = match self.pace {
            Pace::Open { rate, .. } => self.started + due_after(n, rate),
            Pace::Count(_) | Pace::Closed { .. } => now,
        };
        Some(Turn { n, due })
    }
}

/// Lets requests go as they become due; on a thread of its own, since only that sleeps exactly. Then one
/// permit for each connection, which finds that there is nothing left.
fn release(started: Instant, rate: u32, count: u64, connections: usize, due: &Weak<Semaphore>) {
    let mut released = 0;
    while released < count {
        let Some(semaphore) = due.upgrade() else { return };
        let now_due = due_count(started.elapsed(), rate).min(count);
        semaphore.add_permits(usize::try_from(now_due - released).unwrap_or(0));
        released = now_due;
        drop(semaphore);
        let next = started + due_after(released, rate);
        let wait = next.saturating_duration_since(Instant::now());
        std::thread::sleep(wait.max(RELEASE_INTERVAL));
    }
    if let Some(semaphore) = due.upgrade() {
        semaphore.add_permits(connections);
    }
}

/// How long after the start request `n` is due.
fn due_after(n: u64, rate: u32) -> Duration {
    let nanos = u128::from(n) * NANOS_PER_S / u128::from(rate.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// How many requests are due so long after the start, the first one at once.
fn due_count(elapsed: Duration, rate: u32) -> u64 {
    let due = ((elapsed.as_nanos() + 1) * u128::from(rate)).div_ceil(NANOS_PER_S);
    u64::try_from(due).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_due_evenly_and_do_not_drift() {
        assert_eq!(due_after(0, 3_000), Duration::ZERO);
        assert_eq!(due_after(1, 3_000), Duration::from_nanos(333_333));
        assert_eq!(due_after(3_000, 3_000), Duration::from_secs(1));
        assert_eq!(due_after(3_000 * 3_600, 3_000), Duration::from_secs(3_600));
    }

    #[test]
    fn a_request_counts_from_the_very_moment_it_is_due() {
        for rate in [1, 7, 300, 3_000, 24_999] {
            for n in [0, 1, 2, 299, 25_000, 1_000_003] {
                let due = due_after(n, rate);
                assert_eq!(due_count(due, rate), n + 1, "request {n} at {rate}/s");
                if let Some(before) = due.checked_sub(Duration::from_nanos(1)) {
                    assert_eq!(due_count(before, rate), n, "before request {n} at {rate}/s");
                }
            }
        }
    }

    #[test]
    fn a_rate_for_so_long_is_so_many_requests() {
        let open = Pace::Open { rate: 10_000, seconds: 60 };
        assert_eq!(open.count(), Some(600_000));
        assert_eq!(open.lasts(), Some(Duration::from_secs(60)));
        assert_eq!(Pace::Closed { seconds: 20 }.count(), None);
        assert_eq!(Pace::Count(5).lasts(), None);
    }
}
