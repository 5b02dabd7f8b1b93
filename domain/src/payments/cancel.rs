//! Giving a payment up before anything is authorized.

use serde::{Deserialize, Serialize};

use super::transition::Transition;
use super::{PaymentAction, find_for};
use crate::Context;
use crate::command::Decision;
use crate::ids::{MerchantId, PaymentId};
use crate::payments::PaymentEvent;
use crate::rejection::Rejection;
use crate::state::{StateKey, States};
use crate::stream::StreamVersion;

/// Gives a payment up, and with it a retry that was to come.
#[derive(Debug, Clone)]
pub struct CancelPayment {
    /// The caller.
    pub merchant_id: MerchantId,
    /// The payment.
    pub payment_id: PaymentId,
    /// The versions at which the caller wants this done; any where it does not say.
    pub expected_versions: Option<Vec<StreamVersion>>,
}

/// A payment was given up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentCanceled {
    /// The payment.
    pub payment_id: PaymentId,
}

impl CancelPayment {
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
        let payment = find_for(states, merchant_id, payment_id, expected, PaymentAction::Cancel)?;
        let canceled = PaymentEvent::Canceled(PaymentCanceled { payment_id });
        Ok(Transition::of(payment, context).then(canceled).into_decision())
    }
}
