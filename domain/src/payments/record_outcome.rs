//! Recording what came of an attempt: the payment's next state and, where money moved, its booking, in one
//! append.

use super::attempt::{
    AttemptDeclined, AttemptFailed, AttemptPending, AttemptResent, AttemptUnknown,
};
use super::capture::capture_requested;
use super::transition::Transition;
use super::{
    Attempt, AttemptConclusion, CaptureFailed, CaptureMethod, DECLINES_VERSION, DeclineClass,
    OpenOperation, Operation, Payment, PaymentAuthorized, PaymentCaptured, PaymentPolicy,
    PaymentVoided, PspName, PspOutcome, RefundFailed, RefundSucceeded, UnknownReason, booking,
    find,
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
        let succeeded = matches!(attempt.conclusion, Some(AttemptConclusion::Succeeded { .. }));
        match &self.outcome {
            PspOutcome::FailedLater { code }
                if succeeded && !failed_before(&transition, attempt) =>
            {
                Ok(self.failed_later(states, transition, attempt, code)?.into_decision())
            }
            PspOutcome::FailedLater { .. }
            | PspOutcome::Succeeded { .. }
            | PspOutcome::Declined { .. }
            | PspOutcome::Pending
            | PspOutcome::Unknown { .. }
            | PspOutcome::NotFound
            | PspOutcome::NotSent { .. }
            | PspOutcome::Refused { .. } => {
                Ok(Decision::Already(State::Payment(transition.payment().clone().into())))
            }
        }
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
                let booking = booking::failed_later(booked);
                let entry_id = booking.entry_id();
                let failed = CaptureFailed { payment_id, capture: number, code, entry_id };
                (PaymentEvent::CaptureFailed(failed), booking)
            }
            Operation::Refund { refund_id } => {
                let refund = payment.refund(refund_id).ok_or_else(not_bookable)?;
                let amount = Amount::from_minor(refund.amount_minor, self.currency)
                    .map_err(|_| not_bookable())?;
                let booked = booking::refund(payment, &self.psp, refund_id, amount);
                let booking = booking::failed_later(booked);
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
            Operation::Authorize | Operation::Void => return Ok(transition),
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
        self.failed(transition, attempt, "never_arrived")
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
        }))
    }

    fn failed<'c>(
        &self,
        transition: Transition<'c>,
        attempt: &Attempt,
        reason: &str,
    ) -> Transition<'c> {
        transition.then(PaymentEvent::AttemptFailed(AttemptFailed {
            payment_id: self.payment_id,
            attempt: attempt.number,
            reason: reason.to_owned(),
            unsent: false,
            retry_at: None,
        }))
    }
}

fn captured_by(payment: &Payment, attempt: u32) -> Option<&super::Capture> {
    payment.captures.iter().find(|capture| capture.attempt == attempt)
}

/// Whether the PSP said before that what it had carried out failed later.
fn failed_before(transition: &Transition<'_>, attempt: &Attempt) -> bool {
    let payment = transition.payment();
    match attempt.operation {
        Operation::Sale | Operation::Capture { .. } => {
            captured_by(payment, attempt.number).is_none_or(|capture| capture.failed)
        }
        Operation::Refund { refund_id } => {
            payment.refund(refund_id).is_none_or(|refund| refund.failure.is_some())
        }
        Operation::Authorize | Operation::Void => true,
    }
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
