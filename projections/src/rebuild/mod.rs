//! Rebuilding a projection: a new generation is filled beside the live one and then takes its place.

mod load;
mod switch;

use std::time::Duration;

use event_store::log::{ConnectError, Position};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection};

use crate::checkpoint::{self, ProjectionState};
use crate::fold::{Applier, BatchEvents, Halt};
use crate::generation::{self, LIVE_SCHEMA, execute};
use crate::projection::{Projection, database_retryable};
use load::Load;
use switch::Attempt;

/// The first key of the advisory locks of rebuilds; the second is the hash of the projection's name.
const REBUILD_LOCK: i32 = 7_368_115;
/// How often the switch is tried while queries hold the live tables, at [`SWITCH_PAUSE`] and
/// [`switch::LOCK_TIMEOUT_MS`] each: some minutes, longer than any role's statement may take.
const SWITCH_ATTEMPTS_MAX: u32 = 1_200;
/// Between two tries, so that queries get through.
const SWITCH_PAUSE: Duration = Duration::from_millis(100);

/// What the session of a rebuild sets. Until the switch, which is durable when it is committed, nothing
/// depends on the new generation: a rebuild that is cut off starts afresh, so it need not wait for the disk
/// after each batch. And its indexes are sorted in memory (about 100 bytes a row), which keeps the
/// transactions that make them short. One of two connections may wait for the other as long as a batch may
/// take, which a server that is slow for a moment must not end.
const SESSION_SQL: &str = "set synchronous_commit = off; set maintenance_work_mem = '512MB'; \
    set idle_in_transaction_session_timeout = '15s'";

/// How far a rebuild is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The last event that the new generation has.
    pub position: Position,
    /// The head of the log as last seen.
    pub head: Position,
}

/// A finished rebuild.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rebuilt {
    /// The generation that is live now.
    pub generation: i64,
    /// Where it was when it took the old one's place.
    pub position: Position,
}

/// Why a rebuild ended without a switch. The live generation is as it was.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The database cannot be used.
    #[error("the database cannot be used")]
    Connect(#[from] ConnectError),
    /// The database refused or went away.
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    /// Another process is rebuilding this projection.
    #[error("another process is rebuilding it")]
    AlreadyRunning,
    /// An event cannot be applied.
    #[error("the event at position {position} cannot be applied: {reason}")]
    Event {
        /// The event.
        position: Position,
        /// Why.
        reason: String,
    },
    /// Somebody else wrote to the new generation's tables.
    #[error("somebody else changed the new tables")]
    Interfered,
    /// Queries held the live tables all the time.
    #[error("queries held the live tables for too long")]
    Busy,
}

impl From<Halt> for RebuildError {
    fn from(halt: Halt) -> Self {
        match halt {
            Halt::AtEvent { position, reason } => Self::Event { position, reason },
            Halt::CheckpointChanged => Self::Interfered,
            Halt::Database(error) => Self::Database(error),
        }
    }
}

impl RebuildError {
    /// Whether trying again later may help without anybody doing anything.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Connect(_) | Self::AlreadyRunning | Self::Interfered | Self::Busy => true,
            Self::Database(error) => database_retryable(error),
            Self::Event { .. } => false,
        }
    }
}

/// Fills a new generation of `projection` from position 1, beside the live one, and switches to it in
/// one transaction once it is as far. A diverged live generation is replaced wherever it is.
///
/// `database` logs in as the projector. `progress` hears of every page. Dropping the future abandons the
/// rebuild; the next one starts afresh.
///
/// # Errors
/// [`RebuildError`].
pub async fn rebuild(
    database: &PgConnectOptions,
    projection: &dyn Projection,
    progress: &(dyn Fn(Progress) + Send + Sync),
) -> Result<Rebuilt, RebuildError> {
    let schema = generation::rebuild_schema(projection);
    let mut db = generation::connect_to(database, LIVE_SCHEMA).await?;
    let alone: bool = sqlx::query_scalar("select pg_try_advisory_lock($1, hashtext($2))")
        .bind(REBUILD_LOCK)
        .bind(projection.name())
        .fetch_one(&mut db)
        .await?;
    if !alone {
        return Err(RebuildError::AlreadyRunning);
    }
    let live = generation::prepare_live(&mut db, projection).await?;
    execute(&mut db, SESSION_SQL.to_owned()).await?;
    begin(&mut db, projection, &schema, live.generation + 1).await?;
    let made = checkpoint::read(&mut db, projection.name()).await?;
    let made = made.ok_or(RebuildError::Interfered)?;
    let applier =
        Applier::new(projection, made, ProjectionState::Rebuilding, BatchEvents::default());
    let mut load = Load::new(database, projection, applier, progress);
    for _ in 0..SWITCH_ATTEMPTS_MAX {
        load.catch_up(&mut db).await?;
        match switch::attempt(&mut db, &mut load, &schema).await? {
            Attempt::Switched(rebuilt) => return Ok(rebuilt),
            Attempt::TooFarBehind => {}
            Attempt::Busy => tokio::time::sleep(SWITCH_PAUSE).await,
        }
    }
    Err(RebuildError::Busy)
}

/// An empty generation in a schema of its own, which the search path then means; what an abandoned
/// rebuild left there is dropped.
async fn begin(
    db: &mut PgConnection,
    projection: &dyn Projection,
    schema: &str,
    generation: i64,
) -> Result<(), sqlx::Error> {
    let mut transaction = db.begin().await?;
    execute(&mut transaction, format!("drop schema if exists {schema} cascade")).await?;
    execute(&mut transaction, format!("create schema {schema}")).await?;
    execute(&mut transaction, format!("set search_path to {schema}, public")).await?;
    execute(&mut transaction, checkpoint::TABLE_SQL.to_owned()).await?;
    generation::create_tables(&mut transaction, projection).await?;
    generation::grant(&mut transaction, projection).await?;
    let state = ProjectionState::Rebuilding;
    checkpoint::insert(&mut *transaction, projection, generation, state).await?;
    transaction.commit().await
}
