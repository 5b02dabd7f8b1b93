//! What each event makes of a payment. No rules here: what happened, happened.

use super::{
    Attempt, AttemptConclusion, Authorization, Capture, Check, Claim, Late, OpenOperation,
    Operation, Payment, PaymentCaptured, PaymentCreated, PaymentState, Phase, Refund,
    code_for_everybody,
};
use crate::payments::PaymentEvent;
use crate::stream::StreamVersion;
use crate::time::Timestamp;

impl Payment {
    /// The payment right after it was created, with `version` events.
    pub fn created(event: &PaymentCreated, version: StreamVersion, at: Timestamp) -> Self {
        Self { version, ..Self::before(event, at) }
    }

    /// The same, with no event yet.
    pub(super) fn before(event: &PaymentCreated, at: Timestamp) -> Self {
        Self {
            id: event.payment_id,
            merchant_id: event.merchant_id,
            intent: event.intent.clone(),
            method: event.method.clone(),
            standing: PaymentState::Created,
            open: None,
            authorization: None,
            captures: Vec::new(),
            refunds: Vec::new(),
            attempts: Vec::new(),
            checks: Vec::new(),
            late: Vec::new(),
            withheld: None,
            created_at: at,
            updated_at: at,
            version: StreamVersion::from_number(0),
        }
    }

    /// The payment after `event` of its stream, which is its number `version` and was recorded at `at`.
    #[must_use]
    pub fn evolved(mut self, event: &PaymentEvent, version: StreamVersion, at: Timestamp) -> Self {
        self.apply(event, at);
        self.version = version;
        self.updated_at = at;
        self
    }

