//! `GET /v1/projections`

use api_conventions::{Problem, StrictQuery};
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use domain::Timestamp;
use event_store::log::Position;
use projections::{ProjectionStatus, statuses};
use serde::Serialize;
use sqlx::Connection;
use utoipa::ToSchema;

use crate::database::{not_there, refused};
use crate::position::MinPosition;
use crate::snapshot::Snapshot;
use crate::state::{ApiState, NoParameters};

/// How every projection stands.
#[derive(Serialize, ToSchema)]
pub(crate) struct Projections {
    /// By name; none before any has ever run.
    data: Vec<ProjectionStanding>,
}

/// How a projection stands: how far its read model is behind the log, and whether it moves.
#[derive(Serialize, ToSchema)]
#[schema(as = Projection)]
pub(crate) struct ProjectionStanding {
    /// Its name.
    #[schema(example = "ledger_balance")]
    name: String,
    /// `running`; `stopped` at an event that it cannot apply; `diverged` from the log, so that nothing
    /// of it is shown; or `rebuilding` into tables of another version.
    #[schema(example = "running")]
    state: &'static str,
    /// Why it does not move.
    #[schema(required)]
    detail: Option<String>,
    /// The event that it cannot get past.
    #[schema(required)]
    failed_position: Option<i64>,
    /// The last event that it applied.
    #[schema(example = 42)]
    position: i64,
    /// The head of the log.
    #[schema(example = 42)]
    head: i64,
    /// How many events it has not applied.
    #[schema(example = 0)]
    lag_events: i64,
    /// For how long the first of them has been in the log.
    #[schema(example = 0.0)]
    lag_seconds: f64,
    /// Counts its rebuilds, from 1.
    #[schema(example = 1)]
    generation: i64,
    /// The version of its tables.
    #[schema(example = 1)]
    version: i32,
    /// When its checkpoint was last written.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

impl ProjectionStanding {
    fn of(status: ProjectionStatus) -> Self {
        let (lag_events, lag) = (status.lag_events(), status.lag);
        Self {
            name: status.projection,
            state: status.state.name(),
            detail: status.detail,
            failed_position: status.failed_position.map(Position::number),
            position: status.position.number(),
            head: status.head.number(),
            lag_events,
            lag_seconds: lag.as_secs_f64(),
            generation: status.generation,
            version: status.version,
            updated_at: status.updated_at,
        }
    }
}

/// Show the projections
///
/// How far each read model is behind the log, and whether it moves. For operators, auditors and
/// analysts.
#[utoipa::path(
    get, path = "/v1/projections", tag = "log",
    responses(
        (status = 200, description = "How they stand", body = Projections),
        (status = 403, description = "`insufficient-scope`: not for merchants"),
    )
)]
pub(crate) async fn list_projections(
    State(api): State<ApiState>,
    StrictQuery(NoParameters {}): StrictQuery<NoParameters>,
    min: MinPosition,
) -> Result<Response, Problem> {
    let mut snapshot = Snapshot::of_log(&api, min).await?;
    // In a part of its own, so that the snapshot survives if no projection has ever run.
    let mut part = snapshot.db().begin().await.map_err(refused)?;
    let found = statuses(&mut *part).await;
    part.rollback().await.map_err(refused)?;
    let found = match found {
        Err(error) if not_there(&error) => Vec::new(),
        found => found.map_err(refused)?,
    };
    let data = found.into_iter().map(ProjectionStanding::of).collect();
    Ok(snapshot.answer(Json(Projections { data })))
}
