//! The log as it lies in Postgres: its rows, how they are hashed, read and connected to.

mod connect;
mod leaf_hash;
mod position;
mod read;
mod recorded_event;
mod wide_minor;

pub use connect::{
    ConnectError, Durability, SCHEMA_VERSION, append_options, connect, connect_options,
    look_up_options,
};
pub use leaf_hash::LeafHash;
pub(crate) use leaf_hash::{Leaf, digest_from_hex, digest_to_hex};
pub use position::{LOG_ID, Position};
pub(crate) use read::head_and_clock;
pub use read::{
    EVENTS_PAGE_MAX, Head, LOG_PAGE_BYTES_MAX, LogFilter, LogPage, PAGE_BYTES_MAX, StreamPage,
    UNMEASURED_EVENTS_MAX, events_after, head, last_before, leaf_hash_at, log_page, page_after,
    stream_events, stream_page,
};
pub use recorded_event::{EventMetadata, RecordedEvent};
pub use wide_minor::{NotWideMinor, NumericBytes, WideMinor};
