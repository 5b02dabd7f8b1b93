//! Connecting to the log's Postgres, and refusing one that could lose what it acknowledged.

use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection, Row};

/// The newest migration that this program knows; the database must be at least there.
pub const SCHEMA_VERSION: i64 = 11;

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Why a database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The URL is not one.
    #[error("the database URL is malformed")]
    Url(#[source] sqlx::Error),
    /// It did not answer, or refused.
    #[error("the database cannot be reached")]
    Connect(#[source] sqlx::Error),
    /// Not within [`CONNECT_TIMEOUT`].
    #[error("the database did not answer within {} s", CONNECT_TIMEOUT.as_secs())]
    TimedOut,
    /// Reading its settings failed.
    #[error("the database's settings cannot be read")]
    Settings(#[source] sqlx::Error),
    /// It would lose acknowledged events in a crash.
    #[error("`{setting}` is `{value}`; events are only safe when it is `on`")]
    NotDurable {
        /// The setting.
        setting: &'static str,
        /// What it is set to.
        value: String,
    },
    /// Migrations are missing.
    #[error(
        "the schema is at version {found}, this program needs {SCHEMA_VERSION}: run `runut migrate`"
    )]
    Schema {
        /// The newest migration that was applied; 0 if there is none.
        found: i64,
    },
}

/// What the durability of an acknowledged event rests on, as the server has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Durability {
    /// The server's version, such as `18.4`.
    pub server_version: String,
    /// `fsync`.
    pub fsync: String,
    /// `full_page_writes`.
    pub full_page_writes: String,
    /// `synchronous_commit`.
    pub synchronous_commit: String,
}

impl Durability {
    /// Reads the settings.
    ///
    /// # Errors
    /// Whatever the database says.
    pub async fn read(db: &mut PgConnection) -> Result<Self, sqlx::Error> {
        let row = sqlx::query(
            "select current_setting('server_version'), current_setting('fsync'), \
             current_setting('full_page_writes'), current_setting('synchronous_commit')",
        )
        .fetch_one(db)
        .await?;
        Ok(Self {
            server_version: row.try_get(0)?,
            fsync: row.try_get(1)?,
            full_page_writes: row.try_get(2)?,
            synchronous_commit: row.try_get(3)?,
        })
    }

    /// The first setting that would let a crash lose an acknowledged event.
    pub fn weakness(&self) -> Option<(&'static str, &str)> {
        let stronger_or_on = ["on", "remote_apply", "remote_write", "local"];
        if self.fsync != "on" {
            Some(("fsync", &self.fsync))
        } else if self.full_page_writes != "on" {
            Some(("full_page_writes", &self.full_page_writes))
        } else if !stronger_or_on.contains(&self.synchronous_commit.as_str()) {
            Some(("synchronous_commit", &self.synchronous_commit))
        } else {
            None
        }
    }
}

/// Names without a schema are those of the log. By itself Postgres looks first in a schema named like the role that is
/// connected, and whoever may make schemas could put tables and functions there.
const SEARCH_PATH: (&str, &str) = ("search_path", "public");

/// Parses a URL; statements are not logged, because they carry what people entrusted to us.
///
/// # Errors
/// [`ConnectError::Url`].
pub fn connect_options(url: &str) -> Result<PgConnectOptions, ConnectError> {
    let options = PgConnectOptions::from_str(url).map_err(ConnectError::Url)?;
    let options = options.disable_statement_logging().application_name("runut");
    Ok(options.options([SEARCH_PATH]))
}

/// The same for a connection that appends. The plan of its statement does not depend on what is appended,
/// but Postgres by itself makes it anew each time, which takes half a millisecond.
pub fn append_options(options: PgConnectOptions) -> PgConnectOptions {
    options.options([("plan_cache_mode", "force_generic_plan")])
}

/// The same for a connection that finds rows by their keys only. Making plans would take most of its time, so
/// each is made once; and by index, since a plan for the few rows that a table had then would read them all
/// when there are millions.
pub fn look_up_options(options: PgConnectOptions) -> PgConnectOptions {
    options.options([
        ("plan_cache_mode", "force_generic_plan"),
        ("enable_seqscan", "off"),
        ("enable_hashjoin", "off"),
        ("enable_mergejoin", "off"),
    ])
}

/// Connects, and checks that the schema is there and that nothing acknowledged can be lost.
///
/// # Errors
/// [`ConnectError`].
pub async fn connect(options: &PgConnectOptions) -> Result<PgConnection, ConnectError> {
    let connecting = PgConnection::connect_with(options);
    let mut db = tokio::time::timeout(CONNECT_TIMEOUT, connecting)
        .await
        .map_err(|_| ConnectError::TimedOut)?
        .map_err(ConnectError::Connect)?;
    let durability = Durability::read(&mut db).await.map_err(ConnectError::Settings)?;
    if let Some((setting, value)) = durability.weakness() {
        return Err(ConnectError::NotDurable { setting, value: value.to_owned() });
    }
    let found = schema_version(&mut db).await.map_err(ConnectError::Settings)?;
    if found < SCHEMA_VERSION {
        return Err(ConnectError::Schema { found });
    }
    Ok(db)
}

async fn schema_version(db: &mut PgConnection) -> Result<i64, sqlx::Error> {
    let migrated: bool = sqlx::query_scalar("select to_regclass('_sqlx_migrations') is not null")
        .fetch_one(&mut *db)
        .await?;
    if !migrated {
        return Ok(0);
    }
    sqlx::query_scalar("select coalesce(max(version), 0) from _sqlx_migrations where success")
        .fetch_one(db)
        .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_could_lose_acknowledged_events_is_named_weak() {
        let strong = Durability {
            server_version: "18.4".to_owned(),
            fsync: "on".to_owned(),
            full_page_writes: "on".to_owned(),
            synchronous_commit: "on".to_owned(),
        };
        assert_eq!(strong.weakness(), None);
        let off = || "off".to_owned();
        assert_eq!(
            Durability { fsync: off(), ..strong.clone() }.weakness(),
            Some(("fsync", "off"))
        );
        let lazy = Durability { synchronous_commit: off(), ..strong.clone() };
        assert_eq!(lazy.weakness(), Some(("synchronous_commit", "off")));
        let torn = Durability { full_page_writes: off(), ..strong };
        assert_eq!(torn.weakness(), Some(("full_page_writes", "off")));
    }
}
