//! Connections to Postgres, in compartments: what one kind of work holds, no other waits for.

use std::time::Duration;

use api_conventions::{Pool, Problem, problem_kinds as kinds};
use event_store::log::look_up_options;
use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};

/// The most connections that searches hold: several for each core of a small server.
const SEARCH_CONNECTIONS_MAX: u32 = 8;
/// Of these, what one merchant has, with all of its keys; its other searches wait for those. Platform and auditors count as
/// one.
pub(crate) const SEARCHES_OF_ONE: Pool = Pool {
    name: "searches",
    units: "searches",
    owner: "merchant",
    total: SEARCH_CONNECTIONS_MAX as usize,
    of_one: 4,
};
/// How long a search waits for those of the same merchant before it is told to come back.
pub(crate) const SEARCH_WAIT_MAX: Duration = Duration::from_secs(1);
/// The most connections for showing what has an id, which takes no time and waits for no search.
const LOOK_UP_CONNECTIONS_MAX: u32 = 8;
/// The most connections for looking up API keys, so that slow queries lock nobody out.
const KEY_CONNECTIONS_MAX: u32 = 3;
/// The most connections for followers of the log; each holds one for a page, not while it waits.
const FOLLOWER_CONNECTIONS_MAX: u32 = 3;
/// The most connections for exports; each holds one for a page, so that they share what a few queries take.
const EXPORT_CONNECTIONS_MAX: u32 = 2;
/// How long a request waits for a connection before it is told to come back.
const CONNECTION_WAIT_MAX: Duration = Duration::from_secs(2);
/// How long an export waits for its turn with one: what it has sent by then would be lost if it broke off.
const EXPORT_CONNECTION_WAIT_MAX: Duration = Duration::from_secs(10);
/// How old a connection grows, so that what its server process has gathered is given back. Plans do not age: those of
/// searches are made for each, and those of look-ups by index.
const CONNECTION_AGE_MAX: Duration = Duration::from_mins(10);
/// How long after its last use a connection is taken to be alive. If it is not, the query is answered 503.
const TRUSTED_FOR: Duration = Duration::from_secs(1);
/// How long a statement may take. In a snapshot only one is ever slow, the others are look-ups by key,
/// so that none comes near the 5 s after which it would hold up the vacuum of the log's head; a page is bounded as a whole.
const STATEMENT_TIMEOUT: &str = "2s";

/// How searches are planned. For what is asked for: filters that are not given are nulls, and a plan made for any
/// value would use no index. And without bitmaps of rows, which have no order: where Postgres takes an account to have
/// few postings, it would read all that it has to sort them, however few are asked for. Pages are read to their end, be
/// it in parts.
const SEARCHES: [(&str, &str); 3] = [
    ("plan_cache_mode", "force_custom_plan"),
    ("enable_bitmapscan", "off"),
    ("cursor_tuple_fraction", "1"),
];

/// The pools. Connections are made when they are needed.
#[derive(Debug, Clone)]
pub(crate) struct Database {
    /// For statements that are planned for the filters they are given.
    pub(crate) searches: PgPool,
    /// For statements by key, planned once.
    pub(crate) look_ups: PgPool,
    pub(crate) keys: PgPool,
    pub(crate) followers: PgPool,
    pub(crate) exports: PgPool,
}

impl Database {
    pub(crate) fn of(options: &PgConnectOptions) -> Self {
        let settings =
            [("statement_timeout", STATEMENT_TIMEOUT), ("client_min_messages", "warning")];
        let bounded = options.clone().options(settings);
        let searching = bounded.clone().options(SEARCHES);
        let looking_up = look_up_options(bounded);
        Self {
            searches: pool(&searching, SEARCH_CONNECTIONS_MAX, CONNECTION_WAIT_MAX),
            look_ups: pool(&looking_up, LOOK_UP_CONNECTIONS_MAX, CONNECTION_WAIT_MAX),
            keys: pool(&looking_up, KEY_CONNECTIONS_MAX, CONNECTION_WAIT_MAX),
            followers: pool(&searching, FOLLOWER_CONNECTIONS_MAX, CONNECTION_WAIT_MAX),
            exports: pool(&searching, EXPORT_CONNECTIONS_MAX, EXPORT_CONNECTION_WAIT_MAX),
        }
    }
}

