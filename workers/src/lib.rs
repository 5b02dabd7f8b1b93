//! The processes that act by themselves, without anybody asking: so far the [`Pruner`].
//!
//! Each worker is made from its options, does nothing until it is run, and ends when told to.
//! Whatever it was about then is done by its next run, so that a worker may be killed at any time.

mod pruner;

pub use pruner::{
    BATCH_KEYS_MAX, KEYS_KEPT_FOR, PASS_BATCHES_MAX, PASS_INTERVAL, PassError, Pruned, Pruner,
    PrunerOptions, UNANSWERED_COUNTED_MAX,
};

use event_store::log::ConnectError;
use tokio_util::sync::CancellationToken;

/// What the workers of a process need.
#[derive(Debug)]
pub struct Options {
    /// The pruner's.
    pub pruner: PrunerOptions,
}

/// All workers of a process. Made by [`Workers::new`]; they do nothing until they are run.
#[derive(Debug)]
pub struct Workers {
    pruner: Pruner,
}

impl Workers {
    /// Prepares the workers; connects to nothing yet.
    ///
    /// # Errors
    /// [`ConnectError::Url`] when a database URL is none.
    pub fn new(options: Options) -> Result<Self, ConnectError> {
        Ok(Self { pruner: Pruner::new(options.pruner)? })
    }

    /// Works until `shutdown`, whatever happens to the servers meanwhile.
    pub async fn run(self, shutdown: CancellationToken) {
        self.pruner.run(shutdown).await;
    }
}
