//! Carrying out what is due for one payment.

use std::sync::Arc;
use std::time::Duration;

use domain::payments::{
    Attempt, AttemptStarted, CaptureMethod, ExpireAuthorization, Operation, Payment, PaymentEvent,
    PaymentPolicy, PspOutcome, RecordOutcome, StartAttempt, Step, UnknownReason,
};
use domain::{Amount, Command, Decision, Event, PaymentId, Rejection, StreamVersion, Timestamp};
use event_store::{EventStore, Given, Origin, SubmitError};
use gateways::{Gateway, Gateways, Order};
use tokio::time::Instant;

use super::queue::{Claimed, Done};
use super::shares::{Place, Shares, Turn};
use super::unrecorded::Unrecorded;

/// The most rounds with one payment while it is claimed: to authorize and to capture are two.
const ROUNDS_MAX: u32 = 8;
/// How long this process may take to see in the log what the queue saw there.
const SEE_MAX: Duration = Duration::from_secs(2);
/// How often an outcome is tried to be recorded, and the pause in between: while the log is away there is
/// nothing better to do with it. After that the PSP will be asked.
const RECORD_TRIES_MAX: u32 = 40;
const RECORD_PAUSE: Duration = Duration::from_millis(250);

/// Who appends, as the log names it.
const ACTOR: &str = "payment-worker";

