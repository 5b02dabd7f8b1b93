//! What has to be done for a payment, and when: from its state alone.

use super::{OpenOperation, Operation, Payment, PaymentState, Phase, PspName};
use crate::time::Timestamp;

/// Something to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Attempt an operation.
    Attempt {
        /// The operation.
        operation: Operation,
    },
    /// Ask the PSP what came of an attempt.
    Ask {
        /// The attempt's number.
        attempt: u32,
    },
    /// Note that the authorization lapsed.
    Expire,
}

impl Payment {
    /// When something is to be done next, if nothing happens before; `None` if nothing is.
    pub fn due_at(&self) -> Option<Timestamp> {
        let operations = self.operations().map(OpenOperation::due_at);
        let checks = self.checks.iter().map(|check| check.ask_at);
        operations.chain(checks).chain(self.lapses_at()).min()
    }

    /// Everything that is to be done by `now`.
    pub fn steps(&self, now: Timestamp) -> Vec<Step> {
        let now = self.reached(now);
        let due = self.operations().filter(|open| open.due_at() <= now);
        let lapsed = self.lapses_at().filter(|at| *at <= now).map(|_| Step::Expire);
        let checks = self.checks.iter().filter(|check| check.ask_at <= now);
        let checks = checks.map(|check| Step::Ask { attempt: check.attempt });
        due.map(step).chain(checks).chain(lapsed).collect()
    }

    /// `now`, or the time of its last event where the clock is behind that: what is due from that time on is due. A
    /// clock that leapt when the event was recorded keeps nothing waiting.
    pub(super) fn reached(&self, now: Timestamp) -> Timestamp {
        now.max(self.updated_at)
    }

    /// The PSP that is to do what comes next: that which has the money, else that which is asked just now, else that
    /// which the merchant insists on. `None` where it may be any.
    pub fn bound_to(&self) -> Option<&PspName> {
        let asked = self.open.as_ref().and_then(|open| match open.phase {
            Phase::Sent { attempt, .. } | Phase::Unknown { attempt, .. } => self.attempt(attempt),
            Phase::Due { .. } => None,
        });
        let held = self.authorization.as_ref().map(|held| &held.psp);
        held.or(asked.map(|attempt| &attempt.psp)).or(self.intent.psp.as_ref())
    }

    fn operations(&self) -> impl Iterator<Item = &OpenOperation> {
        let refunds = self.refunds.iter().filter_map(|refund| refund.open.as_ref());
        let reversals = self.late.iter().filter_map(|late| late.open.as_ref());
        self.open.iter().chain(refunds).chain(reversals)
    }

    /// When its authorization lapses, if nothing is under way that needs it.
    fn lapses_at(&self) -> Option<Timestamp> {
        let holds = self.standing == PaymentState::Authorized && self.open.is_none();
        self.authorization.as_ref().filter(|_| holds).map(|held| held.expires_at)
    }
}

fn step(open: &OpenOperation) -> Step {
    match open.phase {
        Phase::Due { .. } => Step::Attempt { operation: open.operation },
        Phase::Sent { attempt, .. } | Phase::Unknown { attempt, .. } => Step::Ask { attempt },
    }
}

#[cfg(test)]
mod tests {
    use super::super::scenario::*;
    use super::*;

    #[test]
    fn what_comes_next_is_bound_to_who_has_the_money_or_is_asked_or_insisted_on() {
        let due = vec![created("100.00"), authorization_requested()];
        let started = attempt_started(1, Operation::Authorize, "100.00");
        let sent = [due.clone(), vec![started]].concat();
        let held = [sent.clone(), vec![authorized(1, "100.00")]].concat();
        let retry = attempt_declined(1, "insufficient_funds", Some(Timestamp::from_micros(1)));
        let declined = [sent.clone(), vec![retry]].concat();
        let doubtful = [sent.clone(), vec![attempt_unknown(1)]].concat();
        let capture = [held.clone(), vec![capture_requested(1, "100.00", true)]].concat();
        let mut insisting = intent("100.00");
        insisting.psp = Some("gamma".parse().expect("a name"));
        let insisted = vec![created_with(insisting, Some(method("ok"))), authorization_requested()];
        for (history, bound_to) in [
            (due, None),
            (sent, Some(psp())),
            (doubtful, Some(psp())),
            (declined, None),
            (held, Some(psp())),
            (capture, Some(psp())),
            (insisted, Some("gamma".parse().expect("a name"))),
        ] {
            let payment = given_payment(history.clone()).payment(PAYMENT);
            assert_eq!(payment.bound_to(), bound_to.as_ref(), "{history:#?}");
        }
    }
}
