//! Recording what came of an attempt: the payment's next state and, where money moved, its booking, in one
//! append.

use super::attempt::{
    AttemptDeclined, AttemptFailed, AttemptPending, AttemptResent, AttemptUnknown,
};
use super::capture::capture_requested;
use super::transition::Transition;
use super::withhold::room;
use super::{
    ATTEMPTS_MAX, Attempt, AttemptConclusion, AttemptConfirmed, CaptureFailed, CaptureMethod,
    Check, DECLINES_VERSION, Decline, DeclineClass, Late, LateReversalFailed, LateSuccess,
    LateSuccessFailed, LateSuccessReversed, OpenOperation, Operation, Payment, PaymentAuthorized,
    PaymentCaptured, PaymentPolicy, PaymentVoided, Phase, PspName, PspOutcome, RefundFailed,
    RefundSucceeded, UnknownReason, booking, find,
};
use crate::Context;
use crate::cards::{Card, CardDeclined, CardEvent};
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
            _ => {}
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
                        self.succeeded(states, transition, attempt, psp_reference, amount)?
                    }
                    None => {
                        self.unknown(transition, attempt, open, UnknownReason::UnreadableAnswer)
                    }
                }
            }
            PspOutcome::FailedLater { code } => match attempt.operation {
                // It succeeded first: both are booked, as the PSP's books have it.
                Operation::Sale | Operation::Capture { .. } | Operation::Refund { .. } => {
                    let (known_as, amount) = (attempt.key.as_str(), self.asked_for(attempt)?);
                    let transition =
                        self.succeeded(states, transition, attempt, known_as, amount)?;
                    self.failed_later(states, transition, attempt, code)?
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
                Ok(self.failed_later(states, transition, attempt, code)?.into_decision())
            }
            PspOutcome::FailedLater { code }
                if transition.payment().late_may_fail(attempt.number) =>
            {
                self.late_failed(states, transition, attempt, code)
            }
            PspOutcome::Succeeded { psp_reference, amount_minor }
                if !known && !transition.payment().came_late(attempt.number) =>
            {
                match (self.believed(attempt, *amount_minor), check) {
                    (Some(amount), _) => {
                        self.came_late(states, transition, attempt, psp_reference, amount)
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

    /// What a PSP did in an attempt that was given up goes back; but for what gave money back itself, which is
    /// booked, and a release, which leaves nothing to go back.
    fn came_late(
        &self,
        states: &impl States,
        transition: Transition<'_>,
        attempt: &Attempt,
        psp_reference: &str,
        amount: Amount,
    ) -> Result<Decision, Rejection> {
        let payment_id = self.payment_id;
        let taken = match attempt.operation {
            Operation::Authorize => false,
            Operation::Sale | Operation::Capture { .. } => true,
            Operation::Refund { refund_id } => {
                let late = self.refunded(states, transition, refund_id, psp_reference, amount)?;
                return Ok(late.into_decision());
            }
            Operation::Reverse { attempt } => {
                let reversed = self.reversed(states, transition, attempt, psp_reference)?;
                return Ok(reversed.into_decision());
            }
            Operation::Void => {
                let confirmed = AttemptConfirmed { payment_id, attempt: attempt.number };
                let confirmed = PaymentEvent::AttemptConfirmed(confirmed);
                return Ok(transition.then(confirmed).into_decision());
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
        let booking = booking::late_gone(payment, late, self.attempt, amount);
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

    fn asked_for(&self, attempt: &Attempt) -> Result<Amount, Rejection> {
        let payment_id = self.payment_id;
        Amount::from_minor(attempt.amount_minor, self.currency)
            .map_err(|_| Rejection::PaymentNotBookable { payment_id })
    }

    /// What was taken late came back to the payer by itself. A reversal that is under way goes on: what came of
    /// it has to be known.
    fn late_failed(
        &self,
        states: &impl States,
        transition: Transition<'_>,
        attempt: &Attempt,
        code: &str,
    ) -> Result<Decision, Rejection> {
        let payment_id = self.payment_id;
        let payment = transition.payment();
        let not_bookable = || Rejection::PaymentNotBookable { payment_id };
        let late = payment.late(attempt.number).ok_or_else(not_bookable)?;
        let amount =
            Amount::from_minor(late.amount_minor, self.currency).map_err(|_| not_bookable())?;
        let taken = late.taken;
        let booking = booking::late_gone(payment, late, attempt.number, amount);
        let transition = transition.then(PaymentEvent::LateSuccessFailed(LateSuccessFailed {
            payment_id,
            attempt: attempt.number,
            code: code.to_owned(),
            entry_id: taken.then(|| booking.entry_id()),
        }));
        let transition =
            if taken { transition.booked(states, &self.psp, booking)? } else { transition };
        Ok(transition.into_decision())
    }

    /// The payer did not get back what was taken late: it is booked as before, and reversed once more.
    fn reversal_failed<'c>(
        &self,
        states: &impl States,
        transition: Transition<'c>,
        attempt: &Attempt,
        reversed: u32,
        code: &str,
    ) -> Result<Transition<'c>, Rejection> {
        let payment_id = self.payment_id;
        let payment = transition.payment();
        let late = payment.late(reversed);
        let (taken, turn, amount) = late
            .and_then(|late| {
                let amount = Amount::from_minor(late.amount_minor, self.currency).ok()?;
                Some((late.taken, late.turn + 1, amount))
            })
            .ok_or(Rejection::PaymentNotBookable { payment_id })?;
        let booking = booking::late(payment, &self.psp, reversed, turn, amount);
        // It is held once more than before.
        let retry_at = match payment.late(reversed) {
            Some(late) if late.held < 0 => None,
            Some(_) | None => self.reverse_again_at(&transition, reversed),
        };
        let transition = transition.then(PaymentEvent::LateReversalFailed(LateReversalFailed {
            payment_id,
            reversed,
            attempt: attempt.number,
            code: code.to_owned(),
            entry_id: taken.then(|| booking.entry_id()),
            retry_at,
        }));
        if taken { transition.booked(states, &self.psp, booking) } else { Ok(transition) }
    }

    fn succeeded<'c>(
        &self,
        states: &impl States,
        transition: Transition<'c>,
        attempt: &Attempt,
        psp_reference: &str,
        amount: Amount,
    ) -> Result<Transition<'c>, Rejection> {
        let payment_id = self.payment_id;
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
            Operation::Reverse { attempt: reversed } => {
                return self.reversal_failed(states, transition, attempt, reversed, &code);
            }
            Operation::Authorize | Operation::Void => return Ok(transition),
        };
        transition.then(event).booked(states, &self.psp, booking)
    }

    /// A decline counts against the card's limits, and they and the schedule say when it is tried again.
    fn declined<'c>(
        &self,
        states: &impl States,
        transition: Transition<'c>,
        attempt: &Attempt,
        decline: &Decline,
    ) -> Transition<'c> {
        let payment = transition.payment();
        let network = payment.method.as_ref().and_then(|method| method.network);
        let class = decline.class(network);
        let counted = self.counted(states, &transition, attempt, decline);
        let card = counted.as_ref().map(|(card, _)| card);
        let next = match attempt.operation {
            Operation::Authorize | Operation::Sale if class.soft() => {
                self.tried_again(&transition, decline, class, card)
            }
            Operation::Reverse { attempt } => {
                Again::at(self.reverse_while_held_at(&transition, attempt))
            }
            Operation::Authorize
            | Operation::Sale
            | Operation::Capture { .. }
            | Operation::Void
            | Operation::Refund { .. } => Again::at(None),
        };
        let transition = transition.then(PaymentEvent::AttemptDeclined(AttemptDeclined {
            payment_id: self.payment_id,
            attempt: attempt.number,
            code: decline.code.clone(),
            advice: decline.advice.clone(),
            network_code: decline.network_code.clone(),
            class,
            declines_version: DECLINES_VERSION,
            failover: next.failover,
            retry_at: next.at,
            requires_method: class.requires_method(),
        }));
        match counted {
            Some((card, event)) => transition.with(card.stream(), card.version, event.into()),
            None => transition,
        }
    }

    /// The card after this decline, and the event that says so; of a card that was asked for money.
    fn counted(
        &self,
        states: &impl States,
        transition: &Transition<'_>,
        attempt: &Attempt,
        decline: &Decline,
    ) -> Option<(Card, CardEvent)> {
        let payment = transition.payment();
        let card_id = payment.card().filter(|card| Some(*card) == self.card)?;
        let network = payment.method.as_ref().and_then(|method| method.network);
        let amount = Amount::from_minor(attempt.amount_minor, self.currency).ok()?;
        if !attempt.operation.authorizes() {
            return None;
        }
        let event = CardEvent::Declined(CardDeclined {
            card_id,
            merchant_id: self.merchant_id,
            network,
            payment_id: self.payment_id,
            attempt: attempt.number,
            psp: self.psp.clone(),
            amount,
            class: decline.class(network),
            barred: decline.bars(network),
        });
        let before = states.card(card_id);
        let version = before.map_or(StreamVersion::FIRST, |card| card.version.next());
        let now = transition.context().now;
        Some((Card::after(before.cloned(), &event, version, now), event))
    }

    /// At once elsewhere, once; else after the next pause of the schedule, or when the card has room.
    fn tried_again(
        &self,
        transition: &Transition<'_>,
        decline: &Decline,
        class: DeclineClass,
        card: Option<&Card>,
    ) -> Again {
        let (payment, now) = (transition.payment(), transition.context().now);
        if payment.attempts.len() >= ATTEMPTS_MAX {
            return Again::at(None);
        }
        let at_once = self.elsewhere && decline.fails_over(class) && !failed_over(payment);
        if at_once && room(payment, card, &self.policy, now).is_ok() {
            return Again { at: Some(now), failover: true };
        }
        let pause = self.policy.soft_retry_pauses_ms.get(scheduled_retries(payment));
        let Some(pause) = pause else { return Again::at(None) };
        let wanted = now.plus_millis(decline.wait_ms().max(*pause));
        match room(payment, card, &self.policy, wanted) {
            Ok(()) => Again::at(Some(wanted)),
            Err(withheld) => Again::at(withheld.retry_at),
        }
    }

    /// When what is still held is reversed again; it may have come back by itself meanwhile.
    fn reverse_while_held_at(
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

fn captured_by(payment: &Payment, attempt: u32) -> Option<&super::Capture> {
    payment.captures.iter().find(|capture| capture.attempt == attempt)
}

/// When an operation is attempted again.
struct Again {
    at: Option<Timestamp>,
    failover: bool,
}

impl Again {
    fn at(at: Option<Timestamp>) -> Self {
        Self { at, failover: false }
    }
}

/// Whether the last attempt that got to a PSP before the one under way was declined and made again elsewhere
/// at once: that is done once, and then the schedule's turn.
fn failed_over(payment: &Payment) -> bool {
    payment.turned_away_by().is_some()
}

/// How often the payment was tried again by schedule after a decline for a reason that passes.
fn scheduled_retries(payment: &Payment) -> usize {
    let scheduled = |attempt: &&Attempt| match &attempt.conclusion {
        Some(AttemptConclusion::Declined { class, failover, .. }) => class.soft() && !failover,
        Some(AttemptConclusion::Succeeded { .. } | AttemptConclusion::Failed { .. }) | None => {
            false
        }
    };
    payment.attempts.iter().filter(scheduled).count()
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
