//! Applying pages of the log, in one place for the runner, for rebuilds and for scratch copies.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use event_store::log::{LeafHash, Position};
use sqlx::{Connection, PgConnection};

use crate::checkpoint::{self, Checkpoint, Compared, ProjectionState};
use crate::generation::{self, execute};
use crate::page::{PAGE_EVENTS_MAX, Page, PageError, Undecodable, read_page};
use crate::projection::{
    AppliedEvent, ApplyError, Projection, database_retryable, is_cancellation,
};

/// The most events of a transaction; the same as of a page.
const BATCH_EVENTS_MAX: usize = 5_000;

/// A batch takes some tenths of a second; so long only where a network loses the answers.
const BATCH_TIMEOUT: Duration = Duration::from_secs(15);

/// Why a batch, and with it the projection, got no further.
#[derive(Debug)]
pub(crate) enum Halt {
    /// This very event cannot be applied; those before it were.
    AtEvent { position: Position, reason: String },
    /// The checkpoint or the log is not what it was: a rebuild, a newer program, another database. Look again.
    CheckpointChanged,
    /// The database was not able or not there.
    Database(sqlx::Error),
}

impl From<sqlx::Error> for Halt {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<PageError> for Halt {
    fn from(error: PageError) -> Self {
        match error {
            PageError::Database(error) => error.into(),
            PageError::Gap { missing } => {
                Self::AtEvent { position: missing, reason: error.to_string() }
            }
        }
    }
}

impl From<Undecodable> for Halt {
    fn from(event: Undecodable) -> Self {
        Self::AtEvent { position: event.position, reason: event.reason }
    }
}

/// Applies pages to one generation, and knows where it is.
#[derive(Debug)]
pub(crate) struct Applier<'p> {
    projection: &'p dyn Projection,
    pub(crate) checkpoint: Checkpoint,
    /// The state that goes into the checkpoint with each batch.
    state: ProjectionState,
    batch_events: BatchEvents,
}

/// How many events are applied in one transaction at most. Halved when a batch fails, doubled when one succeeds: so the
/// one event to blame is found, and a batch that takes too long is followed by smaller ones. Outlives the session that
/// it was found in: one that ends because a batch took too long would be followed by one with the same batch.
#[derive(Debug, Clone)]
pub(crate) struct BatchEvents(Arc<AtomicUsize>);

impl Default for BatchEvents {
    fn default() -> Self {
        Self(Arc::new(AtomicUsize::new(BATCH_EVENTS_MAX)))
    }
}

impl BatchEvents {
    fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn succeeded(&self) {
        self.0.store((self.get() * 2).min(BATCH_EVENTS_MAX), Ordering::Relaxed);
    }

    /// After a batch of `count` events.
    fn failed(&self, count: usize) {
        self.0.store((count / 2).max(1), Ordering::Relaxed);
    }
}

impl<'p> Applier<'p> {
    pub(crate) fn new(
        projection: &'p dyn Projection,
        checkpoint: Checkpoint,
        state: ProjectionState,
        batch_events: BatchEvents,
    ) -> Self {
        Self { projection, checkpoint, state, batch_events }
    }

    pub(crate) fn position(&self) -> Position {
        self.checkpoint.position
    }

    /// Whether any of them changes what the projection shows.
    pub(crate) fn concerned(&self, events: &[AppliedEvent]) -> bool {
        events.iter().any(|applied| self.projection.concerns(&applied.event))
    }

    /// Applies a page, in one transaction unless something in it fails.
    pub(crate) async fn apply(&mut self, db: &mut PgConnection, page: Page) -> Result<(), Halt> {
        self.apply_over(db, None, page).await
    }

