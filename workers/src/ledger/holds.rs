//! Ending holds whose time is over.

use domain::holds::ExpireHold;
use domain::{Command, HoldId, Rejection};
use uuid::Uuid;

use super::{LedgerWorkError, LedgerWorker};

/// The most holds that a pass ends; those due longest first.
const ENDED_AT_ONCE_MAX: i64 = 500;

/// Who appends, as the log names it.
const ACTOR: &str = "hold-worker";

const DUE: &str = "
    select hold_id from read.holds
    where status = 'held' and expires_at is not null and expires_at <= $1
    order by expires_at limit $2";

impl LedgerWorker {
    /// Ends the holds whose time is over now, at most [`ENDED_AT_ONCE_MAX`]; how many that were.
    ///
    /// # Errors
    /// [`LedgerWorkError`]; those that were not ended are found again.
    pub async fn end_holds(&self) -> Result<usize, LedgerWorkError> {
        let now = self.store.clock().now();
        let due: Vec<Uuid> = sqlx::query_scalar(DUE)
            .bind(now.datetime())
            .bind(ENDED_AT_ONCE_MAX)
            .fetch_all(&self.pool)
            .await?;
        let mut ended = 0;
        for id in due {
            let id = HoldId::from_uuid(id);
            let hold = self.store.hold(id).await?;
            let command = Command::ExpireHold(ExpireHold::new(id, hold.as_deref()));
            match self.store.give(self.origin(ACTOR), command).await?.decision {
                Ok(_) => ended += 1,
                // The read model is behind, or another worker was quicker.
                Err(Rejection::HoldStatus { .. }) => {}
                Err(rejection) => {
                    tracing::warn!(hold = %id, %rejection, "a hold cannot be ended");
                }
            }
        }
        metrics::counter!("runut_holds_expired_total").increment(ended as u64);
        Ok(ended)
    }
}
