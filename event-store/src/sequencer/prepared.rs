//! Batches decided beforehand: the statement of the append alone, for measuring what all the rest costs.

use sqlx::postgres::PgConnection;

use super::append::append;
use super::cache::StateCache;
use super::cache::Versioned;
use super::known_answers::KnownAnswers;
use super::pending::Pending;
use super::plan::{Plan, Planner};
use super::{LoadError, load};
use crate::clock::{Clock, IdSource};
use crate::log::{self, Head};
use crate::request::Request;

/// Batches whose rows are those that the sequencer would write, in order, from the head as it was when
/// they were prepared. Nobody else may write to that log before they are sent.
#[derive(Debug)]
pub struct PreparedBatches {
    plans: std::vec::IntoIter<Plan>,
}

/// Why batches could not be prepared or sent.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct PreparedError(String);

impl From<LoadError> for PreparedError {
    fn from(error: LoadError) -> Self {
        Self(error.to_string())
    }
}

impl From<sqlx::Error> for PreparedError {
    fn from(error: sqlx::Error) -> Self {
        Self(error.to_string())
    }
}

impl PreparedBatches {
    /// Decides the batches, one after the other.
    ///
    /// # Errors
    /// [`PreparedError`] when the log cannot be read.
    pub async fn prepare(
        db: &mut PgConnection,
        clock: &dyn Clock,
        ids: &dyn IdSource,
        batches: Vec<Vec<Request>>,
    ) -> Result<Self, PreparedError> {
        let cache = StateCache::default();
        let known = KnownAnswers::default();
        let mut head: Head = log::head(&mut *db).await?;
        let mut plans = Vec::with_capacity(batches.len());
        for batch in batches {
            let pending: Vec<Pending> =
                batch.into_iter().map(|request| Pending::alone(request, ids)).collect();
            let mut missing: Vec<_> =
                pending.iter().flat_map(|one| super::plan::missing(one, &cache)).collect();
            missing.sort_by_key(|key| key.stream());
            missing.dedup();
            for loaded in load(&mut *db, missing, cache.generation()).await? {
                cache.insert(loaded.key, loaded.versioned);
            }
            let mut planner = Planner::over(&cache, &known, head, clock.now());
            pending.iter().for_each(|one| planner.add(one));
            let mut planned = planner.finish();
            head = planned.new_head();
            for (key, state) in std::mem::take(&mut planned.changes.states) {
                cache.insert(key, Versioned { state, at: head.position });
            }
            plans.push(planned);
        }
        Ok(Self { plans: plans.into_iter() })
    }

    /// Sends the next batch; how many events it held, `None` when there is none left.
    ///
    /// # Errors
    /// [`PreparedError`] when it was refused or somebody else wrote to the log.
    pub async fn send_next(
        &mut self,
        db: &mut PgConnection,
        clock: &dyn Clock,
    ) -> Result<Option<usize>, PreparedError> {
        let Some(plan) = self.plans.next() else { return Ok(None) };
        match append(db, &plan, clock.now()).await {
            Ok(receipt) if receipt.written => Ok(Some(plan.events().len())),
            Ok(_) => Err(PreparedError(
                "somebody else wrote to the log, or the clock is not the database's".to_owned(),
            )),
            Err(failure) => Err(PreparedError(format!("{failure:?}"))),
        }
    }
}
