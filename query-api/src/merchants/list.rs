//! `GET /v1/merchants`

use api_conventions::{Caller, ListQuery, NoFilters, Page, PageParameters, Problem};
use axum::Json;
use axum::extract::State;
use axum::response::Response;

use super::{Merchant, MerchantRow};
use crate::caller_scope::visible_to;
use crate::database::refused;
use crate::position::MinPosition;
use crate::read_model::ReadModel;
use crate::snapshot::Snapshot;
use crate::state::ApiState;

const LIST: &str = "
    select merchant_id, name, fees, version, registered_at, registered_position
    from read.merchants
    where ($1::uuid is null or merchant_id = $1)
        and ($2::bigint is null or registered_position < $2)
    order by registered_position desc
    limit $3";

/// List merchants
///
/// Those taken on last first. A merchant's key sees that merchant only.
#[utoipa::path(
    get, path = "/v1/merchants", tag = "access", params(PageParameters),
    responses((status = 200, description = "A page", body = Page<Merchant>))
)]
pub(crate) async fn list_merchants(
    State(api): State<ApiState>,
    caller: Caller,
    query: ListQuery<NoFilters, i64>,
    min: MinPosition,
) -> Result<Response, Problem> {
    let mut snapshot = Snapshot::of(ReadModel::Access, &api, min).await?;
    let rows: Vec<MerchantRow> = sqlx::query_as(LIST)
        .bind(visible_to(&caller))
        .bind(query.after)
        .bind(i64::try_from(query.rows_to_read()).unwrap_or(i64::MAX))
        .fetch_all(snapshot.db())
        .await
        .map_err(refused)?;
    let keyed = rows.into_iter().map(|row| Ok((row.registered_position, Merchant::try_from(row)?)));
    let rows: Vec<(i64, Merchant)> = keyed.collect::<Result<_, Problem>>()?;
    let page = Page::of(rows, query.limit, |(registered, _)| *registered, |(_, merchant)| merchant);
    Ok(snapshot.answer(Json(page)))
}
