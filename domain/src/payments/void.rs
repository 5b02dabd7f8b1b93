//! Releasing an authorization.

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

/// Asks for an authorization of which nothing was captured to be released.
#[derive(Debug, Clone)]
pub struct VoidPayment {
    /// The caller.
    pub merchant_id: MerchantId,
    /// The payment.
    pub payment_id: PaymentId,
    /// The versions at which the caller wants this done; any where it does not say.
    pub expected_versions: Option<Vec<StreamVersion>>,
}

/// An authorization is to be released.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VoidRequested {
    /// The payment.
    pub payment_id: PaymentId,
}

/// An authorization was released.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentVoided {
    /// The payment.
    pub payment_id: PaymentId,
    /// The attempt that came to this.
    pub attempt: u32,
    /// What the PSP calls the release.
    pub psp_reference: String,
}

impl VoidPayment {
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
        let payment = find_for(states, merchant_id, payment_id, expected, PaymentAction::Void)?;
        let requested = PaymentEvent::VoidRequested(VoidRequested { payment_id });
        Ok(Transition::of(payment, context).then(requested).into_decision())
    }
}
