//! Starting an attempt: its intent and its key go into the log before anything goes to the PSP.

use super::transition::Transition;
use super::{AttemptKey, AttemptStarted, Operation, PaymentPolicy, PspName, find};
use crate::Context;
use crate::command::Decision;
use crate::ids::{MerchantId, PaymentId};
use crate::money::Amount;
use crate::payments::PaymentEvent;
use crate::payments::Phase;
use crate::rejection::Rejection;
use crate::state::{StateKey, States};

/// Puts the next attempt of an operation into the log. Whoever's command this is sends it; any other
/// worker that tried the same is rejected.
#[derive(Debug, Clone)]
pub struct StartAttempt {
    /// Whose payment it is.
    pub merchant_id: MerchantId,
    /// The payment.
    pub payment_id: PaymentId,
    /// The operation: [`Operation::Sale`] in the place of [`Operation::Authorize`] where the money is to
    /// be taken at once and the PSP can do that in one call.
    pub operation: Operation,
    /// Whom to ask.
    pub psp: PspName,
    /// The times to go by.
    pub policy: PaymentPolicy,
}

impl StartAttempt {
    pub(crate) fn reads(&self) -> Vec<StateKey> {
        vec![StateKey::Payment(self.payment_id), StateKey::Psp(self.psp.clone())]
    }

    /// Rules: the operation is under way, and due; what follows an authorization goes to its PSP; that one
    /// is not switched off.
    pub(crate) fn decide(
        &self,
        states: &impl States,
        context: &Context,
    ) -> Result<Decision, Rejection> {
        let payment_id = self.payment_id;
        let payment = find(states, self.merchant_id, payment_id)?;
        let not_due = Rejection::AttemptNotDue { payment_id, operation: self.operation };
        let open = match self.operation {
            Operation::Authorize | Operation::Sale => payment
                .open_operation(Operation::Authorize)
                .or_else(|| payment.open_operation(Operation::Sale)),
            Operation::Capture { .. }
            | Operation::Void
            | Operation::Refund { .. }
            | Operation::Reverse { .. } => payment.open_operation(self.operation),
        };
        let Some(open) = open else { return Err(not_due) };
        match open.phase {
            Phase::Due { at } if at <= context.now => {}
            Phase::Due { .. } | Phase::Sent { .. } | Phase::Unknown { .. } => return Err(not_due),
        }
        let bound_to = match self.operation {
            Operation::Authorize | Operation::Sale => Some(&self.psp),
            Operation::Capture { .. } | Operation::Void | Operation::Refund { .. } => {
                payment.authorization.as_ref().map(|held| &held.psp)
            }
            Operation::Reverse { attempt } => payment.late(attempt).map(|late| &late.psp),
        };
        if bound_to != Some(&self.psp) {
            return Err(not_due);
        }
        if states.psp(&self.psp).is_some_and(|psp| psp.disabled) {
            return Err(Rejection::PspIsDisabled { payment_id, psp: self.psp.clone() });
        }
        let currency = payment.amount().currency();
        let amount = Amount::from_minor(open.amount_minor, currency).map_err(|_| not_due)?;
        let attempt = u32::try_from(payment.attempts.len() + 1).unwrap_or(u32::MAX);
        let started = PaymentEvent::AttemptStarted(AttemptStarted {
            payment_id,
            attempt,
            operation: self.operation,
            psp: self.psp.clone(),
            key: AttemptKey::of(payment_id, attempt),
            amount,
            ask_at: context.now.plus_millis(self.policy.ask_after_ms),
        });
        Ok(Transition::of(payment, context).then(started).into_decision())
    }
}
