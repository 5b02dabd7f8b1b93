//! Verify against a real Postgres: a sound log is clean, and whatever is broken is named.

mod beside_the_log;
mod clean;
mod events;
mod given;
mod mirror;
mod output;
mod payments;
mod read_models;
