//! Looking at a payment in the order of the log, for the answer to a request that took several appends.

use crate::Context;
use crate::command::Decision;
use crate::ids::{MerchantId, PaymentId};
use crate::rejection::Rejection;
use crate::state::{State, StateKey, States};

use super::find;

/// Changes nothing: the decision is the payment as it is.
#[derive(Debug, Clone)]
pub struct ShowPayment {
    /// Whose it is.
    pub merchant_id: MerchantId,
    /// The payment.
    pub payment_id: PaymentId,
}

impl ShowPayment {
    pub(crate) fn reads(&self) -> Vec<StateKey> {
        vec![StateKey::Payment(self.payment_id)]
    }

    pub(crate) fn decide(&self, states: &impl States, _: &Context) -> Result<Decision, Rejection> {
        let payment = find(states, self.merchant_id, self.payment_id)?;
        Ok(Decision::Already(State::Payment(payment.clone().into())))
    }
}
