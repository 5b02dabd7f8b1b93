//! The auditors' tool: replays the log, read only, and says whether what it finds can be true.
//!
//! [`verify::verify`] checks the log, what is kept beside it, its mirror and its read models;
//! [`stream_events`] and [`stats`] show what is there. The binary `replay-tool` is a thin face of these.
//!
//! The tool trusts nothing that it can work out again: it hashes rows and the balances of closes with encoders
//! of its own, adds balances up in SQL, and scans the unique indexes that the log rests on. It holds no snapshot open: every
//! statement is a key range, ended by the server after [`connection::STATEMENT_SECONDS_MAX`], so that it may
//! run beside a log that is being appended to, and most of it on a standby.
//!
//! **Architecture Invariant:** nothing here writes to the log. The only tables it makes are temporary ones,
//! to fold read models into.

pub mod connection;
mod courtesy;
mod facts;
mod log_rows;
mod pace;
pub mod render;
pub mod stats;
pub mod stream_events;
pub mod verify;
