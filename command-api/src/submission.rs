//! A command's way to the log and back.

use std::sync::Arc;

use api_conventions::{
    Caller, CommandEnvelope, CorrelationId, Fingerprint, Pointer, Problem, RequestContext,
    problem_kinds as kinds,
};
use domain::{Command, Decision, MerchantId, Timestamp};
use event_store::{
    Answer, AnswerFn, EventStore, NewAnswer, Origin, Request, RequestKey, RequestPart, SubmitError,
};

use crate::answer::refusal;

/// Submits the command that came in `envelope`. `success` makes the answer of what is decided, at
/// the time at which it is recorded; `None` for a decision that this command never comes to.
///
/// # Errors
/// The problem of a command that has no answer (yet). A rejection is an answer, and stored like
/// any.
pub(crate) async fn submit<const BYTES_MAX: usize>(
    store: &EventStore,
    envelope: CommandEnvelope<BYTES_MAX>,
    command: Command,
    success: impl Fn(&Decision, Timestamp) -> Option<NewAnswer> + Send + Sync + 'static,
) -> Result<Answer, Problem> {
    Submission::of(envelope).part(store, RequestPart::Whole, command, success).await
}

/// All of a request but its commands.
#[derive(Debug)]
pub(crate) struct Submission {
    origin: Origin,
    owner: MerchantId,
    key: String,
    fingerprint: [u8; 32],
    correlation_id: CorrelationId,
    /// Where the steps of a command of several stand in the body.
    steps: Option<&'static str>,
    /// The size of the body.
    bytes: usize,
}

impl Submission {
    pub(crate) fn of<const BYTES_MAX: usize>(envelope: CommandEnvelope<BYTES_MAX>) -> Self {
        let CommandEnvelope { caller, context, idempotency_key, fingerprint, raw, .. } = envelope;
        let key = idempotency_key.as_str().to_owned();
        Self::under(caller, context, key, fingerprint, raw.len())
    }

    /// A request that is remembered under `key`, with a body of so many bytes.
    pub(crate) fn under(
        caller: Caller,
        context: RequestContext,
        key: String,
        fingerprint: Fingerprint,
        bytes: usize,
    ) -> Self {
        Self {
            origin: origin(&caller, &context),
            owner: caller.merchant_id,
            key,
            fingerprint: *fingerprint.as_bytes(),
            correlation_id: context.correlation_id,
            steps: None,
            bytes,
        }
    }

    /// The same for a command of several steps, which are the elements of `list` in the body: a
    /// refusal says which of them it is.
    pub(crate) fn with_steps(self, list: &'static str) -> Self {
        Self { steps: Some(list), ..self }
    }

    /// One append of the request; see [`submit`].
    ///
    /// # Errors
    /// As of [`submit`].
    pub(crate) async fn part(
        &self,
        store: &EventStore,
        part: RequestPart,
        command: Command,
        success: impl Fn(&Decision, Timestamp) -> Option<NewAnswer> + Send + Sync + 'static,
    ) -> Result<Answer, Problem> {
        let correlation_id = self.correlation_id.clone();
        let steps = self.steps.map(Pointer::from);
        let answer: AnswerFn = Arc::new(move |decided, recorded_at| match decided {
            Ok(decision) => success(decision, recorded_at).unwrap_or_else(|| {
                let problem =
                    Problem::internal("a command came to a decision that it never comes to");
                refusal(&problem, &correlation_id)
            }),
            Err(rejection) => {
                let problem = match &steps {
                    Some(list) => Problem::of_step(rejection, list),
                    None => Problem::from(rejection),
                };
                refusal(&problem, &correlation_id)
            }
        });
        let key = RequestKey {
            owner: self.owner,
            key: self.key.clone(),
            fingerprint: self.fingerprint,
            part,
        };
        let origin = self.origin.clone();
        let bytes = self.bytes;
        let request = Request { command, key: Some(key), origin, answer, bytes };
        store.submit(request).await.map_err(|error| no_answer(&error))
    }
}

/// Where the events of a request come from.
pub(crate) fn origin(caller: &Caller, context: &RequestContext) -> Origin {
    Origin {
        actor: caller.key_id.to_string(),
        correlation_id: context.correlation_id.as_str().to_owned(),
        traceparent: context.traceparent.as_ref().map(|trace| trace.as_str().to_owned()),
    }
}

/// The problem of a command that has no answer, or none yet.
pub(crate) fn no_answer(error: &SubmitError) -> Problem {
    let problem = match error {
        SubmitError::KeyReused => Problem::new(kinds::IDEMPOTENCY_KEY_REUSED, error),
        SubmitError::KeyInUse => Problem::new(kinds::IDEMPOTENCY_KEY_IN_USE, error),
        SubmitError::Overloaded | SubmitError::Unavailable | SubmitError::ClockSkewed(_) => {
            Problem::unavailable(error)
        }
        SubmitError::OutcomeUnknown => Problem::new(kinds::OUTCOME_UNKNOWN, error),
        SubmitError::EventTooLarge { .. } | SubmitError::StatesTooLarge => {
            Problem::new(kinds::BODY_TOO_LARGE, error)
        }
        // Whatever the database refuses should have been refused by its field, long before.
        SubmitError::Refused => Problem::internal(error),
    };
    match error.retry_after() {
        Some(pause) => problem.with_retry_after_s(pause.as_secs()),
        None => problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::header;
    use axum::response::IntoResponse;
    use event_store::ClockSkew;

    #[test]
    fn what_has_no_answer_says_whether_to_try_again_and_when() {
        let skew = ClockSkew { micros: 86_400_000_000 };
        for (error, status, code, retry_after) in [
            (SubmitError::KeyReused, 422, "idempotency-key-reused", None),
            (SubmitError::KeyInUse, 409, "idempotency-key-in-use", Some("1")),
            (SubmitError::Overloaded, 503, "unavailable", Some("1")),
            (SubmitError::Unavailable, 503, "unavailable", Some("1")),
            (SubmitError::ClockSkewed(skew), 503, "unavailable", Some("1")),
            (SubmitError::OutcomeUnknown, 503, "outcome-unknown", Some("1")),
            (SubmitError::EventTooLarge { bytes: 300_000 }, 413, "body-too-large", None),
            (SubmitError::StatesTooLarge, 413, "body-too-large", None),
            (SubmitError::Refused, 500, "internal", None),
        ] {
            let problem = no_answer(&error);
            assert_eq!(problem.kind().code, code);
            assert_eq!(problem.kind().retryable, error.retryable(), "{code}");
            let response = problem.into_response();
            assert_eq!(response.status(), status, "{code}");
            let header = response.headers().get(header::RETRY_AFTER);
            assert_eq!(header.map(|value| value.to_str().unwrap()), retry_after, "{code}");
        }
    }
}
