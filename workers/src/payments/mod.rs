//! Payments are carried out here: what is due is claimed, attempted at a PSP, asked for, and recorded.
//!
//! What is to be done for a payment follows from its state alone (`domain`'s `Payment::steps`), so a worker
//! that takes over from one that died does what that one would have done: if nothing was sent it sends, and
//! if something may have been sent it asks. A lease only keeps workers from doing the same work; that an
//! attempt is made once is decided by the log.

mod carry_out;
mod fresh;
mod health;
mod queue;
mod shares;
mod unrecorded;

use std::sync::Arc;
use std::time::Duration;

use domain::payments::PaymentPolicy;
use domain::{PaymentId, StreamVersion};
use event_store::EventStore;
use event_store::log::ConnectError;
use gateways::Gateways;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use self::carry_out::{Carrier, CarryError};
use self::fresh::{AtWork, Fresh};
use self::queue::{Claimed, Done, WorkQueue};
use self::shares::{Place, Shares};
pub use self::unrecorded::UNRECORDED_MS_MAX;
use self::unrecorded::Unrecorded;

/// The most payments that a worker is at at the same time, besides those that are at a PSP or wait for one: these have
/// the places of that PSP.
pub const PAYMENTS_AT_ONCE_MAX: usize = 256;
/// The most payments that are claimed with one statement.
const CLAIM_PAYMENTS_MAX: usize = 64;
/// How often the queue is looked at when something was in it just now.
const POLL_BUSY: Duration = Duration::from_millis(4);
/// How often when it was empty for a while.
const POLL_IDLE: Duration = Duration::from_millis(20);
/// For how many empty looks it is taken for busy.
const BUSY_LOOKS: u32 = 50;
/// How long to wait after the queue could not be looked at.
const TROUBLE_PAUSE: Duration = Duration::from_millis(250);
/// After so many reports what ran out is removed.
const TIDY_REPORTS: u32 = 60;
/// For how long a payment is left whose PSP has no room for it.
const SET_ASIDE_MS: i64 = 1_000;
/// How long what is under way may take to end at shutdown: a record of what a PSP just said should still be
/// made, a PSP that says nothing is asked by the next worker.
const FINISH_MAX: Duration = Duration::from_millis(400);

/// What carrying out payments takes.
#[derive(Debug, Clone)]
pub struct PaymentWorkerOptions {
    /// The URL of the application's role.
    pub database_url: String,
    /// The log.
    pub store: EventStore,
    /// The ways to the PSPs.
    pub gateways: Gateways,
    /// The times and counts to go by.
    pub policy: PaymentPolicy,
}

/// Carries out payments. Any number of them may run.
#[derive(Debug)]
pub struct PaymentWorker {
    queue: WorkQueue,
    carrier: Arc<Carrier>,
    places: Arc<Semaphore>,
    at_work: AtWork,
}

impl PaymentWorker {
    /// Prepares a worker; connects to nothing yet.
    ///
    /// # Errors
    /// [`ConnectError::Url`] when the database URL is none.
    pub fn new(options: PaymentWorkerOptions) -> Result<Self, ConnectError> {
        let PaymentWorkerOptions { database_url, store, gateways, policy } = options;
        let queue = WorkQueue::new(&database_url, store.ids().next())?;
        let (shares, unrecorded) = (Shares::of(&gateways), Unrecorded::default());
        let carrier = Arc::new(Carrier { store, gateways, policy, shares, unrecorded });
        let places = Arc::new(Semaphore::new(PAYMENTS_AT_ONCE_MAX));
        Ok(Self { queue, carrier, places, at_work: AtWork::default() })
    }

    /// Works until `shutdown`, whatever happens to the servers meanwhile.
    pub async fn run(self, shutdown: CancellationToken) {
        let reporting = report_health(self.queue.clone(), Arc::clone(&self.carrier));
        let until_stopped = self.work(shutdown);
        tokio::select! {
            () = reporting => {}
            () = until_stopped => {}
        }
    }

