//! Making way for appends: while the log grows quickly, verify rests most of the time.
//!
//! An audit may take hours, an append may not; and on a machine of few cores they are after the same ones.
//! So whoever works through the log says so after every piece, and waits as long as it is told to. While
//! the log is quiet nobody waits.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::PgConnection;
use tokio::time::{Instant, sleep_until};

use crate::connection::{head_position, interrupted};
use crate::pace::{BUSY_STATEMENT_TARGET, STATEMENT_TARGET};

/// The events a second above which the log is busy: with fewer, appends leave most of a machine idle.
const BUSY_EVENTS_PER_SECOND: u64 = 500;
/// One in so many parts of the time is work while the log is busy. At full speed appends lose more than
/// half of their rate on two cores; with a twelfth of the time, less than a tenth of it.
const TIME_PER_WORK: u32 = 12;
/// The longest pause after a piece of work: the log may be quiet again long before.
const PAUSE_MAX: Duration = Duration::from_secs(10);
/// How often the head is read, at most: seldom enough to cost nothing, and long enough for a batch of
/// appends not to pass for a busy log.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Shared by all that works at the same time: their pauses are laid end to end, so that together they work
/// no more than one alone would.
#[derive(Debug)]
pub(crate) struct Courtesy {
    full_speed: bool,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Where the log ended when it was last looked at.
    head: i64,
    looked_at: Instant,
    /// Unknown until the first look.
    busy: Option<bool>,
    /// Work that no pause was taken for, since the last look at least.
    worked: Duration,
    /// When the pauses for all work so far are over.
    resume_at: Instant,
    paused: Duration,
}

