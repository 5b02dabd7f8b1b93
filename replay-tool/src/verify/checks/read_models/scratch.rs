//! A copy of a read model in temporary tables, folded from the log.

use event_store::log::{Position, events_after};
use projections::{AppliedEvent, ApplyError, FoldError, Projection, fold_into};
use sqlx::{Connection, PgConnection};

/// The most events that the copy is folded on by at a time.
const PAGE_EVENTS: i64 = 1_000;

/// Why a copy is not there.
#[derive(Debug)]
pub(super) enum ScratchError {
    /// An event cannot be applied, so that no read model can be beyond it.
    Event { position: Position, reason: String },
    /// The database refused or went away.
    Interrupted(sqlx::Error),
    /// Whatever else the fold says.
    Fold(FoldError),
}

impl From<sqlx::Error> for ScratchError {
    fn from(error: sqlx::Error) -> Self {
        Self::Interrupted(error)
    }
}

impl From<FoldError> for ScratchError {
    fn from(error: FoldError) -> Self {
        match error {
            FoldError::Event { position, reason } => Self::Event { position, reason },
            other => Self::Fold(other),
        }
    }
}

/// Temporary tables of one connection, and the position they are at.
pub(super) struct Scratch<'p> {
    db: PgConnection,
    projection: &'p dyn Projection,
    at: Position,
}

impl<'p> Scratch<'p> {
    /// Folds the log from its beginning.
    pub(super) async fn fold(
        mut db: PgConnection,
        projection: &'p dyn Projection,
        to: Position,
        progress: impl FnMut(Position) + Send,
    ) -> Result<Self, ScratchError> {
        let folded = fold_into(&mut db, projection, "pg_temp", to, progress).await?;
        sqlx::query("set search_path to pg_temp, public").execute(&mut db).await?;
        Ok(Self { db, projection, at: folded.position })
    }

    pub(super) fn db(&mut self) -> &mut PgConnection {
        &mut self.db
    }

    pub(super) fn position(&self) -> Position {
        self.at
    }

    /// Folds what came since, up to `to`.
    pub(super) async fn fold_on(&mut self, to: Position) -> Result<(), ScratchError> {
        while self.at < to {
            let limit = to.since(self.at).min(PAGE_EVENTS);
            let mut events = Vec::new();
            for recorded in events_after(&mut self.db, self.at, limit).await? {
                let position = recorded.position;
                let event = recorded
                    .decode()
                    .map_err(|error| ScratchError::Event { position, reason: error.to_string() })?;
                events.push(AppliedEvent::new(recorded, event));
            }
            let Some(last) = events.last().map(|event| event.position) else { return Ok(()) };
            let mut transaction = self.db.begin().await?;
            match self.projection.apply(&mut transaction, &events).await {
                Ok(()) => transaction.commit().await?,
                Err(ApplyError::Database(error)) => return Err(error.into()),
                Err(ApplyError::Contradiction { reason }) => {
                    return Err(ScratchError::Event { position: last, reason });
                }
            }
            self.at = last;
        }
        Ok(())
    }
}
