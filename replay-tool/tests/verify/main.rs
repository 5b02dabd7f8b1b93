//! Verify against a real Postgres: a sound log is clean, and whatever is broken is named.

mod beside_the_log;
mod clean;
mod closes;
mod conversions;
mod events;
mod forged;
mod given;
mod holds;
mod ledger;
mod limits;
mod mirror;
mod output;
mod payments;
mod privileges;
mod read_models;
mod reversals;
