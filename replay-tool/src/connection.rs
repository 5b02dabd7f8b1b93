//! Connections of an auditor: read only, and never in the way of the log.

use std::str::FromStr;
use std::time::Duration;

use event_store::log::{LOG_ID, SCHEMA_VERSION};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};

/// After how many seconds the server ends a statement of this tool: one below the five that no
/// transaction on the log may outlive.
pub const STATEMENT_SECONDS_MAX: u64 = 4;

/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// What the server says when it ends a statement: it took too long; or, on a standby, it was in the way of
/// what the primary sent.
const INTERRUPTED: [&str; 2] = ["57014", "40001"];

/// Why a database cannot be audited.
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
    /// The version of its schema cannot be read: it holds no log, or the role may not see it.
    #[error("the version of the schema cannot be read")]
    SchemaUnknown(#[source] sqlx::Error),
    /// Migrations are missing.
    #[error("the schema is at version {found}, this program needs {SCHEMA_VERSION}")]
    Schema {
        /// The newest migration that was applied.
        found: i64,
    },
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Reads; the server refuses everything else.
    Read,
    /// Reads, and makes temporary tables.
    Scratch,
}

/// Where the log is, checked to be one.
#[derive(Debug, Clone)]
pub(crate) struct Auditor {
    options: PgConnectOptions,
}

impl Auditor {
    /// Connects once, to see that there is a log of a version that this program reads.
    ///
    /// Unlike the services, an auditor also reads databases with `fsync` off, such as a restored backup.
    pub(crate) async fn open(url: &str) -> Result<Self, ConnectError> {
        let options = PgConnectOptions::from_str(url).map_err(ConnectError::Url)?;
        let options = options.disable_statement_logging().application_name("replay-tool");
        let auditor = Self { options };
        let mut db = auditor.connect(Purpose::Read).await?;
        let found: i64 =
            sqlx::query_scalar("select coalesce(max(version), 0) from _sqlx_migrations")
                .fetch_one(&mut db)
                .await
                .map_err(ConnectError::SchemaUnknown)?;
        if found < SCHEMA_VERSION {
            return Err(ConnectError::Schema { found });
        }
        Ok(auditor)
    }

    /// One more connection.
    pub(crate) async fn connect(&self, purpose: Purpose) -> Result<PgConnection, ConnectError> {
        let timeout = format!("{STATEMENT_SECONDS_MAX}s");
        let read_only = match purpose {
            Purpose::Read => "on",
            Purpose::Scratch => "off",
        };
        // Key ranges are read through indexes whatever the statistics say: a plan that scans or sorts the
        // whole table would be ended by the time-out again and again.
        let settings = [
            ("statement_timeout", timeout.as_str()),
            ("default_transaction_read_only", read_only),
            ("plan_cache_mode", "force_custom_plan"),
            ("enable_seqscan", "off"),
            ("enable_bitmapscan", "off"),
            ("max_parallel_workers_per_gather", "0"),
            ("jit", "off"),
            ("standard_conforming_strings", "on"),
        ];
        let options = self.options.clone().options(settings);
        tokio::time::timeout(CONNECT_TIMEOUT, PgConnection::connect_with(&options))
            .await
            .map_err(|_| ConnectError::TimedOut)?
            .map_err(ConnectError::Connect)
    }
}

/// Whether the server ended the statement, and may well carry out a smaller one.
pub(crate) fn interrupted(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(refusal)
        if refusal.code().is_some_and(|code| INTERRUPTED.contains(&code.as_ref())))
}

/// Whether the statement met data that it cannot work with (SQLSTATE class 22): a document that is no
/// event.
pub(crate) fn data_refused(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Database(refusal)
        if refusal.code().is_some_and(|code| code.starts_with("22")))
}

/// The position of the head; `None` where there is none.
pub(crate) async fn head_position(db: &mut PgConnection) -> Result<Option<i64>, sqlx::Error> {
    sqlx::query_scalar("select position from log_head where log_id = $1")
        .bind(LOG)
        .fetch_optional(db)
        .await
}

/// The log that statements are about, for messages and binds.
pub(crate) const LOG: i16 = LOG_ID;
