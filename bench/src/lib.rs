//! Measurements: programs, not tests. Each prints its baseline from the same run, and the ratio to it.

pub mod append;
mod entries;
mod figures;
pub mod history;
pub mod http;
pub mod lag;
mod log_database;
mod memory;
pub mod payments;
mod read_models;
pub mod replay;
mod season;
mod seed;
mod sustained;

use clap::Subcommand;

pub use figures::Latencies;
pub use season::season;

/// What can be measured.
#[derive(Debug, Subcommand)]
pub enum Bench {
    /// Entries per second through the sequencer, beside the bare statement and one transaction an event.
    Append(append::Options),
    /// Events per second of `replay-tool verify` and of a rebuild of `ledger_balance`.
    Replay(replay::Options),
    /// From a command's answer to its effect in the query-api.
    Lag(lag::Options),
    /// What a question about any point in time costs on an account with a million postings.
    History(history::Options),
    /// From a payment's request to its answer, captured and booked, at steady rates.
    Payments(payments::Options),
    /// Single entries over HTTP at steady rates, timed from when each was due.
    Http(http::Options),
    /// Entries in batches over HTTP, as many as are answered.
    Batch(http::batch::Options),
}

impl Bench {
    /// Measures and prints.
    ///
    /// # Errors
    /// Whatever kept it from measuring; a slow result is no error.
    pub async fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Append(options) => append::run(options).await,
            Self::Replay(options) => replay::run(options).await,
            Self::Lag(options) => lag::run(options).await,
            Self::History(options) => history::run(options).await,
            Self::Payments(options) => payments::run(options).await,
            Self::Http(options) => http::run(options).await,
            Self::Batch(options) => http::batch::run(options).await,
        }
    }
}
