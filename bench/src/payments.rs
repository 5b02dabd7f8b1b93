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
use crate::read_models::{LagWatch, ReadModels};
use crate::sustained::Demand;

/// Payments before the measurement, so that caches are warm and connections open as in a deployment that runs.
const WARM_UP: usize = 400;
/// How often a payment is asked for of which it is not yet known what came of it.
const ASK_INTERVAL: Duration = Duration::from_millis(250);
/// Calls to a PSP without anything around them, for comparison.
const BARE_CALLS: usize = 1_000;
/// How long what a PSP left open may take to be known after the last payment.
const RESOLVED_MAX: Duration = Duration::from_secs(120);
/// What goes wrong at PSPs where faults are asked for, round and round: everything that the simulator can do.
const FAULTS: [&str; 17] = [
    "decline_hard",
    "decline_soft_then_ok:2",
    "fail_5xx_then_ok:2",
    "timeout_before",
    "timeout_after_charge",
    "reset_after_charge",
    "slow:200",
    "webhook_dup:3",
    "webhook_ooo",
    "webhook_lost",
    "webhook_only",
    "status_not_found_for:600",
    "capture_failed_later",
    "refund_fails",
    "refund_fails_later",
    "partial_auth:50",
    "down_for:700",
];
const FAULTLESS: &str = "ok";
/// Shares no factor with a hundred, so that of every hundred payments each has another place.
const SCATTER: u32 = 37;

/// What to measure.
#[derive(Debug, Args)]
pub struct Options {
    /// Payments a second, one measurement each.
    #[arg(long, value_delimiter = ',', default_value = "300")]
    rates: Vec<u32>,
    /// How long each.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
    /// How many of a hundred payments meet each fault; there are 17.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=5))]
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
        till.pay(&format!("warm-{n}"), FAULTLESS).await?;
    }
    for (turn, rate) in options.rates.iter().enumerate() {
        for figure in at_rate(&till, turn, *rate, options).await? {
            output.figure(&figure)?;
        }
    }
    output.finish();
    Ok(())
}

/// One measurement; says beside the figures whether the rate was sustained. Payments that meet a fault, some
/// of which take a PSP's time-outs, have a figure of their own.
async fn at_rate(
    till: &Arc<Till>,
    turn: usize,
    rate: u32,
    options: &Options,
) -> anyhow::Result<Vec<Figure>> {
    let log_events = till.reads.head().await?;
    let watch = LagWatch::start(till.reads.clone());
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
            (token, paid, due.elapsed(), Instant::now())
        });
    }
    let (mut faultless, mut faulty) = (Tally::new(log_events)?, Tally::new(log_events)?);
    let mut open = Vec::new();
    let mut in_time = 0_u32;
    let ends = started + Duration::from_secs(u64::from(options.seconds)) + Duration::from_secs(1);
    while let Some(paid) = payments.join_next().await {
        let (token, paid, latency, at) = paid?;
        let tally = if token == FAULTLESS { &mut faultless } else { &mut faulty };
        match paid {
            Ok(paid) => {
                tally.done += 1;
                tally.latencies.record(latency);
                in_time += u32::from(at <= ends || token != FAULTLESS);
                open.extend(paid.open);
            }
            Err(error) => {
                tally.errors += 1;
                if tally.errors <= 3 {
                    Output::remark(&format!("{error:#}"));
                }
            }
        }
    }
    faultless.took = started.elapsed();
    faulty.took = faultless.took;
    let lag = watch.end().await?;
    let caught_up = till.reads.await_caught_up().await?;
    let errors = faultless.errors + faulty.errors;
    let demand =
        Demand { asked: u64::from(count), in_time: u64::from(in_time), errors, lag_s: lag };
    let sustained = demand.sustained();
    Output::remark(&format!(
        "{rate}/s: {in_time} of {count} answered in time, {errors} errors, read models at most {lag:.2} s \
         behind, caught up {:.1} s after the last answer: {}",
        caught_up.as_secs_f64(),
        if sustained { "sustained" } else { "NOT SUSTAINED" },
    ));
    let name = if sustained { "payment captured" } else { "payment, not sustained" };
    let mut figures = Vec::new();
    if options.faults_percent == 0 {
        figures.push(Figure::new(name, &faultless).against(f64::from(rate)));
    } else {
        // Those that meet a fault are counted beside them, so the rate says nothing of the rest.
        figures.push(Figure::new(name, &faultless));
        let took = till.await_resolved(&open).await?;
        Output::remark(&format!(
            "{} of {} payments that met a fault were answered 202; of none was it unknown what came of it {:.1} \
             s after that",
            open.len(),
            faulty.done,
            took.as_secs_f64(),
        ));
        figures.push(Figure::new("payment that meets a fault", &faulty));
    }
    Ok(figures)
}

