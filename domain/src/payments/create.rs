//! Creating a payment.

use serde::{Deserialize, Serialize};

use super::authorize::authorization_requested;
use super::transition::Transition;
use super::{Payment, PaymentIntent, PaymentMethod};
use crate::Context;
use crate::command::Decision;
use crate::ids::{MerchantId, PaymentId};
use crate::payments::PaymentEvent;
use crate::rejection::Rejection;
use crate::state::{StateKey, States};
use crate::stream::StreamId;

/// Asks to be paid. With a method it is authorized at once.
#[derive(Debug, Clone)]
pub struct CreatePayment {
    /// A fresh id.
    pub payment_id: PaymentId,
    /// Who is to be paid: the caller.
    pub merchant_id: MerchantId,
    /// What is to be paid.
    pub intent: PaymentIntent,
    /// How it is paid.
    pub method: Option<PaymentMethod>,
}

/// A payment was created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentCreated {
    /// The payment.
    pub payment_id: PaymentId,
    /// Who is to be paid.
    pub merchant_id: MerchantId,
    /// What is to be paid.
    pub intent: PaymentIntent,
    /// How it is paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub method: Option<PaymentMethod>,
}

impl CreatePayment {
    /// The merchant. The payment's own stream is not read: its id is fresh.
    pub(crate) fn reads(&self) -> Vec<StateKey> {
        vec![StateKey::Merchant(self.merchant_id)]
    }

    pub(crate) fn creates(&self) -> StateKey {
        StateKey::Payment(self.payment_id)
    }

    pub(crate) fn decide(
        &self,
        states: &impl States,
        context: &Context,
    ) -> Result<Decision, Rejection> {
        if states.payment(self.payment_id).is_some() {
            return Err(Rejection::PaymentIdTaken { payment_id: self.payment_id });
        }
        if states.merchant(self.merchant_id).is_none() {
            return Err(Rejection::MerchantNotFound { merchant_id: self.merchant_id });
        }
        let created = PaymentCreated {
            payment_id: self.payment_id,
            merchant_id: self.merchant_id,
            intent: self.intent.clone(),
            method: self.method.clone(),
        };
        let payment = Payment::before(&created, context.now);
        let has_method = created.method.is_some();
        let created = Transition::of(&payment, context).then(PaymentEvent::Created(created));
        let transition =
            if has_method { created.then(authorization_requested(&payment)) } else { created };
        Ok(transition.into_decision())
    }
}

impl PaymentCreated {
    /// The name of the payment's stream.
    pub fn stream(&self) -> StreamId {
        StreamId::payment(self.payment_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::given_when_then::{MERCHANT, given, merchant_registered};
    use crate::payments::scenario::{
        PAYMENT, authorization_requested, create, created, created_without_method, intent, method,
    };

    #[test]
    fn a_payment_with_a_method_is_to_be_authorized_at_once() {
        given([merchant_registered()])
            .when(create(intent("100.00"), Some(method("ok"))))
            .then([created("100.00"), authorization_requested()]);
    }

    #[test]
    fn a_payment_without_a_method_waits_for_one() {
        given([merchant_registered()])
            .when(create(intent("100.00"), None))
            .then([created_without_method("100.00")]);
    }

    #[test]
    fn an_id_is_used_once_whatever_the_merchant() {
        given([created("100.00")])
            .when(create(intent("100.00"), None))
            .then_rejected(Rejection::PaymentIdTaken { payment_id: PAYMENT });
    }

    #[test]
    fn only_a_registered_merchant_is_paid() {
        given([])
            .when(create(intent("100.00"), None))
            .then_rejected(Rejection::MerchantNotFound { merchant_id: MERCHANT });
    }
}
