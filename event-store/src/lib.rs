//! The log: the one truth of Runut, in a Postgres table that is only ever appended to.
//!
//! [`EventStore::submit`] takes a [`Request`] and returns when everything its [`Answer`] says is durable.
//! Behind it one [`Sequencer`] a process decides commands in batches and appends each batch with one
//! statement that moves the head of the log from the position the batch was decided at, so that several
//! processes may write to one log without locks or a leader. [`mirror`] copies the log to JetStream;
//! [`mod@log`] reads it.
//!
//! **Architecture Invariant:** this is the only crate that writes to `events`.

mod byte_budget;
mod clock;
mod clock_guard;
mod give;
mod health;
pub mod log;
pub mod mirror;
pub mod rebuild;
mod recent;
mod request;
mod sequencer;
mod snapshots;
mod store;
mod together;
mod unanswered;
mod webhooks;

use std::time::Duration;

pub use clock::{Clock, IdSource, RandomIds, SystemClock};
pub use clock_guard::{CLOCK_SKEW_MAX_MICROS, ClockSkew};
pub use give::Given;
pub use health::Health;
pub use recent::{LoggedEvent, RecentEvents};
pub use request::{
    Answer, AnswerFn, NewAnswer, Origin, Request, RequestKey, RequestPart, SubmitError,
};
pub use sequencer::{PreparedBatches, PreparedError, Sequencer};
pub use snapshots::{OldSnapshot, SNAPSHOT_HELD_MAX, SNAPSHOT_TRANSACTIONS_MAX, SnapshotWatch};
pub use store::{EventStore, StoreOptions};
pub use unanswered::{Unanswered, UnansweredPage, UnansweredPlace, Unreadable, UnreadableCause};
pub use webhooks::{ReceivedWebhook, WebhookDigest, WebhookOutcome};

/// The most data an event may have, in bytes: a page of events stays small, and so does a message.
pub const EVENT_DATA_BYTES_MAX: usize = 256 * 1024;
/// The most commands of a batch. Larger ones gain nothing and make the first wait for the last.
pub const BATCH_COMMANDS_MAX: usize = 512;
/// About the most data, metadata and answers of a batch, in bytes.
pub const BATCH_BYTES_MAX: usize = 4 * 1024 * 1024;
/// The most commands that wait for a batch: at 20,000/s a fifth of a second's.
pub const QUEUE_COMMANDS_MAX: usize = 4_096;
/// About the most memory of those commands, with the states that were loaded for them, in bytes; beyond it callers are
/// turned away as where there are too many.
pub const QUEUE_BYTES_MAX: usize = 128 * 1024 * 1024;
/// About the most memory of the states that are loaded for one command, in bytes: those of the most accounts that a batch
/// names, with 6 KiB each.
pub const LOADED_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How long a caller waits for its answer.
pub const SUBMIT_TIMEOUT: Duration = Duration::from_secs(10);