    /// Applies a page over two connections, to a generation that nobody reads and that is thrown away unless
    /// this succeeds: what goes over `beside` is committed first, and could be there without the rest.
    pub(crate) async fn apply_over(
        &mut self,
        db: &mut PgConnection,
        mut beside: Option<&mut PgConnection>,
        page: Page,
    ) -> Result<(), Halt> {
        let mut rest = page.events.as_slice();
        let parts = page.parts.as_slice();
        while let Some(first) = rest.first() {
            let count = rest.len().min(self.batch_events.get());
            let batch = self.apply_batch(db, beside.as_deref_mut(), &rest[..count], parts);
            let applying = tokio::time::timeout(BATCH_TIMEOUT, batch);
            match applying.await.unwrap_or_else(|_| Err(Failure::unanswered())) {
                Ok(()) => {
                    rest = &rest[count..];
                    self.batch_events.succeeded();
                }
                Err(Failure::CheckpointChanged) => return Err(Halt::CheckpointChanged),
                Err(Failure::HalfApplied(error)) => return Err(Halt::Database(error)),
                // It was rolled back, and the connection is as good as before.
                Err(Failure::Apply(ApplyError::Database(error)))
                    if count > 1 && is_cancellation(&error) =>
                {
                    self.batch_events.failed(count);
                }
                Err(Failure::Apply(ApplyError::Database(error))) if database_retryable(&error) => {
                    self.batch_events.failed(count);
                    return Err(Halt::Database(error));
                }
                Err(Failure::Apply(error)) if count == 1 => {
                    let reason = error.reason();
                    return Err(Halt::AtEvent { position: first.position, reason });
                }
                Err(Failure::Apply(_)) => self.batch_events.failed(count),
            }
        }
        page.undecodable.map_or(Ok(()), |event| Err(event.into()))
    }

    /// One transaction: the checkpoint locked, the read model written, the checkpoint moved.
    async fn apply_batch(
        &mut self,
        db: &mut PgConnection,
        beside: Option<&mut PgConnection>,
        events: &[AppliedEvent],
        parts: &[(Position, LeafHash)],
    ) -> Result<(), Failure> {
        let compared = Compared::of(events, parts);
        if !self.concerned(events) && self.pass_over(db, events, &compared).await? {
            return Ok(());
        }
        let mut transaction = db.begin().await?;
        let name = self.projection.name();
        let locked = checkpoint::lock_and_compare(&mut *transaction, name, &compared).await?;
        let (locked, in_log) = locked.ok_or(Failure::CheckpointChanged)?;
        let behind = locked.position < self.checkpoint.position;
        let other = locked.position == self.checkpoint.position
            && locked.leaf_hash != self.checkpoint.leaf_hash;
        let version = locked.version != self.checkpoint.version;
        if !in_log || behind || other || version || locked.state == ProjectionState::Diverged {
            return Err(Failure::CheckpointChanged);
        }
        // Another runner of this projection may have been quicker.
        let fresh = events.partition_point(|event| event.position <= locked.position);
        let fresh = &events[fresh..];
        let (Some(first), Some(last)) = (fresh.first(), fresh.last()) else {
            self.checkpoint = locked;
            return Ok(());
        };
        assert_eq!(first.position, locked.position.next(), "events are applied without a gap");
        match beside {
            Some(beside) => {
                let mut beside = beside.begin().await?;
                let applied =
                    self.projection.apply_over_two(&mut transaction, &mut beside, fresh).await;
                applied.map_err(Failure::Apply)?;
                checkpoint::advance(&mut *transaction, name, last, self.state).await?;
                beside.commit().await?;
                transaction.commit().await.map_err(Failure::HalfApplied)?;
            }
            None => {
                let applied = self.projection.apply(&mut transaction, fresh).await;
                applied.map_err(Failure::Apply)?;
                checkpoint::advance(&mut *transaction, name, last, self.state).await?;
                transaction.commit().await?;
            }
        }
        self.checkpoint = locked.moved_to(last, self.state);
        Ok(())
    }

