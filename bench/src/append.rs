//! `bench append`: the sequencer, beside the bare statement and beside one transaction an event.

mod limit;
mod sequencer;
mod transactions;

use std::time::Duration;

use clap::Args;

use crate::entries::{Accounts, request};
use crate::figures::{Figure, Output, Tally};
use crate::log_database::{LogDatabase, Server};
use crate::seed;

/// How many entries a batch of the limit has.
const LIMIT_BATCH: usize = 200;
/// How many of them are sent in a turn.
const LIMIT_BATCHES: usize = 250;
/// How many single-row statements are sent in a turn, for the comparison with one caller alone.
const SINGLE_STATEMENTS: usize = 2_000;
/// What callers post first is not counted: the states of accounts are loaded then, and a verify beside them
/// finds out that the log is busy.
const LEAD: Duration = Duration::from_secs(1);
/// The callers that post before the measurements.
const WARM_UP_CALLERS: usize = 200;
/// The callers that post while the log is verified.
const VERIFY_CALLERS: usize = 200;

/// What to measure.
#[derive(Debug, Args)]
pub struct Options {
    /// A superuser's URL; without it the benchmark starts a server of its own.
    #[arg(long, env = "RUNUT_BENCH_POSTGRES", hide_env_values = true)]
    database_url: Option<String>,
    /// How many events the log holds beforehand; several by commas.
    #[arg(long, value_delimiter = ',', default_value = "0,5000000")]
    log_events: Vec<i64>,
    /// How many callers post at once.
    #[arg(long, value_delimiter = ',', default_value = "1,20,200,1000")]
    callers: Vec<usize>,
    /// Over how many accounts.
    #[arg(long, value_delimiter = ',', default_value = "1000,2")]
    accounts: Vec<usize>,
    /// How many seconds 200 callers post before the measurements, on a database that has just written a
    /// checkpoint: the first change of a page after one writes the whole page to the write-ahead log, and
    /// the next checkpoint is 8 GB of it away. Printed as `append after checkpoint`.
    #[arg(long, default_value_t = 20)]
    warm_up: u64,
    /// How long each measurement takes a turn.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// How many turns, there and back: each measures everything once. So that a machine that is slower for a
    /// minute is slower for all that is compared.
    #[arg(long, default_value_t = 4)]
    turns: u32,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

/// Measures and prints.
///
/// # Errors
/// Whatever kept it from measuring.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let server = Server::start(options.database_url.as_deref()).await?;
    server.describe().await?;
    let mut output = Output::new(options.json);
    for &log_events in &options.log_events {
        let database = server.database().await?;
        measure(&database, &options, log_events, &mut output).await?;
        server.remove(database).await?;
    }
    output.finish();
    server.stop().await
}

/// What is measured in each turn.
#[derive(Debug, Clone, Copy)]
enum Subject {
    Limit,
    OneRow,
    Callers(usize),
    Alone,
    DuringVerify,
}

async fn measure(
    database: &LogDatabase,
    options: &Options,
    log_events: i64,
    output: &mut Output,
) -> anyhow::Result<()> {
    let most = options.accounts.iter().copied().max().unwrap_or(2);
    let all = Accounts::numbered(most)?;
    open_accounts(database, &all).await?;
    Output::remark(&format!("a log of {log_events} events"));
    seed::fill(database, &all, log_events).await?;
    database.settle().await?;
    let warm_up = Duration::from_secs(options.warm_up);
    let first =
        sequencer::measure(database, &all, WARM_UP_CALLERS, Duration::ZERO, warm_up).await?;
    let first = Figure::new("append after checkpoint", &first);
    output.figure(&first.of(WARM_UP_CALLERS, most))?;

    let mut rounds: Vec<Round> = Vec::new();
    for &accounts in &options.accounts {
        rounds.extend(options.subjects().map(|subject| Round { accounts, subject, sum: None }));
    }
    for _ in 0..options.turns {
        for round in &mut rounds {
            round.measure(database, options).await?;
        }
        // Each is as often before another as after it.
        rounds.reverse();
    }
    if options.turns % 2 == 1 {
        rounds.reverse();
    }
    print(&rounds, output)?;
    // At the end, since no verify would find these events in order.
    for &count in &options.accounts {
        let accounts = Accounts::numbered(count)?;
        for callers in [1, 20] {
            let duration = Duration::from_secs(options.seconds);
            let tally = transactions::measure(database, &accounts, callers, duration).await?;
            output.figure(&Figure::new("transaction an event", &tally).of(callers, count))?;
        }
    }
    Ok(())
}

