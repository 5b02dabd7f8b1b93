//! What can happen to a payment.

use super::{
    AttemptConfirmed, AttemptDeclined, AttemptFailed, AttemptPending, AttemptResent,
    AttemptStarted, AttemptUnknown, AttemptWithheld, AuthorizationRequested, CaptureFailed,
    CaptureRequested, LateReversalFailed, LateSuccess, LateSuccessFailed, LateSuccessReversed,
    MethodReplaced, PaymentAuthorized, PaymentCanceled, PaymentCaptured, PaymentCreated,
    PaymentExpired, PaymentVoided, PspNotified, RefundFailed, RefundRequested, RefundSucceeded,
    VoidRequested,
};
use crate::event::{Event, events};
use crate::ids::PaymentId;

events! {
    /// Everything that can happen to a payment.
    pub enum PaymentEvent {
        Created(PaymentCreated): "payment.created" v 1,
        MethodReplaced(MethodReplaced): "payment.method_replaced" v 1,
        AuthorizationRequested(AuthorizationRequested): "payment.authorization_requested" v 1,
        AttemptStarted(AttemptStarted): "payment.attempt_started" v 1,
        AttemptResent(AttemptResent): "payment.attempt_resent" v 1,
        AttemptPending(AttemptPending): "payment.attempt_pending" v 1,
        AttemptUnknown(AttemptUnknown): "payment.attempt_unknown" v 1,
        AttemptDeclined(AttemptDeclined): "payment.attempt_declined" v 1,
        AttemptFailed(AttemptFailed): "payment.attempt_failed" v 1,
        AttemptWithheld(AttemptWithheld): "payment.attempt_withheld" v 1,
        Authorized(PaymentAuthorized): "payment.authorized" v 1,
        CaptureRequested(CaptureRequested): "payment.capture_requested" v 1,
        Captured(PaymentCaptured): "payment.captured" v 1,
        CaptureFailed(CaptureFailed): "payment.capture_failed" v 1,
        VoidRequested(VoidRequested): "payment.void_requested" v 1,
        Voided(PaymentVoided): "payment.voided" v 1,
        Expired(PaymentExpired): "payment.expired" v 1,
        Canceled(PaymentCanceled): "payment.canceled" v 1,
        RefundRequested(RefundRequested): "payment.refund_requested" v 1,
        RefundSucceeded(RefundSucceeded): "payment.refund_succeeded" v 1,
        RefundFailed(RefundFailed): "payment.refund_failed" v 1,
        PspNotified(PspNotified): "payment.psp_notified" v 1,
        AttemptConfirmed(AttemptConfirmed): "payment.attempt_confirmed" v 1,
        LateSuccess(LateSuccess): "payment.late_success" v 1,
        LateSuccessReversed(LateSuccessReversed): "payment.late_success_reversed" v 1,
        LateSuccessFailed(LateSuccessFailed): "payment.late_success_failed" v 1,
        LateReversalFailed(LateReversalFailed): "payment.late_reversal_failed" v 1,
    }
}

impl From<PaymentEvent> for Event {
    fn from(event: PaymentEvent) -> Self {
        Self::Payment(event)
    }
}

impl PaymentEvent {
    /// The payment that it happened to.
    pub fn payment_id(&self) -> PaymentId {
        match self {
            Self::Created(event) => event.payment_id,
            Self::MethodReplaced(event) => event.payment_id,
            Self::AuthorizationRequested(event) => event.payment_id,
            Self::AttemptStarted(event) => event.payment_id,
            Self::AttemptResent(event) => event.payment_id,
            Self::AttemptPending(event) => event.payment_id,
            Self::AttemptUnknown(event) => event.payment_id,
            Self::AttemptDeclined(event) => event.payment_id,
            Self::AttemptFailed(event) => event.payment_id,
            Self::AttemptWithheld(event) => event.payment_id,
            Self::Authorized(event) => event.payment_id,
            Self::CaptureRequested(event) => event.payment_id,
            Self::Captured(event) => event.payment_id,
            Self::CaptureFailed(event) => event.payment_id,
            Self::VoidRequested(event) => event.payment_id,
            Self::Voided(event) => event.payment_id,
            Self::Expired(event) => event.payment_id,
            Self::Canceled(event) => event.payment_id,
            Self::RefundRequested(event) => event.payment_id,
            Self::RefundSucceeded(event) => event.payment_id,
            Self::RefundFailed(event) => event.payment_id,
            Self::PspNotified(event) => event.payment_id,
            Self::AttemptConfirmed(event) => event.payment_id,
            Self::LateSuccess(event) => event.payment_id,
            Self::LateSuccessReversed(event) => event.payment_id,
            Self::LateSuccessFailed(event) => event.payment_id,
            Self::LateReversalFailed(event) => event.payment_id,
        }
    }
}
