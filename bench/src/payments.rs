//! `bench payments`: from a payment's request to its answer, captured and booked, over HTTP, at steady rates.
//!
//! Payments are sent at their times, whatever the answers do, and timed from when they were due: a system
//! that falls behind shows it (no coordinated omission). Everything is on the machine: the PSPs too.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Args;
use demo::stack::Stack;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::figures::{Figure, Latencies, Output, Tally};

/// Payments before the measurement, so that caches are warm and connections open as in a deployment that runs.
const WARM_UP: usize = 400;
/// How far behind the read models may be for a rate to be sustained.
const LAG_MAX_S: f64 = 1.0;
/// How long what is behind may take to be caught up with after the last payment.
const CATCH_UP_MAX: Duration = Duration::from_secs(120);
/// How often the lag is looked at.
const LAG_INTERVAL: Duration = Duration::from_millis(250);
/// The share of the rate that has to be answered in time for it to be sustained.
const SUSTAINED_SHARE: f64 = 0.99;
/// Calls to a PSP without anything around them, for comparison.
const BARE_CALLS: usize = 200;
/// What goes wrong at PSPs where faults are asked for, round and round.
const FAULTS: [&str; 6] = [
    "decline_hard",
    "fail_5xx_then_ok:1",
    "reset_after_charge",
    "slow:200",
    "webhook_dup:3",
    "webhook_only",
];

/// What to measure.
#[derive(Debug, Args)]
pub struct Options {
    /// Payments a second, one measurement each.
    #[arg(long, value_delimiter = ',', default_value = "300")]
    rates: Vec<u32>,
    /// How long each.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// How many of a hundred payments meet each fault.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=10))]
    faults_percent: u32,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

/// Measures and prints.
///
/// # Errors
/// Whatever kept it from measuring.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let stack =
        Stack::start_with(None, &["--command-port", "0", "--rate-limit", "1000000"]).await?;
    let measured = measure(&stack, &options).await;
    stack.stop().await?;
    measured
}

async fn measure(stack: &Stack, options: &Options) -> anyhow::Result<()> {
    let till = Arc::new(Till::open(stack)?);
    let mut output = Output::new(options.json);
    output.figure(&till.bare().await?)?;
    for n in 0..WARM_UP {
        till.pay(&format!("warm-{n}"), "ok").await?;
    }
    for (turn, rate) in options.rates.iter().enumerate() {
        let figure = at_rate(&till, turn, *rate, options).await?;
        output.figure(&figure)?;
    }
    output.finish();
    Ok(())
}

/// One measurement; says beside the figure whether the rate was sustained.
async fn at_rate(
    till: &Arc<Till>,
    turn: usize,
    rate: u32,
    options: &Options,
) -> anyhow::Result<Figure> {
    let log_events = till.head().await?;
    let watch = tokio::spawn(watch_lag(Arc::clone(till)));
    let count = rate * options.seconds;
    let started = Instant::now();
    let mut payments = JoinSet::new();
    for n in 0..count {
        let due = started + Duration::from_secs(u64::from(n)) / rate;
        tokio::time::sleep_until(due.into()).await;
        let till = Arc::clone(till);
        let token = token_of(n, options.faults_percent);
        let reference = format!("pay-{turn}-{n}");
        payments.spawn(async move {
            let paid = till.pay(&reference, token).await;
            (paid, due.elapsed(), Instant::now())
        });
    }
    let mut tally = Tally {
        log_events,
        done: 0,
        errors: 0,
        took: Duration::ZERO,
        latencies: Latencies::new()?,
    };
    let mut in_time = 0_u32;
    let ends = started + Duration::from_secs(u64::from(options.seconds)) + Duration::from_secs(1);
    while let Some(paid) = payments.join_next().await {
        let (paid, latency, at) = paid?;
        match paid {
            Ok(()) => {
                tally.done += 1;
                tally.latencies.record(latency);
                in_time += u32::from(at <= ends);
            }
            Err(error) => {
                tally.errors += 1;
                if tally.errors <= 3 {
                    Output::remark(&format!("{error:#}"));
                }
            }
        }
    }
    tally.took = started.elapsed();
    watch.abort();
    let lag = till.lag_max().await;
    let caught_up = Instant::now();
    till.await_caught_up().await?;
    let sustained = tally.errors == 0
        && f64::from(in_time) >= f64::from(count) * SUSTAINED_SHARE
        && lag <= LAG_MAX_S;
    Output::remark(&format!(
        "{rate}/s: {} answered within a second of the end, {} errors, read models at most {lag:.2} s behind, \
         caught up {:.1} s after the last answer: {}",
        in_time,
        tally.errors,
        caught_up.elapsed().as_secs_f64(),
        if sustained { "sustained" } else { "NOT SUSTAINED" },
    ));
    let name = if sustained { "payment captured" } else { "payment, not sustained" };
    Ok(Figure::new(name, &tally).against(f64::from(rate)))
}

