//! Authorizations lapse.

use serde::{Deserialize, Serialize};

use super::transition::Transition;
use super::{PaymentState, find};
use crate::Context;
use crate::command::Decision;
use crate::ids::{MerchantId, PaymentId};
use crate::payments::PaymentEvent;
use crate::rejection::Rejection;
use crate::state::{State, StateKey, States};

/// Notes that an authorization lapsed, once its time has come.
#[derive(Debug, Clone)]
pub struct ExpireAuthorization {
    /// Whose payment it is.
    pub merchant_id: MerchantId,
    /// The payment.
    pub payment_id: PaymentId,
}

/// An authorization lapsed: what was not captured of it never will be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentExpired {
    /// The payment.
    pub payment_id: PaymentId,
}

impl ExpireAuthorization {
    pub(crate) fn reads(&self) -> Vec<StateKey> {
        vec![StateKey::Payment(self.payment_id)]
    }

    /// Not yet lapsed, or something is under way: nothing to do now.
    pub(crate) fn decide(
        &self,
        states: &impl States,
        context: &Context,
    ) -> Result<Decision, Rejection> {
        let payment_id = self.payment_id;
        let payment = find(states, self.merchant_id, payment_id)?;
        let holds = payment.standing == PaymentState::Authorized && payment.open.is_none();
        let lapsed =
            payment.authorization.as_ref().is_some_and(|held| held.expires_at <= context.now);
        if !holds || !lapsed {
            return Ok(Decision::Already(State::Payment(payment.clone().into())));
        }
        let expired = PaymentEvent::Expired(PaymentExpired { payment_id });
        Ok(Transition::of(payment, context).then(expired).into_decision())
    }
}
