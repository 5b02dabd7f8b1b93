//! Answers: made while a command is decided, stored with its events, sent from what was stored.
//!
//! The first answer and its replays go through [`respond`] alike: whatever it sends is worked out
//! from what is stored, so that a replay is the first answer again, byte for byte.

use std::fmt::Display;

use api_conventions::{
    CorrelationId, IDEMPOTENT_REPLAYED_HEADER, PROBLEM_MEDIA_TYPE, Problem, RenderedProblem, etag,
};
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use domain::StreamVersion;
use event_store::{Answer, NewAnswer};
use serde::{Deserialize, Serialize};

/// The position in the log that an answer rests on: that of the command's last event, and where it
/// has none, that of the head. Sent to the query side as `Runut-Min-Position`, it reads its own
/// writes.
pub const POSITION_HEADER: HeaderName = HeaderName::from_static("runut-position");

/// An answer to a command that was carried out.
pub(crate) fn success(
    status: StatusCode,
    resource_id: impl Display,
    body: &impl Serialize,
) -> NewAnswer {
    NewAnswer {
        status: status.as_u16(),
        resource_id: resource_id.to_string(),
        body: json(body),
        replay_body: None,
    }
}

/// An answer that is not a success: it names no resource.
pub(crate) fn refusal(problem: &Problem, correlation_id: &CorrelationId) -> NewAnswer {
    let RenderedProblem { status, body } = problem.render(correlation_id);
    NewAnswer { status, resource_id: String::new(), body, replay_body: None }
}

/// The body as JSON.
pub(crate) fn json(body: &impl Serialize) -> String {
    // Structs of texts, numbers and lists, for which this cannot fail.
    serde_json::to_string(body).unwrap_or_else(|error| unreachable!("an answer is JSON: {error}"))
}

/// The answer as it is sent.
pub(crate) fn respond(answer: &Answer) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let media_type = if status.is_success() { "application/json" } else { PROBLEM_MEDIA_TYPE };
    let mut response = Response::new(Body::from(Bytes::copy_from_slice(answer.body.as_bytes())));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(POSITION_HEADER, answer.position.number().into());
    if answer.replayed {
        headers.insert(IDEMPOTENT_REPLAYED_HEADER, HeaderValue::from_static("true"));
    }
    response
}

/// The answer as it is sent, with the `version` in its body as its `ETag`.
pub(crate) fn respond_with_version(answer: &Answer) -> Response {
    #[derive(Deserialize)]
    struct Versioned {
        version: StreamVersion,
    }

    let mut response = respond(answer);
    // A refusal says nothing of a version.
    if let Ok(Versioned { version }) = serde_json::from_str(&answer.body) {
        response.headers_mut().insert(header::ETAG, etag(version));
    }
    response
}