    /// How many payments have been due for more than a minute, whatever keeps them waiting.
    ///
    /// # Errors
    /// The queue cannot be looked at.
    pub async fn overdue(&self) -> Result<i64, sqlx::Error> {
        self.queue.overdue().await
    }

    /// Carries out what is due now, one after another; how many payments that were.
    ///
    /// # Errors
    /// The queue cannot be looked at.
    pub async fn pass(&self) -> Result<usize, sqlx::Error> {
        let room = self.carrier.shares.room();
        let claimed = self.queue.claim(CLAIM_PAYMENTS_MAX, &room).await?;
        for payment in &claimed {
            work_at(&self.carrier, &self.queue, *payment, Place::default()).await;
        }
        Ok(claimed.len())
    }

    async fn work(self, shutdown: CancellationToken) {
        let mut under_way = JoinSet::new();
        let mut fresh = Fresh::of(&self.carrier.store);
        let mut looks = Looks::begin();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = self.turn(&mut fresh, &mut looks, &mut under_way) => {}
            }
        }
        // What is cut off here is asked for by whoever claims it next.
        let finish = async { while under_way.join_next().await.is_some() {} };
        if tokio::time::timeout(FINISH_MAX, finish).await.is_err() {
            under_way.shutdown().await;
        }
    }

    /// Begins with what is due since just now, or looks into the queue when it is time to.
    async fn turn(&self, fresh: &mut Fresh, looks: &mut Looks, under_way: &mut JoinSet<()>) {
        // A timer is late by up to a millisecond, in which what is new would be left to the queue before anybody looked
        // whether there is something in it.
        let changed = if Instant::now() >= looks.next {
            None
        } else {
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(looks.next) => None,
                changed = fresh.changed() => Some(changed),
            }
        };
        while under_way.try_join_next().is_some() {}
        match changed {
            // Those in the queue wait for longer.
            Some(changed) if looks.queue_is_empty => self.take(changed, under_way).await,
            Some(_) => {}
            None => {
                let looked = self.look(under_way).await;
                looks.looked(looked);
            }
        }
    }

    /// Claims as many payments as there are places, and begins with them; how many, and whether none is left that waits for
    /// a place or for a PSP.
    async fn look(&self, under_way: &mut JoinSet<()>) -> Result<(usize, bool), sqlx::Error> {
        let free = self.places.available_permits().min(CLAIM_PAYMENTS_MAX);
        if free == 0 {
            return Ok((1, false));
        }
        if self.carrier.store.decidable_now().await.is_err() {
            // What is claimed here could not be carried on with.
            return Ok((0, true));
        }
        let room = self.carrier.shares.room();
        let claimed = self.queue.claim(free, &room).await?;
        let many = claimed.len();
        self.begin(claimed, under_way);
        Ok((many, many < free && room.is_everywhere()))
    }

    /// Claims those of `changed` for which something is due, as far as there are places, and begins with them.
    async fn take(&self, mut changed: Vec<PaymentId>, under_way: &mut JoinSet<()>) {
        changed.retain(|id| !self.at_work.has(*id));
        let free = self.places.available_permits();
        if changed.is_empty() || free == 0 {
            return;
        }
        let Carrier { store, shares, .. } = &*self.carrier;
        let Ok(now) = store.decidable_now().await else { return };
        let mut due = fresh::due(store, changed, &shares.room(), now);
        due.truncate(free);
        if due.is_empty() {
            return;
        }
        match self.queue.lease(due).await {
            Ok(leased) => self.begin(leased, under_way),
            Err(error) => {
                // They are in the queue, whose next look says more.
                let error: &dyn std::error::Error = &error;
                tracing::debug!(error, "payments that are due cannot be leased for now");
            }
        }
    }

    fn begin(&self, claimed: Vec<Claimed>, under_way: &mut JoinSet<()>) {
        for payment in claimed {
            let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else { break };
            let (carrier, queue) = (Arc::clone(&self.carrier), self.queue.clone());
            let begun = self.at_work.begin(payment.payment_id);
            under_way.spawn(async move {
                work_at(&carrier, &queue, payment, Place::taken(place)).await;
                drop(begun);
            });
        }
    }
}