    fn apply(&mut self, event: &PaymentEvent, at: Timestamp) {
        match event {
            PaymentEvent::MethodReplaced(event) => {
                self.method = Some(event.method.clone());
                self.withheld = None;
                self.settle(PaymentState::Created);
            }
            PaymentEvent::AuthorizationRequested(_) => {
                self.withheld = None;
                let amount_minor = self.amount().minor();
                self.open = Some(OpenOperation::due(Operation::Authorize, amount_minor, at));
            }
            PaymentEvent::AttemptStarted(event) => {
                self.withheld = None;
                self.attempts.push(Attempt {
                    number: event.attempt,
                    operation: event.operation,
                    psp: event.psp.clone(),
                    key: event.key.clone(),
                    amount_minor: event.amount.minor(),
                    started_at: at,
                    sent_at: at,
                    resent: 0,
                    conclusion: None,
                    concluded_at: None,
                });
                if let Some(open) = self.open_for(event.operation) {
                    open.operation = event.operation;
                    open.asked = 0;
                    open.failure_claimed = false;
                }
                self.enter(
                    event.attempt,
                    Phase::Sent { attempt: event.attempt, ask_at: event.ask_at },
                );
            }
            PaymentEvent::AttemptResent(event) => {
                if let Some(attempt) = self.attempt_mut(event.attempt) {
                    attempt.sent_at = at;
                    attempt.resent += 1;
                }
                self.enter(
                    event.attempt,
                    Phase::Sent { attempt: event.attempt, ask_at: event.ask_at },
                );
            }
            PaymentEvent::AttemptPending(event) => {
                self.asked(event.attempt);
                self.enter(
                    event.attempt,
                    Phase::Sent { attempt: event.attempt, ask_at: event.ask_at },
                );
            }
            PaymentEvent::AttemptUnknown(event) if self.check(event.attempt).is_some() => {
                let check = self.checks.iter_mut().find(|check| check.attempt == event.attempt);
                if let Some(check) = check {
                    check.asked += 1;
                    check.ask_at = event.ask_at;
                }
            }
            PaymentEvent::AttemptUnknown(event) => {
                self.asked(event.attempt);
                self.enter(
                    event.attempt,
                    Phase::Unknown { attempt: event.attempt, ask_at: event.ask_at },
                );
            }
            PaymentEvent::AttemptDeclined(event) => {
                let failure = event.class.shown_code(&event.code).to_owned();
                let declined = AttemptConclusion::Declined {
                    code: event.code.clone(),
                    class: event.class,
                    failover: event.failover,
                };
                self.conclude(event.attempt, declined, at);
                let standing = if event.requires_method {
                    PaymentState::RequiresMethod
                } else {
                    PaymentState::Declined
                };
                self.gave_nothing(event.attempt, event.retry_at, standing, failure, at);
            }
            PaymentEvent::AttemptFailed(event) => {
                let (reason, unsent) = (event.reason.clone(), event.unsent);
                let failure = reason.clone();
                self.conclude(event.attempt, AttemptConclusion::Failed { reason, unsent }, at);
                self.gave_nothing(event.attempt, event.retry_at, PaymentState::Failed, failure, at);
                if let Some(ask_at) = event.check_at {
                    self.ask_of(event.attempt, ask_at);
                }
            }
            PaymentEvent::AttemptWithheld(event) => {
                self.withheld = Some(event.limit.clone());
                match (&mut self.open, event.retry_at) {
                    (Some(open), Some(at)) => open.phase = Phase::Due { at },
                    (_, _) => self.settle(PaymentState::Declined),
                }
            }
            PaymentEvent::Authorized(event) => {
                self.succeed(event.attempt, &event.psp_reference, at);
                self.authorization = Some(Authorization {
                    psp: event.psp.clone(),
                    psp_reference: event.psp_reference.clone(),
                    amount_minor: event.amount.minor(),
                    expires_at: event.expires_at,
                    closed: false,
                });
                self.settle(PaymentState::Authorized);
            }
            PaymentEvent::CaptureRequested(event) => {
                let operation = Operation::Capture { capture: event.capture };
                let due = OpenOperation::due(operation, event.amount.minor(), at);
                self.open = Some(OpenOperation { closes: event.closes, ..due });
            }
            PaymentEvent::Captured(event) => self.captured(event, at),
            PaymentEvent::CaptureFailed(event) => {
                let failed = self.captures.iter_mut().find(|one| one.number == event.capture);
                if let Some(capture) = failed {
                    capture.failed = true;
                    let attempt = capture.attempt;
                    self.checked(attempt);
                }
                // More may be captured as long as it is held.
                let over = self.authorization.as_ref().is_none_or(|held| held.closed);
                if over && self.captures.iter().all(|capture| capture.failed) {
                    self.standing = PaymentState::CaptureFailed;
                }
            }
            PaymentEvent::VoidRequested(_) => {
                let amount_minor = self.amounts().capturable_minor;
                self.open = Some(OpenOperation::due(Operation::Void, amount_minor, at));
            }
            PaymentEvent::Voided(event) => {
                self.succeed(event.attempt, &event.psp_reference, at);
                self.close();
                self.settle(PaymentState::Voided);
            }
            PaymentEvent::Expired(_) => {
                self.close();
                let lapsed = self.captures.is_empty();
                let captured = PaymentState::Captured;
                self.settle(if lapsed { PaymentState::Expired } else { captured });
            }
            PaymentEvent::Canceled(_) => self.settle(PaymentState::Canceled),
            PaymentEvent::RefundRequested(event) => {
                let operation = Operation::Refund { refund_id: event.refund_id };
                self.refunds.push(Refund {
                    id: event.refund_id,
                    amount_minor: event.amount.minor(),
                    reason: event.reason.clone(),
                    requested_at: at,
                    updated_at: at,
                    open: Some(OpenOperation::due(operation, event.amount.minor(), at)),
                    entry_id: None,
                    failure: None,
                });
            }
            PaymentEvent::RefundSucceeded(event) => {
                self.checked(event.attempt);
                self.succeed(event.attempt, &event.psp_reference, at);
                let refund = self.refunds.iter_mut().find(|refund| refund.id == event.refund_id);
                if let Some(refund) = refund {
                    refund.amount_minor = event.amount.minor();
                    refund.entry_id = Some(event.entry_id);
                    // Another attempt that is on its way is followed up: it may be carried out too.
                    let other = |open: &OpenOperation| open.attempt() != Some(event.attempt);
                    let sent = |open: &OpenOperation| open.attempt().is_some() && other(open);
                    refund.open = refund.open.take().filter(sent);
                    refund.failure = None;
                    refund.updated_at = at;
                }
            }
            PaymentEvent::RefundFailed(event) => {
                let operation = Operation::Refund { refund_id: event.refund_id };
                let of = self.attempts.iter().filter(|one| one.operation == operation);
                let attempts: Vec<u32> = of.map(|attempt| attempt.number).collect();
                self.checks.retain(|check| !attempts.contains(&check.attempt));
                let refund = self.refunds.iter_mut().find(|refund| refund.id == event.refund_id);
                if let Some(refund) = refund {
                    refund.failure = Some(code_for_everybody(&event.code).to_owned());
                    refund.updated_at = at;
                }
            }
            PaymentEvent::PspNotified(event) => match self.open_of(event.attempt) {
                // Asked already at the next occasion.
                Some(open) if open.attempt() == Some(event.attempt) => {
                    open.ask_at_once(at);
                    open.failure_claimed |= event.claim != Claim::Succeeded;
                }
                Some(_) | None => self.ask_of(event.attempt, at),
            },
            PaymentEvent::AttemptConfirmed(event) => self.checked(event.attempt),
            PaymentEvent::LateSuccess(event) => {
                self.checked(event.attempt);
                let amount_minor = event.amount.minor();
                let operation = Operation::Reverse { attempt: event.attempt };
                self.late.push(Late {
                    attempt: event.attempt,
                    psp: event.psp.clone(),
                    psp_reference: event.psp_reference.clone(),
                    amount_minor,
                    taken: event.entry_id.is_some(),
                    open: Some(OpenOperation::due(operation, amount_minor, at)),
                    reversed_by: Vec::new(),
                    turn: Late::FIRST,
                    failed: false,
                    held: 1,
                });
            }
            PaymentEvent::LateSuccessReversed(event) => {
                self.checked(event.attempt);
                self.succeed(event.attempt, &event.psp_reference, at);
                if let Some(late) = self.late_mut(event.reversed) {
                    late.held -= 1;
                    late.reversed_by.push(event.attempt);
                    late.concluded(event.attempt);
                }
            }
            PaymentEvent::LateSuccessFailed(event) => {
                self.checked(event.attempt);
                if let Some(late) = self.late_mut(event.attempt) {
                    late.held -= 1;
                    late.failed = true;
                    late.drop_what_is_not_due();
                }
            }
            PaymentEvent::LateReversalFailed(event) => {
                self.checked(event.attempt);
                if let Some(late) = self.late_mut(event.reversed) {
                    let operation = Operation::Reverse { attempt: event.reversed };
                    let due = |at| OpenOperation::due(operation, late.amount_minor, at);
                    late.held += 1;
                    late.reversed_by.retain(|attempt| *attempt != event.attempt);
                    late.turn += 1;
                    if late.open.is_none() {
                        late.open = event.retry_at.map(due);
                    }
                }
            }
            // Its first event: see [`Payment::created`].
            PaymentEvent::Created(_) => {}
        }
    }