impl Options {
    fn subjects(&self) -> impl Iterator<Item = Subject> {
        let callers = self.callers.iter().map(|callers| Subject::Callers(*callers));
        let others = [Subject::OneRow, Subject::Limit, Subject::Alone, Subject::DuringVerify];
        others.into_iter().chain(callers)
    }
}

/// A subject over so many accounts, and what came of all its turns so far.
#[derive(Debug)]
struct Round {
    accounts: usize,
    subject: Subject,
    sum: Option<Tally>,
}

impl Round {
    async fn measure(&mut self, database: &LogDatabase, options: &Options) -> anyhow::Result<()> {
        let accounts = Accounts::numbered(self.accounts)?;
        let tally = self.subject.measure(database, &accounts, options).await?;
        let rate = tally.rate_per_s();
        Output::remark(&format!("  {} accounts, {:?}: {rate:.0}/s", self.accounts, self.subject));
        match &mut self.sum {
            Some(sum) => sum.add(&tally)?,
            none => *none = Some(tally),
        }
        Ok(())
    }
}

impl Subject {
    async fn measure(
        self,
        database: &LogDatabase,
        accounts: &Accounts,
        options: &Options,
    ) -> anyhow::Result<Tally> {
        let duration = Duration::from_secs(options.seconds);
        match self {
            Self::Limit => bare_statement(database, accounts).await,
            Self::OneRow => limit::measure(database, accounts, 1, SINGLE_STATEMENTS).await,
            Self::Callers(callers) => {
                sequencer::measure(database, accounts, callers, LEAD, duration).await
            }
            Self::Alone => {
                sequencer::measure(database, accounts, VERIFY_CALLERS, LEAD, duration).await
            }
            Self::DuringVerify => {
                let callers = VERIFY_CALLERS;
                sequencer::measure_during_verify(database, accounts, callers, LEAD, duration).await
            }
        }
    }
}

/// Each beside what it is to be compared with.
fn print(rounds: &[Round], output: &mut Output) -> anyhow::Result<()> {
    let (mut limit, mut one_row, mut alone) = (0.0, 0.0, 0.0);
    for Round { accounts, subject, sum } in rounds {
        let Some(tally) = sum else { continue };
        let figure = |bench, callers| Figure::new(bench, tally).of(callers, *accounts);
        let figure = match *subject {
            Subject::Limit => {
                limit = tally.rate_per_s();
                figure("append limit", 1)
            }
            Subject::OneRow => {
                one_row = tally.rate_per_s();
                figure("append one row", 1)
            }
            Subject::Callers(1) => figure("append", 1).against(one_row),
            Subject::Callers(callers) => figure("append", callers).against(limit),
            Subject::Alone => {
                alone = tally.rate_per_s();
                continue;
            }
            Subject::DuringVerify => figure("append during verify", VERIFY_CALLERS).against(alone),
        };
        output.figure(&figure)?;
    }
    Ok(())
}

/// One turn of the limit: the sequencer's statement alone, with batches as a busy sequencer has them.
pub(crate) async fn bare_statement(
    database: &LogDatabase,
    accounts: &Accounts,
) -> anyhow::Result<Tally> {
    limit::measure(database, accounts, LIMIT_BATCH, LIMIT_BATCHES).await
}

pub(crate) async fn open_accounts(
    database: &LogDatabase,
    accounts: &Accounts,
) -> anyhow::Result<()> {
    let writer = database.writer().await?;
    let opening = accounts.open()?.into_iter().map(|open| writer.store.submit(request(open, None)));
    for answer in futures::future::join_all(opening).await {
        answer?;
    }
    writer.stop().await
}

fn run_name(bench: &str, database_events: i64) -> String {
    format!("{bench}-{database_events}")
}
