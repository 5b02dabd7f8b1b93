//! Recording what came of an attempt: the payment's next state and, where money moved, its booking, in one
//! append.

mod declined;
mod late;

use super::attempt::{AttemptFailed, AttemptPending, AttemptResent, AttemptUnknown};
use super::booking::Booking;
use super::capture::capture_requested;
use super::transition::Transition;
use super::{
    ATTEMPTS_MAX, Attempt, AttemptConclusion, AttemptConfirmed, CaptureFailed, CaptureMethod,
    Check, OpenOperation, Operation, Payment, PaymentAuthorized, PaymentCaptured, PaymentPolicy,
    PaymentVoided, Phase, PspName, PspOutcome, RefundFailed, RefundSucceeded, UnknownReason,
    booking, find,
};
use crate::Context;
use crate::command::Decision;
use crate::currency::Currency;
use crate::ids::{CardId, MerchantId, PaymentId, RefundId};
use crate::merchants::Merchant;
use crate::money::Amount;
use crate::payments::PaymentEvent;
use crate::rejection::Rejection;
use crate::state::{State, StateKey, States};
use crate::stream::StreamVersion;
use crate::time::Timestamp;

/// Says what came of an attempt, as far as is known. Saying it again changes nothing.
#[derive(Debug, Clone)]
pub struct RecordOutcome {
    /// Whose payment it is.
    pub merchant_id: MerchantId,
    /// The payment.
    pub payment_id: PaymentId,
    /// The payment's currency, which names the accounts that are booked on.
    pub currency: Currency,
    /// The attempt.
    pub attempt: u32,
    /// Whom it was asked of.
    pub psp: PspName,
    /// The card that the payment is to be paid with.
    pub card: Option<CardId>,
    /// What came of it.
    pub outcome: PspOutcome,
    /// Whether another PSP could be asked at once.
    pub elsewhere: bool,
    /// The payment's version when the PSP was asked: what came after that is not answered by this.
    pub seen: StreamVersion,
    /// The times to go by.
    pub policy: PaymentPolicy,
}

impl RecordOutcome {
    pub(crate) fn reads(&self) -> Vec<StateKey> {
        let mut keys =
            vec![StateKey::Payment(self.payment_id), StateKey::Merchant(self.merchant_id)];
        match self.outcome {
            PspOutcome::Declined(_) => keys.extend(self.card.map(StateKey::Card)),
            // It may be sent again, unless the PSP is switched off.
            PspOutcome::NotFound => keys.push(StateKey::Psp(self.psp.clone())),
            PspOutcome::Succeeded { .. }
            | PspOutcome::Pending
            | PspOutcome::FailedLater { .. }
            | PspOutcome::Unknown { .. }
            | PspOutcome::NotSent { .. }
            | PspOutcome::Refused { .. } => {}
        }
        keys.extend(booking::Accounts::of(&self.psp, self.merchant_id, self.currency).keys());
        keys
    }

    pub(crate) fn decide(
        &self,
        states: &impl States,
        context: &Context,
    ) -> Result<Decision, Rejection> {
        let payment = find(states, self.merchant_id, self.payment_id)?;
        let attempt = payment.attempt(self.attempt).filter(|attempt| attempt.psp == self.psp);
        let unknown =
            Rejection::AttemptNotFound { payment_id: self.payment_id, attempt: self.attempt };
        let attempt = attempt.ok_or(unknown)?;
        let transition = Transition::of(payment, context);
        let open = payment.open_operation(attempt.operation);
        let under_way = open.filter(|open| open.attempt() == Some(attempt.number));
        match under_way {
            Some(open) => self.under_way(states, transition, attempt, open),
            None => self.concluded(states, transition, attempt),
        }
    }

