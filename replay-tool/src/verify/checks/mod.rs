//! The checks, one a file.

pub(super) mod accounts;
pub(super) mod balances;
pub(super) mod closes;
mod conversions;
mod entries;
pub(super) mod guards;
pub(super) mod head;
pub(super) mod holds;
pub(super) mod idempotency;
pub(super) mod mirror;
pub(super) mod payment_entries;
mod payment_outcomes;
mod positions;
mod privileges;
pub(super) mod read_models;
mod recorded_at;
pub(super) mod requests;
pub(super) mod reversals;
mod row_security;
pub(super) mod rows;
mod stream_name;
pub(super) mod stream_order;
pub(super) mod stream_versions;
mod streams;
