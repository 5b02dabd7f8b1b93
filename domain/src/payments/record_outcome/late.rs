//! What is heard of an attempt that was given up, and of giving back what it took.

use super::super::{
    Attempt, AttemptConfirmed, Late, LateReversalFailed, LateSuccess, LateSuccessFailed,
    LateSuccessReversed, Operation, PaymentEvent, booking,
};
use super::{ATTEMPTS_MAX, RecordOutcome, Transition};
use crate::money::Amount;
use crate::state::States;
use crate::time::Timestamp;

impl RecordOutcome {
    /// What a PSP did in an attempt that was given up goes back; but for what gave money back itself, which is
    /// booked, and a release, which leaves nothing to go back.
    pub(super) fn came_late<'c>(
        &self,
        states: &impl States,
        transition: Transition<'c>,
        attempt: &Attempt,
        psp_reference: &str,
        amount: Amount,
    ) -> Transition<'c> {
        let payment_id = self.payment_id;
        let taken = match attempt.operation {
            Operation::Authorize => false,
            Operation::Sale | Operation::Capture { .. } => true,
            Operation::Refund { refund_id } => {
                return self.refunded(states, transition, refund_id, psp_reference, amount);
            }
            Operation::Reverse { attempt } => {
                return self.reversed(states, transition, attempt, psp_reference);
            }
            Operation::Void => {
                let confirmed = AttemptConfirmed { payment_id, attempt: attempt.number };
                return transition.then(PaymentEvent::AttemptConfirmed(confirmed));
            }
        };
        let payment = transition.payment();
        let booking = booking::late(payment, &self.psp, attempt.number, Late::FIRST, amount);
        // What the PSP calls a capture does not name the charge that it is of.
        let charge = match attempt.operation {
            Operation::Capture { .. } => payment.authorization.as_ref(),
            _ => None,
        };
        let psp_reference = charge.map_or(psp_reference, |held| held.psp_reference.as_str());
        let late = PaymentEvent::LateSuccess(LateSuccess {
            payment_id,
            attempt: attempt.number,
            psp: self.psp.clone(),
            psp_reference: psp_reference.to_owned(),
            amount,
            entry_id: taken.then(|| booking.entry_id()),
        });
        let transition = transition.then(late);
        if taken { transition.booked(states, &self.psp, booking) } else { transition }
    }

    /// What an attempt gave back; nothing where nothing was ever taken late, which no attempt reverses.
    pub(super) fn reversed<'c>(
        &self,
        states: &impl States,
        transition: Transition<'c>,
        reversed: u32,
        psp_reference: &str,
    ) -> Transition<'c> {
        let payment = transition.payment();
        let Some(late) = payment.late(reversed) else { return transition };
        let taken = late.taken;
        let amount = Amount::recorded(late.amount_minor, self.currency);
        let booking = booking::late_gone(payment, late, self.attempt, amount);
        let event = PaymentEvent::LateSuccessReversed(LateSuccessReversed {
            payment_id: self.payment_id,
            reversed,
            attempt: self.attempt,
            psp_reference: psp_reference.to_owned(),
            entry_id: taken.then(|| booking.entry_id()),
        });
        let transition = transition.then(event);
        if taken { transition.booked(states, &self.psp, booking) } else { transition }
    }

    /// What was taken late came back to the payer by itself. A reversal that is under way goes on: what came of
    /// it has to be known.
    pub(super) fn late_failed<'c>(
        &self,
        states: &impl States,
        transition: Transition<'c>,
        attempt: &Attempt,
        code: &str,
    ) -> Transition<'c> {
        let payment = transition.payment();
        let Some(late) = payment.late(attempt.number) else { return transition };
        let taken = late.taken;
        let amount = Amount::recorded(late.amount_minor, self.currency);
        let booking = booking::late_gone(payment, late, attempt.number, amount);
        let transition = transition.then(PaymentEvent::LateSuccessFailed(LateSuccessFailed {
            payment_id: self.payment_id,
            attempt: attempt.number,
            code: code.to_owned(),
            entry_id: taken.then(|| booking.entry_id()),
        }));
        if taken { transition.booked(states, &self.psp, booking) } else { transition }
    }

    /// The payer did not get back what was taken late: it is booked as before, and reversed once more.
    pub(super) fn reversal_failed<'c>(
        &self,
        states: &impl States,
        transition: Transition<'c>,
        attempt: &Attempt,
        reversed: u32,
        code: &str,
    ) -> Transition<'c> {
        let payment = transition.payment();
        let Some(late) = payment.late(reversed) else { return transition };
        let taken = late.taken;
        let amount = Amount::recorded(late.amount_minor, self.currency);
        let booking = booking::late(payment, &self.psp, reversed, late.turn + 1, amount);
        // It is held once more than before.
        let held = late.held >= 0;
        let retry_at = held.then(|| self.reverse_again_at(&transition, reversed)).flatten();
        let transition = transition.then(PaymentEvent::LateReversalFailed(LateReversalFailed {
            payment_id: self.payment_id,
            reversed,
            attempt: attempt.number,
            code: code.to_owned(),
            entry_id: taken.then(|| booking.entry_id()),
            retry_at,
        }));
        if taken { transition.booked(states, &self.psp, booking) } else { transition }
    }

    /// When what is still held is reversed again; it may have come back by itself meanwhile.
    pub(super) fn reverse_while_held_at(
        &self,
        transition: &Transition<'_>,
        reversed: u32,
    ) -> Option<Timestamp> {
        let late = transition.payment().late(reversed).filter(|late| late.held > 0)?;
        self.reverse_again_at(transition, late.attempt)
    }

    /// What nobody asked for has to go back, however often a PSP says no; with pauses that grow, so that the
    /// most attempts there may be are years.
    fn reverse_again_at(&self, transition: &Transition<'_>, reversed: u32) -> Option<Timestamp> {
        let payment = transition.payment();
        let reversals = payment.attempts.iter().filter(|attempt| match attempt.operation {
            Operation::Reverse { attempt } => attempt == reversed,
            Operation::Authorize
            | Operation::Sale
            | Operation::Capture { .. }
            | Operation::Void
            | Operation::Refund { .. } => false,
        });
        // The one under way is among them.
        let before = u32::try_from(reversals.count().saturating_sub(1)).unwrap_or(u32::MAX);
        let pause = self.policy.reverse_pause_ms(before);
        (payment.attempts.len() < ATTEMPTS_MAX).then(|| transition.context().now.plus_millis(pause))
    }
}
