//! Each PSP's share of what a worker is at, and each merchant's of the places at a PSP: whoever waits for a PSP waits in
//! its line, and takes nobody else's place.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::MerchantId;
use domain::payments::PspName;
use gateways::{CALLS_AT_ONCE_MAX, Gateways, QUESTIONS_AT_ONCE_MAX};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

/// The most payments that wait for a turn at one PSP, and of those of one merchant that wait for its own: those of two
/// claims, since none is claimed for a PSP that others wait for. More come only of rules by which few PSPs may do it.
const WAITING_AT_ONCE_MAX: usize = 128;
/// The most payments of one merchant that are at one PSP, of all that may be: other merchants find room however slow it
/// is.
const CALLS_OF_ONE_MAX: usize = CALLS_AT_ONCE_MAX / 4 * 3;
/// The same for questions.
const QUESTIONS_OF_ONE_MAX: usize = QUESTIONS_AT_ONCE_MAX / 4 * 3;
/// How long one waits: with the call and the appends after it still less than a lease lasts.
const TURN_PATIENCE: Duration = Duration::from_secs(5);

/// What a turn is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
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
    /// Those that cannot for that merchant.
    pub(super) full_of: Vec<(PspName, MerchantId)>,
    /// The merchants for which none can.
    pub(super) full_everywhere: Vec<MerchantId>,
    /// Whether any can.
    pub(super) anywhere: bool,
}

impl Room {
    /// Whether all PSPs can, for everybody.
    pub(super) fn is_everywhere(&self) -> bool {
        self.full.is_empty() && self.full_of.is_empty()
    }

    /// Whether that PSP can, for that merchant.
    pub(super) fn has(&self, psp: &PspName, merchant: MerchantId) -> bool {
        !self.full.iter().any(|full| full == psp.as_str())
            && !self.full_of.iter().any(|(full, of)| full == psp && *of == merchant)
    }
}

/// The shares of all PSPs.
#[derive(Debug)]
pub(super) struct Shares(Vec<Share>);

#[derive(Debug)]
struct Share {
    psp: PspName,
    all: Turns,
    /// Of the merchants that have a turn or wait for one.
    own: Mutex<HashMap<MerchantId, Arc<Turns>>>,
}

/// Turns for calls and for questions, and the places of those who wait for one.
#[derive(Debug)]
struct Turns {
    calls: Arc<Semaphore>,
    questions: Arc<Semaphore>,
    line: Semaphore,
}

/// A turn at a PSP, until it is dropped.
#[derive(Debug)]
pub(super) struct Taken<'s> {
    _of_all: OwnedSemaphorePermit,
    _of_own: OwnedSemaphorePermit,
    _present: Present<'s>,
}

/// That a merchant has a turn or waits for one.
#[derive(Debug)]
struct Present<'s> {
    share: &'s Share,
    merchant: MerchantId,
    turns: Arc<Turns>,
}

impl Shares {
    pub(super) fn of(gateways: &Gateways) -> Self {
        Self(gateways.names().cloned().map(Share::of).collect())
    }

    pub(super) fn room(&self) -> Room {
        let full = self.0.iter().filter(|share| !share.all.have_room());
        let full: Vec<String> = full.map(|share| share.psp.to_string()).collect();
        let full_of: Vec<(PspName, MerchantId)> = self.0.iter().flat_map(Share::full_of).collect();
        let mut full_everywhere: Vec<MerchantId> =
            full_of.iter().map(|(_, merchant)| *merchant).collect();
        full_everywhere.retain(|merchant| self.0.iter().all(|share| !share.has_room(*merchant)));
        let anywhere = full.len() < self.0.len();
        Room { full, full_of, full_everywhere, anywhere }
    }

    /// Whether the PSP can take more of that merchant.
    pub(super) fn has_room(&self, psp: &PspName, merchant: MerchantId) -> bool {
        self.0.iter().any(|share| share.psp == *psp && share.has_room(merchant))
    }

    /// A turn at the PSP, held until it is dropped; before it is waited for, and once it is there, the common place is
    /// given back. `None` where a line is full, the merchant's or that of all, or it took too long.
    pub(super) async fn turn(
        &self,
        (psp, merchant): (&PspName, MerchantId),
        turn: Turn,
        place: &Place,
    ) -> Option<Taken<'_>> {
        let share = self.0.iter().find(|share| share.psp == *psp)?;
        let present = share.present(merchant);
        let deadline = Instant::now() + TURN_PATIENCE;
        let of_own = present.turns.one(turn, place, deadline).await?;
        let of_all = share.all.one(turn, place, deadline).await?;
        place.give_back();
        Some(Taken { _of_all: of_all, _of_own: of_own, _present: present })
    }
}

impl Share {
    fn of(psp: PspName) -> Self {
        let all = Turns::of(CALLS_AT_ONCE_MAX, QUESTIONS_AT_ONCE_MAX);
        Self { psp, all, own: Mutex::default() }
    }

