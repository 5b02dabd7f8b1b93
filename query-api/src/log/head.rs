//! `GET /v1/log/head`

use api_conventions::{Problem, StrictQuery};
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use domain::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

use crate::database::refused;
use crate::position::MinPosition;
use crate::snapshot::Snapshot;
use crate::state::{ApiState, NoParameters};

/// The end of the log.
#[derive(Serialize, ToSchema)]
pub(crate) struct LogHead {
    /// The position of the last event; 0 on an empty log.
    #[schema(example = 42)]
    position: i64,
    /// When it was recorded; null on an empty log.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    recorded_at: Option<Timestamp>,
}

/// Show the head of the log
///
/// How many events there are, and when the last was recorded.
#[utoipa::path(
    get, path = "/v1/log/head", tag = "log",
    responses((status = 200, description = "The head", body = LogHead))
)]
pub(crate) async fn show_head(
    State(api): State<ApiState>,
    StrictQuery(NoParameters {}): StrictQuery<NoParameters>,
    min: MinPosition,
) -> Result<Response, Problem> {
    let mut snapshot = Snapshot::of_log(&api, min).await?;
    let head = event_store::log::head(snapshot.db()).await.map_err(refused)?;
    let position = head.position.number();
    let recorded_at = (position > 0).then_some(head.recorded_at);
    Ok(snapshot.answer(Json(LogHead { position, recorded_at })))
}
