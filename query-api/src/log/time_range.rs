//! Times as positions: `recorded_at` never falls with position, so a range of one is a range of the
//! other, and no read model needs an index by time.

use api_conventions::Problem;
use domain::Timestamp;
use event_store::log::{Position, last_before};
use serde::Deserialize;
use sqlx::PgConnection;
use utoipa::IntoParams;

use super::point_in_time::logged_before;
use crate::state::ApiState;

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

impl TimeRangeParameters {
    /// What has to be shown so that nothing of the range is missing.
    ///
    /// # Errors
    /// 503: the log cannot be read.
    pub(crate) async fn demanded(&self, api: &ApiState) -> Result<Option<Position>, Problem> {
        demanded_before(self.to, api).await
    }
}

/// What has to be shown so that nothing is missing that was recorded before `to`.
///
/// # Errors
/// 503: the log cannot be read.
pub(crate) async fn demanded_before(
    to: Option<Timestamp>,
    api: &ApiState,
) -> Result<Option<Position>, Problem> {
    match to {
        Some(to) => logged_before(api, to).await.map(Some),
        None => Ok(None),
    }
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
            Some(from) => last_before(&mut *db, from).await?,
            None => Position::START,
        };
        let up_to = match to {
            Some(to) => last_before(db, to).await?,
            None => Position::from_number(i64::MAX),
        };
        Ok(Self { after, up_to })
    }
}
