//! `GET /v1/payments/{id}`

use api_conventions::{Caller, IfNoneMatch, PathId, PaymentResource, Problem, StrictQuery};
use axum::extract::State;
use axum::response::Response;
use domain::PaymentId;

use super::shown;
use crate::position::MinPosition;
use crate::state::{ApiState, NoParameters};

/// Show a payment
///
/// The payment as it stands, with its amounts, captures and refunds.
#[utoipa::path(
    get, path = "/v1/payments/{id}", tag = "payments",
    params(
        ("id" = String, Path, description = "The payment",
         example = "pay_01h455vb4pex5vsknk084sn02q"),
        ("If-None-Match" = Option<String>, Header, description = "`ETag`s that need no answer",
         example = "\"4\""),
    ),
    responses(
        (status = 200, description = "The payment", body = PaymentResource,
         headers(("ETag" = String, description = "The payment's version"))),
        (status = 304, description = "It is as `If-None-Match` says"),
        (status = 404, description = "`not-found`: unknown, or another merchant's"),
    )
)]
pub(crate) async fn show_payment(
    State(api): State<ApiState>,
    caller: Caller,
    PathId(id): PathId<PaymentId>,
    StrictQuery(NoParameters {}): StrictQuery<NoParameters>,
    has: IfNoneMatch,
    min: MinPosition,
) -> Result<Response, Problem> {
    let (payment, standing) = shown(&api, &caller, id, min).await?;
    let Some(payment) = payment else { return Ok(standing.said_in(Problem::not_found())) };
    Ok(standing.said_in(has.answer(payment.version, PaymentResource::from(&payment))))
}
