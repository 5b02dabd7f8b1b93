//! Events as JetStream delivers them: quick, and never believed without asking Postgres.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, ReplayPolicy, pull};
use event_store::log::{Position, RecordedEvent};
use event_store::mirror::{connect_nats, decode};
use futures::StreamExt;
use metrics::counter;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

use super::NatsOptions;

/// Messages held at most for a projection that is busy; the rest waits in JetStream.
const EVENTS_HELD_MAX: usize = 1_024;
/// Bytes of such messages at most.
const BYTES_HELD_MAX: usize = 4 * 1024 * 1024;
/// What a message takes besides its body: headers with the metadata, and its fields.
const MESSAGE_OVERHEAD_BYTES: usize = 1_024;
/// Messages asked for at once.
const PULL_MESSAGES: usize = 256;
/// How long a pull stays open, and how often the server says that it is still there: a stream that
/// vanished is noticed after two silent beats.
const PULL_EXPIRES: Duration = Duration::from_secs(30);
const HEARTBEAT: Duration = Duration::from_secs(2);
/// The server forgets a consumer that nobody pulls from for so long.
const CONSUMER_IDLE_MAX: Duration = Duration::from_secs(30);
/// Pauses between attempts to consume; looking at Postgres every 250 ms goes on meanwhile.
const PAUSE_FIRST: Duration = Duration::from_millis(100);
const PAUSE_LONGEST: Duration = Duration::from_secs(5);

/// An event that a message holds. Its hash fits its content; whether Postgres has it is still open.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) event: RecordedEvent,
    /// Gives its bytes back when the arrival is dropped.
    _held: OwnedSemaphorePermit,
}

/// Delivers events after the applied position to `arrivals`, for ever; returns when nobody listens.
pub(super) async fn feed(
    nats: NatsOptions,
    projection: &'static str,
    mut applied: watch::Receiver<Position>,
    arrivals: mpsc::Sender<Arrival>,
) {
    // Before the first session it is not known where to begin.
    if applied.changed().await.is_err() {
        return;
    }
    let mut feed = Feed {
        nats,
        projection,
        applied,
        arrivals,
        held: Arc::new(Semaphore::new(BYTES_HELD_MAX)),
        connected: None,
    };
    let mut pause = PAUSE_FIRST;
    while !feed.arrivals.is_closed() {
        let delivered = match feed.consume().await {
            Ok(delivered) => delivered,
            Err(interruption) => {
                tracing::debug!(projection, error = %interruption.error, "JetStream is not delivering");
                interruption.delivered
            }
        };
        pause = if delivered { PAUSE_FIRST } else { (pause * 2).min(PAUSE_LONGEST) };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = feed.arrivals.closed() => {}
        }
    }
}

/// How many events may wait, as the channel's capacity.
pub(super) fn channel() -> (mpsc::Sender<Arrival>, mpsc::Receiver<Arrival>) {
    mpsc::channel(EVENTS_HELD_MAX)
}

struct Feed {
    nats: NatsOptions,
    projection: &'static str,
    applied: watch::Receiver<Position>,
    arrivals: mpsc::Sender<Arrival>,
    held: Arc<Semaphore>,
    connected: Option<async_nats::Client>,
}

/// Why a consumer ended, and whether it was of any use.
struct Interruption {
    error: async_nats::Error,
    delivered: bool,
}

impl<E: Into<async_nats::Error>> From<E> for Interruption {
    fn from(error: E) -> Self {
        Self { error: error.into(), delivered: false }
    }
}

impl Feed {
    /// Consumes until something is wrong. The consumer starts right after what is applied: where the
    /// stream begins later there is a hole, and where it ends earlier it waits.
    async fn consume(&mut self) -> Result<bool, Interruption> {
        let client = match &self.connected {
            Some(client) => client.clone(),
            None => {
                let name = format!("runut projection {}", self.projection);
                let client = connect_nats(&self.nats.url, &name).await?;
                // From now on the client reconnects by itself.
                self.connected.insert(client).clone()
            }
        };
        let stream = jetstream::new(client).get_stream(self.nats.stream.name()).await?;
        let start = self.applied.borrow_and_update().next();
        let consumer = stream.create_consumer(consumer_from(start)).await?;
        let mut messages = consumer
            .stream()
            .max_messages_per_batch(PULL_MESSAGES)
            .expires(PULL_EXPIRES)
            .heartbeat(HEARTBEAT)
            .messages()
            .await?;
        let mut delivered = false;
        loop {
            let message = tokio::select! {
                message = messages.next() => message,
                () = self.arrivals.closed() => return Ok(delivered),
            };
            match message {
                Some(Ok(message)) => {
                    delivered = true;
                    self.deliver(&message).await;
                }
                Some(Err(error)) => return Err(Interruption { error: error.into(), delivered }),
                None => return Ok(delivered),
            }
        }
    }

    /// Hands the event on, if the message holds one: its sequence is the position, and its hash fits.
    async fn deliver(&self, message: &jetstream::Message) {
        let sequence = message.info().ok().map(|info| info.stream_sequence);
        // Often Postgres was quicker. What such a message holds is nothing to look at any more.
        if sequence.is_some_and(|sequence| sequence <= self.applied.borrow().sequence()) {
            return;
        }
        let decoded = message.headers.as_ref().map(|headers| decode(headers, &message.payload));
        let event = match (sequence, decoded) {
            (Some(sequence), Some(Ok(event)))
                if event.position.sequence() == sequence
                    && event.computed_hash() == event.leaf_hash =>
            {
                event
            }
            (_, _) => {
                counter!("runut_projection_messages_refused_total",
                    "projection" => self.projection, "reason" => "garbled")
                .increment(1);
                tracing::warn!(
                    projection = self.projection,
                    sequence,
                    "a message of the mirror is not an event; the event is read from Postgres"
                );
                return;
            }
        };
        let bytes = (message.payload.len() + MESSAGE_OVERHEAD_BYTES).min(BYTES_HELD_MAX);
        let permits = u32::try_from(bytes).unwrap_or(u32::MAX);
        let Ok(held) = Arc::clone(&self.held).acquire_many_owned(permits).await else { return };
        // A closed channel is noticed by the loop.
        let _ = self.arrivals.send(Arrival { event, _held: held }).await;
    }
}

/// Without acknowledgements: the checkpoint says what was applied.
fn consumer_from(start: Position) -> pull::Config {
    pull::Config {
        deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: start.sequence().max(1) },
        ack_policy: AckPolicy::None,
        replay_policy: ReplayPolicy::Instant,
        inactive_threshold: CONSUMER_IDLE_MAX,
        memory_storage: true,
        num_replicas: 1,
        ..pull::Config::default()
    }
}