/// Faults are spread evenly, each as often as the others.
fn token_of(n: u32, percent: u32) -> &'static str {
    let slot = n % 100;
    let kinds = u32::try_from(FAULTS.len()).unwrap_or(1);
    if percent > 0 && slot < percent * kinds {
        FAULTS[usize::try_from(slot % kinds).unwrap_or(0)]
    } else {
        "ok"
    }
}

async fn watch_lag(till: Arc<Till>) {
    loop {
        till.note_lag().await;
        tokio::time::sleep(LAG_INTERVAL).await;
    }
}

/// Where customers pay.
struct Till {
    http: reqwest::Client,
    commands: String,
    queries: String,
    psp: String,
    merchant_key: String,
    auditor_key: String,
    psp_key: String,
    lag_max: tokio::sync::Mutex<f64>,
}

impl Till {
    fn open(stack: &Stack) -> anyhow::Result<Self> {
        Ok(Self {
            http: reqwest::Client::builder().no_proxy().tcp_nodelay(true).build()?,
            commands: stack.endpoint("COMMAND_URL")?,
            queries: stack.endpoint("QUERY_URL")?,
            psp: stack.endpoint("PSP_ALPHA_URL")?,
            merchant_key: stack.endpoint("MERCHANT_KEY")?,
            auditor_key: stack.endpoint("AUDITOR_KEY")?,
            psp_key: stack.endpoint("PSP_API_SECRET")?,
            lag_max: tokio::sync::Mutex::new(0.0),
        })
    }

    /// What a PSP takes by itself, one call after the other.
    async fn bare(&self) -> anyhow::Result<Figure> {
        let mut latencies = Latencies::new()?;
        let began = Instant::now();
        for n in 0..BARE_CALLS {
            let body = json!({
                "reference": format!("bare-{n}"), "amount_minor": 2_500, "currency": "EUR",
                "token": "webhook_lost", "capture": true,
            });
            let sent = Instant::now();
            let request = self.http.post(format!("{}/v1/charges", self.psp));
            let request = request.bearer_auth(&self.psp_key).json(&body);
            let response = request.header("Idempotency-Key", format!("bare-{n}")).send().await?;
            ensure!(response.status().is_success(), "the PSP: {}", response.status());
            response.bytes().await?;
            latencies.record(sent.elapsed());
        }
        let done = u64::try_from(BARE_CALLS)?;
        let took = began.elapsed();
        let tally = Tally { log_events: 0, done, errors: 0, took, latencies };
        Ok(Figure::new("bare PSP call", &tally))
    }

    async fn pay(&self, reference: &str, token: &str) -> anyhow::Result<()> {
        let body = json!({
            "amount": "25.00", "currency": "USD", "capture_method": "automatic",
            "payment_method": {"token": token}, "reference": reference,
        });
        let request = self.http.post(format!("{}/v1/payments", self.commands));
        let request = request.bearer_auth(&self.merchant_key).header("Idempotency-Key", reference);
        let response = request.json(&body).send().await?;
        let status = response.status();
        let text = response.text().await?;
        ensure!(status == reqwest::StatusCode::CREATED, "{token}: {status} {text}");
        let payment: Value = serde_json::from_str(&text)?;
        let expected = if token == "decline_hard" { "declined" } else { "captured" };
        ensure!(payment["state"] == expected, "{token}: {text}");
        Ok(())
    }

    async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let request = self.http.get(format!("{}{path}", self.queries));
        let response = request.bearer_auth(&self.auditor_key).send().await?;
        let status = response.status();
        let text = response.text().await?;
        ensure!(status.is_success(), "{path}: {status} {text}");
        Ok(serde_json::from_str(&text)?)
    }

    async fn head(&self) -> anyhow::Result<i64> {
        let head = self.get("/v1/log/head").await?;
        head["position"].as_i64().context("a position")
    }

    /// The read models' lags: in seconds, and in events.
    async fn lag(&self) -> anyhow::Result<(f64, i64)> {
        let projections = self.get("/v1/projections").await?;
        let rows = projections["data"].as_array().context("projections")?;
        let seconds = rows.iter().filter_map(|row| row["lag_seconds"].as_f64());
        let events = rows.iter().filter_map(|row| row["lag_events"].as_i64());
        Ok((seconds.fold(0.0, f64::max), events.max().unwrap_or(0)))
    }

    async fn note_lag(&self) {
        // A query that is not answered in time is a lag too, and shows as one later.
        if let Ok((seconds, _)) = self.lag().await {
            let mut max = self.lag_max.lock().await;
            *max = max.max(seconds);
        }
    }

    /// The largest lag since this was asked last.
    async fn lag_max(&self) -> f64 {
        std::mem::take(&mut *self.lag_max.lock().await)
    }

    async fn await_caught_up(&self) -> anyhow::Result<()> {
        let deadline = Instant::now() + CATCH_UP_MAX;
        while self.lag().await?.1 > 0 {
            ensure!(Instant::now() < deadline, "the read models do not catch up");
            tokio::time::sleep(LAG_INTERVAL / 10).await;
        }
        Ok(())
    }
}
