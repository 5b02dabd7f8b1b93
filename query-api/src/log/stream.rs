//! `GET /v1/streams/{id}`

use api_conventions::{ListQuery, NoFilters, Page, PageParameters, PathId, Problem};
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use domain::StreamId;
use event_store::log::{LogFilter, Position};

use super::page::read_page;
use super::recorded::LoggedEvent;
use crate::position::MinPosition;
use crate::snapshot::Snapshot;
use crate::state::ApiState;

/// Read a stream
///
/// All that happened to one thing, ascending, for auditors and operators.
#[utoipa::path(
    get, path = "/v1/streams/{id}", tag = "log",
    params(
        ("id" = String, Path, description = "The stream",
         example = "account-acc_7h455vb4pex5vsknk084sn02q0"),
        PageParameters,
    ),
    responses(
        (status = 200, description = "A page", body = Page<LoggedEvent>),
        (status = 403, description = "`insufficient-scope`: for auditors and operators"),
        (status = 404, description = "`not-found`: nothing happened to it"),
    )
)]
pub(crate) async fn read_stream(
    State(api): State<ApiState>,
    PathId(id): PathId<StreamId>,
    query: ListQuery<NoFilters, i64>,
    min: MinPosition,
) -> Result<Response, Problem> {
    // Postgres knows no NUL, and no stream's name has one.
    if id.as_str().contains('\0') {
        return Err(Problem::not_found());
    }
    let mut snapshot = Snapshot::of_log(&api, min).await?;
    let head = snapshot.position();
    let filter = LogFilter { stream: Some(id), ..LogFilter::default() };
    let after = Position::from_number(query.after.unwrap_or(0));
    let page = read_page(snapshot.db(), &filter, after, head, query.limit).await?;
    if page.data.is_empty() && query.after.is_none() {
        return Ok(snapshot.answer(Problem::not_found()));
    }
    Ok(snapshot.answer(Json(page)))
}
