//! Holds: money promised before it is posted; then posted, in one or in several steps, or let go.

pub(crate) mod create;
pub(crate) mod post;
pub(crate) mod void;

use std::sync::Arc;

use api_conventions::Problem;
use domain::holds::Hold;
use domain::{HoldId, MerchantId};
use event_store::EventStore;

use crate::submission::no_answer;

/// The hold as the log has it; another ledger's is as good as none.
pub(crate) async fn hold_of(
    store: &EventStore,
    ledger: MerchantId,
    hold_id: HoldId,
) -> Result<Option<Arc<Hold>>, Problem> {
    let found = store.hold(hold_id).await.map_err(|error| no_answer(&error))?;
    Ok(found.filter(|hold| hold.ledger == ledger))
}
