//! Read models: which there are, where they stand, and waiting for them to get further.

use api_conventions::{Pool, Problem, problem_kinds as kinds, until_revoked};
use axum::http::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use event_store::log::{Position, head};
use projections::{Access, LedgerBalance, Payments, Projection, ProjectionState};
use sqlx::postgres::PgRow;
use sqlx::{PgExecutor, Row};
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
    Payments,
}

impl ReadModel {
    pub(crate) const ALL: [Self; 3] = [Self::LedgerBalance, Self::Access, Self::Payments];

    fn projection(self) -> &'static dyn Projection {
        match self {
            Self::LedgerBalance => &LedgerBalance,
            Self::Access => &Access,
            Self::Payments => &Payments,
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

/// What an answer shows: a read model at a position, or the log itself.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Standing {
    position: Position,
    state: ProjectionState,
}

const STANDING: &str = "
    select position as model_position, state as model_state, version as model_version
    from read.checkpoint where projection = $1";

impl Standing {
    /// Of a read model, which shows at least `min`. Whoever asks has waited before.
    ///
    /// # Errors
    /// It is not as far, or cannot be shown at all.
    pub(crate) async fn read(
        db: impl PgExecutor<'_>,
        model: ReadModel,
        min: MinPosition,
    ) -> Result<Self, Problem> {
        let reading = sqlx::query(STANDING).bind(model.name()).fetch_optional(db);
        Self::from_row(model, reading.await.map_err(refused)?.as_ref(), min)
    }

    /// The same from the row of its checkpoint, with the columns `model_position`, `model_state` and
    /// `model_version`.
    pub(crate) fn from_row(
        model: ReadModel,
        checkpoint: Option<&PgRow>,
        min: MinPosition,
    ) -> Result<Self, Problem> {
        let Some(row) = checkpoint else {
            return Err(Problem::new(
                kinds::PROJECTION_BEHIND,
                format_args!("the read model {} has not been made yet", model.name()),
            ));
        };
        let position = Position::from_number(row.try_get("model_position").map_err(refused)?);
        let state: &str = row.try_get("model_state").map_err(refused)?;
        let state: ProjectionState = state.parse().map_err(Problem::internal)?;
        let version: i32 = row.try_get("model_version").map_err(refused)?;
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
        if position < min.position {
            return Err(behind(model, min.position, position));
        }
        Ok(Self { position, state })
    }

    /// Of the log, which is whatever was appended.
    pub(crate) fn of_log(position: Position) -> Self {
        Self { position, state: ProjectionState::Running }
    }

    pub(crate) fn position(self) -> Position {
        self.position
    }

    /// The answer that says it. A resource that is not there is such an answer too.
    pub(crate) fn said_in(self, answer: impl IntoResponse) -> Response {
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

/// The requests of a process that wait for a position; what each holds is little, and each makes others look
/// more often. A merchant has a quarter of them.
pub(crate) const WAITS: Pool = Pool {
    name: "position_waits",
    units: "requests that wait for a position",
    owner: "merchant",
    total: 1_024,
    of_one: 256,
};

/// Waits until a read model shows `min`, as long as is reasonable. Holds no connection.
///
/// # Errors
/// It does not in time, the log ends before, or the caller's key is revoked meanwhile.
pub(crate) async fn wait(
    model: ReadModel,
    api: &ApiState,
    MinPosition { position: min, asked_by }: MinPosition,
) -> Result<(), Problem> {
    if min == Position::START {
        return Ok(());
    }
    if api.positions.reached(model, min) {
        return Ok(());
    }
    let _place = api.waits.take(asked_by.map(|caller| caller.merchant_id))?;
    if *api.positions.head().borrow() < min {
        // The head as last seen may be old; what a command answered is in the log by now.
        let head = head(&api.database.look_ups).await.map_err(refused)?.position;
        if head < min {
            return Err(beyond_head(min, head));
        }
    }
    let began = Instant::now();
    let revoked = async {
        match asked_by {
            Some(caller) => until_revoked(&*api.keys, caller.key_id).await,
            None => std::future::pending().await,
        }
    };
    let waited = tokio::select! {
        waited = api.positions.wait(model, min, MIN_POSITION_WAIT_MAX) => waited,
        () = api.stopping.cancelled() => {
            return Err(Problem::unavailable("this process is stopping"));
        }
        () = revoked => return Err(Problem::unauthorized()),
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