    fn own(&self) -> MutexGuard<'_, HashMap<MerchantId, Arc<Turns>>> {
        // Nothing that can panic happens between two changes.
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn present(&self, merchant: MerchantId) -> Present<'_> {
        let new = || Arc::new(Turns::of(CALLS_OF_ONE_MAX, QUESTIONS_OF_ONE_MAX));
        let turns = Arc::clone(self.own().entry(merchant).or_insert_with(new));
        Present { share: self, merchant, turns }
    }

    fn has_room(&self, merchant: MerchantId) -> bool {
        self.all.have_room() && self.own().get(&merchant).is_none_or(|own| own.have_room())
    }

    /// The merchants that have all that they may have.
    fn full_of(&self) -> Vec<(PspName, MerchantId)> {
        let own = self.own();
        let full = own.iter().filter(|(_, turns)| !turns.have_room());
        full.map(|(merchant, _)| (self.psp.clone(), *merchant)).collect()
    }
}

impl Turns {
    fn of(calls: usize, questions: usize) -> Self {
        Self {
            calls: Arc::new(Semaphore::new(calls)),
            questions: Arc::new(Semaphore::new(questions)),
            line: Semaphore::new(WAITING_AT_ONCE_MAX),
        }
    }

    fn have_room(&self) -> bool {
        self.calls.available_permits() > 0 && self.line.available_permits() == WAITING_AT_ONCE_MAX
    }

    async fn one(
        &self,
        turn: Turn,
        place: &Place,
        deadline: Instant,
    ) -> Option<OwnedSemaphorePermit> {
        let turns = match turn {
            Turn::Call => &self.calls,
            Turn::Question => &self.questions,
        };
        if let Ok(turn) = Arc::clone(turns).try_acquire_owned() {
            return Some(turn);
        }
        let _waiting = self.line.try_acquire().ok()?;
        place.give_back();
        timeout_at(deadline, Arc::clone(turns).acquire_owned()).await.ok()?.ok()
    }
}

impl Drop for Present<'_> {
    fn drop(&mut self) {
        let mut own = self.share.own();
        // The map's and this one.
        if Arc::strong_count(&self.turns) == 2 {
            own.remove(&self.merchant);
        }
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
    use super::*;

    fn shares() -> Shares {
        let one =
            |name: &str| Share { all: Turns::of(1, 1), ..Share::of(name.parse().expect("a name")) };
        Shares(vec![one("alpha"), one("beta")])
    }

    fn merchant(number: usize) -> MerchantId {
        MerchantId::from_uuid(uuid::Uuid::from_u128(number as u128))
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_for_a_psp_takes_nobody_elses_place() {
        let shares = shares();
        let (alpha, beta) = ((&shares.0[0].psp, merchant(1)), (&shares.0[1].psp, merchant(1)));
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
        assert!(shares.room().is_everywhere(), "all is given back");
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_is_bounded_in_length_and_time() {
        let shares = shares();
        let alpha = &shares.0[0].psp;
        let place = Place::default();
        let _turn = shares.turn((alpha, merchant(0)), Turn::Call, &place).await.expect("a turn");
        let began = tokio::time::Instant::now();
        let (shares, place) = (&shares, &place);
        let all = (0..=WAITING_AT_ONCE_MAX).map(|number| async move {
            let turn = shares.turn((alpha, merchant(number)), Turn::Call, place).await;
            assert!(turn.is_none());
            began.elapsed()
        });
        let waited = futures::future::join_all(all).await;
        let at_once = waited.iter().filter(|waited| waited.is_zero()).count();
        assert_eq!(at_once, 1, "whoever finds the line full does not wait");
        assert!(waited.iter().all(|waited| waited.is_zero() || *waited == TURN_PATIENCE));
    }

    #[tokio::test(start_paused = true)]
    async fn one_merchant_leaves_others_room_at_a_psp() {
        let shares = Shares(vec![Share::of("alpha".parse().expect("a name"))]);
        let (alpha, place) = (&shares.0[0].psp, Place::default());
        let mut turns = Vec::new();
        for _ in 0..CALLS_OF_ONE_MAX {
            let turn = shares.turn((alpha, merchant(1)), Turn::Call, &place).await;
            turns.push(turn.expect("its share"));
        }
        assert!(!shares.has_room(alpha, merchant(1)) && shares.has_room(alpha, merchant(2)));
        let mut waiting = Box::pin(shares.turn((alpha, merchant(1)), Turn::Call, &place));
        assert!(futures::poll!(waiting.as_mut()).is_pending());
        let room = shares.room();
        assert!(room.full.is_empty() && !room.is_everywhere());
        assert!(!room.has(alpha, merchant(1)) && room.has(alpha, merchant(2)));
        assert_eq!(room.full_everywhere, [merchant(1)]);
        assert!(shares.turn((alpha, merchant(2)), Turn::Call, &place).await.is_some());
        turns.pop();
        assert!(waiting.await.is_some());
        drop(turns);
        assert!(shares.0[0].own().is_empty(), "nobody is remembered who neither has nor waits");
    }
}
