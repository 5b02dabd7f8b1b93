//! Whether the attacked processes say that they live, and how soon.

use std::time::{Duration, Instant};

use anyhow::Context;
use bench::Latencies;
use tokio::io::AsyncReadExt;
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use super::ground::Ground;
use super::{SKEWED_WORKERS, wire};
use crate::deployment::Deployment;

/// How often each process is asked, on a connection of its own each time.
const EVERY: Duration = Duration::from_millis(100);
/// How long an answer may take before it counts as none.
const ANSWER_MAX: Duration = Duration::from_secs(10);
const LIVES: &[u8] = b"HTTP/1.1 204";

/// How a process answered.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) process: &'static str,
    pub(super) latencies: Latencies,
    pub(super) failures: u64,
}

/// Asks until it is ended.
#[derive(Debug)]
pub(super) struct LiveWatch {
    stop: CancellationToken,
    watches: Vec<JoinHandle<anyhow::Result<Live>>>,
}

impl LiveWatch {
    pub(super) fn start(
        deployment: &Deployment,
        ground: &Ground,
        leaping_workers: bool,
    ) -> anyhow::Result<Self> {
        let stop = CancellationToken::new();
        let mut processes = vec![
            ("the command-api in runut up", ground.healthy.clone()),
            ("the query-api in runut up", ground.query.clone()),
            ("the skewed command-api", ground.skewed.clone()),
        ];
        if leaping_workers {
            processes.push(("the skewed workers", deployment.url_of(SKEWED_WORKERS)?));
        }
        let watch = |(process, url)| tokio::spawn(watch(process, url, stop.clone()));
        Ok(Self { watches: processes.into_iter().map(watch).collect(), stop })
    }

    pub(super) async fn end(self) -> anyhow::Result<Vec<Live>> {
        self.stop.cancel();
        let mut all = Vec::new();
        for watch in self.watches {
            all.push(watch.await.context("a watch of /health/live")??);
        }
        Ok(all)
    }
}

async fn watch(
    process: &'static str,
    url: String,
    stop: CancellationToken,
) -> anyhow::Result<Live> {
    let mut live = Live { process, latencies: Latencies::new()?, failures: 0 };
    let mut questions = JoinSet::new();
    let mut due = tokio::time::interval(EVERY);
    loop {
        let at = tokio::select! {
            at = due.tick() => Instant::from(at),
            () = stop.cancelled() => break,
        };
        let url = url.clone();
        questions.spawn(async move { (ask(&url).await, at.elapsed()) });
    }
    while let Some(answered) = questions.join_next().await {
        let (lives, took) = answered?;
        live.failures += u64::from(!lives);
        live.latencies.record(took);
    }
    Ok(live)
}

async fn ask(url: &str) -> bool {
    let asking = async {
        let mut stream = wire::connect(url, wire::HONEST).await.ok()?;
        let question =
            format!("{}Connection: close\r\n\r\n", wire::head("GET", "/health/live", None));
        if !wire::write(&mut stream, question.as_bytes(), ANSWER_MAX).await {
            return None;
        }
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.ok()?;
        Some(answer.starts_with(LIVES))
    };
    tokio::time::timeout(ANSWER_MAX, asking).await.ok().flatten().unwrap_or(false)
}
