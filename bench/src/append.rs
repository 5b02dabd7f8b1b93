//! `bench append`: the sequencer, beside the bare statement and beside one transaction an event.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use event_store::{EventStore, PreparedBatches, RandomIds, SystemClock};
use migrations::Role;
use replay_tool::verify::{Silent, VerifyOptions, verify};

use tokio::task::JoinHandle;

use crate::entries::{Accounts, request};
use crate::figures::{Figure, Latencies, Output};
use crate::log_database::{LogDatabase, Server};
use crate::seed;

mod transactions;

/// How many entries a batch of the limit has.
const LIMIT_BATCH: usize = 200;
/// How many batches of the limit are prepared at a time: their rows are kept in memory.
const LIMIT_BATCHES: usize = 250;
/// How many single-row statements are timed for the comparison with one caller alone.
const SINGLE_STATEMENTS: usize = 2_000;

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
    /// How long each measurement takes.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
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
    let first = sequencer(database, &all, WARM_UP_CALLERS, warm_up).await?;
    output.figure(&Figure { bench: "append after checkpoint", ..first })?;
    let duration = Duration::from_secs(options.seconds);
    for &count in &options.accounts {
        let accounts = Accounts::numbered(count)?;
        let limit = limit(database, &accounts, LIMIT_BATCH, LIMIT_BATCHES, "append limit").await?;
        let single = limit_one(database, &accounts).await?;
        output.figure(&limit)?;
        output.figure(&single)?;
        for &callers in &options.callers {
            let figure = sequencer(database, &accounts, callers, duration).await?;
            let baseline = if callers == 1 { single.rate_per_s } else { limit.rate_per_s };
            output.figure(&figure.against(baseline))?;
        }
        let alone = sequencer(database, &accounts, VERIFY_CALLERS, duration).await?;
        let verifying = while_verifying(database, &accounts, duration).await?;
        output.figure(&verifying.against(alone.rate_per_s))?;
        for callers in [1, 20] {
            let figure = transactions::measure(database, &accounts, callers, duration).await?;
            output.figure(&figure)?;
        }
    }
    Ok(())
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

/// The bare statement: rows made beforehand, one connection, nothing else.
async fn limit(
    database: &LogDatabase,
    accounts: &Accounts,
    batch: usize,
    batches: usize,
    name: &'static str,
) -> anyhow::Result<Figure> {
    let before = database.events().await?;
    let run = run_name(name, before);
    let requests: Result<Vec<Vec<_>>, _> = (0..batches)
        .map(|b| (0..batch).map(|n| accounts.request(&run, b * batch + n)).collect())
        .collect();
    let mut db = database.connect_to_append().await?;
    let mut prepared =
        PreparedBatches::prepare(&mut db, &SystemClock, &RandomIds, requests?).await?;
    let mut latencies = Latencies::new()?;
    let (started, mut done) = (Instant::now(), 0);
    loop {
        let sent = Instant::now();
        let Some(events) = prepared.send_next(&mut db).await? else { break };
        latencies.record(sent.elapsed());
        done += u64::try_from(events)?;
    }
    let figure = Figure::new(name, before, done, 0, started.elapsed(), &latencies);
    Ok(Figure { callers: Some(1), accounts: Some(accounts.ids.len()), ..figure })
}

async fn limit_one(database: &LogDatabase, accounts: &Accounts) -> anyhow::Result<Figure> {
    limit(database, accounts, 1, SINGLE_STATEMENTS, "append one row").await
}

/// Callers in closed loops: each posts its next entry when the last one is answered.
pub(crate) async fn sequencer(
    database: &LogDatabase,
    accounts: &Accounts,
    callers: usize,
    duration: Duration,
) -> anyhow::Result<Figure> {
    let before = database.events().await?;
    let run: Arc<str> = run_name("append", before).into();
    let writer = database.writer().await?;
    let next = Arc::new(AtomicUsize::new(0));
    let stop = Arc::new(AtomicBool::new(false));
    let tasks: Vec<_> = (0..callers)
        .map(|_| {
            let load = Load {
                store: writer.store.clone(),
                accounts: accounts.clone(),
                run: Arc::clone(&run),
                next: Arc::clone(&next),
                stop: Arc::clone(&stop),
            };
            tokio::spawn(load.post())
        })
        .collect();
    let started = Instant::now();
    tokio::time::sleep(duration).await;
    stop.store(true, Ordering::Relaxed);
    let mut latencies = Latencies::new()?;
    let (mut done, mut errors) = (0, 0);
    for task in tasks {
        let (own, posted, failed) = task.await??;
        latencies.add(&own)?;
        done += posted;
        errors += failed;
    }
    let took = started.elapsed();
    writer.stop().await?;
    let figure = Figure::new("append", before, done, errors, took, &latencies);
    debug_assert_eq!(i64::try_from(done)?, database.events().await? - before);
    Ok(Figure { callers: Some(callers), accounts: Some(accounts.ids.len()), ..figure })
}

/// The same callers while an auditor verifies the log again and again; compared with them alone.
async fn while_verifying(
    database: &LogDatabase,
    accounts: &Accounts,
    duration: Duration,
) -> anyhow::Result<Figure> {
    let options = VerifyOptions::of(database.url(Role::Auditor));
    let verifying: JoinHandle<anyhow::Result<()>> = tokio::spawn(async move {
        loop {
            let summary = verify(&options, &mut Silent).await?;
            anyhow::ensure!(summary.clean(), "the log does not verify: {:?}", summary.findings);
        }
    });
    let figure = sequencer(database, accounts, VERIFY_CALLERS, duration).await;
    anyhow::ensure!(!verifying.is_finished(), "verify ended: {:?}", verifying.await);
    verifying.abort();
    Ok(Figure { bench: "append during verify", ..figure? })
}

struct Load {
    store: EventStore,
    accounts: Accounts,
    run: Arc<str>,
    next: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

impl Load {
    async fn post(self) -> anyhow::Result<(Latencies, u64, u64)> {
        let mut latencies = Latencies::new()?;
        let (mut done, mut errors) = (0, 0);
        while !self.stop.load(Ordering::Relaxed) {
            let n = self.next.fetch_add(1, Ordering::Relaxed);
            let request = self.accounts.request(&self.run, n)?;
            let sent = Instant::now();
            match self.store.submit(request).await {
                Ok(answer) if answer.status == 201 => {
                    done += 1;
                    latencies.record(sent.elapsed());
                }
                Ok(_) | Err(_) => errors += 1,
            }
        }
        Ok((latencies, done, errors))
    }
}
