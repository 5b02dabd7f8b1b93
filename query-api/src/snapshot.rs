//! Snapshots: all that an answer shows is of one read model at one position.

use api_conventions::{Problem, problem_kinds as kinds};
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use event_store::log::{Position, head};
use projections::{
    Access, BEGIN_READ, HOLD_GENERATION, LedgerBalance, Projection, ProjectionState,
};
use sqlx::postgres::PgConnection;
use sqlx::{Postgres, Row, Transaction};
use tokio::time::Instant;

use crate::database::refused;
use crate::position::{MIN_POSITION_WAIT_MAX, MinPosition, POSITION_HEADER, Waited};
use crate::state::ApiState;

/// Says in an answer that its read model does not move at the moment, and why: `stopped` or
/// `rebuilding`. Absent as long as it does.
pub const PROJECTION_STATE_HEADER: HeaderName = HeaderName::from_static("runut-projection-state");

/// The read models that queries show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadModel {
    LedgerBalance,
    Access,
}

impl ReadModel {
    pub(crate) const ALL: [Self; 2] = [Self::LedgerBalance, Self::Access];

    fn projection(self) -> &'static dyn Projection {
        match self {
            Self::LedgerBalance => &LedgerBalance,
            Self::Access => &Access,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        self.projection().name()
    }

    /// The version of the tables that the queries of this program are written for.
    pub(crate) fn version(self) -> i32 {
        self.projection().version()
    }
}

/// A read-only transaction at one position of a read model, or of the log itself.
#[derive(Debug)]
pub(crate) struct Snapshot {
    transaction: Transaction<'static, Postgres>,
    position: Position,
    state: ProjectionState,
}

impl Snapshot {
    /// Of a read model that shows at least `min`; waits for that as long as is reasonable.
    pub(crate) async fn of(
        model: ReadModel,
        api: &ApiState,
        min: MinPosition,
    ) -> Result<Self, Problem> {
        if min.0 > Position::START {
            wait(model, api, min.0).await?;
        }
        let mut transaction = api.database.queries.begin_with(BEGIN_READ).await.map_err(refused)?;
        sqlx::raw_sql(HOLD_GENERATION).execute(&mut *transaction).await.map_err(refused)?;
        let (position, state) = checkpoint(model, &mut transaction).await?;
        if position < min.0 {
            return Err(behind(model, min.0, position));
        }
        Ok(Self { transaction, position, state })
    }

    /// Of the log, which shows whatever was appended.
    pub(crate) async fn of_log(api: &ApiState, min: MinPosition) -> Result<Self, Problem> {
        let mut transaction = api.database.queries.begin_with(BEGIN_READ).await.map_err(refused)?;
        let position = head(&mut *transaction).await.map_err(refused)?.position;
        if min.0 > position {
            return Err(beyond_head(min.0, position));
        }
        Ok(Self { transaction, position, state: ProjectionState::Running })
    }

    pub(crate) fn db(&mut self) -> &mut PgConnection {
        &mut self.transaction
    }

    pub(crate) fn position(&self) -> Position {
        self.position
    }

    /// Ends the snapshot, and says in the answer what it was of. A resource that is not there is such
    /// an answer too.
    pub(crate) fn answer(self, answer: impl IntoResponse) -> Response {
        // Ended on its way back to the pool, which nobody has to wait for.
        drop(self.transaction);
        let mut response = answer.into_response();
        let headers = response.headers_mut();
        headers.insert(POSITION_HEADER, self.position.number().into());
        if self.state != ProjectionState::Running {
            let state = HeaderValue::from_static(self.state.name());
            headers.insert(PROJECTION_STATE_HEADER, state);
        }
        response
    }
}

async fn checkpoint(
    model: ReadModel,
    transaction: &mut Transaction<'static, Postgres>,
) -> Result<(Position, ProjectionState), Problem> {
    let row =
        sqlx::query("select position, state, version from read.checkpoint where projection = $1")
            .bind(model.name())
            .fetch_optional(&mut **transaction)
            .await
            .map_err(refused)?;
    let Some(row) = row else {
        return Err(Problem::new(
            kinds::PROJECTION_BEHIND,
            format_args!("the read model {} has not been made yet", model.name()),
        ));
    };
    let position = Position::from_number(row.try_get(0).map_err(refused)?);
    let state: &str = row.try_get(1).map_err(refused)?;
    let state: ProjectionState = state.parse().map_err(Problem::internal)?;
    let version: i32 = row.try_get(2).map_err(refused)?;
    if state == ProjectionState::Diverged {
        return Err(Problem::new(
            kinds::PROJECTION_DIVERGED,
            format_args!("{} has to be rebuilt from the log before it is shown", model.name()),
        ));
    }
    if version != model.version() {
        let expected = model.version();
        let detail = format_args!(
            "{} is at version {version} of its tables, this program reads version {expected}",
            model.name()
        );
        return Err(Problem::new(kinds::PROJECTION_BEHIND, detail));
    }
    Ok((position, state))
}

async fn wait(model: ReadModel, api: &ApiState, min: Position) -> Result<(), Problem> {
    if *api.positions.head().borrow() < min {
        // The head as last seen may be old; what a command answered is in the log by now.
        let head = head(&api.database.queries).await.map_err(refused)?.position;
        if head < min {
            return Err(beyond_head(min, head));
        }
    }
    let began = Instant::now();
    let waited = tokio::select! {
        waited = api.positions.wait(model, min, MIN_POSITION_WAIT_MAX) => waited,
        () = api.stopping.cancelled() => {
            return Err(Problem::unavailable("this process is stopping"));
        }
    };
    metrics::histogram!("runut_query_wait_seconds", "projection" => model.name())
        .record(began.elapsed());
    match waited {
        Waited::Reached => Ok(()),
        Waited::Behind(position) => {
            metrics::counter!("runut_query_waits_in_vain_total", "projection" => model.name())
                .increment(1);
            Err(behind(model, min, position))
        }
    }
}

fn behind(model: ReadModel, min: Position, position: Position) -> Problem {
    let detail = format_args!("{} is at position {position}, not yet at {min}", model.name());
    Problem::new(kinds::PROJECTION_BEHIND, detail)
}

/// No wait would help: the caller has a position of another log, or of one that was lost.
pub(crate) fn beyond_head(wanted: Position, head: Position) -> Problem {
    let detail = format_args!("the log ends at position {head}, before {wanted}");
    Problem::new(kinds::POSITION_BEYOND_HEAD, detail)
}
