//! What tests of several crates need: a database of their own, a stream of their own, a proxy to cut.
//!
//! The suite shares one Postgres and one NATS, named by [`POSTGRES_VARIABLE`] and [`NATS_VARIABLE`];
//! `make test` starts them. Each test clones a migrated template, so tests run in parallel.

mod database;
mod killed;
mod nats;
mod proxy;

pub use database::TestDatabase;
pub use killed::{killed_at, killed_at_every_wait};
pub use nats::{nats_url, unique_name};
pub use proxy::Proxy;

/// The environment variable with the URL of the shared Postgres' superuser.
pub const POSTGRES_VARIABLE: &str = "RUNUT_TEST_POSTGRES";
/// The environment variable with the URL of the shared NATS server.
pub const NATS_VARIABLE: &str = "RUNUT_TEST_NATS";

pub(crate) fn required(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} is not set: run the tests with `make test`, which starts the services")
    })
}