    /// Moves the checkpoint over events that change nothing, in one statement instead of a transaction;
    /// `false` if it is not where it should be.
    async fn pass_over(
        &mut self,
        db: &mut PgConnection,
        events: &[AppliedEvent],
        compared: &Compared,
    ) -> Result<bool, Failure> {
        let Some(last) = events.last() else { return Ok(true) };
        let follows = events.first().map(|first| first.position) == Some(self.position().next());
        let to = (last, compared);
        let name = self.projection.name();
        if !follows || !checkpoint::pass(db, name, &self.checkpoint, to, self.state).await? {
            return Ok(false);
        }
        self.checkpoint = self.checkpoint.clone().moved_to(last, self.state);
        Ok(true)
    }
}

/// Why a batch was rolled back.
enum Failure {
    CheckpointChanged,
    Apply(ApplyError),
    /// One of two connections committed and the other did not: these tables are of no use any more.
    HalfApplied(sqlx::Error),
}

impl Failure {
    fn unanswered() -> Self {
        let error = std::io::Error::new(std::io::ErrorKind::TimedOut, "a batch got no answer");
        sqlx::Error::Io(error).into()
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Apply(error.into())
    }
}

/// What a scratch copy holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Folded {
    /// The last event applied; that before the first on an empty log.
    pub position: Position,
    /// The hash of its row.
    pub leaf_hash: Option<LeafHash>,
}

/// Why a scratch copy could not be made.
#[derive(Debug, thiserror::Error)]
pub enum FoldError {
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
    /// The tables were changed by somebody else meanwhile.
    #[error("somebody else changed the tables meanwhile")]
    Interfered,
}

impl From<Halt> for FoldError {
    fn from(halt: Halt) -> Self {
        match halt {
            Halt::AtEvent { position, reason } => Self::Event { position, reason },
            Halt::CheckpointChanged => Self::Interfered,
            Halt::Database(error) => Self::Database(error),
        }
    }
}

impl FoldError {
    /// Whether trying again later may help.
    pub fn retryable(&self) -> bool {
        match self {
            Self::Database(error) => database_retryable(error),
            Self::Event { .. } => false,
            Self::Interfered => true,
        }
    }
}

/// Makes the tables of `projection` in `schema` (which exists and holds none of them, such as
/// `pg_temp`) and folds the log into them from position 1 to `to`, page by page, a short transaction
/// each; `progress` hears of every page. `schema` is a name of the program's own, not of a user's.
///
/// # Errors
/// [`FoldError`]. What was made until then stays.
pub async fn fold_into(
    db: &mut PgConnection,
    projection: &dyn Projection,
    schema: &str,
    to: Position,
    mut progress: impl FnMut(Position) + Send,
) -> Result<Folded, FoldError> {
    execute(db, format!("set search_path to {schema}, public")).await?;
    let folded = fold_here(db, projection, to, &mut progress).await;
    // A broken connection cannot be reset, and need not be.
    let reset = execute(db, "reset search_path".to_owned()).await;
    let folded = folded?;
    reset?;
    Ok(folded)
}

async fn fold_here(
    db: &mut PgConnection,
    projection: &dyn Projection,
    to: Position,
    progress: &mut (dyn FnMut(Position) + Send),
) -> Result<Folded, FoldError> {
    execute(db, checkpoint::TABLE_SQL.to_owned()).await?;
    generation::create_tables(db, projection).await?;
    checkpoint::insert(&mut *db, projection, 1, ProjectionState::Running).await?;
    let made = checkpoint::read(&mut *db, projection.name()).await?.ok_or(FoldError::Interfered)?;
    let batch_events = BatchEvents::default();
    let mut applier = Applier::new(projection, made, ProjectionState::Running, batch_events);
    while applier.position() < to {
        let limit = to.since(applier.position()).min(PAGE_EVENTS_MAX);
        let page = read_page(&mut *db, applier.position(), limit).await.map_err(Halt::from)?;
        if page.nothing() {
            break;
        }
        applier.apply(db, page).await?;
        progress(applier.position());
    }
    generation::create_indexes(db, projection).await?;
    Ok(Folded { position: applier.checkpoint.position, leaf_hash: applier.checkpoint.leaf_hash })
}
