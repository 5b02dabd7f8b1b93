//! Figures: one line of JSON each for programs, one table for people.

use std::time::Duration;

use comfy_table::{Table, presets};
use hdrhistogram::Histogram;
use serde::Serialize;

/// Latencies are kept from 1 µs to an hour, with three significant digits.
const LATENCY_MAX_MICROS: u64 = 3_600_000_000;

/// Latencies, in microseconds.
#[derive(Debug, Clone)]
pub struct Latencies(Histogram<u64>);

impl Latencies {
    /// None yet.
    ///
    /// # Errors
    /// The bounds of the histogram are refused.
    pub fn new() -> anyhow::Result<Self> {
        Ok(Self(Histogram::new_with_bounds(1, LATENCY_MAX_MICROS, 3)?))
    }

    /// Adds one.
    pub fn record(&mut self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(LATENCY_MAX_MICROS);
        self.0.saturating_record(micros.clamp(1, LATENCY_MAX_MICROS));
    }

    pub(crate) fn add(&mut self, other: &Self) -> anyhow::Result<()> {
        Ok(self.0.add(&other.0)?)
    }

    /// What that share of them, from 0 to 1, took at the most, in milliseconds; zero where nothing was timed.
    #[expect(clippy::cast_precision_loss, reason = "microseconds below 2^53")]
    pub fn millis(&self, quantile: f64) -> f64 {
        self.0.value_at_quantile(quantile) as f64 / 1_000.0
    }

    /// The longest; zero where nothing was timed.
    pub fn max_ms(&self) -> f64 {
        self.millis(1.0)
    }
}

/// What was counted and timed, in one turn or in several.
#[derive(Debug, Clone)]
pub(crate) struct Tally {
    /// How many events the log held when the first turn began.
    pub(crate) log_events: i64,
    pub(crate) done: u64,
    pub(crate) errors: u64,
    pub(crate) took: Duration,
    pub(crate) latencies: Latencies,
}

impl Tally {
    /// Of nothing yet.
    pub(crate) fn new(log_events: i64) -> anyhow::Result<Self> {
        let latencies = Latencies::new()?;
        Ok(Self { log_events, done: 0, errors: 0, took: Duration::ZERO, latencies })
    }

    /// Adds a later turn.
    pub(crate) fn add(&mut self, later: &Self) -> anyhow::Result<()> {
        self.done += later.done;
        self.errors += later.errors;
        self.took += later.took;
        self.latencies.add(&later.latencies)
    }

    #[expect(clippy::cast_precision_loss, reason = "counts below 2^53")]
    pub(crate) fn rate_per_s(&self) -> f64 {
        round(self.done as f64 / self.took.as_secs_f64())
    }
}

/// One measurement.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Figure {
    pub(crate) bench: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) callers: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) accounts: Option<usize>,
    pub(crate) log_events: i64,
    pub(crate) rate_per_s: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) limit_per_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) ratio: Option<f64>,
    pub(crate) p50_ms: f64,
    pub(crate) p95_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) p999_ms: f64,
    pub(crate) errors: u64,
    pub(crate) seconds: f64,
    /// The most memory of the process meanwhile, where it is bounded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) peak_mib: Option<u64>,
}

impl Figure {
    pub(crate) fn new(bench: &'static str, tally: &Tally) -> Self {
        let Tally { log_events, errors, took, latencies, .. } = tally;
        Self {
            bench,
            callers: None,
            accounts: None,
            log_events: *log_events,
            rate_per_s: tally.rate_per_s(),
            limit_per_s: None,
            ratio: None,
            p50_ms: latencies.millis(0.5),
            p95_ms: latencies.millis(0.95),
            p99_ms: latencies.millis(0.99),
            p999_ms: latencies.millis(0.999),
            errors: *errors,
            seconds: round(took.as_secs_f64()),
            peak_mib: None,
        }
    }

    /// By so many callers over so many accounts.
    pub(crate) fn of(self, callers: usize, accounts: usize) -> Self {
        Self { callers: Some(callers), accounts: Some(accounts), ..self }
    }

    /// With what it is to be compared with, measured in the same run.
    pub(crate) fn against(self, limit_per_s: f64) -> Self {
        let ratio = (self.rate_per_s / limit_per_s * 1_000.0).round() / 1_000.0;
        Self { limit_per_s: Some(limit_per_s), ratio: Some(ratio), ..self }
    }
}

fn round(figure: f64) -> f64 {
    (figure * 10.0).round() / 10.0
}

/// Where figures go.
#[derive(Debug)]
pub(crate) struct Output {
    json: bool,
    table: Table,
    notes: Vec<String>,
}

/// The columns of a [`Figure`].
const COLUMNS: [&str; 13] = [
    "bench",
    "log events",
    "callers",
    "accounts",
    "per s",
    "limit",
    "ratio",
    "p50 ms",
    "p95",
    "p99",
    "p99.9",
    "errors",
    "MiB",
];

impl Output {
    pub(crate) fn new(json: bool) -> Self {
        Self::with_columns(json, &COLUMNS)
    }

    /// For figures that say more than a [`Figure`]; each is given to [`Self::row`].
    pub(crate) fn with_columns(json: bool, columns: &[&str]) -> Self {
        let mut table = Table::new();
        table.load_style(presets::ASCII_MARKDOWN);
        table.set_header(columns);
        Self { json, table, notes: Vec::new() }
    }

    /// A line about the run, not a figure.
    #[expect(clippy::print_stderr, reason = "remarks of a program that people run in a terminal")]
    pub(crate) fn remark(text: &str) {
        eprintln!("{text}");
    }

    /// One object for programs, or one row of the table.
    pub(crate) fn row(
        &mut self,
        object: &impl Serialize,
        cells: Vec<String>,
    ) -> anyhow::Result<()> {
        if self.json {
            return Self::object(object);
        }
        self.table.add_row(cells);
        Ok(())
    }

    /// One object for programs, or a line below the table.
    pub(crate) fn note(&mut self, object: &impl Serialize, line: String) -> anyhow::Result<()> {
        if self.json {
            return Self::object(object);
        }
        self.notes.push(line);
        Ok(())
    }

    #[expect(clippy::print_stdout, reason = "figures are what this program is for")]
    fn object(object: &impl Serialize) -> anyhow::Result<()> {
        println!("{}", serde_json::to_string(object)?);
        Ok(())
    }

    pub(crate) fn figure(&mut self, figure: &Figure) -> anyhow::Result<()> {
        let number = |value: Option<usize>| value.map_or(String::new(), |value| value.to_string());
        let decimal = |value: Option<f64>, places: usize| {
            value.map_or(String::new(), |value| format!("{value:.places$}"))
        };
        let cells = vec![
            figure.bench.to_owned(),
            figure.log_events.to_string(),
            number(figure.callers),
            number(figure.accounts),
            format!("{:.0}", figure.rate_per_s),
            decimal(figure.limit_per_s, 0),
            decimal(figure.ratio, 2),
            format!("{:.2}", figure.p50_ms),
            format!("{:.2}", figure.p95_ms),
            format!("{:.2}", figure.p99_ms),
            format!("{:.2}", figure.p999_ms),
            figure.errors.to_string(),
            figure.peak_mib.map_or(String::new(), |peak| peak.to_string()),
        ];
        self.row(figure, cells)
    }

    #[expect(clippy::print_stdout, reason = "figures are what this program is for")]
    pub(crate) fn finish(self) {
        if !self.json {
            println!("{}", self.table);
            for note in self.notes {
                println!("{note}");
            }
        }
    }
}
