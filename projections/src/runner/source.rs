//! Where a session has events from before it looks into the log.

use event_store::RecentEvents;
use event_store::log::Position;

use super::inbox::Inbox;

/// A [`Feed`](super::Feed) that was opened.
pub(super) enum Source {
    Log,
    Nats(Inbox),
    Process(RecentEvents),
}

impl Source {
    /// Waits for more than what was read up to `read_to`, and says where the head is then, if that is known.
    pub(super) async fn more(&mut self, read_to: Position) -> Option<Position> {
        match self {
            Self::Log => std::future::pending().await,
            Self::Nats(inbox) => {
                inbox.arrival().await;
                None
            }
            Self::Process(recent) => Some(recent.beyond(read_to).await),
        }
    }
}
