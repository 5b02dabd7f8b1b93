//! Tells the webhook's target of operations, at least once each.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use reqwest::header::CONTENT_TYPE;
use sha2::Sha256;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::charges::Entry;
use super::engine::Engine;
use super::operation::{Event, Moment, Operation, Status};
use super::options::WebhookTarget;
use super::records::{Notice, hex};

/// The header that says who sent a webhook and when.
pub const SIGNATURE_HEADER: &str = "Psp-Signature";
/// The most deliveries under way at a time: enough to keep up, few enough not to swamp a receiver.
const DELIVERIES_MAX: usize = 32;
/// The longest that a receiver may take to answer.
const DELIVERY_MAX: Duration = Duration::from_secs(5);
/// The most tries of an event in a run: about three minutes. The next run begins again.
const TRIES_MAX: u32 = 14;
/// The pause after the first try; it doubles with each.
const BACKOFF_FIRST: Duration = Duration::from_millis(200);
/// The longest pause between two tries.
const BACKOFF_MAX: Duration = Duration::from_secs(30);
/// How long an event waits for a later one to overtake it.
const OVERTAKE_MAX: Duration = Duration::from_secs(2);

/// An event to send; what it says is looked up when it is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parcel {
    /// The operation's place.
    pub(super) entry: usize,
    pub(super) notice: Notice,
    /// The charge's place.
    pub(super) charge: usize,
    /// Where the ledger must have come to before the event is sent.
    pub(super) position: u64,
    /// How many times to send it.
    pub(super) copies: u32,
    /// Whether it waits to be overtaken.
    pub(super) reversed: bool,
}

impl Parcel {
    /// The status that the event tells of.
    pub(super) fn status(&self, entry: &Entry) -> Option<Status> {
        match self.notice {
            Notice::First => Some(entry.operation.status),
            Notice::Change => entry.change.map(|(status, _)| status),
        }
    }

    /// The event's body.
    fn body(&self, entry: &Entry) -> Option<Vec<u8>> {
        let (status, event_type) = (self.status(entry)?, self.event_type(entry)?);
        let created_at = match (self.notice, entry.change) {
            (Notice::Change, Some((_, at))) => at,
            (Notice::First | Notice::Change, _) => entry.operation.created_at,
        };
        let operation = Operation { status, ..entry.operation.clone() };
        let digits = operation.id.trim_start_matches("op_");
        let status = match status {
            Status::Succeeded => "succeeded",
            Status::Declined => "declined",
            Status::Failed => "failed",
            Status::Pending => "pending",
        };
        let id = format!("evt_{digits}_{status}");
        let event = Event { id: &id, event_type, created_at, operation: &operation };
        serde_json::to_vec(&event).ok()
    }
}

/// Sends parcels until the engine stops.
#[derive(Debug)]
pub(super) struct Courier {
    engine: Arc<Engine>,
    sender: Arc<Sender>,
    parcels: mpsc::UnboundedReceiver<Parcel>,
    /// The event of a charge that waits to be overtaken.
    held: HashMap<usize, Parcel>,
}

/// What goes over the wire, and how.
#[derive(Debug)]
pub(super) struct Sender {
    client: reqwest::Client,
    target: WebhookTarget,
    slots: Arc<Semaphore>,
}

impl Sender {
    pub(super) fn new(target: WebhookTarget) -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(DELIVERY_MAX)
            .build()?;
        Ok(Self { client, target, slots: Arc::new(Semaphore::new(DELIVERIES_MAX)) })
    }

    async fn send(&self, body: Vec<u8>) -> Result<(), reqwest::Error> {
        let timestamp = Moment::now().unix_seconds();
        let signature = signature(&self.target.secret, timestamp, &body);
        let request = self.client.post(&self.target.url).body(body);
        let request = request.header(CONTENT_TYPE, "application/json");
        let answer = request.header(SIGNATURE_HEADER, signature).send().await?;
        answer.error_for_status().map(drop)
    }
}

impl Courier {
    pub(super) fn new(
        engine: Arc<Engine>,
        sender: Sender,
        parcels: mpsc::UnboundedReceiver<Parcel>,
    ) -> Self {
        Self { engine, sender: Arc::new(sender), parcels, held: HashMap::new() }
    }

