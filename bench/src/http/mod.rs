//! `bench http`: single entries over HTTP at steady rates, on a whole deployment on this machine.
//!
//! Entries are sent at their times, whatever the answers do, and timed from when they were due: a system
//! that falls behind shows it (no coordinated omission). A request that finds no free connection waits for
//! one, and that counts too. Between measurements the ledger is compared with the answers, to the cent.

mod accounts;
mod bare;
pub mod batch;
mod bodies;
mod books;
mod connections;
mod generator;
mod ground;
mod limit;
mod opening;
mod report;
mod schedule;
mod splitmix;

use std::time::Duration;

use anyhow::ensure;
use clap::Args;
use hyper::{StatusCode, Uri};

use self::accounts::Spread;
use self::bodies::{ENTRY_BYTES, Entries};
use self::connections::{Answer, CONNECTIONS_MAX, Outgoing};
use self::generator::{Outcome, Source};
use self::ground::{Ground, Measured, RATE_MAX, start_stack};
use self::limit::{Limit, STEP_SECONDS_MAX, STEPS_MAX, step_above};
use self::report::{Report, Row};
use self::schedule::Pace;
use self::splitmix::SplitMix;
use crate::figures::{Output, Tally};
use crate::sustained::Demand;

/// The name of this benchmark's figures.
const BENCH: &str = "entry over http";
/// Entries before the measurements, so that caches are warm as in a deployment that runs.
const WARM_UP: u64 = 5_000;
/// The load that two accounts are compared with.
const MANY_ACCOUNTS: Spread = Spread::Uniform(1_000);
/// The load with the most contention there can be.
const TWO_ACCOUNTS: Spread = Spread::Uniform(2);

/// What to measure.
#[derive(Debug, Args)]
pub struct Options {
    /// Entries a second, one measurement each.
    #[arg(long, value_delimiter = ',', default_value = "3000,10000",
          value_parser = clap::value_parser!(u32).range(1..=RATE_MAX))]
    rates: Vec<u32>,
    /// How long each.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Over which accounts, one measurement each at every rate: `uniform:N`, or `zipf:N` (exponent 1.0).
    #[arg(long, value_delimiter = ',', default_value = "uniform:1000")]
    loads: Vec<Spread>,
    /// Connections that are kept open, each with one request in flight.
    #[arg(long, default_value_t = 128, value_parser = clap::value_parser!(u16).range(1..=CONNECTIONS_MAX))]
    connections: u16,
    /// Climb from the highest rate, a tenth at a time and 20 s each, until one is not sustained.
    #[arg(long)]
    find_limit: bool,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

/// Measures and prints.
///
/// # Errors
/// Whatever kept it from measuring, and a ledger that differs from what was answered.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let stack = start_stack().await?;
    let measured = async {
        let mut ground = Ground::prepare(&stack, &options.loads).await?;
        let mut results = Vec::new();
        let measured = measure(&mut ground, &options, &mut results).await;
        // What was measured before something went wrong is worth knowing too.
        print(&ground, &options, &results)?;
        measured?;
        ground.bare.close().await?;
        let drifted = results.iter().filter(|result| result.measured.drift_minor != 0).count();
        ensure!(drifted == 0, "the ledger differs from what was answered in {drifted} of them");
        Ok(())
    };
    let measured = measured.await;
    let stopped = stack.stop().await;
    measured.and(stopped)
}

/// A load at a rate, and what came of it.
#[derive(Debug)]
struct AtRate {
    load: Spread,
    rate: u32,
    seconds: u32,
    measured: Measured,
}

async fn measure(
    ground: &mut Ground,
    options: &Options,
    results: &mut Vec<AtRate>,
) -> anyhow::Result<()> {
    let connections = usize::from(options.connections);
    let highest = options.rates.iter().copied().max().unwrap_or(0);
    for &load in &options.loads {
        let warm = SingleEntries(ground.entries(load));
        ground.warm_up(warm, connections, WARM_UP).await?;
        for &rate in &options.rates {
            results.push(at_rate(ground, load, rate, options.seconds, connections).await?);
        }
        let limit = limit_of(results, load);
        let climbs = options.find_limit && limit.highest_sustained == Some(highest);
        let mut rate = highest;
        for _ in 0..if climbs { STEPS_MAX } else { 0 } {
            rate = step_above(rate);
            let seconds = options.seconds.min(STEP_SECONDS_MAX);
            let step = at_rate(ground, load, rate, seconds, connections).await?;
            let sustained = step.sustained();
            results.push(step);
            if !sustained {
                break;
            }
        }
    }
    // Once before and once after, so that a machine that is slower for a while is slower for both.
    ground.bare.measure().await
}

