//! The mirror of the log in JetStream, where a message's sequence is its event's position.

mod message;

pub use message::{LEAF_HASH_HEADER, LogStream, MessageError, decode, encode};
