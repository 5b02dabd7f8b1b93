//! Requests to the log, and what comes back.

use std::sync::Arc;
use std::time::Duration;

use domain::{Command, Decision, MerchantId, Rejection, Timestamp};

use crate::clock_guard::ClockSkew;
use crate::log::Position;

/// Makes the answer to a request from its outcome and the time it is recorded at. Called while the batch
/// is decided, because the answer is stored with the events; may be called again when the batch is.
pub type AnswerFn = Arc<dyn Fn(&Result<Decision, Rejection>, Timestamp) -> NewAnswer + Send + Sync>;

/// A command with all that the log keeps of the request it came in.
#[derive(Clone)]
pub struct Request {
    /// What is asked.
    pub command: Command,
    /// What makes a repetition of the request known; none for commands of the platform itself.
    pub key: Option<RequestKey>,
    /// Where it came from.
    pub origin: Origin,
    /// Makes the answer.
    pub answer: AnswerFn,
    /// How large it was as it came, in bytes; what it takes in memory follows from that.
    pub bytes: usize,
}

impl Request {
    /// The size of one that says no more than a few words.
    pub const BYTES_USUAL: usize = 1024;
    /// How many times its size it takes in memory, once it is read.
    const READ_FACTOR: usize = 3;

    /// About how many bytes of memory it takes.
    pub(crate) fn memory(&self) -> usize {
        self.bytes.saturating_mul(Self::READ_FACTOR)
    }
}

impl std::fmt::Debug for Request {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Request")
            .field("command", &self.command)
            .field("key", &self.key)
            .field("origin", &self.origin)
            .finish_non_exhaustive()
    }
}

/// An idempotency key and what the request with it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestKey {
    /// Whose key it is; two merchants may use the same text.
    pub owner: MerchantId,
    /// The text, 1 to 255 visible ASCII characters.
    pub key: String,
    /// SHA-256 of method, path, merchant and raw body.
    pub fingerprint: [u8; 32],
    /// Which part of the request this append is.
    pub part: RequestPart,
}

/// Requests that take several appends claim their key with the first and answer with the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestPart {
    /// The one append of a request: claims the key and stores the answer.
    Whole,
    /// The first of several: claims the key, without an answer yet. A rejection is an answer.
    First,
    /// The last of several: sets the answer of a claimed key, once.
    Last,
}

/// Where a request came from; stored in the metadata of its events.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origin {
    /// An API key's id, or the name of a part of the platform.
    pub actor: String,
    /// What ties together all that one request led to.
    pub correlation_id: String,
    /// The W3C trace context.
    pub traceparent: Option<String>,
}

/// An answer as its request is decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The id of what the request made or changed.
    pub resource_id: String,
    /// The body.
    pub body: String,
    /// What is stored and replayed in the body's place, where the body holds a secret.
    pub replay_body: Option<String>,
}

/// The answer to a request: its events, if any, are durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The id of what the request made or changed.
    pub resource_id: String,
    /// The body.
    pub body: Arc<str>,
    /// The position of the request's last event; that of the head where there is none.
    pub position: Position,
    /// Whether this is the stored answer of an earlier request with the same key.
    pub replayed: bool,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// The key was used for another request.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// The first request with this key is still under way.
    #[error("a request with this idempotency key is still under way")]
    KeyInUse,
    /// The queue is full. Nothing was written.
    #[error("too many commands are waiting")]
    Overloaded,
    /// The log cannot be reached, or this process is stopping. Nothing was written.
    #[error("the log cannot be written now")]
    Unavailable,
    /// This process' clock disagrees with the database's. Nothing was written.
    #[error("{0}; nothing is decided here until they agree")]
    ClockSkewed(ClockSkew),
    /// Sent, and not known whether written. The same request with the same key tells, later.
    #[error("it is not known yet whether the command was written")]
    OutcomeUnknown,
    /// An event of it would exceed [`crate::EVENT_DATA_BYTES_MAX`]. Nothing was written.
    #[error("an event of {bytes} bytes is too large")]
    EventTooLarge {
        /// The size of its data.
        bytes: usize,
    },
    /// The states that it is decided over take more than [`crate::LOADED_BYTES_MAX`]. Nothing was written.
    #[error("what it names takes more than {} MiB of memory together; send it in parts", crate::LOADED_BYTES_MAX >> 20)]
    StatesTooLarge,
    /// The database refuses its content. Nothing was written.
    #[error("the log refuses this command")]
    Refused,
}

impl SubmitError {
    /// Whether the same request with the same key may succeed later.
    pub const fn retryable(&self) -> bool {
        match self {
            Self::KeyInUse
            | Self::Overloaded
            | Self::Unavailable
            | Self::ClockSkewed(_)
            | Self::OutcomeUnknown => true,
            Self::KeyReused | Self::EventTooLarge { .. } | Self::StatesTooLarge | Self::Refused => {
                false
            }
        }
    }

    /// How long to wait before that.
    pub const fn retry_after(&self) -> Option<Duration> {
        if self.retryable() { Some(Duration::from_secs(1)) } else { None }
    }
}
