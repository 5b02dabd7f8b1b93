//! What handlers have at hand.

use std::ops::Deref;
use std::sync::Arc;

use event_store::EventStore;
use tokio::sync::Semaphore;

use crate::psps::PspDirectory;
use crate::random::RandomSource;

/// The state of the router. It is cloned with every request, hence one count of references.
#[derive(Debug, Clone)]
pub(crate) struct ApiState(Arc<AtHand>);

#[derive(Debug)]
pub(crate) struct AtHand {
    pub(crate) store: EventStore,
    pub(crate) random: Arc<dyn RandomSource>,
    pub(crate) psps: Arc<dyn PspDirectory>,
    /// How many imports may begin.
    pub(crate) imports: Arc<Semaphore>,
}

impl From<AtHand> for ApiState {
    fn from(at_hand: AtHand) -> Self {
        Self(Arc::new(at_hand))
    }
}

impl Deref for ApiState {
    type Target = AtHand;

    fn deref(&self) -> &AtHand {
        &self.0
    }
}
