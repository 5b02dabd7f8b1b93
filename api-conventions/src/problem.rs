//! Errors as RFC 9457 problems: the only way an error leaves the services.

use std::fmt::Display;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::{Rejection, RejectionClass};
use serde::Serialize;
use utoipa::ToSchema;

use crate::correlation::CorrelationId;
use crate::pointer::Pointer;
use crate::problem_kinds::{self as kinds, ProblemKind};

/// The media type of every problem.
pub const PROBLEM_MEDIA_TYPE: &str = "application/problem+json";

/// The most characters of a `detail`: long enough for a sentence, so that a request's own text,
/// echoed in it, cannot make the answer large.
pub const DETAIL_CHARACTERS_MAX: usize = 500;

/// Seconds after which an unavailable service is worth another try: the time a restart takes.
pub const RETRY_AFTER_S: u64 = 1;

/// One field, or one query parameter, that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    /// The place in the request's body, as a JSON pointer (RFC 6901).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "/postings/0/amount")]
    pointer: Option<String>,
    /// The name of the query parameter.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "limit")]
    parameter: Option<String>,
    /// What kind of mistake it is, for programs.
    #[schema(value_type = String, example = "invalid-value")]
    code: &'static str,
    /// What is wrong, for people.
    #[schema(example = "USD has 2 decimals, not more")]
    detail: String,
}

impl FieldError {
    /// About a place in the body.
    pub fn at(pointer: &Pointer, code: &'static str, detail: impl Display) -> Self {
        let pointer = Some(pointer.bounded().to_owned());
        Self { pointer, parameter: None, code, detail: bounded(&detail.to_string()) }
    }

    /// About a query parameter.
    pub fn of_parameter(name: &str, code: &'static str, detail: impl Display) -> Self {
        let parameter = Some(bounded(name));
        Self { pointer: None, parameter, code, detail: bounded(&detail.to_string()) }
    }
}

/// An answer that is not a success. Made by handlers; its text is for the caller's eyes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    kind: ProblemKind,
    detail: String,
    errors: Vec<FieldError>,
    retry_after_s: Option<u64>,
}

/// The body of every error (RFC 9457).
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody<'a> {
    /// A reference to the meaning of the code, relative to this service.
    #[serde(rename = "type")]
    #[schema(example = "/problems/insufficient-funds")]
    type_uri: String,
    /// The same short sentence for every problem of this code.
    title: &'a str,
    /// The HTTP status.
    #[schema(example = 409)]
    status: u16,
    /// What is wrong this time.
    detail: &'a str,
    /// The name that programs go by; stable.
    #[schema(example = "insufficient-funds")]
    code: &'a str,
    /// Whether the same request (with the same `Idempotency-Key`) may succeed later.
    retryable: bool,
    /// The request's name in this service's logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_id: Option<&'a str>,
    /// The fields that are wrong.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError],
}

/// A problem as bytes: what is stored under an idempotency key and replayed as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RenderedProblem {
    /// The HTTP status.
    pub status: u16,
    /// The body; its media type is [`PROBLEM_MEDIA_TYPE`].
    pub body: String,
}

impl Problem {
    /// A problem of `kind`; `detail` says what is wrong this time.
    pub fn new(kind: ProblemKind, detail: impl Display) -> Self {
        let detail = bounded(&detail.to_string());
        let retry_after_s = (kind.status == 503).then_some(RETRY_AFTER_S);
        Self { kind, detail, errors: Vec::new(), retry_after_s }
    }

    /// 400: not HTTP or JSON as it should be.
    pub fn malformed(detail: impl Display) -> Self {
        Self::new(kinds::MALFORMED_REQUEST, detail)
    }

    /// 400: a command without `Idempotency-Key`.
    pub fn missing_idempotency_key() -> Self {
        let detail = "every POST, PUT, PATCH and DELETE needs an Idempotency-Key header";
        Self::new(kinds::MISSING_IDEMPOTENCY_KEY, detail)
    }

    /// 401: the same for a missing, garbled, unknown, wrong and revoked key.
    pub fn unauthorized() -> Self {
        Self::new(
            kinds::UNAUTHORIZED,
            "expected `Authorization: Bearer <API key>` with a valid key",
        )
    }

    /// 403: a valid key of a role that may not do this.
    pub fn insufficient_scope(detail: impl Display) -> Self {
        Self::new(kinds::INSUFFICIENT_SCOPE, detail)
    }

    /// 404: unknown, or not the caller's.
    pub fn not_found() -> Self {
        Self::new(kinds::NOT_FOUND, "there is nothing under this address")
    }

    /// 405: the resource exists, the method does not.
    pub fn method_not_allowed() -> Self {
        Self::new(kinds::METHOD_NOT_ALLOWED, "see the Allow header for the methods there are")
    }

    /// 409: the state forbids it.
    pub fn conflict(detail: impl Display) -> Self {
        Self::new(kinds::CONFLICT, detail)
    }

    /// 412: `If-Match` names another version.
    pub fn precondition_failed(detail: impl Display) -> Self {
        Self::new(kinds::PRECONDITION_FAILED, detail)
    }

    /// 413: more than `bytes_max` bytes.
    pub fn body_too_large(bytes_max: usize) -> Self {
        Self::new(kinds::BODY_TOO_LARGE, format_args!("at most {bytes_max} bytes"))
    }

    /// 415: not of the media type `expected`.
    pub fn unsupported_media_type(expected: &str) -> Self {
        let detail = format_args!("send `Content-Type: {expected}`");
        Self::new(kinds::UNSUPPORTED_MEDIA_TYPE, detail)
    }

