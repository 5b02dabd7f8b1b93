//! Removes idempotency keys and webhooks past their time.
//!
//! Their age is judged by the database's clock, in the statements themselves; the role's row security holds even if they
//! were others. Nothing is removed while the process' clock disagrees with the database's, nor for a while after either
//! leapt: a leap that is put right within that time removes nothing too early.
//!
//! Only answered keys: one without an answer belongs to a request that is still under way, however
//! long ago it began, and removing it would let a repetition start the work a second time. Those
//! are left to what finishes them (ADR 0008), and counted so that somebody notices.

use std::sync::Arc;
use std::time::Duration;

use domain::Timestamp;
use event_store::log::{self, ConnectError, LOG_ID};
use event_store::{Clock, ClockSkew};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use time::OffsetDateTime;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long a key and its answer are kept, as promised to callers: three days outlast a weekend's
/// outage on their side.
pub const KEYS_KEPT_FOR: Duration = Duration::from_secs(72 * 60 * 60);
/// How long webhooks that were worked off are kept: PSPs send theirs again for up to three days, and a question
/// to one goes back a month. Those that are dead are kept until somebody has seen to them.
pub const WEBHOOKS_KEPT_FOR: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// The most keys, or webhooks, that one statement removes: some milliseconds' work, so that no transaction holds
/// back the vacuum of the log's head.
pub const BATCH_KEYS_MAX: i64 = 1_000;
/// The most statements of a pass. With [`PASS_INTERVAL`] it keeps up with 16,000 keys a second.
pub const PASS_BATCHES_MAX: u32 = 1_000;
/// The time between two passes.
pub const PASS_INTERVAL: Duration = Duration::from_secs(60);
/// How long both clocks have to have gone steadily before anything is removed, after a leap and after the start: longer
/// than it takes to notice a leap and put it right.
pub const STEADY_FOR: Duration = Duration::from_secs(15 * 60);
/// How much more or less than the monotonic clock the database's may have gone between two passes, in microseconds. More
/// is a leap.
const LEAP_MICROS: i64 = 1_000_000;
/// Unanswered keys past their time are counted up to this: that there are many is all one needs to
/// know.
pub const UNANSWERED_COUNTED_MAX: i64 = 10_000;
/// The longest that a statement may take, in milliseconds, as for everything on the log's Postgres.
const STATEMENT_MAX_MS: &str = "5000";

/// Removed by primary key, which every row has wherever it lies; found by the index over their age. Not where the log's own
/// time, which never falls, says that the key is younger: then the clocks were behind when it was recorded.
const REMOVE: &str = "
    delete from idempotency_keys
    where (log_id, merchant_id, key) in (
        select log_id, merchant_id, key from idempotency_keys
        where log_id = $1 and response is not null
            and recorded_at < log_clock() - $2 * interval '1 second'
            and position <= (select last_position_before(log_clock() - $2 * interval '1 second'))
        limit $3
    )";

const REMOVE_WEBHOOKS: &str = "
    delete from webhooks
    where (digest, psp) in (
        select digest, psp from webhooks
        where state = 'processed' and received_at < log_clock() - $1 * interval '1 second'
        limit $2
    )";

const COUNT_UNANSWERED: &str = "
    select count(*) from (
        select from idempotency_keys
        where log_id = $1 and response is null
            and recorded_at < log_clock() - $2 * interval '1 second'
        limit $3
    ) unanswered";

/// What a pruner needs.
#[derive(Debug)]
pub struct PrunerOptions {
    /// The URL of the pruner's role, which may remove keys and nothing else.
    pub database_url: String,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// How long the clocks have to have gone steadily before anything is removed: [`STEADY_FOR`].
    pub steady_for: Duration,
}

/// Removes idempotency keys older than [`KEYS_KEPT_FOR`].
#[derive(Debug)]
pub struct Pruner {
    database: PgConnectOptions,
    clock: Arc<dyn Clock>,
    steady_for: Duration,
    db: Option<PgConnection>,
    steady: Option<Steady>,
}

