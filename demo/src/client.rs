//! A merchant's HTTP client: sends a command with its key until it has an answer.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use reqwest::StatusCode;
use serde_json::Value;

/// How often a command is sent before the client gives up: a restart takes a few seconds.
const ATTEMPTS_MAX: u32 = 60;
/// How long it waits in between.
const PAUSE: Duration = Duration::from_millis(100);
/// How long one attempt may take.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(15);

/// An answer to a command.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// Whether it was the answer to an earlier request with the same key.
    pub replayed: bool,
    /// Where in the log it is, as the answer says; a reader that has to see it names this position.
    pub position: Option<u64>,
    /// The body.
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Errors
    /// It is none.
    pub fn json(&self) -> anyhow::Result<Value> {
        serde_json::from_str(&self.body).with_context(|| format!("not JSON: {}", self.body))
    }

    /// A text of the body.
    ///
    /// # Errors
    /// There is no such text.
    pub fn text(&self, name: &str) -> anyhow::Result<String> {
        let value = self.json()?;
        let text = value.get(name).and_then(Value::as_str);
        text.map(str::to_owned).with_context(|| format!("no `{name}` in {}", self.body))
    }
}

/// A client with a key, of one or more command-apis.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    key: String,
    bases: Vec<String>,
    turn: AtomicUsize,
}

impl Client {
    /// A client of the processes at `bases`, in turns.
    ///
    /// # Errors
    /// No client can be made on this machine.
    pub fn new(bases: Vec<String>, key: String) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder().timeout(ATTEMPT_TIMEOUT).no_proxy().build()?;
        Ok(Self { http, key, bases, turn: AtomicUsize::new(0) })
    }

    /// The same client, of others.
    #[must_use]
    pub fn with_bases(&self, bases: &[String]) -> Self {
        Self {
            http: self.http.clone(),
            key: self.key.clone(),
            bases: bases.to_vec(),
            turn: AtomicUsize::new(0),
        }
    }

    /// Posts a command under `key`; asks again, of whichever process, while the answer is to come back.
    ///
    /// # Errors
    /// There is none after many attempts.
    pub async fn post(&self, path: &str, key: &str, body: &Value) -> anyhow::Result<Answer> {
        let mut last = String::new();
        for _ in 0..ATTEMPTS_MAX {
            let turn = self.turn.fetch_add(1, Ordering::Relaxed);
            let url = format!("{}{path}", self.bases[turn % self.bases.len()]);
            let sent = self
                .http
                .post(url)
                .bearer_auth(&self.key)
                .header("Idempotency-Key", key)
                .json(body)
                .send()
                .await;
            match sent {
                Ok(response) => {
                    let status = response.status();
                    let replayed = response.headers().contains_key("idempotent-replayed");
                    let position = response.headers().get("runut-position");
                    let position = position.and_then(|at| at.to_str().ok()?.parse().ok());
                    // Cut off on its way, it is asked for again.
                    let body = response.text().await;
                    match body {
                        Ok(body) if !retryable(status, &body) => {
                            return Ok(Answer { status, replayed, position, body });
                        }
                        Ok(_) => last = status.to_string(),
                        Err(error) => last = error.to_string(),
                    }
                }
                Err(error) => last = error.to_string(),
            }
            tokio::time::sleep(PAUSE).await;
        }
        bail!("no answer to {path} after {ATTEMPTS_MAX} attempts: {last}")
    }

    /// Reads from a query-api.
    ///
    /// # Errors
    /// It does not answer, or not with what was asked for.
    pub async fn get(&self, path: &str) -> anyhow::Result<Value> {
        let url = format!("{}{path}", self.bases[0]);
        let response = self.http.get(url).bearer_auth(&self.key).send().await?;
        let status = response.status();
        let body = response.text().await?;
        ensure!(status.is_success(), "{path}: {status} {body}");
        Ok(serde_json::from_str(&body)?)
    }
}

/// Nothing was done, or the first request with this key is still being answered.
fn retryable(status: StatusCode, body: &str) -> bool {
    let busy = matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS);
    busy || (status == StatusCode::CONFLICT && body.contains("\"idempotency-key-in-use\""))
}
