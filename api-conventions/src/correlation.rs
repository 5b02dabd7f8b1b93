//! Names every request: correlation id and trace context in, out, in the logs and in every problem.
//!
//! It is the outermost layer, so that whatever is answered below (also to a panic, or by a
//! component that knows nothing of problems) leaves in the one form.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Instrument;

use crate::peer::PeerNetwork;
use crate::problem::{PROBLEM_MEDIA_TYPE, Problem};
use crate::unread_answers::UnreadAnswers;
use domain::holds_card_number;

/// The header that names a request, in and out.
pub const CORRELATION_ID_HEADER: HeaderName = HeaderName::from_static("x-correlation-id");
/// The other header that callers name a request by; read only.
pub const REQUEST_ID_HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// The W3C trace context, in and out.
pub const TRACEPARENT_HEADER: HeaderName = HeaderName::from_static("traceparent");

/// The most characters of a correlation id: what fits a log line and an event's metadata.
pub const CORRELATION_ID_CHARACTERS_MAX: usize = 128;

/// The name of a request in the logs, in events' metadata and in problems.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorrelationId(Arc<str>);

impl CorrelationId {
    /// Takes 1 to 128 visible ASCII characters (so that none of them breaks a log line), with no card's number
    /// among them.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=CORRELATION_ID_CHARACTERS_MAX).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_graphic())
            && !holds_card_number(text);
        fits.then(|| Self(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for CorrelationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A valid W3C `traceparent`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceParent(Arc<str>);

impl TraceParent {
    /// Checks `version-trace_id-parent_id-flags`: lower-case hex, ids not all zero. A later version
    /// may have more parts, which are dropped, as the specification asks of readers of version 00.
    pub fn parse(text: &str) -> Option<Self> {
        let known = text.get(..55)?;
        let mut parts = known.split('-');
        let hex = |part: Option<&str>, length: usize| {
            let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            part.is_some_and(|part| part.len() == length && part.bytes().all(is_hex))
        };
        let (version, trace_id, parent_id) = (parts.next(), parts.next(), parts.next());
        let shape = hex(version, 2) && hex(trace_id, 32) && hex(parent_id, 16);
        let shape = shape && hex(parts.next(), 2) && parts.next().is_none();
        let zero = |part: Option<&str>| part.is_none_or(|part| part.bytes().all(|b| b == b'0'));
        let rest = &text[55..];
        let rest_fits = rest.is_empty() || (version != Some("00") && rest.starts_with('-'));
        let valid =
            shape && version != Some("ff") && !zero(trace_id) && !zero(parent_id) && rest_fits;
        valid.then(|| Self(known.into()))
    }

    /// The text, 55 characters.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a handler knows of the request besides its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestContext {
    /// The request's name.
    pub correlation_id: CorrelationId,
    /// The caller's trace, if it sent a valid one.
    pub traceparent: Option<TraceParent>,
}

impl RequestContext {
    fn of(headers: &HeaderMap, ids: &CorrelationIds) -> Self {
        let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        let correlation_id = text(&CORRELATION_ID_HEADER)
            .and_then(CorrelationId::parse)
            .or_else(|| text(&REQUEST_ID_HEADER).and_then(CorrelationId::parse))
            .unwrap_or_else(|| ids.draw());
        let traceparent = text(&TRACEPARENT_HEADER).and_then(TraceParent::parse);
        Self { correlation_id, traceparent }
    }

    fn write_to(&self, headers: &mut HeaderMap) {
        let mut write = |name, text: &str| {
            if let Ok(value) = HeaderValue::from_str(text) {
                headers.insert(name, value);
            }
        };
        write(CORRELATION_ID_HEADER, self.correlation_id.as_str());
        if let Some(traceparent) = &self.traceparent {
            write(TRACEPARENT_HEADER, traceparent.as_str());
        }
    }
}

impl<S: Sync> FromRequestParts<S> for RequestContext {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let context = parts.extensions.get::<Self>().cloned();
        context.ok_or_else(|| Problem::internal("the route is not behind `with_request_context`"))
    }
}

/// Draws a fresh id for a request that came without; injected, like every source of randomness.
#[derive(Clone)]
pub struct CorrelationIds(Arc<dyn Fn() -> String + Send + Sync>);

impl CorrelationIds {
    /// From the process's id source; what it draws must be a valid correlation id.
    pub fn new(draw: impl Fn() -> String + Send + Sync + 'static) -> Self {
        Self(Arc::new(draw))
    }

    fn draw(&self) -> CorrelationId {
        let drawn = (self.0)();
        debug_assert!(CorrelationId::parse(&drawn).is_some(), "{drawn:?} is no correlation id");
        CorrelationId::parse(&drawn).unwrap_or_else(|| CorrelationId("undrawn".into()))
    }
}

/// Wraps everything that `router` answers, fallbacks and panics too; and counts what is not read yet of it.
pub fn with_request_context(router: Router, ids: CorrelationIds) -> Router {
    router
        .layer(CatchPanicLayer::custom(answer_panic))
        .layer(from_fn_with_state((ids, UnreadAnswers::new()), answer_in_context))
}

/// What monitors ask for again and again: logged for those alone who look for it.
const PROBES: [&str; 3] = ["/health/live", "/health/ready", "/metrics"];

async fn answer_in_context(
    State((ids, unread)): State<(CorrelationIds, UnreadAnswers)>,
    mut request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let context = RequestContext::of(request.headers(), &ids);
    let template = request.extensions().get::<MatchedPath>().map_or("-", MatchedPath::as_str);
    let probe = PROBES.contains(&template);
    let span = tracing::info_span!(
        "request",
        method = %request.method(),
        path = template,
        correlation_id = %context.correlation_id,
        status = tracing::field::Empty,
        latency_ms = tracing::field::Empty,
    );
    let method = request.method().clone();
    let peer = PeerNetwork::of(request.extensions());
    request.extensions_mut().insert(context.clone());
    let answer = async {
        let response = unread.count(peer, next.run(request).await);
        let response = in_problem_form(response, &method, &context);
        let latency_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let span = tracing::Span::current();
        span.record("status", response.status().as_u16()).record("latency_ms", latency_ms);
        if probe {
            tracing::debug!("request answered");
        } else {
            tracing::info!("request answered");
        }
        response
    };
    let mut response = answer.instrument(span).await;
    context.write_to(response.headers_mut());
    response
}

/// Writes the request's correlation id into a problem, and makes one of a foreign plain-text error.
/// A stored answer is neither: it has no problem in its extensions, and passes as it is.
fn in_problem_form(response: Response, method: &Method, context: &RequestContext) -> Response {
    if method == Method::HEAD {
        return response;
    }
    let (mut response, problem) = match response.extensions().get::<Problem>().cloned() {
        Some(problem) => (response, problem),
        None if foreign_error(&response) => {
            let problem = Problem::of_status(response.status());
            let status = response.status();
            let mut ours = problem.clone().into_response();
            if let Some(allow) = response.headers().get(header::ALLOW) {
                ours.headers_mut().insert(header::ALLOW, allow.clone());
            }
            *ours.status_mut() = status;
            (ours, problem)
        }
        None => return response,
    };
    response.headers_mut().remove(header::CONTENT_LENGTH);
    *response.body_mut() = Body::from(problem.body_text(Some(&context.correlation_id)));
    response
}

fn foreign_error(response: &Response) -> bool {
    let status = response.status();
    let media_type = response.headers().get(header::CONTENT_TYPE);
    let ours = media_type.and_then(|value| value.to_str().ok()).is_some_and(|media_type| {
        media_type.starts_with(PROBLEM_MEDIA_TYPE) || media_type.starts_with("application/json")
    });
    (status.is_client_error() || status.is_server_error()) && !ours
}

fn answer_panic(panic: Box<dyn Any + Send>) -> Response {
    let message = panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without a message");
    Problem::internal(message).into_response()
}

#[cfg(test)]
mod tests;
