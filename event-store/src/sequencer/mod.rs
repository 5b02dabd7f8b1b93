//! The sequencer: decisions are made where the order is made.
//!
//! It decides what waits in its queue as a batch over the committed states, and appends it with one
//! statement that moves the head from where the batch was decided. What comes meanwhile is decided, as the
//! next batch, over what there will be once this one is committed.

mod append;
mod cache;
mod catch_up;
mod intake;
mod known_answers;
mod load;
mod overlay;
mod pending;
mod plan;
mod prepared;
mod resolve;
mod watchers;
mod write;

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub(crate) use cache::{StateCache, Versioned};
pub(crate) use known_answers::look_up;
pub(crate) use load::{LoadError, Loaded, load};
pub(crate) use pending::{Fate, Pending, Reply};
pub use prepared::{PreparedBatches, PreparedError};
pub(crate) use watchers::Watchers;

use self::known_answers::KnownAnswers;
use self::write::Batch;
use crate::byte_budget::ByteBudget;
use crate::clock_guard::ClockGuard;
use crate::health::Health;
use crate::log::{self, ConnectError, Head, LeafHash, Position};
use crate::recent::Tail;

/// How often an idle sequencer looks whether another process moved the head: revocations must act
/// everywhere within a second, and states must not grow stale.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(100);
/// The same while somebody waits for a state to change, which another process may bring about.
const FOLLOW_WATCHED_INTERVAL: Duration = Duration::from_millis(5);
/// How long it waits before it tries a lost database again, at first and at most.
const RECONNECT_FIRST: Duration = Duration::from_millis(20);
const RECONNECT_MAX: Duration = Duration::from_millis(500);

/// What the sequencer is asked.
#[derive(Debug)]
pub(crate) enum Work {
    /// Decide and append.
    Command(Box<Pending>),
    /// Keep states that were loaded for reading, so that the next reader finds them.
    Keep(Vec<Loaded>, oneshot::Sender<()>),
}

/// The one writer of this process. Made by [`crate::EventStore::open`]; does nothing until it is run.
#[derive(Debug)]
pub struct Sequencer {
    pub(crate) options: PgConnectOptions,
    pub(crate) queue: mpsc::Receiver<Work>,
    pub(crate) cache: Arc<StateCache>,
    pub(crate) tail: Arc<Tail>,
    pub(crate) watchers: Arc<Watchers>,
    /// The memory of what waits.
    pub(crate) queue_bytes: Arc<ByteBudget>,
    pub(crate) guard: Arc<ClockGuard>,
    pub(crate) head_sender: watch::Sender<Position>,
    pub(crate) health: Arc<Health>,
    pub(crate) state: Writer,
}

/// What only the sequencer itself touches.
#[derive(Debug)]
pub(crate) struct Writer {
    db: Option<PgConnection>,
    head: Head,
    /// The hash of the event at the head, if there is one: tells whether a database that comes back is the
    /// one that went.
    head_hash: Option<LeafHash>,
    balances_file: BalancesFile,
    /// How often the log or the balances were found to be others: what was decided before is void.
    exchanged: u64,
    known: KnownAnswers,
    contention: resolve::Contention,
}

impl Writer {
    /// At the end of the log that `db` is connected to.
    pub(crate) async fn at_head(mut db: PgConnection) -> Result<Self, sqlx::Error> {
        let head = log::head(&mut db).await?;
        let head_hash = log::leaf_hash_at(&mut db, head.position).await?;
        let balances_file = balances_file(&mut db).await?;
        Ok(Self {
            db: Some(db),
            head,
            head_hash,
            balances_file,
            exchanged: 0,
            known: KnownAnswers::default(),
            contention: resolve::Contention::default(),
        })
    }

    pub(crate) fn position(&self) -> Position {
        self.head.position
    }
}

