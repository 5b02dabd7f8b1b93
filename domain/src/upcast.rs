//! Reading old events: each version of an event's data is brought to the next one, up to today's.
//!
//! A change of an event's shape raises its version in `event.rs` and adds a step here; the stored
//! events stay as they are.

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::event::DecodeError;

/// Brings data from one version to the next.
type Step = fn(Value) -> Value;

/// `(event type, version it starts from, step)`. Empty as long as every event is in its first version.
const STEPS: &[(&str, i16, Step)] = &[];

/// Reads `data` of `version` as the shape of version `current`.
pub(crate) fn upcast<T: DeserializeOwned>(
    event_type: &str,
    version: i16,
    current: i16,
    data: &str,
) -> Result<T, DecodeError> {
    if version == current {
        return serde_json::from_str(data).map_err(|source| DecodeError::Malformed {
            event_type: event_type.to_owned(),
            source,
        });
    }
    let malformed = |source| DecodeError::Malformed { event_type: event_type.to_owned(), source };
    let unknown = || DecodeError::UnknownVersion {
        event_type: event_type.to_owned(),
        schema_version: version,
    };
    if version > current {
        return Err(unknown());
    }
    let mut value: Value = serde_json::from_str(data).map_err(malformed)?;
    for from in version..current {
        let (_, _, step) = STEPS
            .iter()
            .find(|(name, at, _)| *name == event_type && *at == from)
            .ok_or_else(unknown)?;
        value = step(value);
    }
    serde_json::from_value(value).map_err(malformed)
}
