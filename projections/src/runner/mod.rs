//! The runner: keeps each projection at the head of the log, whatever NATS does.
//!
//! One [`Follower`](follower) a projection, each on connections of its own, so that one that stops holds
//! up no other. A follower's session connects, compares its checkpoint with the log, and then applies
//! what comes; it ends with the reason why it cannot go on, and the follower tries again.

mod feed;
mod follower;
mod health;
mod inbox;
mod session;
mod source;
mod wanted;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use event_store::RecentEvents;
use event_store::log::Position;
use event_store::mirror::LogStream;
use sqlx::postgres::PgConnectOptions;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use health::ProjectionHealth;

use crate::projection::Projection;
use follower::Follower;
use wanted::Wanted;

/// Where the mirror is. Not `Debug`: the URL may hold a password.
#[derive(Clone)]
pub struct NatsOptions {
    /// The server, or several separated by commas.
    pub url: String,
    /// The stream.
    pub stream: LogStream,
}

/// What tells of new events. Whatever it says, the head is read every 250 ms, and what it leaves out is read
/// from Postgres.
#[derive(Clone)]
pub enum Feed {
    /// Nothing: they are found by looking.
    Log,
    /// The mirror: for a process that does not append itself.
    Nats(NatsOptions),
    /// The sequencer of this very process, which has them in memory.
    Process(RecentEvents),
}

/// How long a projection waits before it tries again: at first briefly, then twice as long each time.
#[derive(Debug, Clone, Copy)]
pub struct Retry {
    /// The first pause.
    pub first: Duration,
    /// The longest.
    pub longest: Duration,
}

impl Default for Retry {
    /// Soon enough for a restarted database, rare enough for an event that waits for its repair.
    fn default() -> Self {
        Self { first: Duration::from_millis(100), longest: Duration::from_secs(10) }
    }
}

/// What a runner needs. Not `Debug`: the database's options hold a password.
#[derive(Clone)]
pub struct Options {
    /// The database, logged in to as the projector.
    pub database: PgConnectOptions,
    /// What to keep current; see [`crate::all`].
    pub projections: Vec<Arc<dyn Projection>>,
    /// Where events come from before anybody looks into the log.
    pub feed: Feed,
    /// Pauses between attempts.
    pub retry: Retry,
}

/// Runs projections until it is told to stop.
pub struct Runner {
    followers: Vec<Follower>,
}

/// Tells how the projections of a [`Runner`] are doing. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Handle {
    projections: Arc<BTreeMap<&'static str, Watched>>,
}

#[derive(Debug, Clone)]
struct Watched {
    applied: watch::Receiver<Position>,
    health: watch::Receiver<ProjectionHealth>,
    wanted: Arc<Wanted>,
}

/// Why there is no waiting for a projection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WaitError {
    /// This runner has no projection of that name.
    #[error("no such projection runs here")]
    Unknown,
    /// The runner has ended.
    #[error("the projections have been shut down")]
    Ended,
}

impl Runner {
    /// A runner, not yet running.
    pub fn new(options: Options) -> (Self, Handle) {
        let mut followers = Vec::with_capacity(options.projections.len());
        let mut projections = BTreeMap::new();
        for projection in &options.projections {
            let (applied, applied_watch) = watch::channel(Position::START);
            let (health, health_watch) = watch::channel(ProjectionHealth::unknown(&**projection));
            let wanted = Arc::<Wanted>::default();
            followers.push(Follower::new(
                &options,
                Arc::clone(projection),
                (applied, health),
                Arc::clone(&wanted),
            ));
            let watched = Watched { applied: applied_watch, health: health_watch, wanted };
            projections.insert(projection.name(), watched);
        }
        (Self { followers }, Handle { projections: Arc::new(projections) })
    }

    /// Runs until `shutdown`; a batch under way is then abandoned, which costs nothing.
    ///
    /// # Panics
    /// When a projection breaks an invariant of its own.
    pub async fn run(mut self, shutdown: CancellationToken) {
        // One alone needs no task beside this one.
        if self.followers.len() == 1
            && let Some(only) = self.followers.pop()
        {
            return only.run(shutdown).await;
        }
        let mut tasks = JoinSet::new();
        for follower in self.followers {
            tasks.spawn(follower.run(shutdown.clone()));
        }
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended
                && error.is_panic()
            {
                std::panic::resume_unwind(error.into_panic());
            }
        }
    }
}

impl Handle {
    /// How every projection is doing, by name.
    pub fn health(&self) -> Vec<ProjectionHealth> {
        self.projections.values().map(|watched| watched.health.borrow().clone()).collect()
    }

    /// The position that `projection` has applied, as it moves; `None` if this runner has no such one.
    pub fn applied(&self, projection: &str) -> Option<watch::Receiver<Position>> {
        self.projections.get(projection).map(|watched| watched.applied.clone())
    }

    /// Waits until `projection` has applied `position`, and says how far it is then. It takes no time for larger batches
    /// meanwhile. There is no bound on the wait but the caller's own.
    ///
    /// # Errors
    /// [`WaitError`].
    pub async fn wait_for(
        &self,
        projection: &str,
        position: Position,
    ) -> Result<Position, WaitError> {
        let watched = self.projections.get(projection).ok_or(WaitError::Unknown)?;
        let mut applied = watched.applied.clone();
        let _waiting = watched.wanted.wait();
        let reached = applied.wait_for(|applied| *applied >= position).await;
        reached.map(|applied| *applied).map_err(|_| WaitError::Ended)
    }
}
