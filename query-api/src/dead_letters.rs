//! `GET /v1/dead-letters`

use api_conventions::{ListQuery, NoFilters, Page, PageParameters, Problem};
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use domain::Timestamp;
use serde::Serialize;
use sqlx::FromRow;
use time::OffsetDateTime;
use utoipa::ToSchema;

use crate::database::refused;
use crate::position::MinPosition;
use crate::row_values::timestamp;
use crate::snapshot::Snapshot;
use crate::state::ApiState;

/// A webhook that could not be worked off.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DeadLetter {
    /// SHA-256 of its bytes, in hex: names it.
    digest: String,
    /// Who sent it.
    #[schema(example = "alpha")]
    psp: String,
    /// Why it could not be worked off.
    #[schema(required)]
    reason: Option<String>,
    /// How often it came.
    deliveries: i32,
    /// Its first characters.
    body: String,
    /// When it came first.
    #[schema(value_type = String, format = DateTime)]
    received_at: Timestamp,
}

#[derive(FromRow)]
struct DeadLetterRow {
    digest: String,
    psp: String,
    reason: Option<String>,
    deliveries: i32,
    body: Vec<u8>,
    received_at: OffsetDateTime,
    received_micros: i64,
}

/// The most bytes of a body that the list shows.
const SHOWN_BYTES_MAX: i32 = 2_000;

const LIST: &str = "
    select encode(digest, 'hex') as digest, psp, reason, deliveries, substr(body, 1, $3) as body,
        received_at, (extract(epoch from received_at) * 1000000)::bigint as received_micros
    from webhooks
    where state = 'dead'
        and ($1::bigint is null
            or received_at < timestamptz 'epoch' + $1 * interval '1 microsecond')
    order by received_at desc
    limit $2";

/// List dead letters
///
/// The webhooks that could not be worked off, those that came last first. For operators.
#[utoipa::path(
    get, path = "/v1/dead-letters", tag = "payments", params(PageParameters),
    responses((status = 200, description = "A page", body = Page<DeadLetter>))
)]
pub(crate) async fn list_dead_letters(
    State(api): State<ApiState>,
    query: ListQuery<NoFilters, i64>,
    min: MinPosition,
) -> Result<Response, Problem> {
    let mut snapshot = Snapshot::of_log(&api, min).await?;
    let rows: Vec<DeadLetterRow> = sqlx::query_as(LIST)
        .bind(query.after)
        .bind(i64::try_from(query.rows_to_read()).unwrap_or(i64::MAX))
        .bind(SHOWN_BYTES_MAX)
        .fetch_all(snapshot.db())
        .await
        .map_err(refused)?;
    let rows: Vec<(i64, DeadLetter)> = rows
        .into_iter()
        .map(|row| {
            let letter = DeadLetter {
                digest: row.digest,
                psp: row.psp,
                reason: row.reason,
                deliveries: row.deliveries,
                body: String::from_utf8_lossy(&row.body).into_owned(),
                received_at: timestamp(row.received_at),
            };
            (row.received_micros, letter)
        })
        .collect();
    let page = Page::of(rows, query.limit, |(received, _)| *received, |(_, letter)| letter);
    Ok(snapshot.answer(Json(page)))
}