/// Why a payment was left as it is. Whoever claims it next goes on from there.
#[derive(Debug, thiserror::Error)]
pub(super) enum CarryError {
    #[error("the log cannot be reached")]
    Log(#[from] SubmitError),
    #[error("the log refuses what is due")]
    Rejected(#[source] Rejection),
    #[error("what the PSP answered cannot be recorded")]
    Unrecorded {
        /// For how long to leave the payment alone, in milliseconds.
        pause_ms: i64,
        #[source]
        cause: Box<CarryError>,
    },
    #[error("no PSP that is configured and switched on can be asked")]
    NoPsp,
    #[error("its PSP fails and is left alone for a while")]
    PspFails,
    #[error("its PSP has no room for more")]
    PspBusy,
    #[error("the payment is not in the log")]
    NotThere,
}

impl CarryError {
    /// Whether only this process cannot go on, since its clock disagrees with the database's: another may at once.
    pub(super) fn is_only_here(&self) -> bool {
        match self {
            Self::Log(error) => matches!(error, SubmitError::ClockSkewed(_)),
            Self::Unrecorded { cause, .. } => cause.is_only_here(),
            Self::Rejected(_) | Self::NoPsp | Self::PspFails | Self::PspBusy | Self::NotThere => {
                false
            }
        }
    }
}

/// How long nothing is due of what was found to be due just now; 0 where something happened since.
fn pause(payment: &Payment, claimed: &Claimed, now: Timestamp) -> i64 {
    match payment.due_at() {
        Some(due_at) if payment.version == claimed.version => {
            (due_at.micros() - now.micros()) / 1_000 + 1
        }
        Some(_) | None => 0,
    }
}

/// Carries out payments.
#[derive(Debug)]
pub(super) struct Carrier {
    pub(super) store: EventStore,
    pub(super) gateways: Gateways,
    pub(super) policy: PaymentPolicy,
    pub(super) shares: Shares,
    pub(super) unrecorded: Unrecorded,
}

impl Carrier {
    /// Does all that is due. The place is given back once a PSP is called.
    pub(super) async fn carry_out(
        &self,
        claimed: &Claimed,
        place: &Place,
    ) -> Result<Done, CarryError> {
        let mut payment = self.payment(claimed.payment_id, claimed.version).await?;
        for _ in 0..ROUNDS_MAX {
            let now = self.store.decidable_now().await?;
            let steps = payment.steps(now);
            if steps.is_empty() {
                return Ok(Done {
                    handled: payment.version,
                    pause_ms: pause(&payment, claimed, now),
                });
            }
            // That one cannot be done now keeps none of the others waiting.
            let mut left = None;
            for step in steps {
                if let Err(error) = self.step(&payment, step, place).await {
                    left.get_or_insert(error);
                }
            }
            if let Some(error) = left {
                return Err(error);
            }
            payment = self.payment(claimed.payment_id, payment.version).await?;
        }
        Ok(Done { handled: payment.version, pause_ms: 0 })
    }

    /// The payment as this process knows it, at `version` at least: another process may have appended.
    async fn payment(
        &self,
        id: PaymentId,
        version: StreamVersion,
    ) -> Result<Arc<Payment>, CarryError> {
        let deadline = Instant::now() + SEE_MAX;
        let current = |payment: &Payment| payment.version >= version;
        let payment = self.store.await_payment(id, current, deadline).await?;
        payment.ok_or(CarryError::NotThere)
    }

    async fn step(&self, payment: &Payment, step: Step, place: &Place) -> Result<(), CarryError> {
        match step {
            Step::Attempt { operation } => self.attempt(payment, operation, place).await,
            Step::Ask { attempt } => {
                let attempt = payment.attempt(attempt).ok_or(CarryError::NotThere)?;
                self.ask(payment, attempt, place).await
            }
            Step::Expire => {
                let (merchant_id, payment_id) = (payment.merchant_id, payment.id);
                let expire = ExpireAuthorization { merchant_id, payment_id };
                let given = self.give(payment.id, Command::ExpireAuthorization(expire)).await?;
                given.decision.map(|_| ()).map_err(CarryError::Rejected)
            }
        }
    }

    /// The intent and its key are in the log before anything is sent; and if another worker's are, nothing
    /// is sent here.
    async fn attempt(
        &self,
        payment: &Payment,
        operation: Operation,
        place: &Place,
    ) -> Result<(), CarryError> {
        let bound = !matches!(operation, Operation::Authorize | Operation::Sale);
        let mut routes = self.gateways.routes(payment, operation);
        // Whoever has no room for this merchant comes after those who have.
        let last = payment.turned_away_by();
        routes.sort_by_key(|gateway| {
            let (psp, merchant) = (gateway.psp(), payment.merchant_id);
            (Some(psp) == last, !self.gateways.ready(psp), !self.shares.has_room(psp, merchant))
        });
        for gateway in routes {
            // Nobody else can do it, so it is left until that one can.
            if bound && !self.gateways.ready(gateway.psp()) {
                return Err(CarryError::PspFails);
            }
            // Before anything is put into the log: waiting is no attempt.
            let at = (gateway.psp(), payment.merchant_id);
            let turn = self.shares.turn(at, Turn::Call, place).await;
            let _turn = turn.ok_or(CarryError::PspBusy)?;
            let started = match self.start(payment, operation, gateway).await? {
                Started::Here(started) => started,
                Started::Elsewhere => return Ok(()),
                Started::SwitchedOff => continue,
            };
            let AttemptStarted { attempt, operation, key, amount, .. } = started;
            let order = order(payment, operation, key, amount).ok_or(CarryError::NotThere)?;
            let outcome = send(gateway, &order).await;
            return self.record(payment, attempt, gateway, outcome).await.map(|_| ());
        }
        Err(CarryError::NoPsp)
    }

    async fn start(
        &self,
        payment: &Payment,
        operation: Operation,
        gateway: &dyn Gateway,
    ) -> Result<Started, CarryError> {
        let start = StartAttempt {
            merchant_id: payment.merchant_id,
            payment_id: payment.id,
            operation: offered(payment, operation, gateway),
            psp: gateway.psp().clone(),
            method: payment.method.clone(),
            policy: self.policy.clone(),
        };
        let given = self.give(payment.id, Command::StartAttempt(start)).await?;
        let events = match given.decision {
            Ok(Decision::Append(events)) => events,
            Ok(Decision::Already(_) | Decision::Several { .. })
            | Err(Rejection::AttemptNotDue { .. }) => {
                return Ok(Started::Elsewhere);
            }
            Err(Rejection::PspIsDisabled { .. }) => return Ok(Started::SwitchedOff),
            Err(rejection) => return Err(CarryError::Rejected(rejection)),
        };
        let started = events.into_iter().find_map(|new| match new.event {
            Event::Payment(PaymentEvent::AttemptStarted(started)) => Some(started),
            _ => None,
        });
        Ok(started.map_or(Started::Elsewhere, Started::Here))
    }

    /// Asks the PSP for its truth; what it does not know of is sent again when the domain says so.
    async fn ask(
        &self,
        payment: &Payment,
        attempt: &Attempt,
        place: &Place,
    ) -> Result<(), CarryError> {
        let gateway = self.gateways.named(&attempt.psp).ok_or(CarryError::NoPsp)?;
        let at = (gateway.psp(), payment.merchant_id);
        let turn = self.shares.turn(at, Turn::Question, place).await;
        let _turn = turn.ok_or(CarryError::PspBusy)?;
        let outcome = gateway.ask(&attempt.key).await;
        let given = self.record(payment, attempt.number, gateway, outcome).await?;
        let Decision::Append(events) = given else { return Ok(()) };
        let again = events
            .iter()
            .any(|new| matches!(new.event, Event::Payment(PaymentEvent::AttemptResent(_))));
        if !again {
            return Ok(());
        }
        let currency = payment.amount().currency();
        let amount = Amount::from_minor(attempt.amount_minor, currency);
        let amount = amount.map_err(|_| CarryError::NotThere)?;
        let order = order(payment, attempt.operation, attempt.key.clone(), amount);
        let outcome = match send(gateway, &order.ok_or(CarryError::NotThere)?).await {
            // Only what the PSP says of the attempt when it is asked ends the doubt.
            PspOutcome::Refused { .. } => {
                PspOutcome::Unknown { reason: UnknownReason::RepetitionRefused }
            }
            outcome => outcome,
        };
        self.record(payment, attempt.number, gateway, outcome).await.map(|_| ())
    }

    /// Puts into the log what came of an attempt, and keeps in mind what cannot be put there.
    async fn record(
        &self,
        payment: &Payment,
        attempt: u32,
        gateway: &dyn Gateway,
        outcome: PspOutcome,
    ) -> Result<Decision, CarryError> {
        let id = (payment.id, attempt);
        self.unrecorded.answered(id, gateway.psp(), &outcome, Instant::now());
        let recorded = self.record_patiently(payment, attempt, gateway, outcome).await;
        match recorded {
            Ok(decision) => {
                self.unrecorded.recorded(id);
                Ok(decision)
            }
            Err(cause) => Err(match self.unrecorded.failed(id) {
                Some(pause_ms) => CarryError::Unrecorded { pause_ms, cause: cause.into() },
                None => cause,
            }),
        }
    }

    /// Again and again for a while, since only this worker knows. Not if its clock is wrong, which may last: then others
    /// ask the PSP.
    async fn record_patiently(
        &self,
        payment: &Payment,
        attempt: u32,
        gateway: &dyn Gateway,
        outcome: PspOutcome,
    ) -> Result<Decision, CarryError> {
        let record = Command::RecordOutcome(RecordOutcome {
            merchant_id: payment.merchant_id,
            payment_id: payment.id,
            currency: payment.amount().currency(),
            attempt,
            psp: gateway.psp().clone(),
            card: payment.card(),
            elsewhere: self.gateways.elsewhere(payment, gateway.psp()),
            seen: payment.version,
            outcome,
            policy: self.policy.clone(),
        });
        let mut tries = 0;
        loop {
            match self.give(payment.id, record.clone()).await {
                Ok(given) => {
                    let decision = given.decision.map_err(CarryError::Rejected)?;
                    if not_believed(&decision) {
                        let psp = gateway.psp();
                        tracing::warn!(%payment.id, attempt, %psp, "what the PSP says cannot be");
                        metrics::counter!("runut_psp_answers_not_believed_total").increment(1);
                    }
                    return Ok(decision);
                }
                Err(error) if error.is_only_here() => return Err(error),
                // Saying it again changes nothing, so what is in doubt is simply said again.
                Err(CarryError::Log(error)) if error.retryable() && tries < RECORD_TRIES_MAX => {
                    tries += 1;
                    tokio::time::sleep(RECORD_PAUSE).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn give(&self, payment: PaymentId, command: Command) -> Result<Given, CarryError> {
        let origin = Origin {
            actor: ACTOR.to_owned(),
            correlation_id: payment.to_string(),
            traceparent: None,
        };
        Ok(self.store.give(origin, command).await?)
    }
}

/// Whether a PSP said what cannot be booked: it is asked again, and somebody should look.
fn not_believed(decision: &Decision) -> bool {
    let Decision::Append(events) = decision else { return false };
    events.iter().any(|new| match &new.event {
        Event::Payment(PaymentEvent::AttemptUnknown(unknown)) => {
            unknown.reason == UnknownReason::UnreadableAnswer
        }
        _ => false,
    })
}

/// Whether an attempt was put into the log.
enum Started {
    /// By this worker, which is to send it.
    Here(AttemptStarted),
    /// By another, or it is not due any more.
    Elsewhere,
    /// It was not: nothing is sent to that PSP now.
    SwitchedOff,
}

async fn send(gateway: &dyn Gateway, order: &Order) -> PspOutcome {
    let began = Instant::now();
    let outcome = gateway.send(order).await;
    let (psp, operation) = (gateway.psp().to_string(), order.operation.name());
    metrics::histogram!("runut_psp_call_seconds", "psp" => psp, "operation" => operation)
        .record(began.elapsed());
    outcome
}

/// Money that is to be taken at once is asked for in one call, where the PSP has that.
fn offered(payment: &Payment, operation: Operation, gateway: &dyn Gateway) -> Operation {
    let at_once = payment.intent.capture_method == CaptureMethod::Automatic;
    match operation {
        Operation::Authorize | Operation::Sale if at_once && gateway.capabilities().sale => {
            Operation::Sale
        }
        Operation::Authorize | Operation::Sale => Operation::Authorize,
        Operation::Capture { .. }
        | Operation::Void
        | Operation::Refund { .. }
        | Operation::Reverse { .. } => operation,
    }
}

fn order(
    payment: &Payment,
    operation: Operation,
    key: domain::payments::AttemptKey,
    amount: Amount,
) -> Option<Order> {
    let closes = payment.open.as_ref().is_some_and(|open| open.closes);
    let late = match operation {
        Operation::Reverse { attempt } => Some(payment.late(attempt)?),
        Operation::Authorize
        | Operation::Sale
        | Operation::Capture { .. }
        | Operation::Void
        | Operation::Refund { .. } => None,
    };
    let held = payment.authorization.as_ref().map(|held| &held.psp_reference);
    Some(Order {
        payment_id: payment.id,
        operation,
        key,
        amount,
        token: payment.method.as_ref()?.token.clone(),
        authorization: late.map(|late| &late.psp_reference).or(held).cloned(),
        closes,
        taken: late.is_some_and(|late| late.taken),
    })
}
