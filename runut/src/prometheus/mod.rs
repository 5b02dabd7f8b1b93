//! The metrics of this process, for `/metrics`.

use std::time::Duration;

use anyhow::Context;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::tasks::{Stage, Tasks};

mod catalog;

/// How often samples are folded into their histograms; until then each takes memory.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);
/// Upper bounds of histograms of seconds: from an append's half millisecond to a request's
/// time-out.
const SECONDS_BUCKETS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Renders what was measured in this process.
#[derive(Clone)]
pub(crate) struct Metrics(PrometheusHandle);

impl Metrics {
    /// Starts measuring, once a process.
    pub(crate) fn start(tasks: &mut Tasks) -> anyhow::Result<Self> {
        let handle = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS_BUCKETS)
            .and_then(PrometheusBuilder::install_recorder)
            .context("metrics cannot be recorded")?;
        catalog::describe();
        let upkept = handle.clone();
        tasks.spawn(Stage::Follow, "metrics", |stop| async move {
            let mut due = tokio::time::interval(UPKEEP_INTERVAL);
            while stop.run_until_cancelled(due.tick()).await.is_some() {
                upkept.run_upkeep();
            }
        });
        Ok(Self(handle))
    }

    /// In Prometheus' text format.
    pub(crate) fn render(&self) -> String {
        self.0.render()
    }
}
