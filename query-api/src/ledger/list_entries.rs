//! `GET /v1/ledger/entries`

use api_conventions::{Caller, ListQuery, Page, PageParameters, Problem};
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use domain::{EntryId, Timestamp};
use serde::Deserialize;
use utoipa::IntoParams;

use super::{EntryRow, EntrySummary};
use crate::caller_scope::{OwnerFilter, visible_to};
use crate::database::refused;
use crate::ledgers::ids_named;
use crate::log::TimeRange;
use crate::position::MinPosition;
use crate::read_model::ReadModel;
use crate::snapshot::Snapshot;
use crate::state::ApiState;

/// Which entries to list; all where nothing is given.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EntryFilters {
    /// The entry that its ledger calls so.
    #[param(example = "order-1042")]
    external_ref: Option<String>,
    /// The entries of this merchant, or of the `platform` itself.
    #[param(value_type = Option<String>, example = "mer_01h455vb4pex5vsknk084sn02q")]
    ledger: Option<OwnerFilter>,
    /// Not recorded before this time (RFC 3339).
    #[param(value_type = Option<String>, format = DateTime, example = "2026-01-01T00:00:00Z")]
    from: Option<Timestamp>,
    /// Recorded before this time (RFC 3339).
    #[param(value_type = Option<String>, format = DateTime, example = "2026-02-01T00:00:00Z")]
    to: Option<Timestamp>,
}

const LIST: &str = "
    select entry_id, ledger, external_ref, description, metadata, reverses, reversed_by,
        posting_count, version, position, recorded_at
    from read.entries
    where ($1::uuid is null or ledger = $1)
        and ($2::uuid is null or ledger = $2)
        and ($3::uuid[] is null or position = any(array(
            select position from read.entries where entry_id = any($3))))
        and ($4::bigint is null or position < $4)
        and position > $5 and position <= $6
    order by position desc
    limit $7";

/// List entries
///
/// The entries that the key may see, newest first, without their postings.
#[utoipa::path(
    get, path = "/v1/ledger/entries", tag = "ledger", params(EntryFilters, PageParameters),
    responses((status = 200, description = "A page", body = Page<EntrySummary>))
)]
pub(crate) async fn list_entries(
    State(api): State<ApiState>,
    caller: Caller,
    query: ListQuery<EntryFilters, i64>,
    min: MinPosition,
) -> Result<Response, Problem> {
    let EntryFilters { external_ref, ledger, from, to } = &query.filters;
    let mut snapshot = Snapshot::of(ReadModel::LedgerBalance, &api, min).await?;
    let visible = visible_to(&caller);
    let ledger = ledger.map(OwnerFilter::uuid);
    let named = |ledger, text: &str| EntryId::of_recorded(ledger, text).uuid();
    let ids = ids_named(snapshot.db(), external_ref.as_deref(), visible, ledger, named).await?;
    let range = TimeRange::between(*from, *to, snapshot.db()).await.map_err(refused)?;
    let rows: Vec<EntryRow> = sqlx::query_as(LIST)
        .bind(visible)
        .bind(ledger)
        .bind(ids)
        .bind(query.after)
        .bind(range.after.number())
        .bind(range.up_to.number())
        .bind(i64::try_from(query.rows_to_read()).unwrap_or(i64::MAX))
        .fetch_all(snapshot.db())
        .await
        .map_err(refused)?;
    let page = Page::of(rows, query.limit, |row| row.position, EntrySummary::from);
    Ok(snapshot.answer(Json(page)))
}