    fn captured(&mut self, event: &PaymentCaptured, at: Timestamp) {
        self.succeed(event.attempt, &event.psp_reference, at);
        // A sale authorizes and captures in one.
        let authorization = self.authorization.get_or_insert_with(|| Authorization {
            psp: event.psp.clone(),
            psp_reference: event.psp_reference.clone(),
            amount_minor: event.amount.minor(),
            expires_at: at,
            closed: true,
        });
        authorization.closed |= event.closes;
        let closed = authorization.closed;
        self.captures.push(Capture {
            number: event.capture,
            attempt: event.attempt,
            amount_minor: event.amount.minor(),
            fee_minor: event.fee_minor,
            entry_id: event.entry_id,
            captured_at: at,
            failed: false,
        });
        self.settle(if closed { PaymentState::Captured } else { PaymentState::Authorized });
    }

    /// An attempt that came to nothing: the operation is due again, or given up.
    fn gave_nothing(
        &mut self,
        attempt: u32,
        retry_at: Option<Timestamp>,
        standing: PaymentState,
        failure: String,
        at: Timestamp,
    ) {
        if let Some(retry_at) = retry_at {
            self.enter(attempt, Phase::Due { at: retry_at });
            self.late.iter_mut().for_each(Late::drop_what_is_not_due);
            return;
        }
        match self.attempt(attempt).map(|attempt| attempt.operation) {
            Some(Operation::Authorize | Operation::Sale) => self.settle(standing),
            // What is held is held as before.
            Some(Operation::Capture { .. } | Operation::Void) => self.open = None,
            Some(Operation::Reverse { attempt: reversed }) => {
                if let Some(late) = self.late_mut(reversed) {
                    late.open = None;
                }
            }
            Some(Operation::Refund { refund_id }) => {
                let refund = self.refunds.iter_mut().find(|refund| refund.id == refund_id);
                if let Some(refund) = refund {
                    refund.open = None;
                    // Of a refund that another attempt carried out this says nothing.
                    refund.failure = refund.entry_id.is_none().then_some(failure);
                    refund.updated_at = at;
                }
            }
            None => {}
        }
    }

