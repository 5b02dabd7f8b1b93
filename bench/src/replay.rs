//! `bench replay`: how fast a log is verified, and how fast a read model is folded from it again.

use std::time::{Duration, Instant};

use anyhow::ensure;
use clap::Args;
use event_store::log::connect_options;
use migrations::Role;
use replay_tool::verify::{Silent, VerifyOptions, verify};

use crate::append::open_accounts;
use crate::entries::Accounts;
use crate::figures::{Figure, Latencies, Output, Tally};
use crate::log_database::{LogDatabase, Server};
use crate::{memory, seed};

/// Over how many accounts the log's entries are spread.
const ACCOUNTS: usize = 1_000;

/// What to measure.
#[derive(Debug, Args)]
pub struct Options {
    /// A superuser's URL; without it the benchmark starts a server of its own.
    #[arg(long, env = "RUNUT_BENCH_POSTGRES", hide_env_values = true)]
    database_url: Option<String>,
    /// How many events the log holds.
    #[arg(long, default_value_t = 5_000_000)]
    log_events: i64,
    /// How often each is measured.
    #[arg(long, default_value_t = 3)]
    runs: usize,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

/// Measures and prints.
///
/// # Errors
/// Whatever kept it from measuring, a log that does not verify included.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let server = Server::start(options.database_url.as_deref()).await?;
    server.describe().await?;
    let mut output = Output::new(options.json);
    let database = server.database().await?;
    let accounts = Accounts::numbered(ACCOUNTS)?;
    open_accounts(&database, &accounts).await?;
    Output::remark(&format!("a log of {} events", options.log_events));
    seed::fill(&database, &accounts, options.log_events).await?;
    database.settle().await?;
    let mut show = |figure: Figure| {
        Output::remark(&format!("  {} {:.0}/s", figure.bench, figure.rate_per_s));
        output.figure(&figure)
    };
    for _ in 0..options.runs {
        show(verified(&database).await?)?;
    }
    for _ in 0..options.runs {
        show(rebuilt(&database).await?)?;
    }
    output.finish();
    server.remove(database).await?;
    server.stop().await
}

/// One verify of the whole log, and what the log's own checks came to a second.
async fn verified(database: &LogDatabase) -> anyhow::Result<Figure> {
    memory::reset_peak()?;
    let started = Instant::now();
    let options = VerifyOptions::of(database.url(Role::Auditor));
    let summary = verify(&options, &mut Silent).await?;
    ensure!(summary.clean(), "the log does not verify: {:?}", summary.findings);
    let figure = whole("verify", summary.events, started.elapsed(), database).await?;
    let peak_mib = Some(memory::peak_mib()?);
    Ok(Figure { rate_per_s: summary.events_per_second, peak_mib, ..figure })
}

/// One rebuild of the ledger's read model, switch included.
async fn rebuilt(database: &LogDatabase) -> anyhow::Result<Figure> {
    let started = Instant::now();
    let projector = connect_options(&database.url(Role::Projector))?;
    let rebuilt = projections::rebuild(&projector, &projections::LedgerBalance, &|_| {}).await?;
    let events = u64::try_from(rebuilt.position.number())?;
    whole("rebuild ledger_balance", events, started.elapsed(), database).await
}

async fn whole(
    bench: &'static str,
    events: u64,
    took: Duration,
    database: &LogDatabase,
) -> anyhow::Result<Figure> {
    let mut latencies = Latencies::new()?;
    latencies.record(took);
    let log_events = database.events().await?;
    let tally = Tally { log_events, done: events, errors: 0, took, latencies };
    Ok(Figure::new(bench, &tally))
}
