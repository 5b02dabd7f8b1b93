//! Query strings, read strictly: unknown, repeated and garbled parameters are refused by name.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use serde_path_to_error::Segment;

use crate::json::classify;
use crate::json_structure::NUL_CHARACTER;
use crate::problem::{FieldError, Problem};

/// The query string as `T`, which says `#[serde(deny_unknown_fields)]`.
#[derive(Debug, Clone, Copy)]
pub struct StrictQuery<T>(
    /// The parameters.
    pub T,
);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for StrictQuery<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parse_query(parts.uri.query().unwrap_or_default()).map(Self)
    }
}

/// Reads a query string as `T`.
///
/// # Errors
/// 422 that names the parameter.
pub(crate) fn parse_query<T: DeserializeOwned>(query: &str) -> Result<T, Problem> {
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if name.contains('\0') || value.contains('\0') {
            return Err(invalid(&name, NUL_CHARACTER, "NUL is not allowed"));
        }
    }
    let parser = serde_urlencoded::Deserializer::new(form_urlencoded::parse(query.as_bytes()));
    serde_path_to_error::deserialize(parser).map_err(|error| {
        let message = error.inner().to_string();
        let (code, member) = classify(&message);
        let named = error.path().iter().find_map(|segment| match segment {
            Segment::Map { key } => Some(key.as_str()),
            Segment::Seq { .. } | Segment::Enum { .. } | Segment::Unknown => None,
        });
        invalid(member.or(named).unwrap_or_default(), code, &message)
    })
}

/// The 422 for one parameter.
pub(crate) fn invalid(parameter: &str, code: &'static str, detail: &str) -> Problem {
    Problem::invalid(vec![FieldError::of_parameter(parameter, code, detail)])
}