    /// Sends parcels until the engine stops.
    pub(super) async fn run(mut self) {
        let (overdue, mut overdue_parcels) = mpsc::unbounded_channel();
        let stop = self.engine.stop().clone();
        loop {
            let parcels = tokio::select! {
                () = stop.cancelled() => return,
                Some(parcel) = self.parcels.recv() => self.due(parcel, &overdue),
                Some(parcel) = overdue_parcels.recv() => self.not_overtaken(&parcel),
            };
            if parcels.is_empty() {
                continue;
            }
            let slot = tokio::select! {
                () = stop.cancelled() => return,
                slot = Arc::clone(&self.sender.slots).acquire_owned() => slot,
            };
            // The semaphore is never closed.
            let Ok(slot) = slot else { return };
            self.deliver(parcels, slot);
        }
    }

    /// What is sent now that this parcel has come, in this order.
    fn due(&mut self, parcel: Parcel, overdue: &mpsc::UnboundedSender<Parcel>) -> Vec<Parcel> {
        if !parcel.reversed {
            return vec![parcel];
        }
        if let Some(earlier) = self.held.remove(&parcel.charge) {
            return vec![parcel, earlier];
        }
        self.held.insert(parcel.charge, parcel.clone());
        let (engine, overdue) = (Arc::clone(&self.engine), overdue.clone());
        self.engine.background().spawn(async move {
            if engine.pause(OVERTAKE_MAX).await.is_ok() {
                // Fails only when the courier has ended.
                let _ = overdue.send(parcel);
            }
        });
        Vec::new()
    }

    fn not_overtaken(&mut self, parcel: &Parcel) -> Vec<Parcel> {
        if self.held.get(&parcel.charge) != Some(parcel) {
            return Vec::new();
        }
        self.held.remove(&parcel.charge).into_iter().collect()
    }

    fn deliver(&self, parcels: Vec<Parcel>, slot: OwnedSemaphorePermit) {
        let (engine, sender) = (Arc::clone(&self.engine), Arc::clone(&self.sender));
        self.engine.background().spawn(async move {
            let stop = engine.stop().clone();
            let delivery = deliver(&engine, &sender, parcels, slot);
            // What is cut off here is sent again by the next run.
            stop.run_until_cancelled(delivery).await;
        });
    }
}

async fn deliver(
    engine: &Arc<Engine>,
    sender: &Arc<Sender>,
    parcels: Vec<Parcel>,
    slot: OwnedSemaphorePermit,
) {
    let mut failed = Vec::new();
    for parcel in parcels {
        match deliver_copies(engine, sender, &parcel).await {
            Ok(()) => engine.delivered(&parcel),
            Err(error) => {
                tracing::debug!(?error, "a webhook is tried again later");
                failed.push(parcel);
            }
        }
    }
    // Others may use the slot while these wait.
    drop(slot);
    for parcel in failed {
        retry(engine, sender, &parcel).await;
    }
}

async fn retry(engine: &Arc<Engine>, sender: &Arc<Sender>, parcel: &Parcel) {
    let mut pause = BACKOFF_FIRST;
    for _ in 1..TRIES_MAX {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(BACKOFF_MAX);
        let Ok(_slot) = sender.slots.acquire().await else { return };
        if deliver_copies(engine, sender, parcel).await.is_ok() {
            engine.delivered(parcel);
            return;
        }
    }
    let (entry, tries) = (parcel.entry, TRIES_MAX);
    tracing::warn!(entry, tries, "a webhook was given up until the next start");
}

/// Why a parcel was not delivered.
#[derive(Debug, thiserror::Error)]
enum DeliveryError {
    #[error("the ledger is closed")]
    LedgerClosed,
    #[error("the receiver did not take it")]
    NotTaken(#[from] reqwest::Error),
}

async fn deliver_copies(
    engine: &Engine,
    sender: &Sender,
    parcel: &Parcel,
) -> Result<(), DeliveryError> {
    engine.written(parcel.position).await.map_err(|_| DeliveryError::LedgerClosed)?;
    let body = engine.peek(|state| parcel.body(&state.book.entries()[parcel.entry]));
    // Only parcels with something to say are made.
    let Some(body) = body else { return Ok(()) };
    for _ in 0..parcel.copies {
        sender.send(body.clone()).await?;
    }
    Ok(())
}

/// The signature header's value for a body sent at `timestamp`, in seconds since 1970:
/// `t=<timestamp>,v1=<lowercase hex of HMAC-SHA256 with the secret over "<timestamp>.<body>">`.
pub fn signature(secret: &str, timestamp: i64, body: &[u8]) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes());
    let mut mac = mac.expect("a key of any length will do");
    mac.update(timestamp.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    format!("t={timestamp},v1={}", hex(&mac.finalize().into_bytes()))
}