    /// The first that is heard of the attempt, or more than was heard before.
    fn under_way(
        &self,
        states: &impl States,
        transition: Transition<'_>,
        attempt: &Attempt,
        open: &OpenOperation,
    ) -> Result<Decision, Rejection> {
        let transition = match &self.outcome {
            PspOutcome::Succeeded { psp_reference, amount_minor } => {
                match self.believed(attempt, *amount_minor) {
                    Some(amount) => {
                        self.succeeded(states, transition, attempt, psp_reference, amount)
                    }
                    None => {
                        self.unknown(transition, attempt, open, UnknownReason::UnreadableAnswer)
                    }
                }
            }
            PspOutcome::FailedLater { code } => match attempt.operation {
                // It succeeded first: both are booked, as the PSP's books have it.
                Operation::Sale | Operation::Capture { .. } | Operation::Refund { .. } => {
                    let (known_as, amount) = (attempt.key.as_str(), attempt.amount_minor);
                    let amount = Amount::recorded(amount, self.currency);
                    let transition = self.succeeded(states, transition, attempt, known_as, amount);
                    self.failed_later(states, transition, attempt, code)
                }
                // That these ever succeeded is not said, and nothing was booked for them.
                Operation::Authorize | Operation::Void | Operation::Reverse { .. } => {
                    self.failed(transition, attempt, code)
                }
            },
            PspOutcome::Declined(decline) => self.declined(states, transition, attempt, decline),
            PspOutcome::Pending => {
                let ask_at = self.policy.ask_again_at(transition.context().now, open.asked);
                let (payment_id, attempt) = (self.payment_id, attempt.number);
                transition.then(PaymentEvent::AttemptPending(AttemptPending {
                    payment_id,
                    attempt,
                    ask_at,
                }))
            }
            PspOutcome::Unknown { reason } => self.unknown(transition, attempt, open, *reason),
            PspOutcome::NotFound => self.not_found(states, transition, attempt, open),
            PspOutcome::NotSent { reason } => self.not_sent(transition, attempt, open, reason),
            PspOutcome::Refused { code } => self.failed(transition, attempt, code),
        };
        Ok(transition.into_decision())
    }

    /// What is heard of an attempt of which the end was known before.
    fn concluded(
        &self,
        states: &impl States,
        transition: Transition<'_>,
        attempt: &Attempt,
    ) -> Result<Decision, Rejection> {
        let already = || Decision::Already(State::Payment(transition.payment().clone().into()));
        let known = match &attempt.conclusion {
            Some(AttemptConclusion::Succeeded { .. }) => true,
            Some(AttemptConclusion::Declined { .. } | AttemptConclusion::Failed { .. }) => false,
            // Neither under way nor at its end: there is nothing to compare with.
            None => return Ok(already()),
        };
        let check = transition.payment().check(attempt.number).copied();
        // The PSP said something after it was asked for this: it is asked once more.
        let check = check.filter(|check| check.since <= self.seen);
        match &self.outcome {
            PspOutcome::FailedLater { code }
                if known && !transition.payment().failed_later(attempt) =>
            {
                Ok(self.failed_later(states, transition, attempt, code).into_decision())
            }
            PspOutcome::FailedLater { code }
                if transition.payment().late_may_fail(attempt.number) =>
            {
                Ok(self.late_failed(states, transition, attempt, code).into_decision())
            }
            PspOutcome::Succeeded { psp_reference, amount_minor }
                if !known && !transition.payment().came_late(attempt.number) =>
            {
                match (self.believed(attempt, *amount_minor), check) {
                    (Some(amount), _) => {
                        let late =
                            self.came_late(states, transition, attempt, psp_reference, amount);
                        Ok(late.into_decision())
                    }
                    (None, Some(check)) => Ok(self.ask_again(transition, check).into_decision()),
                    (None, None) => Ok(already()),
                }
            }
            PspOutcome::Pending | PspOutcome::Unknown { .. } | PspOutcome::NotSent { .. } => {
                match check {
                    Some(check) => Ok(self.ask_again(transition, check).into_decision()),
                    None => Ok(already()),
                }
            }
            PspOutcome::FailedLater { .. }
            | PspOutcome::Succeeded { .. }
            | PspOutcome::Declined(_)
            | PspOutcome::NotFound
            | PspOutcome::Refused { .. } => match check {
                Some(Check { attempt, .. }) => {
                    let confirmed = AttemptConfirmed { payment_id: self.payment_id, attempt };
                    let confirmed = PaymentEvent::AttemptConfirmed(confirmed);
                    Ok(transition.then(confirmed).into_decision())
                }
                None => Ok(already()),
            },
        }
    }

