//! Recording what came of an attempt: the payment's next state and, where money moved, its booking, in one
//! append.

use super::attempt::{
    AttemptDeclined, AttemptFailed, AttemptPending, AttemptResent, AttemptUnknown,
};
use super::capture::capture_requested;
use super::transition::Transition;
use super::{
    ATTEMPTS_MAX, Attempt, AttemptConclusion, AttemptConfirmed, CaptureFailed, CaptureMethod,
    Check, DECLINES_VERSION, DeclineClass, LateSuccess, LateSuccessReversed, OpenOperation,
    Operation, Payment, PaymentAuthorized, PaymentCaptured, PaymentPolicy, PaymentVoided, PspName,
    PspOutcome, RefundFailed, RefundSucceeded, UnknownReason, booking, find,
};
use crate::Context;
use crate::command::Decision;
use crate::currency::Currency;
use crate::ids::{MerchantId, PaymentId, RefundId};
use crate::merchants::Merchant;
use crate::money::Amount;
use crate::payments::PaymentEvent;
use crate::rejection::Rejection;
use crate::state::{State, StateKey, States};
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
    /// What came of it.
    pub outcome: PspOutcome,
    /// The times to go by.
    pub policy: PaymentPolicy,
}

impl RecordOutcome {
    pub(crate) fn reads(&self) -> Vec<StateKey> {
        let mut keys =
            vec![StateKey::Payment(self.payment_id), StateKey::Merchant(self.merchant_id)];
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
                self.succeeded(states, transition, attempt, psp_reference, *amount_minor)?
            }
            // It succeeded first: both are booked, as the PSP's books have it.
            PspOutcome::FailedLater { code } => {
                let known_as = attempt.key.as_str();
                let transition =
                    self.succeeded(states, transition, attempt, known_as, attempt.amount_minor)?;
                self.failed_later(states, transition, attempt, code)?
            }
            PspOutcome::Declined { code, advice } => {
                let declined = self.declined(&transition, attempt, code, advice.as_deref());
                transition.then(declined)
            }
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
            PspOutcome::NotFound => self.not_found(transition, attempt, open),
            PspOutcome::NotSent { reason } => self.not_sent(transition, attempt, reason),
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
            None => return Ok(already()),
        };
        let check = transition.payment().check(attempt.number).copied();
        match &self.outcome {
            PspOutcome::FailedLater { code }
                if known && !transition.payment().failed_later(attempt) =>
            {
                Ok(self.failed_later(states, transition, attempt, code)?.into_decision())
            }
            PspOutcome::Succeeded { psp_reference, amount_minor }
                if !known && !transition.payment().came_late(attempt.number) =>
            {
                self.came_late(states, transition, attempt, psp_reference, *amount_minor)
            }
            PspOutcome::Pending | PspOutcome::Unknown { .. } | PspOutcome::NotSent { .. } => {
                match check {
                    Some(check) => Ok(self.ask_again(transition, check).into_decision()),
                    None => Ok(already()),
                }
            }
            PspOutcome::FailedLater { .. }
            | PspOutcome::Succeeded { .. }
            | PspOutcome::Declined { .. }
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

    /// What a PSP did in an attempt that was given up goes back; but for a refund, which cannot, and a
    /// release, which leaves nothing to go back.
    fn came_late(
        &self,
        states: &impl States,
        transition: Transition<'_>,
        attempt: &Attempt,
        psp_reference: &str,
        amount_minor: i64,
    ) -> Result<Decision, Rejection> {
        let payment_id = self.payment_id;
        let amount = Amount::from_minor(amount_minor, self.currency)
            .map_err(|_| Rejection::PaymentNotBookable { payment_id })?;
        let taken = match attempt.operation {
            Operation::Authorize => false,
            Operation::Sale | Operation::Capture { .. } => true,
            Operation::Refund { refund_id } => {
                let late = self.refunded(states, transition, refund_id, psp_reference, amount)?;
                return Ok(late.into_decision());
            }
            Operation::Void | Operation::Reverse { .. } => {
                let confirmed = AttemptConfirmed { payment_id, attempt: attempt.number };
                let confirmed = PaymentEvent::AttemptConfirmed(confirmed);
                return Ok(transition.then(confirmed).into_decision());
            }
        };
        let payment = transition.payment();
        let booking = booking::late(payment, &self.psp, attempt.number, amount);
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
        let transition =
            if taken { transition.booked(states, &self.psp, booking)? } else { transition };
        Ok(transition.into_decision())
    }

    fn reversed<'c>(
        &self,
        states: &impl States,
        transition: Transition<'c>,
        reversed: u32,
        psp_reference: &str,
    ) -> Result<Transition<'c>, Rejection> {
        let payment_id = self.payment_id;
        let not_bookable = || Rejection::PaymentNotBookable { payment_id };
        let payment = transition.payment();
        let late = payment.late(reversed).ok_or_else(not_bookable)?;
        let amount =
            Amount::from_minor(late.amount_minor, self.currency).map_err(|_| not_bookable())?;
        let taken = late.taken;
        let booking = booking::undone(booking::late(payment, &self.psp, reversed, amount));
        let event = PaymentEvent::LateSuccessReversed(LateSuccessReversed {
            payment_id,
            reversed,
            attempt: self.attempt,
            psp_reference: psp_reference.to_owned(),
            entry_id: taken.then(|| booking.entry_id()),
        });
        let transition = transition.then(event);
        if taken { transition.booked(states, &self.psp, booking) } else { Ok(transition) }
    }

    fn succeeded<'c>(
        &self,
        states: &impl States,
        transition: Transition<'c>,
        attempt: &Attempt,
        psp_reference: &str,
        amount_minor: i64,
    ) -> Result<Transition<'c>, Rejection> {
        let payment_id = self.payment_id;
        // A PSP that says to have moved more than it was asked to is not believed.
        let amount = Amount::from_minor(amount_minor, self.currency)
            .ok()
            .filter(|amount| amount.minor() <= attempt.amount_minor)
            .ok_or(Rejection::PaymentNotBookable { payment_id })?;
        match attempt.operation {
            Operation::Authorize => Ok(self.authorized(transition, psp_reference, amount)),
            Operation::Sale => self.captured(states, transition, 1, true, psp_reference, amount),
            Operation::Capture { capture } => {
                let open = transition.payment().open.as_ref();
                let closes = open.is_some_and(|open| open.closes);
                self.captured(states, transition, capture, closes, psp_reference, amount)
            }
            Operation::Void => Ok(transition.then(PaymentEvent::Voided(PaymentVoided {
                payment_id,
                attempt: self.attempt,
                psp_reference: psp_reference.to_owned(),
            }))),
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
    ) -> Result<Transition<'c>, Rejection> {
        let merchant: &Merchant = states
            .merchant(self.merchant_id)
            .ok_or(Rejection::MerchantNotFound { merchant_id: self.merchant_id })?;
        let fee_minor = merchant.fees.fee_minor(amount);
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
    ) -> Result<Transition<'c>, Rejection> {
        let booking = booking::refund(transition.payment(), &self.psp, refund_id, amount);
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

    /// Undoes the booking of a capture or a refund; nothing else fails later.
    fn failed_later<'c>(
        &self,
        states: &impl States,
        transition: Transition<'c>,
        attempt: &Attempt,
        code: &str,
    ) -> Result<Transition<'c>, Rejection> {
        let payment_id = self.payment_id;
        let code = code.to_owned();
        let payment = transition.payment();
        let not_bookable = || Rejection::PaymentNotBookable { payment_id };
        let (event, booking) = match attempt.operation {
            Operation::Sale | Operation::Capture { .. } => {
                let capture = captured_by(payment, attempt.number).ok_or_else(not_bookable)?;
                let (number, fee_minor) = (capture.number, capture.fee_minor);
                let amount = Amount::from_minor(capture.amount_minor, self.currency)
                    .map_err(|_| not_bookable())?;
                let booked = booking::capture(payment, &self.psp, number, amount, fee_minor);
                let booking = booking::undone(booked);
                let entry_id = booking.entry_id();
                let failed = CaptureFailed { payment_id, capture: number, code, entry_id };
                (PaymentEvent::CaptureFailed(failed), booking)
            }
            Operation::Refund { refund_id } => {
                let refund = payment.refund(refund_id).ok_or_else(not_bookable)?;
                let amount = Amount::from_minor(refund.amount_minor, self.currency)
                    .map_err(|_| not_bookable())?;
                let booked = booking::refund(payment, &self.psp, refund_id, amount);
                let booking = booking::undone(booked);
                let entry_id = booking.entry_id();
                (
                    PaymentEvent::RefundFailed(RefundFailed {
                        payment_id,
                        refund_id,
                        code,
                        entry_id,
                    }),
                    booking,
                )
            }
            Operation::Authorize | Operation::Void | Operation::Reverse { .. } => {
                return Ok(transition);
            }
        };
        transition.then(event).booked(states, &self.psp, booking)
    }

    fn declined(
        &self,
        transition: &Transition<'_>,
        attempt: &Attempt,
        code: &str,
        advice: Option<&str>,
    ) -> PaymentEvent {
        let class = DeclineClass::of(code, advice);
        let retry_at = match attempt.operation {
            Operation::Authorize | Operation::Sale if class.soft() => {
                let before = soft_declines(transition.payment());
                let pause = self.policy.soft_retry_pauses_ms.get(before);
                pause.map(|pause| transition.context().now.plus_millis(*pause))
            }
            Operation::Reverse { .. } => self.reverse_again_at(transition),
            Operation::Authorize
            | Operation::Sale
            | Operation::Capture { .. }
            | Operation::Void
            | Operation::Refund { .. } => None,
        };
        PaymentEvent::AttemptDeclined(AttemptDeclined {
            payment_id: self.payment_id,
            attempt: attempt.number,
            code: code.to_owned(),
            advice: advice.map(str::to_owned),
            class,
            declines_version: DECLINES_VERSION,
            retry_at,
            requires_method: class.requires_method(),
        })
    }

    /// What nobody asked for has to go back, however often a PSP says no.
    fn reverse_again_at(&self, transition: &Transition<'_>) -> Option<Timestamp> {
        let again = transition.payment().attempts.len() < ATTEMPTS_MAX;
        again.then(|| transition.context().now.plus_millis(self.policy.ask_pause_max_ms))
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
            let ask_at = now.plus_millis(self.policy.ask_after_ms);
            let resent = AttemptResent { payment_id, attempt: number, ask_at };
            return transition.then(PaymentEvent::AttemptResent(resent));
        }
        // That it never comes is likely, not certain.
        let check_at = now.plus_millis(self.policy.late_check_pause_ms);
        self.given_up(transition, attempt, "never_arrived", Some(check_at))
    }

    /// It may be sent again under another key, elsewhere even, since nobody charged for it.
    fn not_sent<'c>(
        &self,
        transition: Transition<'c>,
        attempt: &Attempt,
        reason: &str,
    ) -> Transition<'c> {
        let (payment_id, number) = (self.payment_id, attempt.number);
        let before = unsent_in_a_row(transition.payment(), attempt.operation);
        let again = before + 1 < self.policy.unsent_attempts_max;
        let pause = self.policy.unsent_retry_pause_ms;
        let retry_at = again.then(|| transition.context().now.plus_millis(pause));
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
        self.given_up(transition, attempt, reason, None)
    }

    fn given_up<'c>(
        &self,
        transition: Transition<'c>,
        attempt: &Attempt,
        reason: &str,
        check_at: Option<Timestamp>,
    ) -> Transition<'c> {
        let retry_at = match attempt.operation {
            Operation::Reverse { .. } => self.reverse_again_at(&transition),
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

fn captured_by(payment: &Payment, attempt: u32) -> Option<&super::Capture> {
    payment.captures.iter().find(|capture| capture.attempt == attempt)
}

/// How often the payment was declined for a reason that passes.
fn soft_declines(payment: &Payment) -> usize {
    let soft = |attempt: &&Attempt| match &attempt.conclusion {
        Some(AttemptConclusion::Declined { class, .. }) => class.soft(),
        Some(AttemptConclusion::Succeeded { .. } | AttemptConclusion::Failed { .. }) | None => {
            false
        }
    };
    payment.attempts.iter().filter(soft).count()
}

/// How many attempts of the operation in a row never reached a PSP, before the one under way.
fn unsent_in_a_row(payment: &Payment, operation: Operation) -> u32 {
    let concluded = payment.attempts.iter().rev().filter(|attempt| attempt.conclusion.is_some());
    let unsent = concluded.take_while(|attempt| {
        let never_sent =
            matches!(attempt.conclusion, Some(AttemptConclusion::Failed { unsent: true, .. }));
        never_sent && attempt.operation.name() == operation.name()
    });
    u32::try_from(unsent.count()).unwrap_or(u32::MAX)
}
