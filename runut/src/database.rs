//! The log's database as seen by its owner, and waiting for one that is not there yet.

use std::time::Duration;

use anyhow::{Context, bail};
use event_store::log::{self, ConnectError};
use migrations::Role;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection};
use tokio::time::{Instant, sleep, timeout};
use url::Url;

/// The name of the database where nobody says another.
pub(crate) const DATABASE: &str = "runut";
/// The database that every server has; nothing of ours is put into it.
const MAINTENANCE_DATABASE: &str = "postgres";
/// How long a server that is not there is waited for: containers start in any order.
const SERVER_AWAITED_MAX: Duration = Duration::from_secs(60);
const ATTEMPT_MAX: Duration = Duration::from_secs(5);
const ATTEMPTS_EVERY: Duration = Duration::from_millis(250);
const NOTICE_EVERY: Duration = Duration::from_secs(5);
/// SQLSTATE classes of a server that may well answer later: connection exceptions, too few
/// resources, starting up or shutting down.
const PASSING_CLASSES: [&str; 3] = ["08", "53", "57"];
const NO_SUCH_DATABASE: &str = "3D000";
const DATABASE_EXISTS: &str = "42P04";

/// The database, and the login of its owner.
pub(crate) struct Database {
    owner: Url,
}

impl Database {
    /// The database that the owner's URL names.
    pub(crate) fn named(owner_url: &str) -> anyhow::Result<Self> {
        // Neither here nor below is the URL itself in an error: there is a password in it.
        let owner = Url::parse(owner_url).context("the database URL is malformed")?;
        if !matches!(owner.scheme(), "postgres" | "postgresql") || owner.host_str().is_none() {
            bail!("the database URL is not `postgres://user:password@host:port/database`");
        }
        if let Some(role) = Role::ALL.iter().find(|role| role.login() == owner.username()) {
            bail!("the database URL is that of the role `{}`, not of the owner", role.login());
        }
        Ok(Self { owner })
    }

    /// As [`Database::named`], but [`DATABASE`] where the URL names none or the maintenance
    /// database.
    pub(crate) fn ours(owner_url: &str) -> anyhow::Result<Self> {
        let mut database = Self::named(owner_url)?;
        if matches!(database.name(), "" | MAINTENANCE_DATABASE) {
            database.owner.set_path(DATABASE);
        }
        Ok(database)
    }

    fn name(&self) -> &str {
        self.owner.path().trim_start_matches('/')
    }

    /// What may be said of it: host, port and name.
    pub(crate) fn place(&self) -> String {
        let host = self.owner.host_str().unwrap_or_default();
        format!("{host}:{}, database {}", self.owner.port().unwrap_or(5432), self.name())
    }

    /// The URL that its owner logs in with.
    pub(crate) fn owner_url(&self) -> &str {
        self.owner.as_str()
    }

    /// The URL that a role logs in with.
    pub(crate) fn url_of(&self, role: Role, password: &str) -> String {
        let mut url = self.owner.clone();
        // Both fail only for URLs without a host, which were refused.
        let _ = url.set_username(role.login());
        let _ = url.set_password(Some(password));
        url.into()
    }

    /// Connects as the owner; waits for the server.
    pub(crate) async fn connect(&self) -> anyhow::Result<PgConnection> {
        connect(&self.owner).await
    }

    /// Makes the database if there is none of its name; waits for the server.
    pub(crate) async fn create_if_missing(&self) -> anyhow::Result<()> {
        match connect(&self.owner).await {
            Ok(db) => return Ok(db.close().await?),
            Err(error) => {
                let state = error.downcast_ref().and_then(sqlstate);
                if state.as_deref() != Some(NO_SUCH_DATABASE) {
                    return Err(error);
                }
            }
        }
        let mut maintenance = self.owner.clone();
        maintenance.set_path(MAINTENANCE_DATABASE);
        let mut db = connect(&maintenance).await?;
        let name = self.name().replace('"', "\"\"");
        let create = format!("create database \"{name}\" encoding 'UTF8' template template0");
        match sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut db).await {
            Ok(_) => tracing::info!(database = self.name(), "the database is made"),
            // Another was quicker.
            Err(error) if sqlstate(&error).as_deref() == Some(DATABASE_EXISTS) => {}
            Err(error) => return Err(error).context("the database cannot be made"),
        }
        Ok(db.close().await?)
    }

    /// Brings the schema up to date and sets the passwords that are given. Returns what every role may do
    /// although no service needs it, because this owner cannot revoke it.
    pub(crate) async fn migrate(
        &self,
        passwords: &[(Role, String)],
    ) -> anyhow::Result<Vec<String>> {
        let mut db = self.connect().await?;
        let left = migrations::apply(&mut db).await;
        let left = left.context("the schema cannot be brought up to date")?;
        for (role, password) in passwords {
            migrations::set_password(&mut db, *role, password).await?;
        }
        db.close().await?;
        Ok(left)
    }
}

