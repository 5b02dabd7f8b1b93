//! Authorizing a payment: asking a PSP to hold the money.

use serde::{Deserialize, Serialize};

use super::transition::Transition;
use super::{ATTEMPTS_MAX, Payment, PaymentAction, PspName, find_for};
use crate::Context;
use crate::command::Decision;
use crate::ids::{MerchantId, PaymentId};
use crate::money::Amount;
use crate::payments::PaymentEvent;
use crate::rejection::Rejection;
use crate::state::{StateKey, States};
use crate::stream::StreamVersion;
use crate::time::Timestamp;

/// Asks for a payment to be authorized, for the first time or once more.
#[derive(Debug, Clone)]
pub struct AuthorizePayment {
    /// The caller.
    pub merchant_id: MerchantId,
    /// The payment.
    pub payment_id: PaymentId,
    /// The versions at which the caller wants this done; any where it does not say.
    pub expected_versions: Option<Vec<StreamVersion>>,
}

/// A payment is to be authorized.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorizationRequested {
    /// The payment.
    pub payment_id: PaymentId,
}

/// A PSP holds the money.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentAuthorized {
    /// The payment.
    pub payment_id: PaymentId,
    /// The attempt that came to this.
    pub attempt: u32,
    /// The PSP.
    pub psp: PspName,
    /// What it calls the authorization.
    pub psp_reference: String,
    /// How much; may be less than was asked for.
    pub amount: Amount,
    /// When it lapses.
    pub expires_at: Timestamp,
}

pub(super) fn authorization_requested(payment: &Payment) -> PaymentEvent {
    PaymentEvent::AuthorizationRequested(AuthorizationRequested { payment_id: payment.id })
}

impl AuthorizePayment {
    pub(crate) fn reads(&self) -> Vec<StateKey> {
        vec![StateKey::Payment(self.payment_id)]
    }

    pub(crate) fn decide(
        &self,
        states: &impl States,
        context: &Context,
    ) -> Result<Decision, Rejection> {
        let expected = self.expected_versions.as_deref();
        let (merchant_id, payment_id) = (self.merchant_id, self.payment_id);
        let payment =
            find_for(states, merchant_id, payment_id, expected, PaymentAction::Authorize)?;
        if payment.method.is_none() {
            return Err(Rejection::PaymentMethodMissing { payment_id });
        }
        if payment.attempts.len() >= ATTEMPTS_MAX {
            return Err(Rejection::TooManyAttempts { payment_id });
        }
        let requested = authorization_requested(payment);
        Ok(Transition::of(payment, context).then(requested).into_decision())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::given_when_then::given;
    use crate::payments::scenario::{
        PAYMENT, authorization_requested, authorize, created, created_without_method, declined_hard,
    };

    #[test]
    fn a_payment_without_a_method_cannot_be_authorized() {
        given([created_without_method("1.00")])
            .when(authorize())
            .then_rejected(Rejection::PaymentMethodMissing { payment_id: PAYMENT });
    }

    #[test]
    fn a_declined_payment_may_be_tried_again() {
        let history = [vec![created("1.00")], declined_hard()].concat();
        given(history).when(authorize()).then([authorization_requested()]);
    }
}
