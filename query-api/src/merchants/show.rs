//! `GET /v1/merchants/{id}`

use api_conventions::{Caller, IfNoneMatch, PathId, Problem, StrictQuery};
use axum::extract::State;
use axum::response::Response;
use domain::{MerchantId, StreamVersion};

use super::{Merchant, MerchantRow};
use crate::position::MinPosition;
use crate::read_model::ReadModel;
use crate::shown::Shown;
use crate::state::{ApiState, NoParameters};

const SHOW: &str = "
    select model.position as model_position, model.state as model_state,
        model.version as model_version, merchant_id is not null as found, merchant_id, name, fees,
        merchant.version, registered_at, registered_position
    from read.checkpoint as model
    left join read.merchants as merchant
        on merchant_id = $2 and ($3::uuid is null or merchant_id = $3)
    where projection = $1";

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
    let model = ReadModel::Access;
    let Shown { row, standing } =
        Shown::<MerchantRow>::by_key(SHOW, id.uuid(), model, &api, &caller, min).await?;
    let Some(row) = row else { return Ok(standing.said_in(Problem::not_found())) };
    let version = StreamVersion::from_number(row.version);
    Ok(standing.said_in(has.answer(version, Merchant::try_from(row)?)))
}