impl Sequencer {
    /// Runs until `shutdown`, then finishes what was accepted before it and ends.
    pub async fn run(mut self, shutdown: CancellationToken) {
        self.measure_memory();
        let watchers = Arc::clone(&self.watchers);
        let mut followed = Instant::now();
        // When the head was known for certain: an append that moves it proves that nobody else did.
        let mut certain = followed;
        loop {
            let watched = watchers.any();
            let by_and_by = followed + FOLLOW_INTERVAL;
            let due =
                if watched { by_and_by.min(certain + FOLLOW_WATCHED_INTERVAL) } else { by_and_by };
            tokio::select! {
                biased;
                // First, since commands that write nothing, such as repeated ones, may keep coming.
                () = tokio::time::sleep_until(due) => {
                    self.follow().await;
                    followed = Instant::now();
                    certain = followed;
                }
                () = watchers.added(), if !watched => {}
                work = self.queue.recv() => match work {
                    Some(work) => {
                        let before = self.state.head.position;
                        self.work_off(work).await;
                        if self.state.head.position != before {
                            certain = Instant::now();
                        }
                    }
                    None => break,
                },
                () = shutdown.cancelled() => break,
            }
        }
        self.queue.close();
        while let Ok(work) = self.queue.try_recv() {
            self.work_off(work).await;
        }
        tracing::info!(position = self.state.head.position.number(), "the sequencer stopped");
    }

    /// Says how much memory everything takes that may grow with what callers send; each has its bound.
    #[expect(
        clippy::cast_precision_loss,
        reason = "metrics are doubles; the bounds are far below 2^53"
    )]
    fn measure_memory(&self) {
        let (states, bytes) = self.cache.size();
        metrics::gauge!("runut_cached_states").set(states as f64);
        metrics::gauge!("runut_cached_state_bytes").set(bytes as f64);
        metrics::gauge!("runut_recent_event_bytes").set(self.tail.bytes() as f64);
        metrics::gauge!("runut_known_answer_bytes").set(self.state.known.size() as f64);
        metrics::gauge!("runut_queued_command_bytes").set(self.queue_bytes.taken() as f64);
    }

    /// A connection, if there is one or it can be made now.
    async fn connected(&mut self) -> Option<&mut PgConnection> {
        if self.state.db.is_none() {
            match self.reconnect().await {
                Ok(db) => {
                    self.state.db = Some(db);
                    self.health.database_up();
                }
                Err(error) => {
                    self.health.database_down(&error);
                    return None;
                }
            }
        }
        self.state.db.as_mut()
    }

    /// Connects, and makes sure that log and balances are still those that the states in memory come from.
    /// If an older database was restored it is the truth now, and so are balances that were rebuilt.
    async fn reconnect(&mut self) -> Result<PgConnection, ConnectError> {
        let mut db = log::connect(&self.options).await?;
        self.recognize(&mut db).await.map_err(ConnectError::Settings)?;
        Ok(db)
    }

    async fn recognize(&mut self, db: &mut PgConnection) -> Result<(), sqlx::Error> {
        let ours = self.state.head.position;
        let head_hash = log::leaf_hash_at(&mut *db, ours).await?;
        let file = balances_file(&mut *db).await?;
        let same_history = head_hash == self.state.head_hash;
        if same_history && file == self.state.balances_file {
            return Ok(());
        }
        self.forget();
        self.state.exchanged += 1;
        self.state.balances_file = file;
        if same_history {
            tracing::warn!("the balances were rebuilt; all states are loaded again");
            return Ok(());
        }
        let head = log::head(&mut *db).await?;
        tracing::error!(
            seen = ours.number(),
            found = head.position.number(),
            "another history is in the database: it was restored; all states are loaded again"
        );
        metrics::counter!("runut_other_histories_total").increment(1);
        self.move_to(db, head).await
    }

    /// Drops the connection after an error on it.
    fn disconnected(&mut self, error: &(dyn std::error::Error + 'static)) {
        self.state.db = None;
        self.health.database_down(error);
    }

    /// Forgets everything that is not in Postgres.
    fn forget(&mut self) {
        self.cache.clear();
        self.tail.clear();
        self.state.known = KnownAnswers::default();
    }

    fn publish_head(&self) {
        self.head_sender.send_replace(self.state.head.position);
    }

    /// A state as read by the sequencer itself.
    fn keep(&self, loaded: Loaded) {
        self.cache.insert(loaded.key, loaded.versioned);
    }
}

/// Which file Postgres keeps the balances in: another one once they were rebuilt, since that begins with
/// a TRUNCATE.
type BalancesFile = i64;

async fn balances_file(db: &mut PgConnection) -> Result<BalancesFile, sqlx::Error> {
    // Looking into the table waits for whoever is exchanging its rows.
    let file = "select pg_relation_filenode('account_balances')::bigint, \
        exists (select from account_balances)";
    let (file, _): (i64, bool) = sqlx::query_as(file).fetch_one(db).await?;
    Ok(file)
}
