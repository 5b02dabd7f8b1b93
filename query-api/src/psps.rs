//! `GET /v1/psps`

use api_conventions::Problem;
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
use crate::read_model::ReadModel;
use crate::row_values::timestamp;
use crate::snapshot::Snapshot;
use crate::state::ApiState;

/// A PSP: how it is switched, and how it does.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Psp {
    /// Its name.
    #[schema(example = "alpha")]
    psp: String,
    /// Whether an operator switched it off.
    disabled: bool,
    /// Why, if so.
    #[schema(required)]
    reason: Option<String>,
    /// When it was switched last; null if it never was.
    #[schema(value_type = Option<String>, required, format = DateTime)]
    switched_at: Option<Timestamp>,
    /// How it does, as the workers of the last seconds saw it; null where none reported.
    #[schema(required)]
    health: Option<Health>,
}

/// How a PSP does.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PspHealth)]
pub(crate) struct Health {
    /// The worst that any worker says: `closed` (it is called), `half_open`, `open` (it is left alone).
    #[schema(example = "closed")]
    breaker: &'static str,
    /// Calls in the last minute.
    calls: i64,
    /// How many of them were not answered as they should be.
    errors: i64,
    /// Calls under way.
    under_way: i64,
    /// How many workers say so.
    workers: i64,
}

/// All PSPs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Psps {
    /// By name.
    data: Vec<Psp>,
}

#[derive(FromRow)]
struct PspRow {
    psp: String,
    disabled: bool,
    reason: Option<String>,
    changed_at: Option<OffsetDateTime>,
    breaker: Option<i32>,
    calls: Option<i64>,
    errors: Option<i64>,
    under_way: Option<i64>,
    workers: Option<i64>,
}

/// What workers that are gone said is not shown.
const LIST: &str = "
    select coalesce(s.psp, h.psp) as psp, coalesce(s.disabled, false) as disabled, s.reason,
        s.changed_at, h.breaker, h.calls, h.errors, h.under_way, h.workers
    from read.psps s
    full join (
        select psp, count(*) as workers, sum(calls)::bigint as calls,
            sum(errors)::bigint as errors, sum(under_way)::bigint as under_way,
            max(case breaker when 'open' then 2 when 'half_open' then 1 else 0 end) as breaker
        from psp_health
        where updated_at > clock_timestamp() - interval '5 seconds'
            and updated_at < clock_timestamp() + interval '5 seconds'
        group by psp
    ) h on h.psp = s.psp
    order by 1";

/// List PSPs
///
/// How each is switched, and how it does.
#[utoipa::path(
    get, path = "/v1/psps", tag = "payments",
    responses((status = 200, description = "All of them", body = Psps))
)]
pub(crate) async fn list_psps(
    State(api): State<ApiState>,
    min: MinPosition,
) -> Result<Response, Problem> {
    let mut snapshot = Snapshot::of(ReadModel::Payments, &api, min).await?;
    let rows: Vec<PspRow> = sqlx::query_as(LIST).fetch_all(snapshot.db()).await.map_err(refused)?;
    let data = rows.into_iter().map(Psp::from).collect();
    Ok(snapshot.answer(Json(Psps { data })))
}

impl From<PspRow> for Psp {
    fn from(row: PspRow) -> Self {
        let health = row.breaker.map(|worst| Health {
            breaker: match worst {
                2 => "open",
                1 => "half_open",
                _ => "closed",
            },
            calls: row.calls.unwrap_or(0),
            errors: row.errors.unwrap_or(0),
            under_way: row.under_way.unwrap_or(0),
            workers: row.workers.unwrap_or(0),
        });
        Self {
            psp: row.psp,
            disabled: row.disabled,
            reason: row.reason,
            switched_at: row.changed_at.map(timestamp),
            health,
        }
    }
}
