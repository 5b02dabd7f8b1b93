//! The mirror of the log in JetStream, where a message's sequence is its event's position.
//!
//! Postgres is the truth and the history; the stream is a window of it for those who want to be told. Every
//! message is published with the sequence it expects before it, so that the stream can be nothing but a
//! copy: no message is lost, doubled or out of order, and a second mirror is fenced off.

mod message;
mod nats;
mod publish;
mod reconcile;
mod run;
mod status;

pub use message::{LEAF_HASH_HEADER, LogStream, MessageError, decode, encode};
pub use nats::{NATS_TIMEOUT, NatsError, connect_nats};
pub use reconcile::{MIRROR_WINDOW_EVENTS, reset};
pub use run::{MIRROR_LOCK, Mirror, MirrorOptions};
pub use status::{MirrorAlarm, MirrorStatus};
