//! Times as positions: `recorded_at` never falls with position, so a range of one is a range of the
//! other, and no read model needs an index by time.

use domain::Timestamp;
use event_store::log::{LOG_ID, Position};
use serde::Deserialize;
use sqlx::PgConnection;
use utoipa::IntoParams;

/// When what is listed was recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct TimeRangeParameters {
    /// Not before this time (RFC 3339).
    #[param(value_type = Option<String>, format = DateTime, example = "2026-01-01T00:00:00Z")]
    from: Option<Timestamp>,
    /// Before this time (RFC 3339).
    #[param(value_type = Option<String>, format = DateTime, example = "2026-02-01T00:00:00Z")]
    to: Option<Timestamp>,
}

/// The positions after `after`, up to and including `up_to`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimeRange {
    pub(crate) after: Position,
    pub(crate) up_to: Position,
}

impl TimeRange {
    pub(crate) async fn of(
        times: &TimeRangeParameters,
        db: &mut PgConnection,
    ) -> Result<Self, sqlx::Error> {
        Self::between(times.from, times.to, db).await
    }

    /// What was recorded at `from` or later and before `to`.
    pub(crate) async fn between(
        from: Option<Timestamp>,
        to: Option<Timestamp>,
        db: &mut PgConnection,
    ) -> Result<Self, sqlx::Error> {
        let after = match from {
            Some(from) => last_before(from, &mut *db).await?,
            None => Position::START,
        };
        let up_to = match to {
            Some(to) => last_before(to, db).await?,
            None => Position::from_number(i64::MAX),
        };
        Ok(Self { after, up_to })
    }
}

/// Some thirty look-ups by primary key, whatever the length of the log.
///
/// Up to and including `low` everything is earlier than the time, after `high` nothing is.
const LAST_BEFORE: &str = "
    with recursive bisection (low, high) as (
        select 0::bigint, position from log_head where log_id = $1
        union all
        select
            case when middle.recorded_at < $2 then middle.position else low end,
            case when middle.recorded_at < $2 then high else middle.position - 1 end
        from bisection
        cross join lateral (
            select position, recorded_at from events
            where log_id = $1 and position = (low + high + 1) / 2
        ) as middle
        where low < high
    )
    select low from bisection where low = high";

/// The position of the last event that was recorded before `time`.
async fn last_before(time: Timestamp, db: &mut PgConnection) -> Result<Position, sqlx::Error> {
    let position =
        sqlx::query_scalar(LAST_BEFORE).bind(LOG_ID).bind(time.datetime()).fetch_one(db).await?;
    Ok(Position::from_number(position))
}
