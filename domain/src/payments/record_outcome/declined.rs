//! Declines: they count for the card, and say when and where the payment is tried again.

use super::super::withhold::room;
use super::super::{
    Attempt, AttemptConclusion, AttemptDeclined, DECLINES_VERSION, Decline, DeclineClass,
    Operation, Payment, PaymentEvent,
};
use super::{ATTEMPTS_MAX, RecordOutcome, Transition};
use crate::cards::{Card, CardDeclined, CardEvent};
use crate::money::Amount;
use crate::state::States;
use crate::stream::StreamVersion;
use crate::time::Timestamp;

impl RecordOutcome {
    /// A decline counts against the card's limits, and they and the schedule say when it is tried again.
    pub(super) fn declined<'c>(
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
