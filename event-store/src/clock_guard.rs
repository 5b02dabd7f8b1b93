//! Whether this process' clock agrees with the database's, which is the clock that lasts.
//!
//! Each append and each look at the head brings the database's time along. While the two clocks disagree this process
//! decides nothing; the append statement compares them once more, so that a leap between two looks writes nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use domain::Timestamp;
use tokio::sync::Notify;

use crate::clock::Clock;

/// How far the process' clock may be from the database's, either way, for this process to decide anything.
pub const CLOCK_SKEW_MAX_MICROS: i64 = 1_000_000;

/// How long a command waits for the next look at the database's clock before it is turned away: the sequencer takes one
/// each 100 ms where nothing else is done.
const LOOK_WAIT_MAX: Duration = Duration::from_millis(500);

/// Compares the clocks. Shared by the sequencer, which measures, and everybody who asks.
#[derive(Debug)]
pub(crate) struct ClockGuard {
    clock: Arc<dyn Clock>,
    /// The least that the process' clock is ahead of the database's, in microseconds; negative where it is behind.
    skew_micros: AtomicI64,
    /// Whether the time of the log's head is ahead of the database's clock.
    head_ahead: AtomicBool,
    /// Told of each look.
    looks: Notify,
}

/// The process' clock is further from the database's than [`CLOCK_SKEW_MAX_MICROS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this process' clock is {} µs {} the database's", .micros.abs(), direction(*.micros))]
pub struct ClockSkew {
    /// How far it is ahead at least, in microseconds; negative where it is behind.
    pub micros: i64,
}

fn direction(micros: i64) -> &'static str {
    if micros > 0 { "ahead of" } else { "behind" }
}

impl ClockGuard {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        // Alarms exist before they are raised.
        metrics::gauge!("runut_clock_skew_seconds").set(0.0);
        metrics::gauge!("runut_log_head_ahead_seconds").set(0.0);
        metrics::counter!("runut_clock_refusals_total").increment(0);
        Self {
            clock,
            skew_micros: AtomicI64::new(0),
            head_ahead: AtomicBool::new(false),
            looks: Notify::new(),
        }
    }

    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Takes in that the database's clock said `database` at some time between `before` and now.
    pub(crate) fn observe(&self, before: Timestamp, database: Timestamp) {
        let skew = skew_micros(before, database, self.now());
        let previous = self.skew_micros.swap(skew, Ordering::Relaxed);
        metrics::gauge!("runut_clock_skew_seconds").set(seconds(skew));
        match (excessive(previous), excessive(skew)) {
            (None, Some(skew)) => {
                tracing::error!(%skew, "nothing is decided until the clocks agree");
            }
            (Some(_), None) => tracing::info!("the clocks agree again"),
            (None, None) | (Some(_), Some(_)) => {}
        }
        self.looks.notify_waiters();
    }

    /// Takes in how far the time of the log's head is from the database's.
    pub(crate) fn observe_head(&self, head: Timestamp, database: Timestamp) {
        let ahead = head.micros() - database.micros();
        metrics::gauge!("runut_log_head_ahead_seconds").set(seconds(ahead.max(0)));
        let alarm = ahead > CLOCK_SKEW_MAX_MICROS;
        match (self.head_ahead.swap(alarm, Ordering::Relaxed), alarm) {
            (false, true) => tracing::error!(
                head = %head, database = %database,
                "the time of the log's head is ahead of the database's clock; events are recorded at the head's \
                 time and say when they were decided, until the clock has reached it"
            ),
            (true, false) => tracing::info!("the clock has reached the time of the log's head"),
            (false, false) | (true, true) => {}
        }
    }

    /// Whether the time of the log's head is ahead of the database's clock: an alarm.
    pub(crate) fn head_is_ahead(&self) -> bool {
        self.head_ahead.load(Ordering::Relaxed)
    }

    /// Whether this process may decide anything, by a look that is not from before this was asked where the last one
    /// says that it may not.
    ///
    /// # Errors
    /// [`ClockSkew`]: not until the clocks agree.
    pub(crate) async fn check_again(&self) -> Result<(), ClockSkew> {
        let next = self.looks.notified();
        if self.check().is_ok() {
            return Ok(());
        }
        // Where no look comes, the last one stands.
        drop(tokio::time::timeout(LOOK_WAIT_MAX, next).await);
        self.check()
    }

    /// Whether this process may decide anything, by the last look.
    ///
    /// # Errors
    /// [`ClockSkew`]: not until the clocks agree.
    pub(crate) fn check(&self) -> Result<(), ClockSkew> {
        match excessive(self.skew_micros.load(Ordering::Relaxed)) {
            None => Ok(()),
            Some(skew) => Err(skew),
        }
    }
}