/// When the queue is looked at.
#[derive(Debug)]
struct Looks {
    next: Instant,
    /// How many found nothing, one after the other.
    empty: u32,
    /// Whether the last one left nothing that waits for a place or for a PSP.
    queue_is_empty: bool,
}

impl Looks {
    fn begin() -> Self {
        Self { next: Instant::now(), empty: 0, queue_is_empty: false }
    }

    fn looked(&mut self, looked: Result<(usize, bool), sqlx::Error>) {
        let pause = match looked {
            Ok((claimed, all)) => {
                self.queue_is_empty = all;
                self.empty = if claimed == 0 { self.empty + 1 } else { 0 };
                if self.empty > BUSY_LOOKS { POLL_IDLE } else { POLL_BUSY }
            }
            Err(error) => {
                self.queue_is_empty = false;
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "payments that are due cannot be claimed for now");
                metrics::counter!("runut_payment_claim_failures_total").increment(1);
                TROUBLE_PAUSE
            }
        };
        self.next = Instant::now() + pause;
    }
}

async fn report_health(queue: WorkQueue, carrier: Arc<Carrier>) {
    let mut reports = tokio::time::interval(health::REPORT_INTERVAL);
    reports.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut since_tidied = 0;
    loop {
        reports.tick().await;
        carrier.unrecorded.watch(&carrier.store, Instant::now()).await;
        match queue.overdue().await {
            Ok(overdue) => overdue_gauge(overdue),
            // It stays what it was: the claims say what is wrong.
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::debug!(error, "payments that are overdue cannot be counted for now");
            }
        }
        since_tidied += 1;
        if since_tidied == TIDY_REPORTS {
            since_tidied = 0;
            // What is left is removed the next time.
            drop(queue.tidy().await);
        }
        if let Err(error) = health::report(&queue, &carrier.gateways).await {
            let error: &dyn std::error::Error = &error;
            tracing::debug!(error, "how PSPs do cannot be said for now");
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "metrics are doubles; the count is bounded")]
fn overdue_gauge(overdue: i64) {
    metrics::gauge!("runut_payments_overdue").set(overdue as f64);
}

async fn work_at(carrier: &Carrier, queue: &WorkQueue, claimed: Claimed, place: Place) {
    let done = match carrier.carry_out(&claimed, &place).await {
        Ok(done) => done,
        // Nothing was done, and others whose PSP has room go first.
        Err(CarryError::PspBusy) => {
            Done { handled: StreamVersion::from_number(0), pause_ms: SET_ASIDE_MS }
        }
        // Left to others at once; this worker claims nothing until its clock is right.
        Err(error) if error.is_only_here() => {
            say(&claimed, &error);
            Done { handled: StreamVersion::from_number(0), pause_ms: 0 }
        }
        Err(error) => {
            say(&claimed, &error);
            // The lease is left to run out, which keeps this from being tried in a tight circle.
            if let CarryError::Unrecorded { pause_ms, .. } = error {
                hold_back(queue, &claimed, pause_ms).await;
            }
            return;
        }
    };
    if let Err(error) = queue.release(&claimed, done).await {
        // It runs out by itself.
        let error: &dyn std::error::Error = &error;
        tracing::debug!(error, "a lease could not be given back");
    }
}

fn say(claimed: &Claimed, error: &CarryError) {
    let (payment, error) = (claimed.payment_id, error as &dyn std::error::Error);
    tracing::warn!(%payment, error, "a payment could not be carried on with");
    metrics::counter!("runut_payment_work_failures_total").increment(1);
}

/// Leaves a payment alone for longer than its lease.
async fn hold_back(queue: &WorkQueue, claimed: &Claimed, pause_ms: i64) {
    if let Err(error) = queue.hold_back(claimed, pause_ms).await {
        // It runs out earlier.
        let error: &dyn std::error::Error = &error;
        tracing::debug!(error, "a lease could not be made longer");
    }
}

/// What names a worker among others.
pub(crate) type WorkerId = Uuid;
