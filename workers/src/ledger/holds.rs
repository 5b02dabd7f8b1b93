//! Ending holds whose time is over.

use domain::holds::ExpireHold;
use domain::{Command, HoldId, Rejection};
use futures::StreamExt;
use uuid::Uuid;

use super::{LedgerWorkError, LedgerWorker};

/// The most holds that a pass ends; those due longest first.
const ENDED_AT_ONCE_MAX: i64 = 500;
/// The most of them that are under way together: enough that they share appends, few enough to leave the queue
/// to those who wait for an answer.
const UNDER_WAY_MAX: usize = 64;

/// Who appends, as the log names it.
const ACTOR: &str = "hold-worker";

const DUE: &str = "
    select hold_id from read.holds
    where status = 'held' and expires_at is not null and expires_at <= log_clock()
    order by expires_at limit $1";

/// What came of a pass.
#[derive(Default)]
struct Pass {
    ended: usize,
    failed: usize,
    /// Why the first of those that failed did.
    error: Option<LedgerWorkError>,
}

impl LedgerWorker {
    /// Ends the holds whose time is over now, at most [`ENDED_AT_ONCE_MAX`]; how many that were. Those that
    /// cannot be ended keep none of the others waiting, and are found again.
    ///
    /// # Errors
    /// [`LedgerWorkError::Database`]: it cannot be read which these are.
    pub async fn end_holds(&self) -> Result<usize, LedgerWorkError> {
        self.store.decidable_now().await?;
        let due: Vec<Uuid> =
            sqlx::query_scalar(DUE).bind(ENDED_AT_ONCE_MAX).fetch_all(&self.pool).await?;
        let ending = futures::stream::iter(due).map(|id| self.end_hold(HoldId::from_uuid(id)));
        let mut under_way = ending.buffer_unordered(UNDER_WAY_MAX);
        let mut pass = Pass::default();
        while let Some(outcome) = under_way.next().await {
            pass.note(outcome);
        }
        let Pass { ended, failed, error } = pass;
        if let Some(error) = error {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(failed, error, "holds cannot be ended for now; the first says why");
        }
        metrics::counter!("runut_holds_expired_total").increment(ended as u64);
        Ok(ended)
    }

    /// Ends it if it is not ended already; whether it was this that did.
    async fn end_hold(&self, id: HoldId) -> Result<bool, LedgerWorkError> {
        let hold = self.store.hold(id).await?;
        let command = Command::ExpireHold(ExpireHold::new(id, hold.as_deref()));
        match self.store.give(self.origin(ACTOR), command).await?.decision {
            Ok(_) => Ok(true),
            // The read model is behind, another worker was quicker, or this clock is a little behind the database's.
            Err(Rejection::HoldStatus { .. } | Rejection::HoldNotOver { .. }) => Ok(false),
            Err(rejection) => {
                tracing::warn!(hold = %id, %rejection, "a hold cannot be ended");
                Ok(false)
            }
        }
    }
}

impl Pass {
    fn note(&mut self, outcome: Result<bool, LedgerWorkError>) {
        match outcome {
            Ok(ended) => self.ended += usize::from(ended),
            Err(error) => {
                self.failed += 1;
                self.error.get_or_insert(error);
            }
        }
    }
}