/// Since when the database's clock has gone steadily.
#[derive(Debug, Clone, Copy)]
struct Steady {
    since: Instant,
    looked: Instant,
    database: Timestamp,
}

impl Steady {
    /// After the database's clock said `database` at `now`.
    fn after(before: Option<Self>, now: Instant, database: Timestamp) -> Self {
        let since = before.filter(|before| !before.leapt(now, database)).map(|one| one.since);
        Self { since: since.unwrap_or(now), looked: now, database }
    }

    fn leapt(&self, now: Instant, database: Timestamp) -> bool {
        let passed = i64::try_from((now - self.looked).as_micros()).unwrap_or(i64::MAX);
        let said = database.micros() - self.database.micros();
        (said - passed).abs() > LEAP_MICROS
    }
}

/// What a pass did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pruned {
    /// How many keys it removed.
    pub removed: u64,
    /// How many webhooks it removed.
    pub webhooks: u64,
    /// How many statements that took, those that found too few included.
    pub batches: u32,
    /// How many keys past their time have no answer and were left, up to
    /// [`UNANSWERED_COUNTED_MAX`].
    pub unanswered: i64,
}

/// Why a pass ended early. What it removed until then stays removed.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    /// No connection could be made.
    #[error("the log's database cannot be used")]
    Connect(#[from] ConnectError),
    /// A statement failed.
    #[error("keys could not be removed")]
    Statement(#[from] sqlx::Error),
    /// The process' clock disagrees with the database's, so neither is believed.
    #[error("nothing is removed while the clocks disagree")]
    Clock(#[from] ClockSkew),
}

impl Pruner {
    /// Prepares a pruner; connects to nothing yet.
    ///
    /// # Errors
    /// [`ConnectError::Url`] when the database URL is none.
    pub fn new(options: PrunerOptions) -> Result<Self, ConnectError> {
        let database = log::connect_options(&options.database_url)?
            .options([("statement_timeout", STATEMENT_MAX_MS)]);
        Ok(Self {
            database,
            clock: options.clock,
            steady_for: options.steady_for,
            db: None,
            steady: None,
        })
    }

    /// Makes a pass each [`PASS_INTERVAL`], until `shutdown`, once the clocks have gone steadily for long enough.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut passes = tokio::time::interval(PASS_INTERVAL);
        passes.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let work = async {
            loop {
                passes.tick().await;
                match self.pass_if_steady().await {
                    Ok(None) => {}
                    Ok(Some(pruned)) => report(pruned),
                    Err(error) => {
                        metrics::counter!("runut_pruner_failures_total").increment(1);
                        let error: &dyn std::error::Error = &error;
                        tracing::warn!(error, "idempotency keys are not removed for now");
                    }
                }
            }
        };
        // A statement that is cut off here is rolled back or not; the next pass finds out.
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = work => {}
        }
    }

    /// [`Self::pass`], if the database's clock did not leap lately.
    async fn pass_if_steady(&mut self) -> Result<Option<Pruned>, PassError> {
        let mut db = self.connected().await?;
        let agreed = self.agreed_time(&mut db).await;
        if matches!(agreed, Err(PassError::Clock(_))) {
            // Whichever of them it is: the wait begins anew once they agree.
            self.steady = None;
        }
        let database = agreed?;
        self.db = Some(db);
        let now = Instant::now();
        let steady = Steady::after(self.steady, now, database);
        if self.steady.is_some_and(|before| before.since != steady.since) {
            tracing::warn!("the database's clock leapt; nothing is removed for a while");
        }
        self.steady = Some(steady);
        if now - steady.since < self.steady_for {
            return Ok(None);
        }
        self.pass().await.map(Some)
    }

    async fn connected(&mut self) -> Result<PgConnection, ConnectError> {
        match self.db.take() {
            Some(db) => Ok(db),
            None => log::connect(&self.database).await,
        }
    }

    /// The database's time, with which this process' clock agrees.
    async fn agreed_time(&self, db: &mut PgConnection) -> Result<Timestamp, PassError> {
        let before = self.clock.now();
        let database: OffsetDateTime =
            sqlx::query_scalar("select log_clock()").fetch_one(db).await?;
        let database = Timestamp::from_datetime(database);
        ClockSkew::check(before, database, self.clock.now())?;
        Ok(database)
    }

    /// Removes what is past its time now, in batches, each a transaction of its own.
    ///
    /// # Errors
    /// [`PassError`]; the next pass connects again.
    pub async fn pass(&mut self) -> Result<Pruned, PassError> {
        // Put back only if all went well: a connection in doubt is not used again.
        let mut db = self.connected().await?;
        self.agreed_time(&mut db).await?;
        let mut pruned = Pruned { removed: 0, webhooks: 0, batches: 0, unanswered: 0 };
        while pruned.batches < PASS_BATCHES_MAX {
            let removed = remove_batch(&mut db).await?;
            metrics::counter!("runut_idempotency_keys_pruned_total").increment(removed);
            pruned.removed += removed;
            pruned.batches += 1;
            if removed < BATCH_KEYS_MAX.unsigned_abs() {
                break;
            }
        }
        while pruned.batches < PASS_BATCHES_MAX {
            let removed = remove_webhooks(&mut db).await?;
            metrics::counter!("runut_webhooks_pruned_total").increment(removed);
            pruned.webhooks += removed;
            pruned.batches += 1;
            if removed < BATCH_KEYS_MAX.unsigned_abs() {
                break;
            }
        }
        pruned.unanswered = count_unanswered(&mut db).await?;
        self.db = Some(db);
        Ok(pruned)
    }
}

