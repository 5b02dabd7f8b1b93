//! Removes idempotency keys and webhooks past their time.
//!
//! Only answered keys: one without an answer belongs to a request that is still under way, however
//! long ago it began, and removing it would let a repetition start the work a second time. Those
//! are left to what finishes them (ADR 0008), and counted so that somebody notices.

use std::sync::Arc;
use std::time::Duration;

use domain::Timestamp;
use event_store::Clock;
use event_store::log::{self, ConnectError, LOG_ID};
use sqlx::postgres::{PgConnectOptions, PgConnection};
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
/// Unanswered keys past their time are counted up to this: that there are many is all one needs to
/// know.
pub const UNANSWERED_COUNTED_MAX: i64 = 10_000;
/// The longest that a statement may take, in milliseconds, as for everything on the log's Postgres.
const STATEMENT_MAX_MS: &str = "5000";

/// Removed by primary key, which every row has wherever it lies; found by the index over their age.
const REMOVE: &str = "
    delete from idempotency_keys
    where (log_id, merchant_id, key) in (
        select log_id, merchant_id, key from idempotency_keys
        where log_id = $1 and recorded_at < $2 and response is not null
        limit $3
    )";

const REMOVE_WEBHOOKS: &str = "
    delete from webhooks
    where (digest, psp) in (
        select digest, psp from webhooks
        where state = 'processed' and received_at < $1
        limit $2
    )";

const COUNT_UNANSWERED: &str = "
    select count(*) from (
        select from idempotency_keys
        where log_id = $1 and recorded_at < $2 and response is null
        limit $3
    ) unanswered";

/// What a pruner needs.
#[derive(Debug)]
pub struct PrunerOptions {
    /// The URL of the pruner's role, which may remove keys and nothing else.
    pub database_url: String,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Removes idempotency keys older than [`KEYS_KEPT_FOR`].
#[derive(Debug)]
pub struct Pruner {
    database: PgConnectOptions,
    clock: Arc<dyn Clock>,
    db: Option<PgConnection>,
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
}

impl Pruner {
    /// Prepares a pruner; connects to nothing yet.
    ///
    /// # Errors
    /// [`ConnectError::Url`] when the database URL is none.
    pub fn new(options: PrunerOptions) -> Result<Self, ConnectError> {
        let database = log::connect_options(&options.database_url)?
            .options([("statement_timeout", STATEMENT_MAX_MS)]);
        Ok(Self { database, clock: options.clock, db: None })
    }

    /// Makes a pass now and then one each [`PASS_INTERVAL`], until `shutdown`.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut passes = tokio::time::interval(PASS_INTERVAL);
        passes.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let work = async {
            loop {
                passes.tick().await;
                match self.pass().await {
                    Ok(pruned) => report(pruned),
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

    /// Removes what is past its time now, in batches, each a transaction of its own.
    ///
    /// # Errors
    /// [`PassError`]; the next pass connects again.
    pub async fn pass(&mut self) -> Result<Pruned, PassError> {
        // Put back only if all went well: a connection in doubt is not used again.
        let mut db = match self.db.take() {
            Some(db) => db,
            None => log::connect(&self.database).await?,
        };
        let cutoff = self.before(KEYS_KEPT_FOR);
        let mut pruned = Pruned { removed: 0, webhooks: 0, batches: 0, unanswered: 0 };
        while pruned.batches < PASS_BATCHES_MAX {
            let removed = remove_batch(&mut db, cutoff).await?;
            metrics::counter!("runut_idempotency_keys_pruned_total").increment(removed);
            pruned.removed += removed;
            pruned.batches += 1;
            if removed < BATCH_KEYS_MAX.unsigned_abs() {
                break;
            }
        }
        let cutoff_of_webhooks = self.before(WEBHOOKS_KEPT_FOR);
        while pruned.batches < PASS_BATCHES_MAX {
            let removed = remove_webhooks(&mut db, cutoff_of_webhooks).await?;
            metrics::counter!("runut_webhooks_pruned_total").increment(removed);
            pruned.webhooks += removed;
            pruned.batches += 1;
            if removed < BATCH_KEYS_MAX.unsigned_abs() {
                break;
            }
        }
        pruned.unanswered = count_unanswered(&mut db, cutoff).await?;
        self.db = Some(db);
        Ok(pruned)
    }

    fn before(&self, kept_for: Duration) -> Timestamp {
        let kept_micros = i64::try_from(kept_for.as_micros()).unwrap_or(i64::MAX);
        Timestamp::from_micros(self.clock.now().micros().saturating_sub(kept_micros))
    }
}

async fn remove_batch(db: &mut PgConnection, cutoff: Timestamp) -> Result<u64, sqlx::Error> {
    let removing = sqlx::query(REMOVE).bind(LOG_ID).bind(cutoff.datetime()).bind(BATCH_KEYS_MAX);
    Ok(removing.execute(db).await?.rows_affected())
}

async fn remove_webhooks(db: &mut PgConnection, cutoff: Timestamp) -> Result<u64, sqlx::Error> {
    let removing = sqlx::query(REMOVE_WEBHOOKS).bind(cutoff.datetime()).bind(BATCH_KEYS_MAX);
    Ok(removing.execute(db).await?.rows_affected())
}

async fn count_unanswered(db: &mut PgConnection, cutoff: Timestamp) -> Result<i64, sqlx::Error> {
    let counting = sqlx::query_scalar(COUNT_UNANSWERED).bind(LOG_ID).bind(cutoff.datetime());
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
