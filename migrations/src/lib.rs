//! The schema of the log, as SQL files that are applied in order, once each, by the owner of the database.
//!
//! A migration only ever expands (new tables, nullable columns, new indexes built concurrently); what an
//! older program still uses is removed by a later migration, once none runs any more.

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::{AssertSqlSafe, PgConnection};

static MIGRATOR: Migrator = sqlx::migrate!("../migrations");

/// A role that services log in as; the migrations create it and grant it what it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// command-api, mirror, workers: appends events.
    Application,
    /// projections: owns the read models.
    Projector,
    /// query-api: reads.
    Query,
    /// replay-tool: reads.
    Auditor,
    /// Removes idempotency keys past their time.
    Pruner,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 5] =
        [Self::Application, Self::Projector, Self::Query, Self::Auditor, Self::Pruner];

    /// The name that it logs in with.
    pub const fn login(self) -> &'static str {
        match self {
            Self::Application => "runut_app",
            Self::Projector => "runut_projector",
            Self::Query => "runut_query",
            Self::Auditor => "runut_auditor",
            Self::Pruner => "runut_pruner",
        }
    }
}

/// Why the schema could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A migration failed, or one that was applied differs from the one in this program.
    #[error("a migration failed")]
    Migrate(#[from] MigrateError),
    /// What every role may do by itself could not be revoked.
    #[error("what every role may do by itself could not be revoked")]
    Restrict(#[source] sqlx::Error),
    /// A role's password could not be set.
    #[error("the password of `{role}` could not be set")]
    Password {
        /// The role.
        role: &'static str,
        /// What the database said.
        #[source]
        source: sqlx::Error,
    },
    /// A password has a character that could end the statement it stands in.
    #[error("passwords are ASCII letters and digits")]
    PasswordCharacters,
}

/// Applies what is missing, and revokes what every role may do by itself. Safe to run again, and by several at
/// once (a lock serialises them). Returns what could not be revoked, because the owner is no superuser.
///
/// # Errors
/// [`Error::Migrate`] or [`Error::Restrict`].
pub async fn apply(owner: &mut PgConnection) -> Result<Vec<String>, Error> {
    // Not first in a schema that is named like the owner, which another role may have made.
    sqlx::query("set search_path to public").execute(&mut *owner).await.map_err(Error::Restrict)?;
    MIGRATOR.run(&mut *owner).await?;
    restrict_everybody(owner).await.map_err(Error::Restrict)
}

/// Revokes what every role may do by itself in the database that `owner` is connected to, such as making
/// temporary tables; grants the roles what they need of it. To be called again for a copy of a migrated database, which has not
/// all privileges of its original. Returns what could not be revoked.
///
/// # Errors
/// What the database says.
pub async fn restrict_everybody(owner: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar("select public.restrict_everybody()").fetch_all(owner).await
}

/// Sets the password that `role` logs in with.
///
/// # Errors
/// [`Error::PasswordCharacters`] or [`Error::Password`].
pub async fn set_password(
    owner: &mut PgConnection,
    role: Role,
    password: &str,
) -> Result<(), Error> {
    if !password.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return Err(Error::PasswordCharacters);
    }
    // ALTER ROLE takes no bound values; the password was just checked to be letters and digits.
    let statement = format!("alter role {} login password '{password}'", role.login());
    sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(owner)
        .await
        .map(|_| ())
        .map_err(|source| Error::Password { role: role.login(), source })
}
