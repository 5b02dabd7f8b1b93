//! Giving a payment another method, while nothing is authorized.

use serde::{Deserialize, Serialize};

use super::transition::Transition;
use super::{PaymentAction, PaymentMethod, find_for};
use crate::Context;
use crate::command::Decision;
use crate::ids::{MerchantId, PaymentId};
use crate::payments::PaymentEvent;
use crate::rejection::Rejection;
use crate::state::{StateKey, States};
use crate::stream::StreamVersion;

/// Gives a payment another method. A retry that was to come with the old one is dropped.
#[derive(Debug, Clone)]
pub struct ReplaceMethod {
    /// The caller.
    pub merchant_id: MerchantId,
    /// The payment.
    pub payment_id: PaymentId,
    /// The method.
    pub method: PaymentMethod,
    /// The versions at which the caller wants this done; any where it does not say.
    pub expected_versions: Option<Vec<StreamVersion>>,
}

/// A payment has another method.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MethodReplaced {
    /// The payment.
    pub payment_id: PaymentId,
    /// The method.
    pub method: PaymentMethod,
}

impl ReplaceMethod {
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
            find_for(states, merchant_id, payment_id, expected, PaymentAction::ReplaceMethod)?;
        let replaced = MethodReplaced { payment_id, method: self.method.clone() };
        let replaced = PaymentEvent::MethodReplaced(replaced);
        Ok(Transition::of(payment, context).then(replaced).into_decision())
    }
}