async fn connect(url: &Url) -> anyhow::Result<PgConnection> {
    let options = log::connect_options(url.as_str())?;
    await_server(
        async || match timeout(ATTEMPT_MAX, PgConnection::connect_with(&options)).await {
            Ok(connected) => connected,
            Err(elapsed) => Err(sqlx::Error::Io(elapsed.into())),
        },
        passing,
    )
    .await
}

/// Waits until a role's database answers, and checks that its schema is there.
pub(crate) async fn await_schema(url: &str) -> anyhow::Result<()> {
    let options = log::connect_options(url)?;
    let db = await_server(
        async || log::connect(&options).await,
        |error| match error {
            ConnectError::Connect(error) | ConnectError::Settings(error) => passing(error),
            ConnectError::TimedOut => true,
            ConnectError::Url(_)
            | ConnectError::NotDurable { .. }
            | ConnectError::Schema { .. } => false,
        },
    )
    .await?;
    Ok(db.close().await?)
}

/// Why a role's database cannot be used just now; `None` when it can.
pub(crate) async fn trouble(url: &str) -> Option<String> {
    let connected = async { log::connect(&log::connect_options(url)?).await };
    match connected.await {
        Ok(db) => {
            // It answered, whatever comes of saying goodbye.
            drop(db.close().await);
            None
        }
        Err(error) => Some(error.to_string()),
    }
}

/// Tries until it works, fails for good, or [`SERVER_AWAITED_MAX`] is over.
async fn await_server<T, E>(
    attempt: impl AsyncFn() -> Result<T, E>,
    passing: impl Fn(&E) -> bool,
) -> anyhow::Result<T>
where
    E: std::error::Error + Send + Sync + 'static,
{
    let begun = Instant::now();
    let mut notice_at = begun;
    loop {
        let error = match attempt().await {
            Ok(done) => return Ok(done),
            Err(error) => error,
        };
        if !passing(&error) {
            return Err(error).context("the database cannot be used");
        }
        if begun.elapsed() > SERVER_AWAITED_MAX {
            let waited_s = SERVER_AWAITED_MAX.as_secs();
            return Err(error).context(format!("the database did not answer within {waited_s} s"));
        }
        if Instant::now() >= notice_at {
            notice_at = Instant::now() + NOTICE_EVERY;
            let left_s = SERVER_AWAITED_MAX.saturating_sub(begun.elapsed()).as_secs();
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, left_s, "waiting for the database");
        }
        sleep(ATTEMPTS_EVERY).await;
    }
}

fn passing(error: &sqlx::Error) -> bool {
    let class = |code: &str| PASSING_CLASSES.iter().any(|class| code.starts_with(class));
    matches!(error, sqlx::Error::Io(_)) || sqlstate(error).is_some_and(|code| class(&code))
}

fn sqlstate(error: &sqlx::Error) -> Option<String> {
    error.as_database_error()?.code().map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_maintenance_database_is_never_used_for_the_log() {
        for (given, used) in [
            ("postgres://o:p@h:1/postgres", "postgres://o:p@h:1/runut"),
            ("postgres://o:p@h", "postgres://o:p@h/runut"),
            ("postgres://o:p@h/pay?sslmode=require", "postgres://o:p@h/pay?sslmode=require"),
        ] {
            assert_eq!(Database::ours(given).unwrap().owner_url(), used);
        }
    }

    #[test]
    fn a_roles_url_is_the_owners_with_another_login() {
        let database = Database::named("postgres://o:p@h:1/runut?sslmode=disable").unwrap();
        assert_eq!(
            database.url_of(Role::Query, "abc"),
            "postgres://runut_query:abc@h:1/runut?sslmode=disable"
        );
        assert_eq!(database.place(), "h:1, database runut");
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_never_comes_is_waited_for_within_bounds() {
        let begun = Instant::now();
        let refused = async || Err::<(), _>(sqlx::Error::Io(std::io::ErrorKind::NotFound.into()));
        let error = await_server(refused, passing).await.unwrap_err();
        assert_eq!(error.to_string(), "the database did not answer within 60 s");
        assert!(begun.elapsed() < SERVER_AWAITED_MAX + 2 * ATTEMPTS_EVERY);
    }

    #[tokio::test(start_paused = true)]
    async fn what_will_not_pass_is_not_waited_for() {
        let begun = Instant::now();
        let refused = async || Err::<(), _>(sqlx::Error::RowNotFound);
        await_server(refused, passing).await.unwrap_err();
        assert!(begun.elapsed().is_zero());
    }

    #[test]
    fn a_services_url_is_not_taken_for_the_owners_and_no_error_shows_a_password() {
        for url in ["postgres://runut_app:hunter2@h/runut", "mysql://a:hunter2@h", "hunter2"] {
            let error = format!("{:#}", Database::named(url).map(drop).unwrap_err());
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
