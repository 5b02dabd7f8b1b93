//! The log against a real Postgres: order, once-ness, storms and faults.

mod ahead;
mod clocks;
mod faults;
mod given;
mod memory;
mod privileges;
mod rebuilds;
mod refusals;
mod snapshots;
mod storms;
mod submitting;
mod wide_totals;
