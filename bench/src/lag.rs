//! `bench lag`: from a command's answer to its effect in the query-api, over HTTP, at a steady rate.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Args;
use demo::stack::Stack;
use serde_json::{Value, json};
use tokio::time::MissedTickBehavior;

use crate::figures::{Figure, Latencies, Output, Tally};

/// Commands before the measurement, so that caches are warm as in a deployment that runs.
const WARM_UP: usize = 200;

/// What to measure.
#[derive(Debug, Args)]
pub struct Options {
    /// Commands a second, sent at their times whatever the answers do.
    #[arg(long, default_value_t = 500)]
    rate: u32,
    /// How long.
    #[arg(long, default_value_t = 30)]
    seconds: u32,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

/// Measures and prints.
///
/// # Errors
/// Whatever kept it from measuring.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let stack = Stack::start(None).await?;
    let measured = measure(&stack, &options).await;
    stack.stop().await?;
    let [answered, visible] = measured?;
    let mut output = Output::new(options.json);
    output.figure(&answered)?;
    output.figure(&visible)?;
    output.finish();
    Ok(())
}

struct Probe {
    http: reqwest::Client,
    commands: String,
    queries: String,
    key: String,
    accounts: [String; 2],
}

/// The latency of the commands themselves, and from their answers to their effect.
async fn measure(stack: &Stack, options: &Options) -> anyhow::Result<[Figure; 2]> {
    let probe = Arc::new(Probe::open(stack).await?);
    for n in 0..WARM_UP {
        probe.once(&format!("warm-{n}")).await?;
    }
    let count = options.rate * options.seconds;
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / options.rate);
    // Late sends are made up for: an answer that is slow must not make the next ones fewer.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let started = Instant::now();
    let mut probes = Vec::new();
    for n in 0..count {
        ticks.tick().await;
        let probe = Arc::clone(&probe);
        probes.push(tokio::spawn(async move { probe.once(&format!("probe-{n}")).await }));
    }
    let (mut answered, mut visible) = (Latencies::new()?, Latencies::new()?);
    let (mut done, mut errors) = (0, 0);
    for one in probes {
        match one.await? {
            Ok((answer, effect)) => {
                answered.record(answer);
                visible.record(effect);
                done += 1;
            }
            Err(error) => {
                errors += 1;
                Output::remark(&format!("{error:#}"));
            }
        }
    }
    let took = started.elapsed();
    let log_events = i64::from(count);
    let figure =
        |bench, latencies| Figure::new(bench, &Tally { log_events, done, errors, took, latencies });
    Ok([figure("command answered", answered), figure("answer to effect", visible)])
}

impl Probe {
    async fn open(stack: &Stack) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().no_proxy().build()?;
        let mut probe = Self {
            http,
            commands: stack.endpoint("COMMAND_URL")?,
            queries: stack.endpoint("QUERY_URL")?,
            key: stack.endpoint("MERCHANT_KEY")?,
            accounts: [String::new(), String::new()],
        };
        for (slot, code) in ["lag-debit", "lag-credit"].into_iter().enumerate() {
            let body = json!({"code": code, "type": "asset", "currency": "USD"});
            let (opened, _) = probe.post("/v1/accounts", code, &body).await?;
            let id = opened["id"].as_str().with_context(|| opened.to_string())?;
            probe.accounts[slot] = id.to_owned();
        }
        Ok(probe)
    }

    async fn post(&self, path: &str, key: &str, body: &Value) -> anyhow::Result<(Value, String)> {
        let request = self.http.post(format!("{}{path}", self.commands)).bearer_auth(&self.key);
        let response = request.header("Idempotency-Key", key).json(body).send().await?;
        let position = response.headers().get("runut-position");
        let position = position.and_then(|value| value.to_str().ok()).map(str::to_owned);
        let status = response.status();
        let text = response.text().await?;
        ensure!(status.is_success(), "{path}: {status} {text}");
        Ok((serde_json::from_str(&text)?, position.context("no Runut-Position")?))
    }

    /// Posts an entry and asks for its effect; how long the answer took, and then the effect.
    async fn once(&self, reference: &str) -> anyhow::Result<(Duration, Duration)> {
        let posting = |account: &str, direction: &str| json!({"account": account, "direction": direction, "amount": "1.00", "currency": "USD"});
        let [debit, credit] = &self.accounts;
        let postings = [posting(debit, "debit"), posting(credit, "credit")];
        let body = json!({"external_ref": reference, "postings": postings});
        let sent = Instant::now();
        let (entry, position) = self.post("/v1/ledger/entries", reference, &body).await?;
        let answered = Instant::now();
        let id = entry["id"].as_str().context("no id")?;
        let response = self
            .http
            .get(format!("{}/v1/ledger/entries/{id}", self.queries))
            .bearer_auth(&self.key)
            .header("Runut-Min-Position", position)
            .send()
            .await?;
        let status = response.status();
        let text = response.text().await?;
        ensure!(status.is_success(), "{id}: {status} {text}");
        Ok((answered - sent, answered.elapsed()))
    }
}
