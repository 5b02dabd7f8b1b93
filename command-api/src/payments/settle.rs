//! A request that asks for something to be done to a payment: it is in the log, is waited for, and answered.

use std::time::Duration;

use api_conventions::{CommandEnvelope, PaymentResource, Prefer, Problem, RefundResource};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use domain::payments::{Payment, ShowPayment};
use domain::{Command, Decision, MerchantId, PaymentId, RefundId, State, Timestamp};
use event_store::{Answer, EventStore, NewAnswer, RequestPart};
use tokio::time::Instant;

use crate::answer::{respond_with_version, success};
use crate::submission::Submission;

/// How long a caller waits for a PSP at the most; then the answer is 202. Well below the ten seconds that a
/// repetition of the request waits for it.
pub const SYNC_PATIENCE: Duration = Duration::from_secs(5);

/// What a request is about, and what it is answered with when that has come to rest.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    pub(super) merchant_id: MerchantId,
    pub(super) payment_id: PaymentId,
    /// The refund, if it is one.
    pub(super) refund: Option<RefundId>,
    /// The status of the answer then.
    pub(super) success: StatusCode,
}

impl Wanted {
    /// Whether nothing more is to be expected until `patience_ends`.
    fn at_rest(&self, payment: &Payment, patience_ends: Timestamp) -> bool {
        let open = match self.refund {
            Some(id) => payment.refund(id).and_then(|refund| refund.open.as_ref()),
            None => payment.open.as_ref(),
        };
        open.is_none_or(|open| open.attempt().is_none() && open.due_at() > patience_ends)
    }

    fn done(&self, payment: &Payment) -> bool {
        match self.refund {
            Some(id) => payment.refund(id).is_none_or(|refund| refund.open.is_none()),
            None => payment.open.is_none(),
        }
    }

    /// The answer, from the payment as it is.
    pub(super) fn answer(&self, decision: &Decision) -> Option<NewAnswer> {
        let Decision::Already(State::Payment(payment)) = decision else { return None };
        let status = if self.done(payment) { self.success } else { StatusCode::ACCEPTED };
        match self.refund {
            Some(id) => {
                let refund = RefundResource::of(payment, payment.refund(id)?);
                Some(success(status, id, &refund))
            }
            None => Some(success(status, payment.id, &PaymentResource::from(&**payment))),
        }
    }

    fn resource_id(&self) -> String {
        self.refund.map_or_else(|| self.payment_id.to_string(), |id| id.to_string())
    }

    pub(super) fn show(&self) -> Command {
        let (merchant_id, payment_id) = (self.merchant_id, self.payment_id);
        Command::ShowPayment(ShowPayment { merchant_id, payment_id })
    }
}

/// Appends the command under its key, waits for what comes of it, and answers.
///
/// # Errors
/// The problem of a request that has no answer (yet). What was accepted is carried out and answered all the
/// same, also when nobody waits any more.
pub(super) async fn settle<const BYTES_MAX: usize>(
    store: &EventStore,
    envelope: CommandEnvelope<BYTES_MAX>,
    command: Command,
    wanted: Wanted,
    prefer: Prefer,
) -> Result<Response, Problem> {
    let submission = Submission::of(envelope);
    let accepted = NewAnswer {
        status: StatusCode::ACCEPTED.as_u16(),
        resource_id: wanted.resource_id(),
        body: String::new(),
        replay_body: None,
    };
    let first = submission
        .part(store, RequestPart::First, command, move |_, _| Some(accepted.clone()))
        .await?;
    if first.replayed || first.status != StatusCode::ACCEPTED.as_u16() {
        return Ok(respond_with_version(&first));
    }
    // On its own: the caller may hang up, the answer is to be there when the request is sent again.
    let answering = tokio::spawn(answer(store.clone(), submission, wanted, prefer));
    let answered = answering.await.map_err(Problem::internal)??;
    let mut response = respond_with_version(&answered);
    if prefer.respond_async {
        let applied = HeaderValue::from_static("respond-async");
        response.headers_mut().insert("preference-applied", applied);
    }
    Ok(response)
}

async fn answer(
    store: EventStore,
    submission: Submission,
    wanted: Wanted,
    prefer: Prefer,
) -> Result<Answer, Problem> {
    if !prefer.respond_async {
        let deadline = Instant::now() + SYNC_PATIENCE;
        let patience_ms = i64::try_from(SYNC_PATIENCE.as_millis()).unwrap_or(i64::MAX);
        let patience_ends = store.clock().now().plus_millis(patience_ms);
        let at_rest = |payment: &Payment| wanted.at_rest(payment, patience_ends);
        // Where the log cannot be read the answer cannot be appended either, which says so.
        drop(store.await_payment(wanted.payment_id, at_rest, deadline).await);
    }
    let show = wanted.show();
    submission
        .part(&store, RequestPart::Last, show, move |decision, _| wanted.answer(decision))
        .await
}
