//! What a ledger needs done when its time has come: holds end, days that were cut off are closed, and accounts
//! that should clear are watched.
//!
//! What is to be done is found in the read model, so at most as late as that is; whether it is done is decided
//! in the log. So any number of these may run, and any may be killed at any time.

mod clearing;
mod closes;
mod holds;

use std::future::Future;
use std::time::Duration;

use event_store::log::{self, ConnectError};
use event_store::{EventStore, Origin, SubmitError};
use sqlx::postgres::{PgPool, PgPoolOptions};
use tokio_util::sync::CancellationToken;

/// Connections for looking what is to be done: one for each of the three, one more for a long close.
const CONNECTIONS_MAX: u32 = 4;
/// How often holds that ended are looked for: an end that was given in seconds is kept to the second.
const HOLDS_INTERVAL: Duration = Duration::from_millis(500);
/// How often days to be closed are looked for.
const CLOSES_INTERVAL: Duration = Duration::from_secs(1);
/// How often clearing accounts are counted; their ages are in hours.
const CLEARING_INTERVAL: Duration = Duration::from_secs(30);

/// What the ledger's worker needs.
#[derive(Debug)]
pub struct LedgerWorkerOptions {
    /// The URL of the application's role.
    pub database_url: String,
    /// The log.
    pub store: EventStore,
}

/// Why something waits.
#[derive(Debug, thiserror::Error)]
pub enum LedgerWorkError {
    /// The read model cannot be read.
    #[error("what is to be done cannot be read")]
    Database(#[from] sqlx::Error),
    /// The log cannot be written.
    #[error("the log cannot be written")]
    Log(#[from] SubmitError),
    /// A row of the read model makes no sense.
    #[error("the read model holds {0}")]
    Garbled(String),
}

/// Ends holds, closes days and counts what has not cleared. Any number of them may run.
#[derive(Debug, Clone)]
pub struct LedgerWorker {
    store: EventStore,
    pool: PgPool,
}

impl LedgerWorker {
    /// Prepares a worker; connects to nothing yet.
    ///
    /// # Errors
    /// [`ConnectError::Url`] when the database URL is none.
    pub fn new(options: LedgerWorkerOptions) -> Result<Self, ConnectError> {
        let connect = log::look_up_options(log::connect_options(&options.database_url)?);
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS_MAX)
            .test_before_acquire(false)
            .connect_lazy_with(connect);
        Ok(Self { store: options.store, pool })
    }

    /// Works until `shutdown`, whatever happens to the servers meanwhile.
    pub async fn run(self, shutdown: CancellationToken) {
        let work = async {
            tokio::join!(
                every(HOLDS_INTERVAL, "holds cannot be ended", || self.end_holds()),
                every(CLOSES_INTERVAL, "days cannot be closed", || self.close_days()),
                every(CLEARING_INTERVAL, "accounts cannot be watched", || self.watch_clearing()),
            );
        };
        // What is cut off here is found again by the next who looks.
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = work => {}
        }
    }

    fn origin(&self, actor: &'static str) -> Origin {
        let correlation_id = self.store.ids().next().to_string();
        Origin { actor: actor.to_owned(), correlation_id, traceparent: None }
    }
}

/// Does it again and again; where it fails, says so and goes on.
async fn every<F>(interval: Duration, trouble: &'static str, mut pass: impl FnMut() -> F)
where
    F: Future<Output = Result<usize, LedgerWorkError>>,
{
    let mut turns = tokio::time::interval(interval);
    turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        match pass().await {
            Ok(_) => {}
            Err(LedgerWorkError::Database(error)) if not_there_yet(&error) => {}
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "{trouble} for now");
            }
        }
    }
}

/// The read models were never made, are of another version, or are just being exchanged.
fn not_there_yet(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| matches!(code.as_ref(), "42P01" | "42703" | "42501"))
}