    /// Has the PSP be asked at `ask_at` of an attempt of which the end is known.
    fn ask_of(&mut self, attempt: u32, ask_at: Timestamp) {
        self.checked(attempt);
        let since = self.version.next();
        self.checks.push(Check { attempt, ask_at, asked: 0, since });
    }

    fn late_mut(&mut self, attempt: u32) -> Option<&mut Late> {
        self.late.iter_mut().find(|late| late.attempt == attempt)
    }

    fn checked(&mut self, attempt: u32) {
        self.checks.retain(|check| check.attempt != attempt);
    }

    fn settle(&mut self, standing: PaymentState) {
        self.standing = standing;
        self.open = None;
    }

    fn close(&mut self) {
        if let Some(authorization) = &mut self.authorization {
            authorization.closed = true;
        }
    }

    fn succeed(&mut self, attempt: u32, psp_reference: &str, at: Timestamp) {
        let psp_reference = psp_reference.to_owned();
        self.conclude(attempt, AttemptConclusion::Succeeded { psp_reference }, at);
        // The answer and the claim crossed on their way: whichever is newer is asked for.
        let of_attempt = self.open_of(attempt).filter(|open| open.attempt() == Some(attempt));
        if of_attempt.is_some_and(|open| open.failure_claimed) {
            self.ask_of(attempt, at);
        }
    }

    fn conclude(&mut self, attempt: u32, conclusion: AttemptConclusion, at: Timestamp) {
        if let Some(attempt) = self.attempt_mut(attempt) {
            attempt.conclusion = Some(conclusion);
            attempt.concluded_at = Some(at);
        }
    }

    fn attempt_mut(&mut self, number: u32) -> Option<&mut Attempt> {
        let index = usize::try_from(number).ok()?.checked_sub(1)?;
        self.attempts.get_mut(index)
    }

    fn open_for(&mut self, operation: Operation) -> Option<&mut OpenOperation> {
        match operation {
            Operation::Refund { refund_id } => {
                let refund = self.refunds.iter_mut().find(|refund| refund.id == refund_id)?;
                refund.open.as_mut()
            }
            Operation::Reverse { attempt } => {
                let late = self.late.iter_mut().find(|late| late.attempt == attempt)?;
                late.open.as_mut()
            }
            Operation::Authorize
            | Operation::Sale
            | Operation::Capture { .. }
            | Operation::Void => self.open.as_mut(),
        }
    }

    fn open_of(&mut self, attempt: u32) -> Option<&mut OpenOperation> {
        let operation = self.attempt(attempt)?.operation;
        self.open_for(operation)
    }

    fn enter(&mut self, attempt: u32, phase: Phase) {
        if let Some(open) = self.open_of(attempt) {
            open.phase = phase;
        }
    }

    fn asked(&mut self, attempt: u32) {
        if let Some(open) = self.open_of(attempt) {
            open.asked += 1;
        }
    }
}
