//! The metadata of a body.

use std::collections::BTreeMap;

use api_conventions::{FieldErrors, INVALID_VALUE, Pointer};
use domain::Metadata;

/// The metadata of a body, whose field is `at`; none where it is not given.
pub(crate) fn checked_metadata(
    errors: &mut FieldErrors,
    at: impl Into<Pointer>,
    metadata: Option<BTreeMap<String, String>>,
) -> Option<Metadata> {
    let Some(entries) = metadata else { return Some(Metadata::default()) };
    match Metadata::parse(entries) {
        Ok(metadata) => Some(metadata),
        Err((key, invalid)) => {
            let all = at.into();
            let at = if key.is_empty() { all } else { all.key(&key) };
            errors.add(at, INVALID_VALUE, invalid);
            None
        }
    }
}
