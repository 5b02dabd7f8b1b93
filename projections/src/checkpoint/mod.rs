//! Checkpoints: how far a projection is, in a row that moves with what it applied.

mod state;
mod status;

pub use state::{ProjectionState, UnknownState};
pub use status::{BEGIN_READ, HOLD_GENERATION, ProjectionStatus, applied, statuses};
pub(crate) use status::{WAITING_MICROS, lag};

use domain::Timestamp;
use event_store::log::{LOG_ID, LeafHash, Position};
use sqlx::postgres::PgRow;
use sqlx::{PgExecutor, Row};
use time::OffsetDateTime;

use crate::projection::{AppliedEvent, Projection};

/// Creates the table, if it is not there.
pub(crate) const TABLE_SQL: &str = include_str!("checkpoint.sql");

/// The row of one projection in the schema that the connection's search path names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checkpoint {
    pub(crate) version: i32,
    pub(crate) generation: i64,
    pub(crate) position: Position,
    pub(crate) leaf_hash: Option<LeafHash>,
    pub(crate) recorded_at: Option<Timestamp>,
    pub(crate) state: ProjectionState,
    pub(crate) detail: Option<String>,
    pub(crate) failed_position: Option<Position>,
    pub(crate) tables: Vec<String>,
}

impl Checkpoint {
    /// This checkpoint as [`advance`] writes it.
    #[must_use]
    pub(crate) fn moved_to(self, event: &AppliedEvent, state: ProjectionState) -> Self {
        Self {
            state,
            detail: None,
            failed_position: None,
            position: event.position,
            leaf_hash: Some(event.leaf_hash),
            recorded_at: Some(event.recorded_at),
            ..self
        }
    }

    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let state: &str = row.try_get(5)?;
        Ok(Self {
            version: row.try_get(0)?,
            generation: row.try_get(1)?,
            position: Position::from_number(row.try_get(2)?),
            leaf_hash: row.try_get::<Option<&[u8]>, _>(3)?.and_then(LeafHash::from_bytes),
            recorded_at: row.try_get::<Option<OffsetDateTime>, _>(4)?.map(Timestamp::from_datetime),
            state: state
                .parse()
                .map_err(|error: UnknownState| sqlx::Error::Decode(error.into()))?,
            detail: row.try_get(6)?,
            failed_position: row.try_get::<Option<i64>, _>(7)?.map(Position::from_number),
            tables: row.try_get(8)?,
        })
    }
}

const READ: &str = "select version, generation, position, leaf_hash, recorded_at, state, detail, \
    failed_position, tables from checkpoint where projection = $1";
const LOCK: &str = "select version, generation, position, leaf_hash, recorded_at, state, detail, \
    failed_position, tables from checkpoint where projection = $1 for update";
/// Whether the log has every event of `$2`, with its hash in `$3`.
macro_rules! in_log {
    () => {
        "not exists (select from unnest($2::bigint[], $3::bytea[]) as read (position, leaf_hash) \
            where not exists (select from events where events.log_id = $4 \
                and events.position = read.position and events.leaf_hash = read.leaf_hash))"
    };
}

const LOCK_AND_COMPARE: &str = concat!(
    "select version, generation, position, leaf_hash, recorded_at, state, detail, failed_position, tables, ",
    in_log!(),
    " from checkpoint where projection = $1 for update"
);
const PASS: &str = concat!(
    "update checkpoint set position = $5, leaf_hash = $6, recorded_at = $7, state = $8, \
        detail = null, failed_position = null, updated_at = clock_timestamp() \
     where projection = $1 and position = $9 and leaf_hash is not distinct from $10 \
        and version = $11 and generation = $12 and state <> 'diverged' and ",
    in_log!()
);

/// Events that the log has to have before a batch counts: the last of the batch, and the last of each part of it that was
/// read by itself.
#[derive(Debug)]
pub(crate) struct Compared {
    positions: Vec<i64>,
    hashes: Vec<LeafHash>,
}

impl Compared {
    /// Of a batch, and of the parts of the page that it is of.
    pub(crate) fn of(events: &[AppliedEvent], parts: &[(Position, LeafHash)]) -> Self {
        let (first, last) = (events.first(), events.last());
        let in_batch = |position: Position| {
            first.is_some_and(|first| first.position <= position)
                && last.is_some_and(|last| position < last.position)
        };
        let parts = parts.iter().copied().filter(|(position, _)| in_batch(*position));
        let last = last.map(|last| (last.position, last.leaf_hash));
        let (positions, hashes) =
            parts.chain(last).map(|(position, hash)| (position.number(), hash)).unzip();
        Self { positions, hashes }
    }

    fn hashes(&self) -> Vec<&[u8]> {
        self.hashes.iter().map(|hash| hash.as_bytes().as_slice()).collect()
    }
}

