//! Making again, from the log alone, what is kept beside it: balances and idempotency keys.
//!
//! Both are written in the very statement that appends events, so they need this only after a mishap: a
//! table that was lost, restored from elsewhere, or found by `verify` to differ from the log. `database` is a
//! connection of the owner; no statement is longer than a page's.

mod balances;
mod keys;

pub use balances::{RebuiltBalances, account_balances};
pub use keys::{RebuiltKeys, idempotency_keys};

use crate::log::{Position, RecordedEvent};

/// Why it was not done. What there was before is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The database refused or went away.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// An event cannot be applied.
    #[error("the event at position {position} cannot be applied: {reason}")]
    Event {
        /// The event.
        position: Position,
        /// Why.
        reason: String,
    },
    /// A position is missing, so the log is damaged; `verify` tells more.
    #[error("the log has no event at position {missing}, yet later ones or a head beyond it")]
    Gap {
        /// The position.
        missing: Position,
    },
    /// Another run of the same is under way.
    #[error("another run of this is under way")]
    AlreadyRunning,
    /// Processes that write to the log are connected: they hold balances in memory.
    #[error("{sessions} sessions of writers are connected; stop everything that writes to the log")]
    Writers {
        /// How many.
        sessions: i64,
    },
    /// Somebody wrote to the log meanwhile.
    #[error("the log grew from {from} to {to} meanwhile; stop everything that writes to it")]
    Grew {
        /// Where it ended.
        from: Position,
        /// Where it ends now.
        to: Position,
    },
}

/// Whether a page goes on where the one before it ended.
fn contiguous(after: Position, page: &[RecordedEvent]) -> Result<(), RebuildError> {
    let mut expected = after.next();
    for event in page {
        if event.position != expected {
            return Err(RebuildError::Gap { missing: expected });
        }
        expected = expected.next();
    }
    Ok(())
}

impl RebuildError {
    fn at(event: &RecordedEvent, reason: impl ToString) -> Self {
        Self::Event { position: event.position, reason: reason.to_string() }
    }
}
