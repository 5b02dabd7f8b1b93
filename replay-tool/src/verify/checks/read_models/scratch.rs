//! A copy of a read model in temporary tables, folded from the log.

use std::sync::Arc;
use std::time::Instant;

use event_store::log::{Position, page_after};
use projections::{AppliedEvent, ApplyError, FoldError, Projection, fold_into};
use sqlx::{Connection, PgConnection};

use crate::courtesy::Courtesy;
use crate::pace::Pace;

/// The most events that the copy is folded on by at a time: some tenths of a second's work.
const PAGE_EVENTS_MAX: i64 = 5_000;
/// Why an event cannot be applied that is not there.
const MISSING: &str = "the log has no such event, yet it has later ones";

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
    courtesy: &'p Courtesy,
    pace: Pace,
    at: Position,
}

impl<'p> Scratch<'p> {
    /// Makes the tables, before the first event, with their indexes: one that were made of many rows at once
    /// would be a statement that takes too long.
    pub(super) async fn make(
        mut db: PgConnection,
        projection: &'p dyn Projection,
        courtesy: &'p Courtesy,
    ) -> Result<Self, ScratchError> {
        let made = fold_into(&mut db, projection, "pg_temp", Position::START, |_| {}).await?;
        sqlx::query("set search_path to pg_temp, public").execute(&mut db).await?;
        let pace = Pace::up_to(PAGE_EVENTS_MAX);
        Ok(Self { db, projection, courtesy, pace, at: made.position })
    }

    pub(super) fn db(&mut self) -> &mut PgConnection {
        &mut self.db
    }

    pub(super) fn position(&self) -> Position {
        self.at
    }

    /// Folds what comes next, up to `to` or the end of the log.
    pub(super) async fn fold_on(
        &mut self,
        to: Position,
        mut progress: impl FnMut(Position) + Send,
    ) -> Result<(), ScratchError> {
        while self.at < to {
            let started = Instant::now();
            let limit = to.since(self.at).min(self.pace.rows());
            let events = self.page(limit).await?;
            let Some(last) = events.last().map(|event| event.position) else { return Ok(()) };
            match self.apply(&events).await {
                Ok(()) => {
                    self.at = last;
                    self.pace.took(started.elapsed(), self.courtesy.statement_target());
                    progress(last);
                }
                Err(ApplyError::Database(error)) if self.pace.retry(&error) => {}
                Err(ApplyError::Database(error)) => return Err(error.into()),
                // The one event to blame is alone on its page in the end.
                Err(ApplyError::Contradiction { .. }) if events.len() > 1 => {
                    self.pace.narrow_to(events.len() / 2);
                }
                Err(ApplyError::Contradiction { reason }) => {
                    return Err(ScratchError::Event { position: last, reason });
                }
            }
            self.courtesy.after(&mut self.db, started.elapsed()).await?;
        }
        Ok(())
    }

    /// The events that come next, up to one that cannot be decoded.
    async fn page(&mut self, limit: i64) -> Result<Vec<AppliedEvent>, ScratchError> {
        let mut events = Vec::new();
        let mut expected = self.at.next();
        for recorded in page_after(&mut self.db, self.at, limit).await? {
            let position = expected;
            let event = match recorded.decode() {
                _ if recorded.position != position => Err(MISSING.to_owned()),
                decoded => decoded.map_err(|error| error.to_string()),
            };
            match event {
                Ok(event) => events.push(AppliedEvent::new(&recorded, Arc::new(event))),
                Err(reason) if events.is_empty() => {
                    return Err(ScratchError::Event { position, reason });
                }
                Err(_) => break,
            }
            expected = position.next();
        }
        Ok(events)
    }

    /// One transaction, unless there is nothing in it for the read model.
    async fn apply(&mut self, events: &[AppliedEvent]) -> Result<(), ApplyError> {
        if !events.iter().any(|applied| self.projection.concerns(&applied.event)) {
            return Ok(());
        }
        let mut transaction = self.db.begin().await?;
        self.projection.apply(&mut transaction, events).await?;
        transaction.commit().await?;
        Ok(())
    }
}
