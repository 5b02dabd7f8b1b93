//! The read models of a deployment: what they show, and how far they are behind the log.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use demo::stack::Stack;
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

/// How often the lag is looked at: four times within what it may be.
const LAG_INTERVAL: Duration = Duration::from_millis(250);
/// How long the query for the lag may take before it counts as not answered.
const LAG_ANSWER_MAX: Duration = Duration::from_secs(10);
/// How long what is behind may take to be caught up with after the last request.
const CATCH_UP_MAX: Duration = Duration::from_secs(120);
/// How often it is looked whether they have caught up.
const CATCH_UP_INTERVAL: Duration = Duration::from_millis(25);

/// A client of the query-api.
#[derive(Debug, Clone)]
pub(crate) struct ReadModels {
    http: reqwest::Client,
    url: String,
    auditor_key: String,
    only: Option<&'static str>,
}

/// How far behind the log.
#[derive(Debug, Clone, Copy)]
struct Lag {
    seconds: f64,
    events: i64,
}

impl ReadModels {
    /// All of them.
    pub(crate) fn of(stack: &Stack) -> anyhow::Result<Self> {
        Ok(Self {
            http: reqwest::Client::builder().no_proxy().tcp_nodelay(true).build()?,
            url: stack.endpoint("QUERY_URL")?,
            auditor_key: stack.endpoint("AUDITOR_KEY")?,
            only: None,
        })
    }

    /// The same client; of lags, only that of the projection `name` counts.
    pub(crate) fn only(self, name: &'static str) -> Self {
        Self { only: Some(name), ..self }
    }

    /// What an auditor reads at `path`.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.get_as(&self.auditor_key, path).await
    }

    /// What is read at `path` with another key.
    pub(crate) async fn get_as(&self, key: &str, path: &str) -> anyhow::Result<Value> {
        let request = self.http.get(format!("{}{path}", self.url));
        let response = request.bearer_auth(key).send().await?;
        let status = response.status();
        let text = response.text().await?;
        ensure!(status.is_success(), "{path}: {status} {text}");
        Ok(serde_json::from_str(&text)?)
    }

    /// The position of the log's last event.
    pub(crate) async fn head(&self) -> anyhow::Result<i64> {
        let head = self.get("/v1/log/head").await?;
        head["position"].as_i64().context("a position")
    }

    /// The largest lag of those that count.
    async fn lag(&self) -> anyhow::Result<Lag> {
        let projections = self.get("/v1/projections").await?;
        let rows = projections["data"].as_array().context("projections")?;
        let counts = |row: &&Value| self.only.is_none_or(|name| row["name"] == name);
        let mut largest = None::<Lag>;
        for row in rows.iter().filter(counts) {
            let seconds = row["lag_seconds"].as_f64().context("a lag in seconds")?;
            let events = row["lag_events"].as_i64().context("a lag in events")?;
            largest = Some(largest.map_or(Lag { seconds, events }, |lag| Lag {
                seconds: lag.seconds.max(seconds),
                events: lag.events.max(events),
            }));
        }
        largest.with_context(|| format!("no such projection: {projections}"))
    }

    /// Waits until nothing is behind; how long that took.
    pub(crate) async fn await_caught_up(&self) -> anyhow::Result<Duration> {
        let began = Instant::now();
        while self.lag().await?.events > 0 {
            ensure!(began.elapsed() < CATCH_UP_MAX, "the read models do not catch up");
            tokio::time::sleep(CATCH_UP_INTERVAL).await;
        }
        Ok(began.elapsed())
    }
}

/// Looks at the lag again and again, until it is ended or dropped.
#[derive(Debug)]
pub(crate) struct LagWatch {
    watching: JoinHandle<f64>,
    stop: DropGuard,
}

impl LagWatch {
    pub(crate) fn start(reads: ReadModels) -> Self {
        let stop = CancellationToken::new();
        let watching = tokio::spawn(watch(reads, stop.clone()));
        Self { watching, stop: stop.drop_guard() }
    }

    /// The largest lag since it was started, in seconds; infinite if any query was not answered.
    pub(crate) async fn end(self) -> anyhow::Result<f64> {
        drop(self.stop);
        Ok(self.watching.await?)
    }
}

/// Looks once more after the stop, so that the lag at the end counts.
async fn watch(reads: ReadModels, stop: CancellationToken) -> f64 {
    let mut max_s = 0.0_f64;
    loop {
        let stopped = stop.is_cancelled();
        // A query that is not answered says nothing good of the lag.
        let seconds = match tokio::time::timeout(LAG_ANSWER_MAX, reads.lag()).await {
            Ok(Ok(lag)) => lag.seconds,
            Ok(Err(_)) | Err(_) => f64::INFINITY,
        };
        max_s = max_s.max(seconds);
        if stopped {
            return max_s;
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(LAG_INTERVAL) => {}
        }
    }
}
