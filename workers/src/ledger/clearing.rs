//! Counting accounts that should have cleared and have not, for the alarm.

use super::{LedgerPass, LedgerWorkError, LedgerWorker};

const OVERDUE: &str = "
    select count(*) from read.accounts
    where uncleared_since is not null
        and uncleared_since <= log_clock() - make_interval(hours => clearing_max_age_hours)";

impl LedgerWorker {
    /// Counts them into the gauge `runut_clearing_accounts_overdue`; `done` says how many there are.
    ///
    /// # Errors
    /// [`LedgerWorkError`].
    pub async fn watch_clearing(&self) -> Result<LedgerPass, LedgerWorkError> {
        let overdue: i64 = sqlx::query_scalar(OVERDUE).fetch_one(&self.pool).await?;
        let overdue = usize::try_from(overdue).unwrap_or_default();
        let shown = u32::try_from(overdue).unwrap_or(u32::MAX);
        metrics::gauge!("runut_clearing_accounts_overdue").set(shown);
        Ok(LedgerPass { done: overdue, ..LedgerPass::default() })
    }
}
