//! What handlers have at hand.

use std::sync::Arc;

use event_store::EventStore;
use tokio::sync::Semaphore;

use crate::psps::PspDirectory;
use crate::random::RandomSource;

/// The state of the router; cheap to clone, which happens for every request.
#[derive(Debug, Clone)]
pub(crate) struct ApiState {
    pub(crate) store: EventStore,
    pub(crate) random: Arc<dyn RandomSource>,
    pub(crate) psps: Arc<dyn PspDirectory>,
    /// How many imports may begin.
    pub(crate) imports: Arc<Semaphore>,
}