/// The checkpoint.
pub(crate) async fn read(
    db: impl PgExecutor<'_>,
    projection: &str,
) -> Result<Option<Checkpoint>, sqlx::Error> {
    let row = sqlx::query(READ).bind(projection).fetch_optional(db).await?;
    row.as_ref().map(Checkpoint::from_row).transpose()
}

/// The checkpoint, locked until the transaction ends: whoever holds it is the one that applies.
pub(crate) async fn lock(
    db: impl PgExecutor<'_>,
    projection: &str,
) -> Result<Option<Checkpoint>, sqlx::Error> {
    let row = sqlx::query(LOCK).bind(projection).fetch_optional(db).await?;
    row.as_ref().map(Checkpoint::from_row).transpose()
}

/// The same, and whether the log has all that is compared: events that were not read from there may be of a database that
/// was exchanged for an older one since.
pub(crate) async fn lock_and_compare(
    db: impl PgExecutor<'_>,
    projection: &str,
    compared: &Compared,
) -> Result<Option<(Checkpoint, bool)>, sqlx::Error> {
    let row = sqlx::query(LOCK_AND_COMPARE)
        .bind(projection)
        .bind(&compared.positions)
        .bind(compared.hashes())
        .bind(LOG_ID)
        .fetch_optional(db)
        .await?;
    row.map(|row| Ok((Checkpoint::from_row(&row)?, row.try_get(9)?))).transpose()
}

/// Makes the row of a new generation, before the first event.
pub(crate) async fn insert(
    db: impl PgExecutor<'_>,
    projection: &dyn Projection,
    generation: i64,
    state: ProjectionState,
) -> Result<(), sqlx::Error> {
    let tables: Vec<&str> = projection.tables().iter().map(|table| table.name).collect();
    sqlx::query(
        "insert into checkpoint (projection, version, generation, position, state, tables, updated_at) \
         values ($1, $2, $3, 0, $4, $5, clock_timestamp())",
    )
    .bind(projection.name())
    .bind(projection.version())
    .bind(generation)
    .bind(state.name())
    .bind(tables)
    .execute(db)
    .await?;
    Ok(())
}

/// Moves the checkpoint to `to`; what was wrong, if anything, is over.
pub(crate) async fn advance(
    db: impl PgExecutor<'_>,
    projection: &str,
    to: &AppliedEvent,
    state: ProjectionState,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update checkpoint set position = $2, leaf_hash = $3, recorded_at = $4, state = $5, \
             detail = null, failed_position = null, updated_at = clock_timestamp() \
         where projection = $1",
    )
    .bind(projection)
    .bind(to.position.number())
    .bind(to.leaf_hash.as_bytes().as_slice())
    .bind(to.recorded_at.datetime())
    .bind(state.name())
    .execute(db)
    .await?;
    Ok(())
}

/// Moves the checkpoint from where it is said to be to `to`, if that is where it is and the log has all that is compared;
/// whether it was.
pub(crate) async fn pass(
    db: impl PgExecutor<'_>,
    projection: &str,
    from: &Checkpoint,
    (to, compared): (&AppliedEvent, &Compared),
    state: ProjectionState,
) -> Result<bool, sqlx::Error> {
    let moved = sqlx::query(PASS)
        .bind(projection)
        .bind(&compared.positions)
        .bind(compared.hashes())
        .bind(LOG_ID)
        .bind(to.position.number())
        .bind(to.leaf_hash.as_bytes().as_slice())
        .bind(to.recorded_at.datetime())
        .bind(state.name())
        .bind(from.position.number())
        .bind(from.leaf_hash.as_ref().map(|hash| hash.as_bytes().as_slice()))
        .bind(from.version)
        .bind(from.generation)
        .execute(db)
        .await?;
    Ok(moved.rows_affected() == 1)
}

/// Why a projection does not go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Halted {
    pub(crate) state: ProjectionState,
    pub(crate) detail: String,
    pub(crate) failed_position: Option<Position>,
}

/// Says why the projection does not go on from `at` of `generation`, unless somebody else got it further
/// or rebuilt it since that was found out, or it is diverged already, which only a rebuild ends.
pub(crate) async fn explain(
    db: impl PgExecutor<'_>,
    projection: &str,
    (generation, at): (i64, Position),
    halted: &Halted,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update checkpoint set state = $3, detail = $4, failed_position = $5, \
             updated_at = clock_timestamp() \
         where projection = $1 and position = $2 and generation = $6 and state <> 'diverged'",
    )
    .bind(projection)
    .bind(at.number())
    .bind(halted.state.name())
    .bind(&halted.detail)
    .bind(halted.failed_position.map(Position::number))
    .bind(generation)
    .execute(db)
    .await?;
    Ok(())
}
