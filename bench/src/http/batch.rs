//! `bench batch`: entries in batches over HTTP, each batch when the one before it was answered, on a whole
//! deployment on this machine.

use std::ops::Range;
use std::time::Duration;

use anyhow::ensure;
use clap::Args;
use hyper::{StatusCode, Uri};
use serde::Deserialize;

use super::accounts::Spread;
use super::bodies::{ENTRY_BYTES, Entries};
use super::connections::{Answer, CONNECTIONS_MAX, Outgoing};
use super::generator::{Outcome, Source};
use super::ground::{Ground, Measured, start_stack};
use super::report::{Report, Row};
use super::schedule::Pace;
use super::splitmix::SplitMix;
use crate::figures::{Output, Tally};

/// The name of this benchmark's figures.
const BENCH: &str = "entries in batches";
/// Batches before the measurements, so that caches are warm as in a deployment that runs.
const WARM_UP: u64 = 10;
/// The most entries of a request, as the API has it.
const ENTRIES_MAX: i64 = 1_000;
/// In how many bytes the counts stand at the beginning of an answer, generously.
const HEAD_BYTES: usize = 256;

/// What to measure.
#[derive(Debug, Args)]
pub struct Options {
    /// Entries in each request.
    #[arg(long, default_value_t = 1_000,
          value_parser = clap::value_parser!(u32).range(1..=ENTRIES_MAX))]
    entries_per_request: u32,
    /// Connections, each with one request in flight.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=CONNECTIONS_MAX))]
    connections: u16,
    /// How long each measurement takes.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Over which accounts, one measurement each: `uniform:N`, or `zipf:N` (exponent 1.0).
    #[arg(long, value_delimiter = ',', default_value = "uniform:1000")]
    loads: Vec<Spread>,
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
        let drifted = results.iter().filter(|(_, measured)| measured.drift_minor != 0).count();
        ensure!(drifted == 0, "the ledger differs from what was answered in {drifted} of them");
        Ok(())
    };
    let measured = measured.await;
    let stopped = stack.stop().await;
    measured.and(stopped)
}

async fn measure(
    ground: &mut Ground,
    options: &Options,
    results: &mut Vec<(Spread, Measured)>,
) -> anyhow::Result<()> {
    let (connections, seconds) = (usize::from(options.connections), options.seconds);
    let count = u64::from(options.entries_per_request);
    for &load in &options.loads {
        let warm = Batches { entries: ground.entries(load), count };
        ground.warm_up(warm, connections, WARM_UP).await?;
        let batches = Batches { entries: ground.entries(load), count };
        let measured = ground.measure(batches, connections, Pace::Closed { seconds }).await?;
        Output::remark(&format!(
            "{load}: {:.0} entries/s, {} errors, ledger_balance at most {:.2} s behind, caught up {:.1} s \
             after the last answer, drift {}",
            options.tally(&measured).rate_per_s(),
            measured.counts.errors,
            measured.lag_max_s,
            measured.caught_up.as_secs_f64(),
            measured.drift_minor,
        ));
        results.push((load, measured));
    }
    // Once before and once after, so that a machine that is slower for a while is slower for both.
    ground.bare.measure().await
}

impl Options {
    /// Entries that were answered within the measured time, and the latencies of all requests.
    fn tally(&self, measured: &Measured) -> Tally {
        let Measured { counts, log_events, .. } = measured;
        Tally {
            log_events: *log_events,
            done: counts.in_time * u64::from(self.entries_per_request),
            errors: counts.errors,
            took: Duration::from_secs(u64::from(self.seconds)),
            latencies: counts.latencies.clone(),
        }
    }
}

fn print(ground: &Ground, options: &Options, results: &[(Spread, Measured)]) -> anyhow::Result<()> {
    let mut report = Report::new(BENCH, options.json, &ground.bare)?;
    for (load, measured) in results {
        let (tally, connections) = (options.tally(measured), usize::from(options.connections));
        let row = Row::of(BENCH, *load, connections, &tally, measured, &ground.bare)?;
        report.row(&row.with_entries(u64::from(options.entries_per_request)))?;
    }
    report.finish();
    Ok(())
}

/// So many entries a request, each for itself.
#[derive(Debug)]
struct Batches {
    entries: Entries,
    count: u64,
}

