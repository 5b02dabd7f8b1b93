//! Starting an attempt: its intent and its key go into the log before anything goes to the PSP.

use super::transition::Transition;
use super::withhold::{Withheld, room};
use super::{
    AttemptKey, AttemptStarted, AttemptWithheld, Operation, PaymentMethod, PaymentPolicy, PspName,
    find,
};
use crate::Context;
use crate::command::Decision;
use crate::ids::{CardId, MerchantId, PaymentId};
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
    /// What it is to be paid with, as whoever sends it has seen it.
    pub method: Option<PaymentMethod>,
    /// The times to go by.
    pub policy: PaymentPolicy,
}

impl StartAttempt {
    pub(crate) fn reads(&self) -> Vec<StateKey> {
        let mut keys = vec![StateKey::Payment(self.payment_id), StateKey::Psp(self.psp.clone())];
        if self.operation.authorizes() {
            keys.extend(self.card().map(StateKey::Card));
        }
        keys
    }

    fn card(&self) -> Option<CardId> {
        self.method.as_ref()?.card(self.merchant_id)
    }

    /// Rules: the operation is under way, and due; what follows an authorization goes to its PSP; that one
    /// is not switched off; and where the card may not be tried, the attempt is withheld.
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
            Phase::Due { at } if at <= payment.reached(context.now) => {}
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
        if self.operation.authorizes() {
            // It would be sent with a method that was replaced.
            if self.method != payment.method {
                return Err(not_due);
            }
            let card = self.card().and_then(|card| states.card(card));
            if let Err(withheld) = room(payment, card, &self.policy, context.now) {
                let Withheld { limit, retry_at } = withheld;
                let withheld = AttemptWithheld { payment_id, limit, retry_at };
                let withheld = PaymentEvent::AttemptWithheld(withheld);
                return Ok(Transition::of(payment, context).then(withheld).into_decision());
            }
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
