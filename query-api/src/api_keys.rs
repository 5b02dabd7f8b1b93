//! `GET /v1/api-keys`

use api_conventions::{ListQuery, Page, PageParameters, Problem};
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use domain::{ApiKeyId, MerchantId, Timestamp};
use serde::{Deserialize, Serialize};
use sqlx::FromRow;
use time::OffsetDateTime;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::caller_scope::{OwnerFilter, owner};
use crate::database::refused;
use crate::position::MinPosition;
use crate::read_model::ReadModel;
use crate::row_values::timestamp;
use crate::snapshot::Snapshot;
use crate::state::ApiState;

/// An API key, without its secret, of which not even the digest is shown.
#[derive(Serialize, ToSchema)]
pub(crate) struct ApiKey {
    /// The public part.
    #[schema(value_type = String, example = "key_01h455vb4pex5vsknk084sn02q")]
    id: ApiKeyId,
    /// The merchant it is for; null for the roles of the platform.
    #[schema(value_type = Option<String>, required, example = "mer_01h455vb4pex5vsknk084sn02q")]
    merchant: Option<MerchantId>,
    /// What it allows.
    #[schema(example = "merchant")]
    role: String,
    /// What its holder calls it.
    #[schema(required, example = "checkout")]
    label: Option<String>,
    /// Its version: 1, and 2 once revoked.
    #[schema(example = 1)]
    version: i64,
    /// When it was given out.
    #[schema(value_type = String, format = DateTime)]
    recorded_at: Timestamp,
    /// When it was taken back; null as long as it opens anything.
    #[schema(value_type = Option<String>, format = DateTime, required)]
    revoked_at: Option<Timestamp>,
}

/// Which keys to list; all where nothing is given.
#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ApiKeyFilters {
    /// The keys of this merchant, or of the `platform` itself.
    #[param(value_type = Option<String>, example = "mer_01h455vb4pex5vsknk084sn02q")]
    merchant: Option<OwnerFilter>,
}

#[derive(FromRow)]
struct ApiKeyRow {
    key_id: Uuid,
    merchant_id: Uuid,
    role: String,
    label: Option<String>,
    version: i64,
    issued_at: OffsetDateTime,
    issued_position: i64,
    revoked_at: Option<OffsetDateTime>,
}

impl From<ApiKeyRow> for ApiKey {
    fn from(row: ApiKeyRow) -> Self {
        Self {
            id: ApiKeyId::from_uuid(row.key_id),
            merchant: owner(row.merchant_id),
            role: row.role,
            label: row.label,
            version: row.version,
            recorded_at: timestamp(row.issued_at),
            revoked_at: row.revoked_at.map(timestamp),
        }
    }
}

const LIST: &str = "
    select key_id, merchant_id, role, label, version, issued_at, issued_position, revoked_at
    from read.api_keys
    where ($1::uuid is null or merchant_id = $1)
        and ($2::bigint is null or issued_position < $2)
    order by issued_position desc
    limit $3";

/// List API keys
///
/// Those given out last first, the revoked ones too. For operators and auditors.
#[utoipa::path(
    get, path = "/v1/api-keys", tag = "access", params(ApiKeyFilters, PageParameters),
    responses(
        (status = 200, description = "A page", body = Page<ApiKey>),
        (status = 403, description = "`insufficient-scope`: for operators and auditors"),
    )
)]
pub(crate) async fn list_api_keys(
    State(api): State<ApiState>,
    query: ListQuery<ApiKeyFilters, i64>,
    min: MinPosition,
) -> Result<Response, Problem> {
    let mut snapshot = Snapshot::of(ReadModel::Access, &api, min).await?;
    let rows: Vec<ApiKeyRow> = sqlx::query_as(LIST)
        .bind(query.filters.merchant.map(OwnerFilter::uuid))
        .bind(query.after)
        .bind(i64::try_from(query.rows_to_read()).unwrap_or(i64::MAX))
        .fetch_all(snapshot.db())
        .await
        .map_err(refused)?;
    let page = Page::of(rows, query.limit, |row| row.issued_position, ApiKey::from);
    Ok(snapshot.answer(Json(page)))
}