impl Batches {
    /// The numbers of the entries of request `n`.
    fn numbers(&self, n: u64) -> Range<u64> {
        n * self.count..(n + 1) * self.count
    }
}

impl Source for Batches {
    fn request(&self, n: u64) -> anyhow::Result<Outgoing> {
        let mut body = String::with_capacity(ENTRY_BYTES * usize::try_from(self.count + 1)?);
        body.push_str("{\"atomic\":false,\"entries\":[");
        for number in self.numbers(n) {
            if number > n * self.count {
                body.push(',');
            }
            self.entries.write(&mut body, number)?;
        }
        body.push_str("]}");
        Ok(Outgoing {
            path: Uri::from_static("/v1/ledger/entries:batch"),
            idempotency_key: SplitMix::of(self.entries.run(), n).uuid(),
            body,
        })
    }

    fn minor(&self, n: u64) -> u64 {
        self.numbers(n).map(Entries::minor).sum()
    }

    fn keeps(&self, _: StatusCode) -> bool {
        true
    }

    fn outcome(&self, answer: &Answer) -> Outcome {
        if answer.status.is_client_error() {
            return Outcome::Refused;
        }
        let counts = Counted::of(&answer.body).filter(|_| answer.status.is_success());
        match counts {
            // Every reference is new, so all of it was created, or it was not all done.
            Some(Counted { created, refused: 0 }) if created == self.count => Outcome::Done,
            Some(_) | None => Outcome::Unclear,
        }
    }
}

/// How many entries of a request were created, and how many refused.
#[derive(Debug, PartialEq, Eq, Deserialize)]
struct Counted {
    created: u64,
    refused: u64,
}

impl Counted {
    /// From the beginning of an answer: the results of all entries come last, and are long.
    fn of(body: &[u8]) -> Option<Self> {
        let head = String::from_utf8_lossy(&body[..body.len().min(HEAD_BYTES)]);
        let counts = head.split_once("\"results\"").and_then(|(counts, _)| {
            let counts = counts.trim_end().trim_end_matches(',');
            serde_json::from_str(&format!("{counts}}}")).ok()
        });
        counts.or_else(|| serde_json::from_slice(body).ok())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::Value;

    use super::*;

    fn batches(count: u64) -> Batches {
        let accounts: Arc<[String]> = ["acc_a".to_owned(), "acc_b".to_owned()].into();
        Batches { entries: Entries::new(1, &accounts, Spread::Uniform(2)), count }
    }

    #[test]
    fn a_batch_has_entries_that_no_other_has() {
        let batches = batches(3);
        let references = |n| {
            let body: Value = serde_json::from_str(&batches.request(n).unwrap().body).unwrap();
            assert_eq!(body["atomic"], false);
            let entries = body["entries"].as_array().unwrap().clone();
            entries.into_iter().map(|entry| entry["external_ref"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(references(0), ["run1-0", "run1-1", "run1-2"]);
        assert_eq!(references(1), ["run1-3", "run1-4", "run1-5"]);
        assert_eq!(batches.minor(1), 4 + 5 + 6);
    }

    #[test]
    fn the_counts_are_read_wherever_they_stand() {
        let expected = Some(Counted { created: 2, refused: 1 });
        let cut = br#"{"created":2, "existing":0,"refused":1 , "results":[{"id":"#;
        assert_eq!(Counted::of(cut), expected);
        let last = br#"{"results":[{}],"created":2,"existing":0,"refused":1}"#;
        assert_eq!(Counted::of(last), expected);
        assert_eq!(Counted::of(b"<html>"), None);
    }

    #[test]
    fn only_a_batch_that_was_created_as_a_whole_is_done() {
        let outcome = |status, created, refused| {
            let body = format!("{{\"created\":{created},\"existing\":0,\"refused\":{refused}}}");
            let status = StatusCode::from_u16(status).unwrap();
            batches(3).outcome(&Answer { status, body: body.into_bytes() })
        };
        assert_eq!(outcome(201, 3, 0), Outcome::Done);
        assert_eq!(outcome(200, 3, 0), Outcome::Done);
        assert_eq!(outcome(200, 2, 1), Outcome::Unclear);
        assert_eq!(outcome(200, 2, 0), Outcome::Unclear);
        assert_eq!(outcome(503, 3, 0), Outcome::Unclear);
        assert_eq!(outcome(422, 0, 3), Outcome::Refused);
    }
}
