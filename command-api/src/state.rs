//! What handlers have at hand.

use std::ops::Deref;
use std::sync::Arc;

use api_conventions::{PeerNetwork, Shares};
use domain::MerchantId;
use event_store::EventStore;

use crate::key_directory::LoggedKeys;
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
    pub(crate) keys: Arc<LoggedKeys>,
    /// A place for each import.
    pub(crate) imports: Shares<MerchantId>,
    /// Room for webhooks until they are kept.
    pub(crate) webhook_bodies: Shares<PeerNetwork>,
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
