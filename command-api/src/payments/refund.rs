//! `POST /v1/payments/{id}/refunds`

use api_conventions::{
    AmountDto, CommandEnvelope, FieldErrors, PathId, Prefer, Problem, RefundResource,
};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use domain::payments::RefundPayment;
use domain::{Command, Name, PaymentId, RefundId};
use serde::Deserialize;
use utoipa::ToSchema;

use super::capture::checked_amount;
use super::settle::{Wanted, settle};
use crate::limits::PAYMENT_ACTION_BODY_BYTES_MAX;
use crate::state::ApiState;
use crate::versions::expected_versions;

/// What is to be given back; everything where nothing is said.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({"amount": {"amount": "25.00", "currency": "USD"}, "reason": "damaged"}))]
pub(crate) struct NewRefund {
    /// How much; all that may be given back where it is not given.
    amount: Option<AmountDto>,
    /// Why, for people.
    #[schema(min_length = 1, max_length = 255)]
    reason: Option<String>,
}

/// Refund a payment
///
/// Gives captured money back, all of it or a part; several refunds may be under way at once. What is
/// under way counts against what may still be refunded. The platform's fee is not given back.
#[utoipa::path(
    post, path = "/v1/payments/{id}/refunds", tag = "payments", request_body = NewRefund,
    params(
        ("id" = String, Path, description = "The payment",
         example = "pay_01h455vb4pex5vsknk084sn02q"),
        ("If-Match" = Option<String>, Header,
         description = "Versions (`ETag`s) at which to do it; at any other: 412"),
        ("Prefer" = Option<String>, Header, description = "`respond-async`: do not wait for the PSP"),
    ),
    responses(
        (status = 201, description = "It has come to rest, see `state`", body = RefundResource),
        (status = 202, description = "Accepted and under way, see `state`", body = RefundResource),
        (status = 404, description = "`payment-not-found`, `not-found`"),
        (status = 409, description = "`payment-state-forbids`, `amount-above-refundable`, \
                                      `too-many-refunds`"),
        (status = 412, description = "`precondition-failed`: another version than `If-Match` says"),
        (status = 422, description = "`invalid-request`, `payment-currency-mismatch`"),
    )
)]
pub(crate) async fn refund_payment(
    State(api): State<ApiState>,
    PathId(payment_id): PathId<PaymentId>,
    prefer: Prefer,
    envelope: CommandEnvelope<PAYMENT_ACTION_BODY_BYTES_MAX>,
) -> Result<Response, Problem> {
    let merchant_id = envelope.caller.merchant_id;
    let refund_id = RefundId::from_uuid(api.store.ids().next());
    let expected_versions = expected_versions(envelope.if_match.as_ref());
    let body: NewRefund = envelope.json_or_default()?;
    let amount = checked_amount(body.amount.as_ref())?;
    let mut errors = FieldErrors::new();
    let reason = errors.check_optional("/reason", body.reason.map(|text| Name::parse(&text)));
    let reason = errors.finish(|| reason)?;
    let command = Command::RefundPayment(RefundPayment {
        merchant_id,
        payment_id,
        refund_id,
        amount,
        reason,
        expected_versions,
    });
    let (refund, success) = (Some(refund_id), StatusCode::CREATED);
    let wanted = Wanted { merchant_id, payment_id, refund, success };
    settle(&api.store, envelope, command, wanted, prefer).await
}
