//! A gateway behind a breaker and a bulkhead: one PSP that hangs does not take the places of the others.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use domain::Timestamp;
use domain::payments::{AttemptKey, PspName, PspOutcome, UnknownReason};
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::breaker::{Breaker, BreakerState};
use crate::gateway::{Capabilities, Gateway, Order};
use crate::webhook::{Notification, SignedHeader, WebhookRefusal};

/// The most calls that are under way to one PSP from one process.
pub const CALLS_AT_ONCE_MAX: usize = 128;
/// The most questions that are under way to one PSP from one process, besides the calls.
pub const QUESTIONS_AT_ONCE_MAX: usize = 32;
/// How long a call waits for a place; then it was certainly not made.
pub const PLACE_PATIENCE: Duration = Duration::from_millis(500);

/// How a PSP does, as this process sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PspHealth {
    /// Whether it is called at all.
    pub breaker: BreakerState,
    /// Calls in the last minute.
    pub calls: u64,
    /// How many of them were not answered as they should be.
    pub errors: u64,
    /// Calls under way.
    pub under_way: usize,
}

/// A gateway that is not called while its PSP fails, and not by too many at once.
#[derive(Debug)]
pub(crate) struct Guarded {
    inner: Arc<dyn Gateway>,
    breaker: Breaker,
    places: Semaphore,
    questions: Semaphore,
}

impl Guarded {
    pub(crate) fn new(inner: Arc<dyn Gateway>) -> Self {
        Self {
            inner,
            breaker: Breaker::default(),
            places: Semaphore::new(CALLS_AT_ONCE_MAX),
            questions: Semaphore::new(QUESTIONS_AT_ONCE_MAX),
        }
    }

    /// Whether a call that is made now will go through.
    pub(crate) fn ready(&self) -> bool {
        self.breaker.ready()
    }

    /// Whether a call that is made now does not wait for others.
    pub(crate) fn has_room(&self) -> bool {
        self.places.available_permits() > 0
    }

    pub(crate) fn health(&self) -> PspHealth {
        let (calls, errors) = self.breaker.recent();
        let under_way = CALLS_AT_ONCE_MAX - self.places.available_permits().min(CALLS_AT_ONCE_MAX);
        PspHealth { breaker: self.breaker.state(), calls, errors, under_way }
    }
}

/// Whether the PSP failed, not the payment.
fn failed(outcome: &PspOutcome) -> bool {
    match outcome {
        PspOutcome::Unknown { .. } | PspOutcome::NotSent { .. } => true,
        PspOutcome::Succeeded { .. }
        | PspOutcome::Declined(_)
        | PspOutcome::Pending
        | PspOutcome::FailedLater { .. }
        | PspOutcome::NotFound
        | PspOutcome::Refused { .. } => false,
    }
}

impl Gateway for Guarded {
    fn psp(&self) -> &PspName {
        self.inner.psp()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    fn send<'a>(&'a self, order: &'a Order) -> BoxFuture<'a, PspOutcome> {
        async move {
            let not_sent = |reason: &str| PspOutcome::NotSent { reason: reason.to_owned() };
            let Ok(Ok(_place)) = timeout(PLACE_PATIENCE, self.places.acquire()).await else {
                return not_sent("too many calls to this PSP are under way");
            };
            if !self.breaker.admit() {
                return not_sent("this PSP fails, it is left alone for a while");
            }
            let outcome = self.inner.send(order).await;
            self.breaker.record(failed(&outcome));
            outcome
        }
        .boxed()
    }

    /// Asked for even while it fails: how else would it be known? That is paced by whoever asks, and one that
    /// hangs takes places of its own.
    fn ask<'a>(&'a self, key: &'a AttemptKey) -> BoxFuture<'a, PspOutcome> {
        async move {
            let Ok(Ok(_place)) = timeout(PLACE_PATIENCE, self.questions.acquire()).await else {
                return PspOutcome::Unknown { reason: UnknownReason::Timeout };
            };
            self.inner.ask(key).await
        }
        .boxed()
    }

    fn expects_from(&self, source: Option<IpAddr>) -> bool {
        self.inner.expects_from(source)
    }

    fn signed_webhook(
        &self,
        header: &dyn Fn(&str) -> Option<String>,
        now: Timestamp,
    ) -> Result<SignedHeader, WebhookRefusal> {
        self.inner.signed_webhook(header, now)
    }

    fn read_webhook(&self, body: &[u8]) -> Result<Notification, String> {
        self.inner.read_webhook(body)
    }
}
