//! What the query side reads of the live checkpoints, on a connection of its own role.

use std::time::Duration;

use domain::Timestamp;
use event_store::log::{LOG_ID, Position};
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgExecutor, Row};
use time::OffsetDateTime;

use super::{ProjectionState, UnknownState};

/// How a projection stands, from its checkpoint and the log in one snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProjectionStatus {
    /// Its name.
    pub projection: String,
    /// The version of its tables.
    pub version: i32,
    /// Counts its rebuilds, from 1.
    pub generation: i64,
    /// The last event applied.
    pub position: Position,
    /// The head of the log.
    pub head: Position,
    /// Whether it moves.
    pub state: ProjectionState,
    /// Why it does not.
    pub detail: Option<String>,
    /// The event that it cannot get past.
    pub failed_position: Option<Position>,
    /// When its checkpoint was last written.
    pub updated_at: Timestamp,
    /// For how long the first event not yet applied has been in the log, by the database's clock; zero at the head.
    pub lag: Duration,
}

impl ProjectionStatus {
    /// How many events it has not applied.
    pub fn lag_events(&self) -> i64 {
        self.head.since(self.position)
    }

    fn from_row(row: &PgRow) -> Result<Self, sqlx::Error> {
        let state: &str = row.try_get(5)?;
        let time = |at: OffsetDateTime| Timestamp::from_datetime(at);
        Ok(Self {
            projection: row.try_get(0)?,
            version: row.try_get(1)?,
            generation: row.try_get(2)?,
            position: Position::from_number(row.try_get(3)?),
            head: Position::from_number(row.try_get(4)?),
            state: state
                .parse()
                .map_err(|error: UnknownState| sqlx::Error::Decode(error.into()))?,
            detail: row.try_get(6)?,
            failed_position: row.try_get::<Option<i64>, _>(7)?.map(Position::from_number),
            updated_at: time(row.try_get(8)?),
            lag: lag(row.try_get(9)?),
        })
    }
}

/// For how many microseconds the event `next` has been in the log, by the database's clock, which is the one that lasts:
/// since it was decided, as its recorded time may be that of a clock that was ahead.
pub(crate) const WAITING_MICROS: &str = "(extract(epoch from \
    log_clock() - coalesce((next.metadata->>'decided_at')::timestamptz, next.recorded_at)) * 1000000)::bigint";

/// For how long an event has been waiting, from its [`WAITING_MICROS`]; zero where there is none.
pub(crate) fn lag(waiting_micros: Option<i64>) -> Duration {
    let micros = waiting_micros.and_then(|micros| u64::try_from(micros).ok());
    Duration::from_micros(micros.unwrap_or(0))
}

/// Begins a transaction (`begin_with`) whose statements all see the read models at one moment: one
/// snapshot, one generation of every projection, rows and checkpoints that belong together. Its first
/// statement must be [`HOLD_GENERATION`].
pub const BEGIN_READ: &str = "begin isolation level repeatable read read only";

/// Holds off the switch to a rebuilt generation until the transaction ends.
///
/// A statement by itself, since the snapshot is taken by the first statement after it: a snapshot from
/// before a switch with tables from after it would show the new generation as it was while it was being
/// filled. It costs nothing otherwise: readers and projections share it.
pub const HOLD_GENERATION: &str = "lock table read.checkpoint in access share mode";

/// The position that the live read model of `projection` shows; `None` before it first ran.
///
/// # Errors
/// Whatever the database says.
pub async fn applied(
    db: impl PgExecutor<'_>,
    projection: &str,
) -> Result<Option<Position>, sqlx::Error> {
    let position: Option<i64> =
        sqlx::query_scalar("select position from read.checkpoint where projection = $1")
            .bind(projection)
            .fetch_optional(db)
            .await?;
    Ok(position.map(Position::from_number))
}

/// How every projection stands, by name.
///
/// # Errors
/// Whatever the database says.
pub async fn statuses(db: impl PgExecutor<'_>) -> Result<Vec<ProjectionStatus>, sqlx::Error> {
    let statement = format!(
        "select checkpoint.projection, checkpoint.version, checkpoint.generation, \
             checkpoint.position, log_head.position, checkpoint.state, checkpoint.detail, \
             checkpoint.failed_position, checkpoint.updated_at, {WAITING_MICROS} \
         from read.checkpoint \
         join log_head on log_head.log_id = $1 \
         left join events as next \
             on next.log_id = $1 and next.position = checkpoint.position + 1 \
         order by checkpoint.projection"
    );
    let rows = sqlx::query(AssertSqlSafe(statement)).bind(LOG_ID).fetch_all(db).await?;
    rows.iter().map(ProjectionStatus::from_row).collect()
}
