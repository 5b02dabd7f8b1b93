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

use domain::Rejection;
use event_store::log::{self, ConnectError};
use event_store::{EventStore, Origin, SubmitError};
use sqlx::postgres::{PgPool, PgPoolOptions};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Connections for looking what is to be done: one for each of the three, one more for a long close.
const CONNECTIONS_MAX: u32 = 4;
/// How often holds that ended are looked for: an end that was given in seconds is kept to the second.
const HOLDS_INTERVAL: Duration = Duration::from_millis(500);
/// How often days to be closed are looked for.
const CLOSES_INTERVAL: Duration = Duration::from_secs(1);
/// How often clearing accounts are counted; their ages are in hours.
const CLEARING_INTERVAL: Duration = Duration::from_secs(30);

/// How often the same trouble is said again. A read model that is away is said after as long: it is being exchanged, or was
/// never made.
const TROUBLE_SAID_EVERY: Duration = Duration::from_secs(60);

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
    /// The log refuses what the read model says is to be done.
    #[error("{what}: {rejection}")]
    Rejected {
        /// What was to be done.
        what: String,
        /// Why not.
        rejection: Rejection,
    },
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
                every(HOLDS_INTERVAL, "end holds", || self.end_holds()),
                every(CLOSES_INTERVAL, "close days", || self.close_days()),
                every(CLEARING_INTERVAL, "watch clearing accounts", || self.watch_clearing()),
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

/// What a pass came to.
#[derive(Debug, Default)]
pub struct LedgerPass {
    /// How many were done.
    pub done: usize,
    /// How many could not be: they keep none of the others waiting, and are found again.
    pub failed: usize,
    /// Why the first of those could not be.
    pub first: Option<LedgerWorkError>,
}

impl LedgerPass {
    fn note(&mut self, outcome: Result<bool, LedgerWorkError>) {
        match outcome {
            Ok(done) => self.done += usize::from(done),
            Err(error) => {
                self.failed += 1;
                self.first.get_or_insert(error);
            }
        }
    }
}

/// Does it again and again; where it fails, counts that, says so and goes on.
async fn every<F>(interval: Duration, work: &'static str, mut pass: impl FnMut() -> F)
where
    F: Future<Output = Result<LedgerPass, LedgerWorkError>>,
{
    let mut turns = tokio::time::interval(interval);
    turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let failures = metrics::counter!("runut_ledger_work_failures_total", "work" => work);
    failures.increment(0);
    let mut said = Said { what: None, at: Instant::now() };
    loop {
        turns.tick().await;
        let (failed, error) = match pass().await {
            Ok(LedgerPass { failed, first: Some(error), .. }) => (failed, error),
            Ok(LedgerPass { first: None, .. }) => {
                said = Said { what: None, at: Instant::now() };
                continue;
            }
            Err(error) => (1, error),
        };
        failures.increment(failed as u64);
        if said.is_news(&error) {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, work, failed, "a ledger's work cannot be done for now");
        }
    }
}

/// What was said last of what is in the way, and when.
struct Said {
    what: Option<String>,
    at: Instant,
}

impl Said {
    /// Whether it is to be said; it is taken for said then.
    fn is_news(&mut self, error: &LedgerWorkError) -> bool {
        let text = error.to_string();
        let other = self.what.as_ref() != Some(&text) && !error.read_model_is_away();
        let news = other || self.at.elapsed() >= TROUBLE_SAID_EVERY;
        if news {
            *self = Self { what: Some(text), at: Instant::now() };
        }
        news
    }
}

impl LedgerWorkError {
    /// The read models were never made, are of another version, or are just being exchanged; or this role has no
    /// privilege on them, which looks alike while they are exchanged.
    fn read_model_is_away(&self) -> bool {
        let Self::Database(error) = self else { return false };
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        code.is_some_and(|code| matches!(code.as_ref(), "42P01" | "42703" | "42501"))
    }
}
