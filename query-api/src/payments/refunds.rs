//! `GET /v1/payments/{id}/refunds`

use api_conventions::{
    Caller, ListQuery, NoFilters, Page, PageParameters, PathId, Problem, RefundResource,
};
use axum::Json;
use axum::extract::State;
use axum::response::Response;
use domain::PaymentId;

use super::shown;
use crate::position::MinPosition;
use crate::state::ApiState;

/// List refunds
///
/// The refunds of a payment, those asked for last first.
#[utoipa::path(
    get, path = "/v1/payments/{id}/refunds", tag = "payments",
    params(
        ("id" = String, Path, description = "The payment",
         example = "pay_01h455vb4pex5vsknk084sn02q"),
        PageParameters,
    ),
    responses(
        (status = 200, description = "A page", body = Page<RefundResource>),
        (status = 404, description = "`not-found`: unknown, or another merchant's"),
    )
)]
pub(crate) async fn list_refunds(
    State(api): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<PaymentId>,
    query: ListQuery<NoFilters, i64>,
    min: MinPosition,
) -> Result<Response, Problem> {
    let (payment, standing) = shown(&api, &caller, id, min).await?;
    let Some(payment) = payment else { return Ok(standing.said_in(Problem::not_found())) };
    // By their number from 1, as the cursor names them.
    let count = i64::try_from(payment.refunds.len()).unwrap_or(i64::MAX);
    let numbered = (1..=count).rev().zip(payment.refunds.iter().rev());
    let rows: Vec<(i64, RefundResource)> = numbered
        .filter(|(number, _)| query.after.is_none_or(|after| *number < after))
        .take(query.rows_to_read())
        .map(|(number, refund)| (number, RefundResource::of(&payment, refund)))
        .collect();
    let page = Page::of(rows, query.limit, |(number, _)| *number, |(_, refund)| refund);
    Ok(standing.said_in(Json(page)))
}
