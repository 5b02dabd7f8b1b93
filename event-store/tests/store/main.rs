//! The log against a real Postgres: order, once-ness, storms and faults.

mod given;
mod submitting;