    /// 422: these fields are wrong.
    pub fn invalid(errors: Vec<FieldError>) -> Self {
        let detail = match errors.as_slice() {
            [only] => match only.pointer.as_deref().or(only.parameter.as_deref()) {
                Some(place) if !place.is_empty() => format!("{place}: {}", only.detail),
                _ => only.detail.clone(),
            },
            several => format!("{} fields are wrong", several.len()),
        };
        Self { errors, ..Self::new(kinds::INVALID_REQUEST, detail) }
    }

    /// 429: come back after `retry_after_s` seconds.
    pub fn too_many_requests(retry_after_s: u64) -> Self {
        let detail = format_args!("this API key may send again in {retry_after_s} s");
        Self::new(kinds::TOO_MANY_REQUESTS, detail).with_retry_after_s(retry_after_s)
    }

    /// 503: try again in a moment.
    pub fn unavailable(detail: impl Display) -> Self {
        Self::new(kinds::UNAVAILABLE, detail)
    }

    /// 500: a bug. `context` is logged here, once, and never shown to the caller.
    pub fn internal(context: impl Display) -> Self {
        tracing::error!(%context, "a request failed for an internal reason");
        Self::new(kinds::INTERNAL, "the correlation id helps to find the cause in the logs")
    }

    /// The problem that stands for a bare error status, as answered by a component that knows none.
    pub fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::not_found(),
            StatusCode::METHOD_NOT_ALLOWED => Self::method_not_allowed(),
            StatusCode::PAYLOAD_TOO_LARGE => {
                Self::new(kinds::BODY_TOO_LARGE, "the body is larger than this route takes")
            }
            StatusCode::UNSUPPORTED_MEDIA_TYPE => Self::unsupported_media_type("application/json"),
            StatusCode::UNPROCESSABLE_ENTITY => {
                Self::new(kinds::INVALID_REQUEST, "the request is not valid")
            }
            StatusCode::SERVICE_UNAVAILABLE => Self::unavailable("try again in a moment"),
            other if other.is_client_error() => Self::malformed(other),
            other => Self::internal(format_args!("an inner service answered {other}")),
        }
    }

    /// The problem of a rejected command of several steps, which are the elements of `list` in the body: that
    /// of the step that is refused, with its place.
    pub fn of_step(rejection: &Rejection, list: &Pointer) -> Self {
        let Rejection::Step { index, rejection } = rejection else { return Self::from(rejection) };
        let error = FieldError::at(&list.index(*index), rejection.code(), rejection);
        Self::from(&**rejection).with_error(error)
    }

    /// Adds a field that is wrong.
    #[must_use]
    pub fn with_error(mut self, error: FieldError) -> Self {
        self.errors.push(error);
        self
    }

    /// Sets `Retry-After`.
    #[must_use]
    pub fn with_retry_after_s(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// The row of the table that it belongs to.
    pub const fn kind(&self) -> &ProblemKind {
        &self.kind
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.kind.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Status and body as they are sent, to be stored and replayed byte for byte.
    pub fn render(&self, correlation_id: &CorrelationId) -> RenderedProblem {
        let body = self.body_text(Some(correlation_id));
        RenderedProblem { status: self.kind.status, body }
    }

    /// The body; the correlation id is known only where the request is.
    pub(crate) fn body_text(&self, correlation_id: Option<&CorrelationId>) -> String {
        let body = ProblemBody {
            type_uri: format!("/problems/{}", self.kind.code),
            title: self.kind.title,
            status: self.kind.status,
            detail: &self.detail,
            code: self.kind.code,
            retryable: self.kind.retryable,
            correlation_id: correlation_id.map(CorrelationId::as_str),
            errors: &self.errors,
        };
        // Only texts and numbers: there is nothing in it that cannot be written as JSON.
        serde_json::to_string(&body).unwrap_or_default()
    }

    /// All of an HTTP/1.1 answer, for a connection that is closed after it without having been read from.
    pub(crate) fn as_last_answer(&self) -> String {
        let body = self.body_text(None);
        let mut answer = format!("HTTP/1.1 {}\r\n", self.status());
        for (name, value) in &self.headers() {
            let value = value.to_str().unwrap_or_default();
            answer.push_str(&format!("{name}: {value}\r\n"));
        }
        let length = body.len();
        answer.push_str(&format!("content-length: {length}\r\nconnection: close\r\n\r\n{body}"));
        answer
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_MEDIA_TYPE));
        if let Some(seconds) = self.retry_after_s {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.kind.status == kinds::UNAUTHORIZED.status {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        headers
    }
}

/// Without a correlation id in the body; the problem travels along in the response's extensions,
/// and [`crate::with_request_context`] writes the body anew with the id of the request.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = Body::from(self.body_text(None));
        let mut response = (self.status(), self.headers(), body).into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl IntoResponse for RenderedProblem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let media_type = [(header::CONTENT_TYPE, PROBLEM_MEDIA_TYPE)];
        (status, media_type, self.body).into_response()
    }
}

impl From<&Rejection> for Problem {
    fn from(rejection: &Rejection) -> Self {
        let code = rejection.code();
        let by_class = match rejection.class() {
            RejectionClass::NotFound => kinds::NOT_FOUND,
            RejectionClass::Conflict => kinds::CONFLICT,
            RejectionClass::Precondition => kinds::PRECONDITION_FAILED,
            RejectionClass::Invalid => kinds::INVALID_REQUEST,
        };
        let kind = kinds::find(code).copied().unwrap_or_else(|| by_class.with_code(code));
        Self::new(kind, rejection)
    }
}

impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Self {
        Self::from(&rejection)
    }
}

/// Cuts a text that may hold the caller's own words.
fn bounded(text: &str) -> String {
    match text.char_indices().nth(DETAIL_CHARACTERS_MAX) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests;
