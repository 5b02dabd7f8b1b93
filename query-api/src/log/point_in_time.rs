//! Points in time: positions, and times as the last position until then.

use api_conventions::{FieldError, INVALID_VALUE, Problem};
use domain::{Day, Timestamp};
use event_store::log::{Position, last_before};
use serde::{Deserialize, Deserializer};
use sqlx::PgConnection;

use crate::database;
use crate::state::ApiState;

const DAY_MICROS: i64 = 86_400_000_000;

/// Up to when something takes effect: a time, or a day, up to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EffectiveUntil(pub(crate) Timestamp);

impl<'de> Deserialize<'de> for EffectiveUntil {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        if let Ok(day) = text.parse::<Day>() {
            let last = Timestamp::from_micros(day.start().micros() + DAY_MICROS - 1);
            return Ok(Self(last));
        }
        text.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

/// The last position that was recorded at `time` or before.
pub(crate) async fn up_to(db: &mut PgConnection, time: Timestamp) -> Result<Position, sqlx::Error> {
    last_before(db, Timestamp::from_micros(time.micros().saturating_add(1))).await
}

/// The last position that was recorded before `time` as the log has it, which every read model is behind. What is
/// asked for up to a time that is over has to be of all that was recorded until then, now and ever after.
///
/// # Errors
/// 503: the log cannot be read.
pub(crate) async fn logged_before(api: &ApiState, time: Timestamp) -> Result<Position, Problem> {
    last_before(&api.database.look_ups, time).await.map_err(database::refused)
}

/// The same of what was recorded at `time` or before.
///
/// # Errors
/// As above.
pub(crate) async fn logged_up_to(api: &ApiState, time: Timestamp) -> Result<Position, Problem> {
    logged_before(api, Timestamp::from_micros(time.micros().saturating_add(1))).await
}

/// A position as a query names it.
///
/// # Errors
/// 422: it is negative.
pub(crate) fn position(asked: Option<i64>) -> Result<Option<Position>, Problem> {
    match asked {
        Some(..0) => Err(refused("position", "expected zero or more")),
        asked => Ok(asked.map(Position::from_number)),
    }
}

/// Refuses a query that names several points in time; `given` says which parameters are there.
///
/// # Errors
/// 422 that names the last of them.
pub(crate) fn only_one(given: &[(&'static str, bool)]) -> Result<(), Problem> {
    let mut named = given.iter().filter(|(_, given)| *given).map(|(name, _)| *name);
    match (named.next(), named.next_back()) {
        (Some(first), Some(other)) => {
            Err(refused(other, &format!("not beside `{first}`: one point in time at most")))
        }
        (_, None) | (None, _) => Ok(()),
    }
}

fn refused(parameter: &str, detail: &str) -> Problem {
    Problem::invalid(vec![FieldError::of_parameter(parameter, INVALID_VALUE, detail)])
}