fn seconds(kept_for: Duration) -> i64 {
    i64::try_from(kept_for.as_secs()).unwrap_or(i64::MAX)
}

async fn remove_batch(db: &mut PgConnection) -> Result<u64, sqlx::Error> {
    let removing = sqlx::query(REMOVE).bind(LOG_ID).bind(seconds(KEYS_KEPT_FOR));
    Ok(removing.bind(BATCH_KEYS_MAX).execute(db).await?.rows_affected())
}

async fn remove_webhooks(db: &mut PgConnection) -> Result<u64, sqlx::Error> {
    let removing = sqlx::query(REMOVE_WEBHOOKS).bind(seconds(WEBHOOKS_KEPT_FOR));
    Ok(removing.bind(BATCH_KEYS_MAX).execute(db).await?.rows_affected())
}

async fn count_unanswered(db: &mut PgConnection) -> Result<i64, sqlx::Error> {
    let counting = sqlx::query_scalar(COUNT_UNANSWERED).bind(LOG_ID).bind(seconds(KEYS_KEPT_FOR));
    counting.bind(UNANSWERED_COUNTED_MAX).fetch_one(db).await
}

#[expect(clippy::cast_precision_loss, reason = "metrics are doubles; the count is bounded")]
fn report(pruned: Pruned) {
    metrics::gauge!("runut_idempotency_keys_unanswered").set(pruned.unanswered as f64);
    if pruned.removed + pruned.webhooks > 0 {
        let Pruned { removed, webhooks, batches, .. } = pruned;
        tracing::info!(
            removed,
            webhooks,
            batches,
            "old idempotency keys and webhooks were removed"
        );
    }
    if pruned.unanswered > 0 {
        let keys = pruned.unanswered;
        tracing::warn!(keys, "requests past their time have no answer yet, their keys are kept");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_leap_of_the_databases_clock_begins_the_wait_anew() {
        let start = Instant::now();
        let minute = |minutes: u64| start + Duration::from_secs(60 * minutes);
        let database = |minutes: i64| Timestamp::from_micros(60_000_000 * minutes);
        let mut steady = None;
        for (at, said, since) in [
            (0, 0, 0),
            (1, 1, 0),
            // The machine slept for as long as the clock says.
            (9, 9, 0),
            (10, 10 + 4_320, 10),
            (11, 11 + 4_320, 10),
            (12, 12, 12),
            (13, 13, 12),
        ] {
            let after = Steady::after(steady, minute(at), database(said));
            assert_eq!(after.since, minute(since), "at {at}");
            steady = Some(after);
        }
    }
}
