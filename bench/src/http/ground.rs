//! A whole deployment on this machine with accounts to post to, and what every measurement on it does.

use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use demo::stack::Stack;
use projections::{LedgerBalance, Projection};

use super::accounts::Spread;
use super::bare::Bare;
use super::bodies::Entries;
use super::books::Books;
use super::connections::Target;
use super::generator::{Counts, Source, generate};
use super::opening::{Openings, ids};
use super::schedule::Pace;
use crate::figures::Output;
use crate::read_models::{LagWatch, ReadModels};

/// Requests a second that one API key may send here, and the most that may be asked for: far above what a
/// machine answers that the callers are on too.
pub(super) const RATE_MAX: i64 = 1_000_000;
/// Connections that accounts are opened over: enough to fill the batches of the append.
const OPENING_CONNECTIONS: usize = 128;

/// Starts everything, with the limits lifted that are there for merchants.
pub(super) async fn start_stack() -> anyhow::Result<Stack> {
    let rate_limit = RATE_MAX.to_string();
    Stack::start_with(None, &["--command-port", "0", "--rate-limit", &rate_limit]).await
}

/// The deployment as measurements see it.
pub(super) struct Ground {
    target: Arc<Target>,
    reads: ReadModels,
    books: Books,
    accounts: Arc<[String]>,
    runs: u64,
    pub(super) bare: Bare,
}

/// What a measurement came to.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) counts: Counts,
    /// How many events the log held when it began.
    pub(super) log_events: i64,
    /// The most that `ledger_balance` was behind meanwhile, in seconds.
    pub(super) lag_max_s: f64,
    /// How long it took to catch up after the last answer.
    pub(super) caught_up: Duration,
    /// By how many cents the ledger differs from what was answered.
    pub(super) drift_minor: i128,
}

impl Ground {
    /// Opens as many accounts as the largest of these has, and measures the bare statement once.
    pub(super) async fn prepare(stack: &Stack, loads: &[Spread]) -> anyhow::Result<Self> {
        let count = loads.iter().map(|load| load.accounts()).max().unwrap_or(0);
        let target =
            Target::new(&stack.endpoint("COMMAND_URL")?, &stack.endpoint("MERCHANT_KEY")?)?;
        let reads = ReadModels::of(stack)?.only(LedgerBalance.name());
        let target = Arc::new(target);
        open(&target, count).await?;
        reads.await_caught_up().await?;
        let mut bare = Bare::open(stack, loads).await?;
        bare.measure().await?;
        let books = Books::read(&reads).await?;
        let accounts = ids(stack.endpoint("MERCHANT_ID")?.parse()?, count)?;
        Ok(Self { target, reads, books, accounts, runs: 0, bare })
    }

    /// Entries over the accounts of `load` that no run before had.
    pub(super) fn entries(&mut self, load: Spread) -> Entries {
        self.runs += 1;
        Entries::new(self.runs, &self.accounts, load)
    }

    /// Sends what `source` has, watches the lag meanwhile, and compares the books with the answers once
    /// `ledger_balance` has caught up.
    pub(super) async fn measure(
        &mut self,
        source: impl Source,
        connections: usize,
        pace: Pace,
    ) -> anyhow::Result<Measured> {
        let log_events = self.reads.head().await?;
        let watch = LagWatch::start(self.reads.clone());
        let counts = generate(source, Arc::clone(&self.target), connections, pace).await?;
        let lag_max_s = watch.end().await?;
        for problem in &counts.problems {
            Output::remark(problem);
        }
        let caught_up = self.reads.await_caught_up().await?;
        let drift_minor = self.books.drift(&self.reads, &counts).await?;
        Ok(Measured { counts, log_events, lag_max_s, caught_up, drift_minor })
    }

    /// The same for what is not measured, so that caches are warm as in a deployment that runs.
    pub(super) async fn warm_up(
        &mut self,
        source: impl Source,
        connections: usize,
        requests: u64,
    ) -> anyhow::Result<()> {
        let warm = self.measure(source, connections, Pace::Count(requests)).await?;
        let (errors, problems) = (warm.counts.errors, warm.counts.problems.join("; "));
        ensure!(errors == 0, "{errors} of {requests} requests failed in the warm-up: {problems}");
        ensure!(warm.drift_minor == 0, "the ledger drifted by {} cents", warm.drift_minor);
        Ok(())
    }
}

async fn open(target: &Arc<Target>, count: usize) -> anyhow::Result<()> {
    let pace = Pace::Count(u64::try_from(count)?);
    let opened = generate(Openings, Arc::clone(target), OPENING_CONNECTIONS, pace).await?;
    ensure!(opened.errors == 0, "accounts were not opened: {}", opened.problems.join("; "));
    let took = opened.took.as_secs_f64();
    Output::remark(&format!("{count} accounts opened through the API in {took:.1} s"));
    Ok(())
}