/// Faults are spread evenly, each as often as the others.
fn token_of(n: u32, percent: u32) -> &'static str {
    let slot = n.wrapping_mul(SCATTER) % 100;
    let kinds = u32::try_from(FAULTS.len()).unwrap_or(1);
    if percent > 0 && slot < percent * kinds {
        FAULTS[usize::try_from(slot % kinds).unwrap_or(0)]
    } else {
        FAULTLESS
    }
}

/// What came of a request.
struct Paid {
    /// The payment's id, if more is to come of it.
    open: Option<String>,
}

/// Where customers pay.
struct Till {
    http: reqwest::Client,
    reads: ReadModels,
    commands: String,
    psp: String,
    merchant_key: String,
    psp_key: String,
}

impl Till {
    fn open(stack: &Stack) -> anyhow::Result<Self> {
        Ok(Self {
            http: reqwest::Client::builder().no_proxy().tcp_nodelay(true).build()?,
            reads: ReadModels::of(stack)?,
            commands: stack.endpoint("COMMAND_URL")?,
            psp: stack.endpoint("PSP_ALPHA_URL")?,
            merchant_key: stack.endpoint("MERCHANT_KEY")?,
            psp_key: stack.endpoint("PSP_API_SECRET")?,
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
        let tally = Tally { done, took: began.elapsed(), latencies, ..Tally::new(0)? };
        Ok(Figure::new("bare PSP call", &tally))
    }

    async fn pay(&self, reference: &str, token: &str) -> anyhow::Result<Paid> {
        let body = json!({
            "amount": "25.00", "currency": "USD", "capture_method": "automatic",
            // Payers come with cards of their own.
            "payment_method": {"token": token, "fingerprint": reference}, "reference": reference,
        });
        let request = self.http.post(format!("{}/v1/payments", self.commands));
        let request = request.bearer_auth(&self.merchant_key).header("Idempotency-Key", reference);
        let response = request.json(&body).send().await?;
        let status = response.status();
        let text = response.text().await?;
        let open = status == reqwest::StatusCode::ACCEPTED;
        let expected = status == reqwest::StatusCode::CREATED || (open && token != FAULTLESS);
        ensure!(expected, "{token}: {status} {text}");
        let payment: Value = serde_json::from_str(&text)?;
        let expected = token != FAULTLESS || payment["state"] == "captured";
        ensure!(expected, "{token}: {text}");
        let id = payment["id"].as_str().context("an id")?.to_owned();
        if token.starts_with("refund") {
            let path = format!("{}/v1/payments/{id}/refunds", self.commands);
            let request = self.http.post(path).bearer_auth(&self.merchant_key).json(&json!({}));
            let key = format!("{reference}-refund");
            let response = request.header("Idempotency-Key", key).send().await?;
            ensure!(response.status().is_success(), "{token}: {}", response.text().await?);
        }
        Ok(Paid { open: open.then_some(id) })
    }

    /// Waits until nothing is unknown of any of these; a retry that waits for its day is no such thing.
    async fn await_resolved(&self, payments: &[String]) -> anyhow::Result<Duration> {
        let began = Instant::now();
        for id in payments {
            loop {
                let path = format!("/v1/payments/{id}");
                let payment = self.reads.get_as(&self.merchant_key, &path).await?;
                let operation = &payment["operation"];
                if operation.is_null() || operation["state"] == "due" {
                    break;
                }
                ensure!(began.elapsed() < RESOLVED_MAX, "it stays unknown: {payment}");
                tokio::time::sleep(ASK_INTERVAL).await;
            }
        }
        Ok(began.elapsed())
    }
}
