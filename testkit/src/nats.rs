//! Names and addresses for tests.

use uuid::Uuid;

use crate::{NATS_VARIABLE, required};

/// The URL of the shared NATS server.
///
/// # Panics
/// When it is not named in the environment.
pub fn nats_url() -> String {
    required(NATS_VARIABLE)
}

/// A name that no other test has, fit for databases and streams.
#[expect(clippy::disallowed_methods, reason = "tests take their names from the machine")]
pub fn unique_name(kind: &str) -> String {
    format!("{kind}_{}", Uuid::now_v7().simple())
}
