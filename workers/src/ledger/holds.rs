//! Ending holds whose time is over.

use domain::holds::ExpireHold;
use domain::{Command, HoldId, Rejection};
use futures::StreamExt;
use time::OffsetDateTime;
use uuid::Uuid;

use super::{LedgerPass, LedgerWorkError, LedgerWorker};

/// The most holds that are read at a time; those due longest first.
const ENDED_AT_ONCE_MAX: i64 = 500;
/// The most of them that are under way together: enough that they share appends, few enough to leave the queue
/// to those who wait for an answer.
const UNDER_WAY_MAX: usize = 64;

/// Who appends, as the log names it.
const ACTOR: &str = "hold-worker";

const DUE: &str = "
    select expires_at, hold_id from read.holds
    where status = 'held' and expires_at is not null and expires_at <= log_clock()
        and ($2::timestamptz is null or (expires_at, hold_id) > ($2, $3))
    order by expires_at, hold_id limit $1";

impl LedgerWorker {
    /// Ends the holds whose time is over now.
    ///
    /// # Errors
    /// [`LedgerWorkError::Database`]: it cannot be read which these are.
    pub async fn end_holds(&self) -> Result<LedgerPass, LedgerWorkError> {
        self.store.decidable_now().await?;
        let mut pass = LedgerPass::default();
        let mut last: Option<(OffsetDateTime, Uuid)> = None;
        // All pages each time: those that cannot be ended may fill one.
        loop {
            let due: Vec<(OffsetDateTime, Uuid)> = sqlx::query_as(DUE)
                .bind(ENDED_AT_ONCE_MAX)
                .bind(last.map(|(expires_at, _)| expires_at))
                .bind(last.map(|(_, id)| id))
                .fetch_all(&self.pool)
                .await?;
            last = due.last().copied();
            if last.is_none() {
                break;
            }
            let ending = due.into_iter().map(|(_, id)| self.end_hold(HoldId::from_uuid(id)));
            let mut under_way = futures::stream::iter(ending).buffer_unordered(UNDER_WAY_MAX);
            while let Some(outcome) = under_way.next().await {
                pass.note(outcome);
            }
        }
        metrics::counter!("runut_holds_expired_total").increment(pass.done as u64);
        Ok(pass)
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
                let what = format!("hold {id} cannot be ended");
                Err(LedgerWorkError::Rejected { what, rejection })
            }
        }
    }
}
