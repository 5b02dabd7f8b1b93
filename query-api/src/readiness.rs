//! Whether queries should be sent here.

use std::time::Duration;

use api_conventions::ReadinessCheck;
use event_store::log::SCHEMA_VERSION;
use projections::{ProjectionState, ProjectionStatus, statuses};
use sqlx::Connection;
use sqlx::postgres::PgConnection;

use crate::database::not_there;
use crate::read_model::ReadModel;
use crate::state::ApiState;

/// How long the oldest event may have been waiting to be applied: what a projection makes up within
/// a minute after a restart.
const LAG_MAX: Duration = Duration::from_secs(30);

/// The database, its schema and every read model that queries show.
pub(crate) async fn checks(api: ApiState) -> Vec<ReadinessCheck> {
    let mut connection = match api.database.searches.acquire().await {
        Ok(connection) => connection,
        Err(error) => return vec![check("database", Err(error.to_string()))],
    };
    let schema = schema(&mut connection).await;
    let mut checks = match &schema {
        Ok(_) => vec![check("database", Ok("answers".to_owned()))],
        Err(error) => return vec![check("database", Err(error.to_string()))],
    };
    checks.extend(schema.map(|found| check("schema", schema_fits(found))));
    let known = match standing(&mut connection).await {
        Ok(known) => known,
        Err(error) => {
            checks.push(check("projections", Err(error.to_string())));
            return checks;
        }
    };
    checks.extend(ReadModel::ALL.into_iter().map(|model| {
        let status = known.iter().find(|status| status.projection == model.name());
        check(model.name(), read_model_is_current(model, status))
    }));
    checks
}

fn check(name: &'static str, found: Result<String, String>) -> ReadinessCheck {
    let ok = found.is_ok();
    let (Ok(detail) | Err(detail)) = found;
    ReadinessCheck { name, ok, detail }
}

async fn schema(db: &mut PgConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar("select coalesce(max(version), 0) from _sqlx_migrations where success")
        .fetch_one(db)
        .await
}

fn schema_fits(found: i64) -> Result<String, String> {
    let detail = format!("version {found}, version {SCHEMA_VERSION} is needed");
    if found >= SCHEMA_VERSION { Ok(detail) } else { Err(detail) }
}

async fn standing(db: &mut PgConnection) -> Result<Vec<ProjectionStatus>, sqlx::Error> {
    let mut transaction = db.begin().await?;
    let found = statuses(&mut *transaction).await;
    transaction.rollback().await?;
    match found {
        Err(error) if not_there(&error) => Ok(Vec::new()),
        found => found,
    }
}

fn read_model_is_current(
    model: ReadModel,
    status: Option<&ProjectionStatus>,
) -> Result<String, String> {
    let Some(status) = status else { return Err("has not been made yet".to_owned()) };
    let ProjectionStatus { position, head, state, version, .. } = status;
    if *version != model.version() {
        let expected = model.version();
        return Err(format!("{state}; at version {version}, version {expected} is needed"));
    }
    let lag = status.lag;
    let lag_ms = lag.as_millis();
    let detail = format!("{state} at position {position} of {head}, {lag_ms} ms behind");
    match state {
        ProjectionState::Running if lag <= LAG_MAX => Ok(detail),
        ProjectionState::Running
        | ProjectionState::Stopped
        | ProjectionState::Diverged
        | ProjectionState::Rebuilding => {
            let reason = status.detail.as_deref().map(|reason| format!(": {reason}"));
            Err(detail + &reason.unwrap_or_default())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Timestamp;
    use event_store::log::Position;

    fn status(state: ProjectionState, behind_s: u64) -> ProjectionStatus {
        ProjectionStatus {
            projection: "access".to_owned(),
            version: ReadModel::Access.version(),
            generation: 1,
            position: Position::from_number(7),
            head: Position::from_number(9),
            state,
            detail: (state == ProjectionState::Stopped).then(|| "no such account".to_owned()),
            failed_position: None,
            updated_at: Timestamp::from_micros(0),
            lag: Duration::from_secs(behind_s),
        }
    }

    fn checked(status: Option<&ProjectionStatus>) -> Result<String, String> {
        read_model_is_current(ReadModel::Access, status)
    }

    #[test]
    fn a_read_model_is_current_when_it_runs_and_is_not_far_behind() {
        use ProjectionState::{Diverged, Rebuilding, Running, Stopped};

        let current = "running at position 7 of 9, 1000 ms behind";
        assert_eq!(checked(Some(&status(Running, 1))), Ok(current.to_owned()));
        let stopped = "stopped at position 7 of 9, 1000 ms behind: no such account";
        assert_eq!(checked(Some(&status(Stopped, 1))), Err(stopped.to_owned()));
        for (state, behind_s) in [(Running, 31), (Diverged, 0), (Rebuilding, 0)] {
            assert!(checked(Some(&status(state, behind_s))).is_err(), "{state}");
        }
        assert!(checked(None).is_err());
        let newer = ProjectionStatus { version: i32::MAX, ..status(Running, 0) };
        assert!(checked(Some(&newer)).is_err());
    }

    #[test]
    fn an_older_schema_does_not_fit_and_a_newer_one_does() {
        assert!(schema_fits(SCHEMA_VERSION - 1).is_err());
        assert!(schema_fits(SCHEMA_VERSION).is_ok());
        assert!(schema_fits(SCHEMA_VERSION + 1).is_ok());
    }
}
