//! `PUT /v1/payments/{id}/method`

use api_conventions::{
    CommandEnvelope, FieldErrors, PathId, PaymentResource, Pointer, Prefer, Problem,
};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use domain::payments::ReplaceMethod;
use domain::{Command, PaymentId};

use super::NewMethod;
use super::settle::{Wanted, settle};
use crate::limits::PAYMENT_ACTION_BODY_BYTES_MAX;
use crate::state::ApiState;
use crate::versions::expected_versions;

/// Replace the method
///
/// Gives the payment another method, as long as nothing is authorized or being authorized. A retry that
/// was to come with the old one is dropped; authorize it to go on.
#[utoipa::path(
    put, path = "/v1/payments/{id}/method", tag = "payments", request_body = NewMethod,
    params(
        ("id" = String, Path, description = "The payment",
         example = "pay_01h455vb4pex5vsknk084sn02q"),
        ("If-Match" = Option<String>, Header,
         description = "Versions (`ETag`s) at which to do it; at any other: 412"),
    ),
    responses(
        (status = 200, description = "Replaced", body = PaymentResource,
         headers(("ETag" = String, description = "The payment's version"))),
        (status = 404, description = "`payment-not-found`, `not-found`"),
        (status = 409, description = "`payment-state-forbids`"),
        (status = 412, description = "`precondition-failed`: another version than `If-Match` says"),
    )
)]
pub(crate) async fn replace_method(
    State(api): State<ApiState>,
    PathId(payment_id): PathId<PaymentId>,
    envelope: CommandEnvelope<PAYMENT_ACTION_BODY_BYTES_MAX>,
) -> Result<Response, Problem> {
    let merchant_id = envelope.caller.merchant_id;
    let expected_versions = expected_versions(envelope.if_match.as_ref());
    let mut errors = FieldErrors::new();
    let method = envelope.json::<NewMethod>()?.checked(&mut errors, &Pointer::from(""));
    let command = errors.finish(|| {
        Some(ReplaceMethod { merchant_id, payment_id, method: method?, expected_versions })
    })?;
    let wanted = Wanted { merchant_id, payment_id, refund: None, success: StatusCode::OK };
    let command = Command::ReplaceMethod(command);
    settle(&api.store, envelope, command, wanted, Prefer::default()).await
}
