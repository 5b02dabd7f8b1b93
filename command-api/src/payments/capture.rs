//! `POST /v1/payments/{id}/capture`

use api_conventions::{
    AmountDto, CommandEnvelope, FieldErrors, PathId, PaymentResource, Pointer, Prefer, Problem,
};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use domain::payments::CapturePayment;
use domain::{Amount, Command, PaymentId};
use serde::Deserialize;
use utoipa::ToSchema;

use super::settle::{Wanted, settle};
use crate::limits::PAYMENT_ACTION_BODY_BYTES_MAX;
use crate::state::ApiState;
use crate::versions::expected_versions;

/// What is to be captured; everything where nothing is said.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({"amount": {"amount": "40.00", "currency": "USD"}, "final_capture": false}))]
pub(crate) struct NewCapture {
    /// How much; all that is held where it is not given.
    amount: Option<AmountDto>,
    /// Whether the rest is released; `false` where it is not given.
    final_capture: bool,
}

/// Capture a payment
///
/// Takes money that is authorized, all of it or a part; several parts one after the other until one is
/// the `final_capture`. Each is booked by itself, with its own fee.
#[utoipa::path(
    post, path = "/v1/payments/{id}/capture", tag = "payments", request_body = NewCapture,
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
        (status = 409, description = "`payment-state-forbids`, `amount-above-capturable`, \
                                      `too-many-captures`"),
        (status = 412, description = "`precondition-failed`: another version than `If-Match` says"),
        (status = 422, description = "`invalid-request`, `payment-currency-mismatch`"),
    )
)]
pub(crate) async fn capture_payment(
    State(api): State<ApiState>,
    PathId(payment_id): PathId<PaymentId>,
    prefer: Prefer,
    envelope: CommandEnvelope<PAYMENT_ACTION_BODY_BYTES_MAX>,
) -> Result<Response, Problem> {
    let merchant_id = envelope.caller.merchant_id;
    let expected_versions = expected_versions(envelope.if_match.as_ref());
    let body: NewCapture = envelope.json_or_default()?;
    let amount = checked_amount(body.amount.as_ref())?;
    let final_capture = body.final_capture;
    let command =
        CapturePayment { merchant_id, payment_id, amount, final_capture, expected_versions };
    let wanted = Wanted { merchant_id, payment_id, refund: None, success: StatusCode::OK };
    settle(&api.store, envelope, Command::CapturePayment(command), wanted, prefer).await
}

/// The amount of a part, if one is given.
pub(super) fn checked_amount(amount: Option<&AmountDto>) -> Result<Option<Amount>, Problem> {
    let mut errors = FieldErrors::new();
    let checked = match amount {
        Some(amount) => amount.positive(&mut errors, &Pointer::from("/amount")).map(Some),
        None => Some(None),
    };
    errors.finish(|| checked)
}
