//! Reads a request's body within bounds of size and time.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use crate::problem::Problem;
use crate::problem_kinds as kinds;

/// The most bytes of a body, where a route does not say otherwise: an event's data has at most 256
/// KiB, and a command is no larger than the event it becomes.
pub const BODY_BYTES_MAX: usize = 256 * 1024;

/// How long a body may take to arrive, so that a caller that sends a byte at a time holds no
/// memory.
pub const BODY_READ_MAX: Duration = Duration::from_secs(10);

/// The body as it was sent, at most `BYTES_MAX` bytes, for whatever is not JSON (signed callbacks).
#[derive(Debug, Clone)]
pub struct RawBody<const BYTES_MAX: usize = BODY_BYTES_MAX>(
    /// The bytes.
    pub Bytes,
);

impl<S: Sync, const BYTES_MAX: usize> FromRequest<S> for RawBody<BYTES_MAX> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        read_body(&parts.headers, body, BYTES_MAX).await.map(Self)
    }
}

/// Reads a body of at most `bytes_max` bytes; a larger one is refused before it is read if its
/// length is announced, else as soon as it is seen.
///
/// # Errors
/// 413, 408 after [`BODY_READ_MAX`], 400 if the connection broke off.
pub async fn read_body(
    headers: &HeaderMap,
    body: Body,
    bytes_max: usize,
) -> Result<Bytes, Problem> {
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok());
    let announced = announced.and_then(|text| text.parse::<u64>().ok());
    if announced.is_some_and(|length| usize::try_from(length).is_ok_and(|l| l > bytes_max)) {
        return Err(Problem::body_too_large(bytes_max));
    }
    let reading = Limited::new(body, bytes_max).collect();
    match tokio::time::timeout(BODY_READ_MAX, reading).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Problem::body_too_large(bytes_max)),
        Ok(Err(_)) => Err(Problem::malformed("the body broke off")),
        Err(_) => {
            let detail = format!("the body took longer than {} s", BODY_READ_MAX.as_secs());
            Err(Problem::new(kinds::REQUEST_TIMEOUT, detail))
        }
    }
}
