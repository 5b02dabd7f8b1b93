//! What is printed of measurements over HTTP.

use serde::Serialize;

use super::accounts::Spread;
use super::bare::Bare;
use super::ground::Measured;
use super::limit::Limit;
use crate::figures::{Figure, Output, Tally};

/// The columns of a [`Row`].
const COLUMNS: [&str; 17] = [
    "bench",
    "load",
    "log events",
    "connections",
    "asked/s",
    "per s",
    "bare/s",
    "ratio",
    "p50 ms",
    "p95",
    "p99",
    "p99.9",
    "max",
    "errors",
    "lag s",
    "drift",
    "sustained",
];

/// A figure with what only these measurements have.
#[derive(Debug, Serialize)]
pub(super) struct Row {
    #[serde(flatten)]
    figure: Figure,
    load: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    asked_per_s: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    entries_per_request: Option<u64>,
    max_ms: f64,
    /// Requests that found no connection until it was too late.
    #[serde(skip_serializing_if = "Option::is_none")]
    unsent: Option<u64>,
    /// Null where a query for it was not answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    lag_max_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    caught_up_s: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    drift_minor: Option<i128>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sustained: Option<bool>,
}

/// One load's result beside another's.
#[derive(Debug, Serialize)]
struct Ratio {
    bench: &'static str,
    what: String,
    load: String,
    of: String,
    ratio: f64,
}

/// The bounds of a load's rate.
#[derive(Debug, Serialize)]
struct LimitLine {
    bench: &'static str,
    load: String,
    highest_sustained_per_s: Option<u32>,
    first_not_sustained_per_s: Option<u32>,
}

impl Row {
    /// Of `tally`, which is what of `measured` counts, against the bare statement.
    pub(super) fn of(
        bench: &'static str,
        load: Spread,
        connections: usize,
        tally: &Tally,
        measured: &Measured,
        bare: &Bare,
    ) -> anyhow::Result<Self> {
        let figure = Figure::new(bench, tally).of(connections, load.accounts());
        Ok(Self {
            figure: figure.against(bare.of(load)?.rate_per_s()),
            load: load.to_string(),
            asked_per_s: None,
            entries_per_request: None,
            max_ms: tally.latencies.max_ms(),
            unsent: Some(measured.counts.unsent),
            lag_max_s: Some(thousandths(measured.lag_max_s)),
            caught_up_s: Some(thousandths(measured.caught_up.as_secs_f64())),
            drift_minor: Some(measured.drift_minor),
            sustained: None,
        })
    }

    /// At a rate that was asked for.
    pub(super) fn at(self, rate: u32, sustained: bool) -> Self {
        Self { asked_per_s: Some(rate), sustained: Some(sustained), ..self }
    }

    /// With so many entries in a request.
    pub(super) fn with_entries(self, entries_per_request: u64) -> Self {
        Self { entries_per_request: Some(entries_per_request), ..self }
    }

    /// Of the bare statement itself.
    fn bare(accounts: usize, tally: &Tally) -> Self {
        Self {
            figure: Figure::new("append limit", tally).of(1, accounts),
            load: format!("{accounts} accounts"),
            asked_per_s: None,
            entries_per_request: None,
            max_ms: tally.latencies.max_ms(),
            unsent: None,
            lag_max_s: None,
            caught_up_s: None,
            drift_minor: None,
            sustained: None,
        }
    }

    fn cells(&self) -> Vec<String> {
        let Figure { bench, callers, log_events, rate_per_s, limit_per_s, ratio, .. } =
            &self.figure;
        let Figure { p50_ms, p95_ms, p99_ms, p999_ms, errors, .. } = &self.figure;
        let text = |value: Option<String>| value.unwrap_or_default();
        vec![
            (*bench).to_owned(),
            self.load.clone(),
            log_events.to_string(),
            text(callers.map(|callers| callers.to_string())),
            text(self.asked_per_s.map(|rate| rate.to_string())),
            format!("{rate_per_s:.0}"),
            text(limit_per_s.map(|limit| format!("{limit:.0}"))),
            text(ratio.map(|ratio| format!("{ratio:.2}"))),
            format!("{p50_ms:.2}"),
            format!("{p95_ms:.2}"),
            format!("{p99_ms:.2}"),
            format!("{p999_ms:.2}"),
            format!("{:.2}", self.max_ms),
            errors.to_string(),
            text(self.lag_max_s.map(|lag| format!("{lag:.2}"))),
            text(self.drift_minor.map(|drift| drift.to_string())),
            text(self.sustained.map(|yes| if yes { "yes" } else { "NO" }.to_owned())),
        ]
    }
}

/// Everything that is printed at the end, when the bare statement's last turn is known.
#[derive(Debug)]
pub(super) struct Report {
    bench: &'static str,
    output: Output,
}

impl Report {
    /// Begins with the bare statement.
    pub(super) fn new(bench: &'static str, json: bool, bare: &Bare) -> anyhow::Result<Self> {
        let mut report = Self { bench, output: Output::with_columns(json, &COLUMNS) };
        for (accounts, tally) in bare.all() {
            report.row(&Row::bare(accounts, tally))?;
        }
        Ok(report)
    }

    /// Adds a measurement.
    pub(super) fn row(&mut self, row: &Row) -> anyhow::Result<()> {
        self.output.row(row, row.cells())
    }

    /// Says how `second` of a load compares with `first` of another; `what` they are is a rate.
    pub(super) fn ratio(
        &mut self,
        what: String,
        (second_load, second): (Spread, f64),
        (first_load, first): (Spread, f64),
    ) -> anyhow::Result<()> {
        let ratio = thousandths(second / first);
        let line = format!("{what}: {second_load} is {ratio:.2} of {first_load}");
        let (load, of) = (second_load.to_string(), first_load.to_string());
        self.output.note(&Ratio { bench: self.bench, what, load, of, ratio }, line)
    }

    /// Says up to which rate a load is sustained.
    pub(super) fn limit(&mut self, load: Spread, limit: Limit) -> anyhow::Result<()> {
        let Limit { highest_sustained, first_not_sustained } = limit;
        let rate = |rate: Option<u32>| rate.map_or("none".to_owned(), |rate| format!("{rate}/s"));
        let line = format!(
            "{load}: highest sustained {}, first not sustained {}",
            rate(highest_sustained),
            rate(first_not_sustained)
        );
        let object = LimitLine {
            bench: self.bench,
            load: load.to_string(),
            highest_sustained_per_s: highest_sustained,
            first_not_sustained_per_s: first_not_sustained,
        };
        self.output.note(&object, line)
    }

    /// Prints what is not printed yet.
    pub(super) fn finish(self) {
        self.output.finish();
    }
}

fn thousandths(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}
