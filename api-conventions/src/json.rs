//! JSON bodies, read strictly: every refusal names the field, and nothing is ignored or guessed.

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;

use crate::body::{BODY_BYTES_MAX, read_body};
use crate::field_errors::{INVALID_VALUE, MISSING_FIELD, UNKNOWN_FIELD};
use crate::json_objects::ObjectsOnly;
use crate::json_structure::{DUPLICATE_KEY, check_structure};
use crate::pointer::Pointer;
use crate::problem::{FieldError, Problem};

/// A JSON body of at most `BYTES_MAX` bytes, as its type and as the bytes that were sent.
///
/// `T` says `#[serde(deny_unknown_fields)]`, so that a misspelt field is refused, not ignored.
#[derive(Debug, Clone)]
pub struct StrictJson<T, const BYTES_MAX: usize = BODY_BYTES_MAX> {
    /// The body as its type.
    pub value: T,
    /// The body as it was sent.
    pub raw: Bytes,
}

impl<S: Sync, T: DeserializeOwned, const BYTES_MAX: usize> FromRequest<S>
    for StrictJson<T, BYTES_MAX>
{
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        check_json_media_type(&parts.headers)?;
        let raw = read_body(&parts, body, BYTES_MAX).await?;
        Ok(Self { value: parse_json(&raw)?, raw })
    }
}

/// Accepts `application/json`, with parameters (`charset=utf-8`) or without.
///
/// # Errors
/// 415.
pub fn check_json_media_type(headers: &HeaderMap) -> Result<(), Problem> {
    check_media_type(headers, "application/json")
}

/// Accepts `expected`, with parameters or without.
///
/// # Errors
/// 415.
pub fn check_media_type(headers: &HeaderMap, expected: &str) -> Result<(), Problem> {
    let media_type = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = media_type.and_then(|text| text.split(';').next()).map(str::trim);
    match essence {
        Some(essence) if essence.eq_ignore_ascii_case(expected) => Ok(()),
        _ => Err(Problem::unsupported_media_type(expected)),
    }
}

/// A text without the byte order mark that some programs put before it, which says nothing of UTF-8 (RFC 8259, 8.1).
pub fn without_byte_order_mark(raw: &[u8]) -> &[u8] {
    raw.strip_prefix("\u{feff}".as_bytes()).unwrap_or(raw)
}

/// Reads a body as `T`, which may borrow from it; a byte order mark before it is skipped.
///
/// # Errors
/// 400 `malformed-json` if it is not JSON; 422 for duplicate keys, NUL, and for fields that are
/// unknown, missing or of another type.
pub fn parse_json<'de, T: Deserialize<'de>>(raw: &'de [u8]) -> Result<T, Problem> {
    let raw = without_byte_order_mark(raw);
    check_structure(raw)?;
    // Nearly always all is well, and it need not be noted with every value where it stands.
    let mut parser = serde_json::Deserializer::from_slice(raw);
    if let Ok(value) = T::deserialize(ObjectsOnly(&mut parser)) {
        return Ok(value);
    }
    let mut parser = serde_json::Deserializer::from_slice(raw);
    serde_path_to_error::deserialize(ObjectsOnly(&mut parser))
        .map_err(|error| Problem::invalid(vec![type_error(&error)]))
}

fn type_error(error: &serde_path_to_error::Error<serde_json::Error>) -> FieldError {
    let pointer = error.path().iter().fold(Pointer::root(), |pointer, segment| match segment {
        Segment::Seq { index } => pointer.index(*index),
        Segment::Map { key } => pointer.key(key),
        Segment::Enum { variant } => pointer.key(variant),
        Segment::Unknown => pointer,
    });
    let message = for_people(&error.inner().to_string());
    let (code, member) = classify(&message);
    let pointer = member.map_or_else(|| pointer.clone(), |name| pointer.key(name));
    FieldError::at(&pointer, code, message)
}

/// serde's message without what only this program understands: the pointer says where, so line and
/// column would say it again and differently; and a struct is an object to the caller.
fn for_people(message: &str) -> String {
    let message = message.rsplit_once(" at line ").map_or(message, |(text, _)| text);
    match message.split_once(", expected struct ") {
        Some((found, _)) => format!("{found}, expected an object"),
        None => message.to_owned(),
    }
}

/// The code for one of serde's messages, and the member that it says is missing or given twice,
/// which serde's path does not reach. Also for query strings.
pub(crate) fn classify(message: &str) -> (&'static str, Option<&str>) {
    let named = |prefix| message.strip_prefix(prefix).and_then(|rest| rest.strip_suffix('`'));
    if let Some(member) = named("missing field `") {
        (MISSING_FIELD, Some(member))
    } else if let Some(member) = named("duplicate field `") {
        (DUPLICATE_KEY, Some(member))
    } else if message.starts_with("unknown field") {
        (UNKNOWN_FIELD, None)
    } else if message.starts_with("invalid type") {
        ("wrong-type", None)
    } else {
        (INVALID_VALUE, None)
    }
}

#[cfg(test)]
mod tests;
