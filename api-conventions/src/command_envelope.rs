//! All of a command request but its meaning: who, which key, which fingerprint, which bytes.

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::HeaderMap;
use bytes::Bytes;
use serde::Deserialize;

use crate::authenticate::Caller;
use crate::body::{BODY_BYTES_MAX, read_body};
use crate::correlation::RequestContext;
use crate::etag::IfMatch;
use crate::idempotency::{Fingerprint, IdempotencyKey};
use crate::json::{check_json_media_type, parse_json};
use crate::problem::Problem;

/// A command as it arrived, its body not yet read as a type. Made in the order of the checks:
/// caller, `Idempotency-Key`, `If-Match`, then the body's size.
#[derive(Debug, Clone)]
pub struct CommandEnvelope<const BYTES_MAX: usize = BODY_BYTES_MAX> {
    /// Whose command it is.
    pub caller: Caller,
    /// Correlation id and trace, for the event's metadata.
    pub context: RequestContext,
    /// The key it is remembered under.
    pub idempotency_key: IdempotencyKey,
    /// What it is remembered as.
    pub fingerprint: Fingerprint,
    /// The version that the caller has seen, if it insists on it.
    pub if_match: Option<IfMatch>,
    /// The body as it was sent.
    pub raw: Bytes,
    headers: HeaderMap,
}

impl<const BYTES_MAX: usize> CommandEnvelope<BYTES_MAX> {
    /// The body as `T`, which may borrow from it.
    ///
    /// # Errors
    /// 415 for another media type, and those of [`parse_json`].
    pub fn json<'a, T: Deserialize<'a>>(&'a self) -> Result<T, Problem> {
        check_json_media_type(&self.headers)?;
        parse_json(&self.raw)
    }

    /// The body as `T`, of which everything may be left out, the body itself included.
    ///
    /// # Errors
    /// As of [`Self::json`].
    pub fn json_or_default<'a, T: Deserialize<'a> + Default>(&'a self) -> Result<T, Problem> {
        if self.raw.is_empty() { Ok(T::default()) } else { self.json() }
    }

    /// For commands that have no body: nothing, or `{}`, is accepted.
    ///
    /// # Errors
    /// Those of [`Self::json`] for an object without fields.
    pub fn no_body(&self) -> Result<(), Problem> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct NoFields {}

        if self.raw.is_empty() {
            return Ok(());
        }
        self.json().map(|NoFields {}| ())
    }
}

impl<S: Sync, const BYTES_MAX: usize> FromRequest<S> for CommandEnvelope<BYTES_MAX> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let caller = Caller::from_request_parts(&mut parts, state).await?;
        let context = RequestContext::from_request_parts(&mut parts, state).await?;
        let idempotency_key = IdempotencyKey::from_headers(&parts.headers)?;
        let if_match = IfMatch::from_headers(&parts.headers)?;
        let raw = read_body(&parts, body, BYTES_MAX).await?;
        // A nested router sees only the rest of the path; the fingerprint is over all of it.
        let original = parts.extensions.get::<axum::extract::OriginalUri>();
        let uri = original.map_or(&parts.uri, |original| &original.0);
        let fingerprint = Fingerprint::of(&parts.method, uri, caller.merchant_id, &raw);
        let headers = parts.headers;
        Ok(Self { caller, context, idempotency_key, fingerprint, if_match, raw, headers })
    }
}

#[cfg(test)]
mod tests;
