//! The workers.

use std::sync::Arc;

use event_store::SystemClock;
use event_store::log::ConnectError;
use workers::{Options, PrunerOptions, Workers};

use crate::tasks::{Stage, Tasks};

/// Runs every worker; `pruner_url` is that of the pruner's role.
pub(crate) fn start(tasks: &mut Tasks, pruner_url: &str) -> Result<(), ConnectError> {
    let pruner =
        PrunerOptions { database_url: pruner_url.to_owned(), clock: Arc::new(SystemClock) };
    let workers = Workers::new(Options { pruner })?;
    tasks.spawn(Stage::Follow, "the workers", |stop| workers.run(stop));
    Ok(())
}
