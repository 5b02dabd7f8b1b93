//! `GET /v1/merchants/{id}`

use api_conventions::{Caller, IfNoneMatch, PathId, Problem, StrictQuery};
use axum::extract::State;
use axum::response::Response;
use domain::{MerchantId, StreamVersion};

use super::{Merchant, MerchantRow};
use crate::caller_scope::visible_to;
use crate::database::refused;
use crate::position::MinPosition;
use crate::snapshot::{ReadModel, Snapshot};
use crate::state::{ApiState, NoParameters};

const SHOW: &str = "
    select merchant_id, name, fees, version, registered_at, registered_position
    from read.merchants
    where merchant_id = $1 and ($2::uuid is null or merchant_id = $2)";

/// Show a merchant
#[utoipa::path(
    get, path = "/v1/merchants/{id}", tag = "access",
    params(
        ("id" = String, Path, description = "The merchant",
         example = "mer_01h455vb4pex5vsknk084sn02q"),
        ("If-None-Match" = Option<String>, Header, description = "`ETag`s that need no answer",
         example = "\"1\""),
    ),
    responses(
        (status = 200, description = "The merchant", body = Merchant,
         headers(("ETag" = String, description = "The merchant's version"))),
        (status = 304, description = "It is as `If-None-Match` says"),
        (status = 404, description = "`not-found`: unknown, or another merchant"),
    )
)]
pub(crate) async fn show_merchant(
    State(api): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<MerchantId>,
    StrictQuery(NoParameters {}): StrictQuery<NoParameters>,
    has: IfNoneMatch,
    min: MinPosition,
) -> Result<Response, Problem> {
    let mut snapshot = Snapshot::of(ReadModel::Access, &api, min).await?;
    let row: Option<MerchantRow> = sqlx::query_as(SHOW)
        .bind(id.uuid())
        .bind(visible_to(&caller))
        .fetch_optional(snapshot.db())
        .await
        .map_err(refused)?;
    let Some(row) = row else { return Ok(snapshot.answer(Problem::not_found())) };
    let version = StreamVersion::from_number(row.version);
    Ok(snapshot.answer(has.answer(version, Merchant::try_from(row)?)))
}
