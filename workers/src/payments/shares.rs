//! Each PSP's share of what a worker is at: whoever waits for a PSP waits in its line, and takes nobody else's place.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use domain::payments::PspName;
use gateways::{CALLS_AT_ONCE_MAX, Gateways, QUESTIONS_AT_ONCE_MAX};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};
use tokio::time::timeout;

/// The most payments that wait for a turn at one PSP: those of two claims, since none is claimed for a PSP that
/// others wait for. More come only of rules by which few PSPs may do it.
const WAITING_AT_ONCE_MAX: usize = 128;
/// How long one waits: with the call and the appends after it still less than a lease lasts.
const TURN_PATIENCE: Duration = Duration::from_secs(5);

/// What a turn is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// To send something.
    Call,
    /// To ask what became of it.
    Question,
}

/// Which PSPs can take more.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// Those that cannot.
    pub(super) full: Vec<String>,
    /// Whether any can.
    pub(super) anywhere: bool,
}

/// The shares of all PSPs.
#[derive(Debug)]
pub(super) struct Shares(Vec<Share>);

#[derive(Debug)]
struct Share {
    psp: PspName,
    calls: Semaphore,
    questions: Semaphore,
    line: Semaphore,
}

impl Shares {
    pub(super) fn of(gateways: &Gateways) -> Self {
        let share = |psp: &PspName| Share {
            psp: psp.clone(),
            calls: Semaphore::new(CALLS_AT_ONCE_MAX),
            questions: Semaphore::new(QUESTIONS_AT_ONCE_MAX),
            line: Semaphore::new(WAITING_AT_ONCE_MAX),
        };
        Self(gateways.names().map(share).collect())
    }

    pub(super) fn room(&self) -> Room {
        let full = self.0.iter().filter(|share| !share.has_room());
        let full: Vec<String> = full.map(|share| share.psp.to_string()).collect();
        let anywhere = full.len() < self.0.len();
        Room { full, anywhere }
    }

    /// A turn at the PSP, held until it is dropped; before it is waited for, and once it is there, the common place is
    /// given back. `None` where the line is full, or it took too long.
    pub(super) async fn turn(
        &self,
        psp: &PspName,
        turn: Turn,
        place: &Place,
    ) -> Option<SemaphorePermit<'_>> {
        let share = self.0.iter().find(|share| share.psp == *psp)?;
        let turns = match turn {
            Turn::Call => &share.calls,
            Turn::Question => &share.questions,
        };
        if let Ok(turn) = turns.try_acquire() {
            place.give_back();
            return Some(turn);
        }
        let _waiting = share.line.try_acquire().ok()?;
        place.give_back();
        timeout(TURN_PATIENCE, turns.acquire()).await.ok()?.ok()
    }
}

impl Share {
    fn has_room(&self) -> bool {
        self.calls.available_permits() > 0 && self.line.available_permits() == WAITING_AT_ONCE_MAX
    }
}

/// One of the places that all payments have in common, until it is given back.
#[derive(Debug, Default)]
pub(super) struct Place(Mutex<Option<OwnedSemaphorePermit>>);

impl Place {
    pub(super) fn taken(permit: OwnedSemaphorePermit) -> Self {
        Self(Mutex::new(Some(permit)))
    }

    fn give_back(&self) {
        drop(self.0.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn shares() -> Shares {
        let share = |name: &str| Share {
            psp: name.parse().expect("a name"),
            calls: Semaphore::new(1),
            questions: Semaphore::new(1),
            line: Semaphore::new(WAITING_AT_ONCE_MAX),
        };
        Shares(vec![share("alpha"), share("beta")])
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_for_a_psp_takes_nobody_elses_place() {
        let shares = shares();
        let (alpha, beta) = (&shares.0[0].psp, &shares.0[1].psp);
        let places = Arc::new(Semaphore::new(1));
        let place = || Place::taken(Arc::clone(&places).try_acquire_owned().expect("a place"));
        let first = place();
        let turn = shares.turn(alpha, Turn::Call, &first).await.expect("a turn");
        assert_eq!(shares.room().full, ["alpha"]);
        assert!(shares.room().anywhere);
        // It is in line, with no place; and so is the next one.
        let second = place();
        let mut waiting = Box::pin(shares.turn(alpha, Turn::Call, &second));
        assert!(futures::poll!(waiting.as_mut()).is_pending());
        let third = place();
        assert!(shares.turn(beta, Turn::Call, &third).await.is_some(), "it has room");
        assert!(
            shares.turn(alpha, Turn::Question, &third).await.is_some(),
            "questions have theirs"
        );
        drop(turn);
        assert!(waiting.await.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_is_bounded_in_length_and_time() {
        let shares = shares();
        let alpha = &shares.0[0].psp;
        let place = Place::default();
        let _turn = shares.turn(alpha, Turn::Call, &place).await.expect("a turn");
        let began = tokio::time::Instant::now();
        let all = (0..=WAITING_AT_ONCE_MAX).map(|_| async {
            let turn = shares.turn(alpha, Turn::Call, &place).await;
            assert!(turn.is_none());
            began.elapsed()
        });
        let waited = futures::future::join_all(all).await;
        let at_once = waited.iter().filter(|waited| waited.is_zero()).count();
        assert_eq!(at_once, 1, "whoever finds the line full does not wait");
        assert!(waited.iter().all(|waited| waited.is_zero() || *waited == TURN_PATIENCE));
    }
}
