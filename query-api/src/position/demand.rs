//! Who wants to know positions, which says how often it is worth looking.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use super::positions::Positions;

/// The pause between two looks while a request waits: less than it takes to notice.
const PAUSE_AWAITED: Duration = Duration::from_millis(5);
/// The same where the projections tell this process themselves: looks are a second source then.
const PAUSE_AWAITED_AND_TOLD: Duration = Duration::from_millis(100);
/// While somebody only follows the log.
const PAUSE_FOLLOWED: Duration = Duration::from_millis(50);
/// While nobody wants to know.
const PAUSE_IDLE: Duration = Duration::from_millis(250);

/// Counts those who want to know.
#[derive(Debug, Default)]
pub(super) struct Demand {
    awaiting: AtomicUsize,
    following: AtomicUsize,
    told: bool,
    arrived: Notify,
}

/// A request that waits, until it is dropped.
#[derive(Debug)]
pub(super) struct Awaiting<'d>(&'d Demand);

/// A follower of the log, until it is dropped.
#[derive(Debug)]
pub(crate) struct Followed(Arc<Positions>);

impl Demand {
    /// `told`: the projections run in this process.
    pub(super) fn new(told: bool) -> Self {
        Self { told, ..Self::default() }
    }

    pub(super) fn awaiting(&self) -> Awaiting<'_> {
        if self.awaiting.fetch_add(1, Ordering::AcqRel) == 0 {
            self.arrived.notify_one();
        }
        Awaiting(self)
    }

    fn pause(&self) -> Duration {
        if self.awaiting.load(Ordering::Acquire) > 0 {
            if self.told { PAUSE_AWAITED_AND_TOLD } else { PAUSE_AWAITED }
        } else if self.following.load(Ordering::Acquire) > 0 {
            PAUSE_FOLLOWED
        } else {
            PAUSE_IDLE
        }
    }

    /// Returns when it is time to look again: never sooner than [`PAUSE_AWAITED`].
    pub(super) async fn next_look(&self) {
        tokio::time::sleep(PAUSE_AWAITED).await;
        let rest = self.pause().saturating_sub(PAUSE_AWAITED);
        if rest.is_zero() {
            return;
        }
        tokio::select! {
            () = tokio::time::sleep(rest) => {}
            () = self.arrived.notified() => {}
        }
    }
}

impl Followed {
    pub(crate) fn of(positions: Arc<Positions>) -> Self {
        positions.demand.following.fetch_add(1, Ordering::AcqRel);
        Self(positions)
    }
}

impl Drop for Awaiting<'_> {
    fn drop(&mut self) {
        self.0.awaiting.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.0.demand.following.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::Instant;

    async fn pause_of(demand: &Demand) -> Duration {
        let before = Instant::now();
        demand.next_look().await;
        before.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn looks_are_rare_until_somebody_waits() {
        let demand = Demand::new(false);
        assert!(pause_of(&demand).await >= PAUSE_IDLE);
        let waiting = demand.awaiting();
        assert!(pause_of(&demand).await < 2 * PAUSE_AWAITED);
        drop(waiting);
        // The notice that the waiter left behind ends one more pause early.
        pause_of(&demand).await;
        assert!(pause_of(&demand).await >= PAUSE_IDLE);
    }

    #[tokio::test(start_paused = true)]
    async fn who_begins_to_wait_ends_the_pause() {
        let demand = Demand::new(true);
        let begins = async {
            tokio::time::sleep(2 * PAUSE_AWAITED).await;
            drop(demand.awaiting());
        };
        let (pause, ()) = tokio::join!(pause_of(&demand), begins);
        assert!(pause < 3 * PAUSE_AWAITED, "{pause:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn followers_are_looked_for_now_and_then() {
        let positions = Arc::new(Positions::new(None));
        let followed = Followed::of(Arc::clone(&positions));
        let pause = pause_of(&positions.demand).await;
        assert!(pause >= PAUSE_FOLLOWED && pause < PAUSE_IDLE, "{pause:?}");
        drop(followed);
        assert!(pause_of(&positions.demand).await >= PAUSE_IDLE);
    }
}
