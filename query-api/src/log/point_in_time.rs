//! Points in time: positions, and times as the last position until then.

use api_conventions::{FieldError, INVALID_VALUE, Problem};
use domain::Timestamp;
use event_store::log::{Position, last_before};
use sqlx::PgConnection;

/// The last position that was recorded at `time` or before.
pub(crate) async fn up_to(db: &mut PgConnection, time: Timestamp) -> Result<Position, sqlx::Error> {
    last_before(db, Timestamp::from_micros(time.micros().saturating_add(1))).await
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