/// The least that a clock can be ahead which said `before` and `after` around the time that the database's said
/// `database`; negative where it must be behind. How long the database took to answer does not count as skew.
fn skew_micros(before: Timestamp, database: Timestamp, after: Timestamp) -> i64 {
    let ahead = before.micros() - database.micros();
    let behind = database.micros() - after.micros();
    if ahead > 0 {
        ahead
    } else if behind > 0 {
        -behind
    } else {
        0
    }
}

impl ClockSkew {
    /// Compares a clock that said `before` and `after` around the time that the database's said `database`.
    ///
    /// # Errors
    /// The skew, where it is more than [`CLOCK_SKEW_MAX_MICROS`].
    pub fn check(before: Timestamp, database: Timestamp, after: Timestamp) -> Result<(), Self> {
        match excessive(skew_micros(before, database, after)) {
            None => Ok(()),
            Some(skew) => Err(skew),
        }
    }
}

fn excessive(micros: i64) -> Option<ClockSkew> {
    (micros.abs() > CLOCK_SKEW_MAX_MICROS).then_some(ClockSkew { micros })
}

#[expect(clippy::cast_precision_loss, reason = "metrics are doubles")]
fn seconds(micros: i64) -> f64 {
    micros as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    #[derive(Debug)]
    struct At(AtomicI64);

    impl Clock for At {
        fn now(&self) -> Timestamp {
            Timestamp::from_micros(self.0.load(Ordering::Relaxed))
        }
    }

    #[test]
    fn only_what_cannot_be_the_answers_own_time_counts_as_skew() {
        let at = |seconds: i64| Timestamp::from_micros(seconds * SECOND);
        for (before, database, after, skew) in [
            (100, 100, 100, 0),
            (100, 103, 105, 0),
            (100, 97, 105, 3),
            (100, 107, 105, -2),
            // The clock leapt back while the database answered.
            (100, 100, 40, -60),
            // It leapt ahead: the next look will tell.
            (100, 100, 160, 0),
        ] {
            let found = skew_micros(at(before), at(database), at(after));
            assert_eq!(found, skew * SECOND, "{before} {database} {after}");
        }
    }

    #[test]
    fn a_process_whose_clock_disagrees_decides_nothing_until_it_agrees() {
        let clock = Arc::new(At(AtomicI64::new(100 * SECOND)));
        let guard = ClockGuard::new(Arc::clone(&clock) as Arc<dyn Clock>);
        assert_eq!(guard.check(), Ok(()));
        let database = |micros| Timestamp::from_micros(100 * SECOND + micros);
        for (off, refused) in [
            (SECOND, None),
            (SECOND + 1, Some(SECOND + 1)),
            (86_400 * SECOND, Some(86_400 * SECOND)),
            (-SECOND, None),
            (-SECOND - 1, Some(-SECOND - 1)),
            (0, None),
        ] {
            guard.observe(guard.now(), database(-off));
            let expected = refused.map_or(Ok(()), |micros| Err(ClockSkew { micros }));
            assert_eq!(guard.check(), expected, "{off} µs off");
        }
        let ahead = ClockSkew { micros: 2 * SECOND }.to_string();
        assert_eq!(ahead, "this process' clock is 2000000 µs ahead of the database's");
    }

    #[test]
    fn a_head_ahead_of_the_clock_is_an_alarm_until_the_clock_reaches_it() {
        let guard = ClockGuard::new(Arc::new(At(AtomicI64::new(0))));
        let at = |seconds: i64| Timestamp::from_micros(seconds * SECOND);
        for (head, database, alarm) in [(100, 100, false), (101, 100, false), (102, 100, true)] {
            guard.observe_head(at(head), at(database));
            assert_eq!(guard.head_is_ahead(), alarm);
        }
        guard.observe_head(at(102), at(102));
        assert!(!guard.head_is_ahead());
    }
}
