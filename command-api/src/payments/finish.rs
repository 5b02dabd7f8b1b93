//! Answers to requests whose process died between their first and their last append.
//!
//! The work itself is finished by the workers, whoever asked for it. What is left is the answer: the payment
//! as it is when it has come to rest, or after a while as it is then.

use std::time::Duration;

use api_conventions::Problem;
use axum::http::StatusCode;
use domain::payments::PaymentEvent;
use domain::{Event, StreamVersion};
use event_store::{
    EventStore, NewAnswer, Origin, Request, RequestKey, RequestPart, Unanswered, Unreadable,
};
use tokio_util::sync::CancellationToken;

use super::settle::{SYNC_PATIENCE, Wanted};
use crate::answer::json;

/// How old a claimed key is before its claimant is taken for dead: it answers within its patience and the
/// time that an append may take.
pub const FINISH_AFTER: Duration = Duration::from_secs(20);
/// How often such keys are looked for.
pub const FINISH_INTERVAL: Duration = Duration::from_secs(5);
/// The most that are read at a time.
pub const ANSWERS_FINISHED_AT_ONCE_MAX: i64 = 500;

const ACTOR: &str = "answer-finisher";

/// Answers what was left without an answer. Every process that serves commands runs one; that an answer is
/// given once is up to the log.
#[derive(Debug)]
pub struct AnswerFinisher {
    store: EventStore,
}

impl AnswerFinisher {
    /// Prepares one.
    pub fn new(store: EventStore) -> Self {
        Self { store }
    }

    /// Looks now and then, until `shutdown`.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut passes = tokio::time::interval(FINISH_INTERVAL);
        passes.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let work = async {
            loop {
                passes.tick().await;
                self.pass(FINISH_AFTER).await;
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = work => {}
        }
    }

    /// Answers what has been waiting for longer than `age`; how many requests that were.
    pub async fn pass(&self, age: Duration) -> usize {
        debug_assert!(
            age > SYNC_PATIENCE || cfg!(test) || age.is_zero(),
            "its claimant still waits"
        );
        let mut finished = 0;
        let mut after = None;
        // All pages each time: those that cannot be answered may fill one.
        loop {
            let page = self.store.unanswered(age, after, ANSWERS_FINISHED_AT_ONCE_MAX).await;
            let page = match page {
                Ok(page) => page,
                Err(error) => {
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(error, "requests without an answer cannot be looked for");
                    break;
                }
            };
            for request in page.requests {
                finished += usize::from(self.finish(request).await);
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        if finished > 0 {
            metrics::counter!("runut_answers_finished_total").increment(finished as u64);
            tracing::info!(finished, "requests of processes that died were answered");
        }
        finished
    }

    /// Whether it is answered by this.
    async fn finish(&self, request: Result<Unanswered, Unreadable>) -> bool {
        let request = match request {
            Ok(request) => request,
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "a request cannot be answered");
                return false;
            }
        };
        let Some(wanted) = wanted(&request) else { return false };
        match self.store.submit(last(request, wanted)).await {
            Ok(_) => true,
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "a request cannot be answered yet");
                false
            }
        }
    }
}

fn last(unanswered: Unanswered, wanted: Wanted) -> Request {
    let Unanswered { owner, key, fingerprint, .. } = unanswered;
    let correlation_id = wanted.payment_id.to_string();
    Request {
        bytes: Request::BYTES_USUAL,
        command: wanted.show(),
        key: Some(RequestKey { owner, key, fingerprint, part: RequestPart::Last }),
        origin: Origin { actor: ACTOR.to_owned(), correlation_id, traceparent: None },
        answer: std::sync::Arc::new(move |decided, _| {
            let answer = decided.as_ref().ok().and_then(|decision| wanted.answer(decision));
            answer.unwrap_or_else(no_such_payment)
        }),
    }
}

/// What is in the log was decided on a payment, so this never comes to pass.
fn no_such_payment() -> NewAnswer {
    let problem = Problem::internal("a claimed key leads to no payment");
    let body = json(&serde_json::json!({"code": problem.kind().code}));
    let status = problem.status().as_u16();
    NewAnswer { status, resource_id: String::new(), body, replay_body: None }
}

/// What the request asked for, from the last event that it appended.
fn wanted(request: &Unanswered) -> Option<Wanted> {
    let Event::Payment(event) = &request.event else { return None };
    let refund = match event {
        PaymentEvent::RefundRequested(requested) => Some(requested.refund_id),
        _ => None,
    };
    // A payment's first append has one event or two.
    let created = match event {
        PaymentEvent::Created(_) => true,
        PaymentEvent::AuthorizationRequested(_) => request.version <= StreamVersion::FIRST.next(),
        _ => false,
    };
    let success = if created || refund.is_some() { StatusCode::CREATED } else { StatusCode::OK };
    let (merchant_id, payment_id) = (request.owner, event.payment_id());
    Some(Wanted { merchant_id, payment_id, refund, success })
}