fn pool(options: &PgConnectOptions, connections: u32, wait: Duration) -> PgPool {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(wait)
        .max_lifetime(CONNECTION_AGE_MAX)
        // A look at each connection would cost as much as most queries.
        .test_before_acquire(false)
        .before_acquire(|connection, used| {
            Box::pin(async move {
                if used.idle_for < TRUSTED_FOR {
                    return Ok(true);
                }
                connection.ping().await.map(|()| true)
            })
        })
        .connect_lazy_with(options.clone())
}

/// What Postgres says when a statement took too long (`query_canceled`).
const QUERY_CANCELED: &str = "57014";
/// What it says of tables and schemas that are not there (`undefined_table`, `invalid_schema_name`).
const NOT_THERE: [&str; 2] = ["42P01", "3F000"];
/// What it says of tables that are not as a statement has them: `undefined_table`, `undefined_column`,
/// `undefined_function` (for these types), `datatype_mismatch`, and `feature_not_supported` where a kept plan
/// would have other columns now.
const OTHER_TABLES: [&str; 5] = ["42P01", "42703", "42883", "42804", "0A000"];
/// SQLSTATE classes of a server that is away, busy or shutting down: connection exceptions, rolled back
/// transactions, insufficient resources, objects in use, operator intervention.
const AWAY_OR_BUSY: [&str; 5] = ["08", "40", "53", "55", "57"];

/// Whether a read model (or its schema) has never been made.
pub(crate) fn not_there(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| NOT_THERE.contains(&code.as_ref()))
}

/// Whether a statement was written for other tables than there are.
pub(crate) fn other_tables(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| OTHER_TABLES.contains(&code.as_ref()))
}

/// The answer to a query that the database did not answer; logged here, once.
pub(crate) fn refused(error: sqlx::Error) -> Problem {
    if not_there(&error) {
        return Problem::new(kinds::PROJECTION_BEHIND, "the read model has not been made yet");
    }
    let unavailable = |detail| {
        tracing::warn!(error = &error as &dyn std::error::Error, "a query was not answered");
        Problem::unavailable(detail)
    };
    match &error {
        sqlx::Error::Database(refusal) => match refusal.code().as_deref() {
            Some(QUERY_CANCELED) => unavailable(TOOK_TOO_LONG),
            Some(code) if AWAY_OR_BUSY.iter().any(|class| code.starts_with(class)) => {
                unavailable("the database is busy or restarting")
            }
            Some(_) | None => Problem::internal(&error),
        },
        sqlx::Error::PoolTimedOut => unavailable("too many queries are under way"),
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => unavailable("the database cannot be reached"),
        _ => Problem::internal(&error),
    }
}

const TOOK_TOO_LONG: &str = "the query took too long; a narrower one may not";

/// The answer to a query of which each statement was quick enough, and all of them were not.
pub(crate) fn took_too_long() -> Problem {
    tracing::warn!("a query was given up");
    Problem::unavailable(TOOK_TOO_LONG)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_that_does_not_answer_is_no_bug_and_a_row_that_cannot_be_read_is() {
        let away = sqlx::Error::Io(std::io::Error::other("reset"));
        for (error, code) in [
            (sqlx::Error::PoolTimedOut, "unavailable"),
            (away, "unavailable"),
            (sqlx::Error::RowNotFound, "internal"),
            (sqlx::Error::Decode("garbled".into()), "internal"),
        ] {
            assert_eq!(refused(error).kind().code, code);
        }
    }
}
