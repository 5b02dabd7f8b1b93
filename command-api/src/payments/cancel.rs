//! `POST /v1/payments/{id}/cancel`

use api_conventions::{CommandEnvelope, PathId, PaymentResource, Prefer, Problem};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use domain::payments::CancelPayment;
use domain::{Command, PaymentId};

use super::settle::{Wanted, settle};
use crate::limits::EMPTY_BODY_BYTES_MAX;
use crate::state::ApiState;
use crate::versions::expected_versions;

/// Cancel a payment
///
/// Gives it up before anything is authorized, and with it a retry that was to come.
#[utoipa::path(
    post, path = "/v1/payments/{id}/cancel", tag = "payments",
    params(
        ("id" = String, Path, description = "The payment",
         example = "pay_01h455vb4pex5vsknk084sn02q"),
        ("If-Match" = Option<String>, Header,
         description = "Versions (`ETag`s) at which to do it; at any other: 412"),
        ("Prefer" = Option<String>, Header, description = "`respond-async`: do not wait for the PSP"),
    ),
    responses(
        (status = 200, description = "It has come to rest, see `state`", body = PaymentResource,
         headers(("ETag" = String, description = "The payment's version"))),
        (status = 202, description = "Accepted and under way, see `state`", body = PaymentResource),
        (status = 404, description = "`payment-not-found`, `not-found`"),
        (status = 409, description = "`payment-state-forbids`"),
        (status = 412, description = "`precondition-failed`: another version than `If-Match` says"),
    )
)]
pub(crate) async fn cancel_payment(
    State(api): State<ApiState>,
    PathId(payment_id): PathId<PaymentId>,
    prefer: Prefer,
    envelope: CommandEnvelope<EMPTY_BODY_BYTES_MAX>,
) -> Result<Response, Problem> {
    envelope.no_body()?;
    let merchant_id = envelope.caller.merchant_id;
    let expected_versions = expected_versions(envelope.if_match.as_ref());
    let command =
        Command::CancelPayment(CancelPayment { merchant_id, payment_id, expected_versions });
    let wanted = Wanted { merchant_id, payment_id, refund: None, success: StatusCode::OK };
    settle(&api.store, envelope, command, wanted, prefer).await
}