async fn at_rate(
    ground: &mut Ground,
    load: Spread,
    rate: u32,
    seconds: u32,
    connections: usize,
) -> anyhow::Result<AtRate> {
    let source = SingleEntries(ground.entries(load));
    let measured = ground.measure(source, connections, Pace::Open { rate, seconds }).await?;
    let result = AtRate { load, rate, seconds, measured };
    result.remark();
    Ok(result)
}

impl AtRate {
    fn asked(&self) -> u64 {
        u64::from(self.rate) * u64::from(self.seconds)
    }

    fn sustained(&self) -> bool {
        let Measured { counts, lag_max_s, drift_minor, .. } = &self.measured;
        let (in_time, errors) = (counts.in_time, counts.errors);
        let demand = Demand { asked: self.asked(), in_time, errors, lag_s: *lag_max_s };
        demand.sustained() && *drift_minor == 0
    }

    /// What was answered within the measured time, and the latencies of all.
    fn tally(&self) -> Tally {
        let Measured { counts, log_events, .. } = &self.measured;
        Tally {
            log_events: *log_events,
            done: counts.in_time,
            errors: counts.errors,
            took: Duration::from_secs(u64::from(self.seconds)),
            latencies: counts.latencies.clone(),
        }
    }

    fn remark(&self) {
        let Measured { counts, lag_max_s, caught_up, drift_minor, .. } = &self.measured;
        Output::remark(&format!(
            "{} at {}/s: {} of {} answered in time, {} errors, {} never sent, ledger_balance at most \
             {lag_max_s:.2} s behind, caught up {:.1} s after the last answer, drift {drift_minor}: {}",
            self.load,
            self.rate,
            counts.in_time,
            self.asked(),
            counts.errors,
            counts.unsent,
            caught_up.as_secs_f64(),
            if self.sustained() { "sustained" } else { "NOT SUSTAINED" },
        ));
    }
}

fn limit_of(results: &[AtRate], load: Spread) -> Limit {
    let of_load = results.iter().filter(|result| result.load == load);
    let rates: Vec<_> = of_load.map(|result| (result.rate, result.sustained())).collect();
    Limit::of(&rates)
}

fn print(ground: &Ground, options: &Options, results: &[AtRate]) -> anyhow::Result<()> {
    let mut report = Report::new(BENCH, options.json, &ground.bare)?;
    for result in results {
        let (tally, connections) = (result.tally(), usize::from(options.connections));
        let row = Row::of(BENCH, result.load, connections, &tally, &result.measured, &ground.bare)?;
        report.row(&row.at(result.rate, result.sustained()))?;
    }
    print_ratios(&mut report, results)?;
    if options.find_limit {
        let limits = options.loads.iter().map(|load| (*load, limit_of(results, *load)));
        let limits: Vec<_> = limits.collect();
        for (load, limit) in &limits {
            report.limit(*load, *limit)?;
        }
        let highest = |load| {
            let (_, limit) = limits.iter().find(|(other, _)| *other == load)?;
            limit.highest_sustained.map(f64::from)
        };
        if let (Some(two), Some(many)) = (highest(TWO_ACCOUNTS), highest(MANY_ACCOUNTS)) {
            let what = "highest sustained rate".to_owned();
            report.ratio(what, (TWO_ACCOUNTS, two), (MANY_ACCOUNTS, many))?;
        }
    }
    report.finish();
    Ok(())
}

/// Two accounts beside many, at every rate that was measured for both.
fn print_ratios(report: &mut Report, results: &[AtRate]) -> anyhow::Result<()> {
    for many in results.iter().filter(|result| result.load == MANY_ACCOUNTS) {
        let same = |other: &&AtRate| other.load == TWO_ACCOUNTS && other.rate == many.rate;
        if let Some(two) = results.iter().find(same) {
            let per_s = |result: &AtRate| (result.load, result.tally().rate_per_s());
            report.ratio(format!("rate at {}/s", many.rate), per_s(two), per_s(many))?;
        }
    }
    Ok(())
}

/// One entry a request.
#[derive(Debug)]
struct SingleEntries(Entries);

impl Source for SingleEntries {
    fn request(&self, n: u64) -> anyhow::Result<Outgoing> {
        let mut body = String::with_capacity(ENTRY_BYTES);
        self.0.write(&mut body, n)?;
        Ok(Outgoing {
            path: Uri::from_static("/v1/ledger/entries"),
            idempotency_key: SplitMix::of(self.0.run(), n).uuid(),
            body,
        })
    }

    fn minor(&self, n: u64) -> u64 {
        Entries::minor(n)
    }

    fn keeps(&self, status: StatusCode) -> bool {
        status != StatusCode::CREATED
    }

    fn outcome(&self, answer: &Answer) -> Outcome {
        Outcome::of_one(answer.status)
    }
}