    fn ask_again<'c>(&self, transition: Transition<'c>, check: Check) -> Transition<'c> {
        let reason = match &self.outcome {
            PspOutcome::Unknown { reason } => *reason,
            _ => UnknownReason::ConnectionLost,
        };
        let ask_at = self.policy.ask_again_at(transition.context().now, check.asked);
        let (payment_id, attempt) = (self.payment_id, check.attempt);
        let unknown = AttemptUnknown { payment_id, attempt, reason, ask_at };
        transition.then(PaymentEvent::AttemptUnknown(unknown))
    }

    /// What an attempt moved. A PSP that says to have moved more than it was asked to, or nothing, is not
    /// believed; of a release it does not matter.
    fn believed(&self, attempt: &Attempt, amount_minor: i64) -> Option<Amount> {
        let minor = match attempt.operation {
            Operation::Void | Operation::Reverse { .. } => attempt.amount_minor,
            Operation::Authorize
            | Operation::Sale
            | Operation::Capture { .. }
            | Operation::Refund { .. } => amount_minor,
        };
        let amount = Amount::from_minor(minor, self.currency).ok()?;
        (amount.minor() <= attempt.amount_minor).then_some(amount)
    }

    fn succeeded<'c>(
        &self,
        states: &impl States,
        transition: Transition<'c>,
        attempt: &Attempt,
        psp_reference: &str,
        amount: Amount,
    ) -> Transition<'c> {
        let payment_id = self.payment_id;
        match attempt.operation {
            Operation::Authorize => self.authorized(transition, psp_reference, amount),
            Operation::Sale => self.captured(states, transition, 1, true, psp_reference, amount),
            Operation::Capture { capture } => {
                let open = transition.payment().open.as_ref();
                let closes = open.is_some_and(|open| open.closes);
                self.captured(states, transition, capture, closes, psp_reference, amount)
            }
            Operation::Void => transition.then(PaymentEvent::Voided(PaymentVoided {
                payment_id,
                attempt: self.attempt,
                psp_reference: psp_reference.to_owned(),
            })),
            Operation::Refund { refund_id } => {
                self.refunded(states, transition, refund_id, psp_reference, amount)
            }
            Operation::Reverse { attempt } => {
                self.reversed(states, transition, attempt, psp_reference)
            }
        }
    }

    fn authorized<'c>(
        &self,
        transition: Transition<'c>,
        psp_reference: &str,
        amount: Amount,
    ) -> Transition<'c> {
        let now = transition.context().now;
        let transition = transition.then(PaymentEvent::Authorized(PaymentAuthorized {
            payment_id: self.payment_id,
            attempt: self.attempt,
            psp: self.psp.clone(),
            psp_reference: psp_reference.to_owned(),
            amount,
            expires_at: now.plus_millis(self.policy.authorization_life_ms),
        }));
        match transition.payment().intent.capture_method {
            CaptureMethod::Automatic => {
                let requested = capture_requested(transition.payment(), amount, true);
                transition.then(requested)
            }
            CaptureMethod::Manual => transition,
        }
    }

    fn captured<'c>(
        &self,
        states: &impl States,
        transition: Transition<'c>,
        capture: u32,
        closes: bool,
        psp_reference: &str,
        amount: Amount,
    ) -> Transition<'c> {
        // A payment is created for a merchant that is there; without one it would be booked all the same.
        let merchant: Option<&Merchant> = states.merchant(self.merchant_id);
        let fee_minor = merchant.map_or(0, |merchant| merchant.fees.fee_minor(amount));
        let booking = booking::capture(transition.payment(), &self.psp, capture, amount, fee_minor);
        let captured = PaymentEvent::Captured(PaymentCaptured {
            payment_id: self.payment_id,
            capture,
            attempt: self.attempt,
            psp: self.psp.clone(),
            psp_reference: psp_reference.to_owned(),
            amount,
            fee_minor,
            entry_id: booking.entry_id(),
            closes,
        });
        transition.then(captured).booked(states, &self.psp, booking)
    }

    fn refunded<'c>(
        &self,
        states: &impl States,
        transition: Transition<'c>,
        refund_id: RefundId,
        psp_reference: &str,
        amount: Amount,
    ) -> Transition<'c> {
        let payment = transition.payment();
        let booking = booking::refund(payment, &self.psp, refund_id, self.attempt, amount);
        let succeeded = PaymentEvent::RefundSucceeded(RefundSucceeded {
            payment_id: self.payment_id,
            refund_id,
            attempt: self.attempt,
            psp_reference: psp_reference.to_owned(),
            amount,
            entry_id: booking.entry_id(),
        });
        transition.then(succeeded).booked(states, &self.psp, booking)
    }

    /// Undoes the booking of a capture, a refund or a reversal; nothing else fails later.
    fn failed_later<'c>(
        &self,
        states: &impl States,
        transition: Transition<'c>,
        attempt: &Attempt,
        code: &str,
    ) -> Transition<'c> {
        let undone = match attempt.operation {
            Operation::Sale | Operation::Capture { .. } => {
                self.capture_failed(transition.payment(), attempt, code)
            }
            Operation::Refund { refund_id } => {
                self.refund_failed(transition.payment(), refund_id, code)
            }
            Operation::Reverse { attempt: reversed } => {
                return self.reversal_failed(states, transition, attempt, reversed, code);
            }
            Operation::Authorize | Operation::Void => None,
        };
        match undone {
            Some((event, booking)) => transition.then(event).booked(states, &self.psp, booking),
            // Nothing of it was booked.
            None => transition,
        }
    }

    fn capture_failed(
        &self,
        payment: &Payment,
        attempt: &Attempt,
        code: &str,
    ) -> Option<(PaymentEvent, Booking)> {
        let capture = payment.captures.iter().find(|one| one.attempt == attempt.number)?;
        let amount = Amount::recorded(capture.amount_minor, self.currency);
        let booked =
            booking::capture(payment, &self.psp, capture.number, amount, capture.fee_minor);
        let booking = booking::undone(booked);
        let failed = PaymentEvent::CaptureFailed(CaptureFailed {
            payment_id: self.payment_id,
            capture: capture.number,
            code: code.to_owned(),
            entry_id: booking.entry_id(),
        });
        Some((failed, booking))
    }

    fn refund_failed(
        &self,
        payment: &Payment,
        refund_id: RefundId,
        code: &str,
    ) -> Option<(PaymentEvent, Booking)> {
        let refund = payment.refund(refund_id)?;
        let amount = Amount::recorded(refund.amount_minor, self.currency);
        let booked = booking::refund(payment, &self.psp, refund_id, self.attempt, amount);
        let booking = booking::undone(booked);
        let failed = PaymentEvent::RefundFailed(RefundFailed {
            payment_id: self.payment_id,
            refund_id,
            code: code.to_owned(),
            entry_id: booking.entry_id(),
        });
        Some((failed, booking))
    }

    fn unknown<'c>(
        &self,
        transition: Transition<'c>,
        attempt: &Attempt,
        open: &OpenOperation,
        reason: UnknownReason,
    ) -> Transition<'c> {
        let ask_at = self.policy.ask_again_at(transition.context().now, open.asked);
        let (payment_id, attempt) = (self.payment_id, attempt.number);
        let unknown = AttemptUnknown { payment_id, attempt, reason, ask_at };
        transition.then(PaymentEvent::AttemptUnknown(unknown))
    }

    /// Not found is no failure: the PSP may not have got round to it. After a grace the very same attempt is
    /// sent again, as long as the PSP knows its key; only then it certainly came to nothing.
    fn not_found<'c>(
        &self,
        states: &impl States,
        transition: Transition<'c>,
        attempt: &Attempt,
        open: &OpenOperation,
    ) -> Transition<'c> {
        let now = transition.context().now;
        let (payment_id, number) = (self.payment_id, attempt.number);
        if now < attempt.sent_at.plus_millis(self.policy.not_found_grace_ms) {
            return self.unknown(transition, attempt, open, UnknownReason::NotFoundYet);
        }
        if now < attempt.started_at.plus_millis(self.policy.keys_kept_ms) {
            if states.psp(&self.psp).is_some_and(|psp| psp.disabled) {
                return self.unknown(transition, attempt, open, UnknownReason::NotFoundYet);
            }
            let ask_at = now.plus_millis(self.policy.ask_after_ms);
            let resent = AttemptResent { payment_id, attempt: number, ask_at };
            return transition.then(PaymentEvent::AttemptResent(resent));
        }
        // That it never comes is likely, not certain.
        let check_at = now.plus_millis(self.policy.late_check_pause_ms);
        self.given_up(transition, attempt, "never_arrived", Some(check_at))
    }

    /// It may be sent again under another key, elsewhere even, since nobody charged for it; unless it was sent
    /// before under this one, of which nothing is known.
    fn not_sent<'c>(
        &self,
        transition: Transition<'c>,
        attempt: &Attempt,
        open: &OpenOperation,
        reason: &str,
    ) -> Transition<'c> {
        let in_doubt = matches!(open.phase, Phase::Unknown { .. });
        if in_doubt || open.asked > 0 || attempt.resent > 0 {
            return self.unknown(transition, attempt, open, UnknownReason::ConnectionLost);
        }
        let (payment_id, number) = (self.payment_id, attempt.number);
        let before = unsent_in_a_row(transition.payment(), attempt.operation);
        let now = transition.context().now;
        let retry_at = match attempt.operation {
            Operation::Reverse { attempt } => self.reverse_while_held_at(&transition, attempt),
            // The payer waits for an answer.
            Operation::Authorize | Operation::Sale => (before + 1
                < self.policy.unsent_attempts_max)
                .then(|| now.plus_millis(self.policy.unsent_retry_pause_ms)),
            // It can be done nowhere else, and later is better than not at all.
            Operation::Capture { .. } | Operation::Void | Operation::Refund { .. } => {
                let pause = self.policy.unsent_pause_ms(before);
                (before + 1 < self.policy.unsent_bound_attempts_max).then(|| now.plus_millis(pause))
            }
        };
        transition.then(PaymentEvent::AttemptFailed(AttemptFailed {
            payment_id,
            attempt: number,
            reason: reason.to_owned(),
            unsent: true,
            retry_at,
            check_at: None,
        }))
    }

    fn failed<'c>(
        &self,
        transition: Transition<'c>,
        attempt: &Attempt,
        reason: &str,
    ) -> Transition<'c> {
        // One that was sent before may have been carried out then.
        let doubtful = attempt.resent > 0;
        let check_at = transition.context().now.plus_millis(self.policy.late_check_pause_ms);
        self.given_up(transition, attempt, reason, doubtful.then_some(check_at))
    }

    fn given_up<'c>(
        &self,
        transition: Transition<'c>,
        attempt: &Attempt,
        reason: &str,
        check_at: Option<Timestamp>,
    ) -> Transition<'c> {
        let retry_at = match attempt.operation {
            Operation::Reverse { attempt } => self.reverse_while_held_at(&transition, attempt),
            Operation::Authorize
            | Operation::Sale
            | Operation::Capture { .. }
            | Operation::Void
            | Operation::Refund { .. } => None,
        };
        transition.then(PaymentEvent::AttemptFailed(AttemptFailed {
            payment_id: self.payment_id,
            attempt: attempt.number,
            reason: reason.to_owned(),
            unsent: false,
            retry_at,
            check_at,
        }))
    }
}

/// How many attempts of the operation in a row never reached a PSP, before the one under way.
fn unsent_in_a_row(payment: &Payment, operation: Operation) -> u32 {
    let same = |attempt: &&Attempt| {
        let authorizes = operation.authorizes() && attempt.operation.authorizes();
        attempt.conclusion.is_some() && (authorizes || attempt.operation == operation)
    };
    let unsent = payment.attempts.iter().rev().filter(same).take_while(|attempt| {
        matches!(attempt.conclusion, Some(AttemptConclusion::Failed { unsent: true, .. }))
    });
    u32::try_from(unsent.count()).unwrap_or(u32::MAX)
}