impl Courtesy {
    /// To a log that ends at `head` now. At full speed there is none.
    pub(crate) fn from(head: i64, full_speed: bool) -> Self {
        let now = Instant::now();
        let state = State {
            head,
            looked_at: now,
            busy: None,
            worked: Duration::ZERO,
            resume_at: now,
            paused: Duration::ZERO,
        };
        Self { full_speed, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Work was done that the next pause is to answer for, of whomever.
    pub(crate) fn worked(&self, worked: Duration) {
        self.state().worked += worked;
    }

    /// A piece of work took so long: returns when the next one may begin.
    pub(crate) async fn after(
        &self,
        db: &mut PgConnection,
        worked: Duration,
    ) -> Result<(), sqlx::Error> {
        self.after_with(head_position(db), worked).await
    }

    async fn after_with(
        &self,
        head: impl Future<Output = Result<Option<i64>, sqlx::Error>>,
        worked: Duration,
    ) -> Result<(), sqlx::Error> {
        if self.full_speed {
            return Ok(());
        }
        self.worked(worked);
        let due = self.state().looked_at.elapsed() >= LOOK_EVERY;
        if due {
            match head.await {
                Ok(head) => self.state().saw(head, Instant::now()),
                Err(error) if interrupted(&error) => {}
                Err(error) => return Err(error),
            }
        }
        let resume_at = self.state().make_way(Instant::now());
        if let Some(resume_at) = resume_at {
            sleep_until(resume_at).await;
        }
        Ok(())
    }

    /// What a statement should take at the moment: little as long as the log may be busy.
    pub(crate) fn statement_target(&self) -> Duration {
        let may_be_busy = !self.full_speed && self.state().busy.unwrap_or(true);
        if may_be_busy { BUSY_STATEMENT_TARGET } else { STATEMENT_TARGET }
    }

    /// All pauses so far.
    pub(crate) fn paused(&self) -> Duration {
        self.state().paused
    }
}

impl State {
    fn saw(&mut self, head: Option<i64>, now: Instant) {
        // That a head is missing, or set back, is for the checks to tell.
        let head = head.unwrap_or(self.head);
        let busy = busy(head - self.head, now - self.looked_at);
        (self.busy, self.head, self.looked_at) = (Some(busy), head, now);
        if !busy {
            self.worked = Duration::ZERO;
        }
    }

    /// Until when to rest.
    fn make_way(&mut self, now: Instant) -> Option<Instant> {
        if self.busy != Some(true) {
            return None;
        }
        let worked = std::mem::take(&mut self.worked);
        let pause = pause(worked);
        let began = now.checked_sub(worked).unwrap_or(now);
        self.resume_at = self.resume_at.max(began) + worked + pause;
        self.paused += pause;
        Some(self.resume_at)
    }
}

/// Whether a log that grew so much in that time is one to make way for.
fn busy(grown: i64, elapsed: Duration) -> bool {
    let grown = u128::from(u64::try_from(grown).unwrap_or(0));
    grown * 1_000_000 > u128::from(BUSY_EVENTS_PER_SECOND) * elapsed.as_micros()
}

/// The pause after so much work.
fn pause(worked: Duration) -> Duration {
    worked.saturating_mul(TIME_PER_WORK - 1).min(PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIECE: Duration = Duration::from_millis(100);
    const LONG: Duration = Duration::from_secs(120);

    #[test]
    fn a_log_is_busy_by_its_rate_and_not_by_what_was_added() {
        let (short, second) = (Duration::from_millis(100), Duration::from_secs(1));
        assert!(!busy(0, Duration::ZERO) && !busy(0, second) && !busy(-5_000, second));
        assert!(!busy(500, second) && busy(501, second));
        assert!(!busy(50, short) && busy(51, short));
    }

    #[test]
    fn pauses_leave_a_twelfth_of_the_time_to_work_and_end() {
        assert_eq!(pause(Duration::ZERO), Duration::ZERO);
        assert_eq!(pause(PIECE), Duration::from_millis(1_100));
        assert_eq!(pause(Duration::from_secs(4)), PAUSE_MAX);
    }

    /// Works in pieces for a long time beside a log that grows so quickly; how much work was done.
    async fn work(courtesy: &Courtesy, events_per_millisecond: u64) -> Duration {
        let (began, mut worked) = (Instant::now(), Duration::ZERO);
        while began.elapsed() < LONG {
            tokio::time::sleep(PIECE).await;
            let head = i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX)
                * i64::try_from(events_per_millisecond).unwrap_or(i64::MAX);
            courtesy.after_with(async { Ok(Some(head)) }, PIECE).await.expect("a head");
            worked += PIECE;
        }
        worked
    }

    fn share(worked: Duration) -> f64 {
        worked.as_secs_f64() / LONG.as_secs_f64()
    }

    #[tokio::test(start_paused = true)]
    async fn beside_a_busy_log_one_works_a_twelfth_of_the_time_and_two_no_more_together() {
        let alone = Courtesy::from(0, false);
        assert_eq!(alone.statement_target(), BUSY_STATEMENT_TARGET, "nobody knows yet");
        let worked = share(work(&alone, 20).await);
        assert!((0.08..0.09).contains(&worked), "{worked}");
        assert!(share(alone.paused()) > 0.9, "{:?}", alone.paused());
        assert_eq!(alone.statement_target(), BUSY_STATEMENT_TARGET);

        let shared = Courtesy::from(0, false);
        let (one, other) = tokio::join!(work(&shared, 20), work(&shared, 20));
        let together = share(one + other);
        assert!((0.08..0.09).contains(&together), "{together}");
        assert!(share(one) > 0.03 && share(other) > 0.03, "both get on: {one:?}, {other:?}");
        assert!(share(shared.paused()) < 1.0, "{:?}", shared.paused());
    }

    #[tokio::test(start_paused = true)]
    async fn beside_a_quiet_log_and_at_full_speed_nobody_rests() {
        for courtesy in [Courtesy::from(0, false), Courtesy::from(0, true)] {
            assert_eq!(work(&courtesy, 0).await, LONG);
            assert_eq!(courtesy.paused(), Duration::ZERO);
            assert_eq!(courtesy.statement_target(), STATEMENT_TARGET);
        }
        let hurried = Courtesy::from(0, true);
        assert_eq!(work(&hurried, 20).await, LONG);
        assert_eq!(hurried.paused(), Duration::ZERO);
        assert_eq!(hurried.statement_target(), STATEMENT_TARGET);
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_others_did_is_answered_for_by_the_next_pause() {
        let courtesy = Courtesy::from(0, false);
        tokio::time::advance(PIECE).await;
        courtesy.worked(PIECE);
        courtesy.after_with(async { Ok(Some(10_000)) }, PIECE).await.expect("a head");
        assert_eq!(courtesy.paused(), pause(2 * PIECE));
    }
}
