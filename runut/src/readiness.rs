//! Waiting until a service of ours says that it is ready.

use std::time::Duration;

use anyhow::Context;
use reqwest::{Client, StatusCode};
use tokio::time::{Instant, sleep};

/// The longest that one question may take; the service itself has a shorter bound.
const QUESTION_MAX: Duration = Duration::from_secs(5);
const QUESTIONS_EVERY: Duration = Duration::from_millis(50);
const NOTICE_EVERY: Duration = Duration::from_secs(10);

/// Waits until `/health/ready` of the service at `url` says so.
///
/// There is no bound: a projection that catches up with a long log takes its time, and giving up
/// would only make it begin again. What it waits for is logged now and then.
pub(crate) async fn await_ready(service: &str, url: &str) -> anyhow::Result<()> {
    // A proxy of the environment is for the outside, never for ourselves.
    let client = Client::builder().no_proxy().timeout(QUESTION_MAX).build();
    let client = client.context("the HTTP client cannot be made")?;
    let mut notice_at = Instant::now() + NOTICE_EVERY;
    loop {
        let reason = match client.get(format!("{url}/health/ready")).send().await {
            Ok(answer) if answer.status() == StatusCode::OK => return Ok(()),
            Ok(answer) => answer.text().await.unwrap_or_default(),
            Err(error) => error.to_string(),
        };
        if Instant::now() >= notice_at {
            notice_at = Instant::now() + NOTICE_EVERY;
            tracing::warn!(service, reason, "not ready yet");
        }
        sleep(QUESTIONS_EVERY).await;
    }
}
