//! Calls over HTTP: bounded in time, repeated a little, and honest about what is not known.

use std::time::Duration;

use domain::payments::UnknownReason;
use rand::Rng;
use reqwest::{Client, Method, Request, StatusCode};
use tokio::time::{Instant, sleep, timeout_at};

use crate::config::Timeouts;

/// How long connecting may take, where a PSP's configuration does not say otherwise.
pub const CONNECT_TIMEOUT: Duration = Duration::from_millis(500);
/// How long a request may take, from its first byte to the answer's last, where the configuration does not
/// say otherwise.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(3);
/// How often a request is repeated, under its key.
pub const RETRIES_MAX: u32 = 2;
/// The longest pause before the first repetition; doubled for the second. Each is drawn from zero to that
/// (full jitter), so that many callers do not come back at the same moment.
pub const BACKOFF_FIRST: Duration = Duration::from_millis(100);
/// How long a call may take with all its repetitions and pauses, where the configuration does not say
/// otherwise.
pub const TOTAL_TIMEOUT: Duration = Duration::from_secs(8);
/// How long it may take whatever the configuration says: less than a worker's lease of a payment, so that another
/// does not take over while the call goes on.
pub const TOTAL_TIMEOUT_MAX: Duration = Duration::from_secs(15);
/// The most bytes of an answer that are read; those of PSPs have a few thousand.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// Idle connections kept to a PSP.
const IDLE_CONNECTIONS_MAX: usize = 64;

/// What came back over the wire.
#[derive(Debug)]
pub(crate) enum Reply {
    /// An answer that says something, whatever that is.
    Answer {
        /// Its status.
        status: StatusCode,
        /// Its body.
        body: Vec<u8>,
    },
    /// It certainly never reached the other side.
    NotSent(String),
    /// It may have.
    Unknown(UnknownReason),
}

/// A client for one PSP.
pub(crate) fn client(timeouts: Timeouts) -> Result<Client, reqwest::Error> {
    Client::builder()
        .connect_timeout(Duration::from_millis(timeouts.connect_ms))
        .timeout(Duration::from_millis(timeouts.request_ms))
        .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
        .tcp_nodelay(true)
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
}

/// Sends the request, and again if that may help. The request has to be harmless when repeated.
pub(crate) async fn call(client: &Client, request: &Request, timeouts: Timeouts) -> Reply {
    let deadline = Instant::now() + Duration::from_millis(timeouts.total_ms);
    let question = request.method() == Method::GET;
    let mut doubt = None;
    let mut retries = 0;
    loop {
        let Some(again) = request.try_clone() else {
            return Reply::NotSent("the request has a body that cannot be sent twice".to_owned());
        };
        let tried = timeout_at(deadline, once(client, again));
        let reply = tried.await.unwrap_or(Reply::Unknown(UnknownReason::Timeout));
        let last = match reply {
            Reply::Answer { status, .. } if repeatable(status) => {
                Reply::Unknown(UnknownReason::ServerError)
            }
            // The first was perhaps carried out: a refusal of the repetition does not say that it was not.
            Reply::Answer { status, .. } if doubt.is_some() && !question && !settles(status) => {
                Reply::Unknown(UnknownReason::ServerError)
            }
            answer @ Reply::Answer { .. } => return answer,
            other => other,
        };
        if let Reply::Unknown(reason) = &last {
            doubt = Some(*reason);
        }
        let pause = backoff(retries);
        if retries == RETRIES_MAX || Instant::now() + pause >= deadline {
            // Once in doubt, a later attempt that was not even sent takes nothing of the doubt away.
            return doubt.map_or(last, Reply::Unknown);
        }
        retries += 1;
        sleep(pause).await;
    }
}

async fn once(client: &Client, request: Request) -> Reply {
    let mut response = match client.execute(request).await {
        Ok(response) => response,
        Err(error) => return failed(&error),
    };
    let status = response.status();
    let mut body = Vec::new();
    loop {
        match response.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() <= ANSWER_BYTES_MAX => {
                body.extend_from_slice(&chunk);
            }
            Ok(Some(_)) => return Reply::Unknown(UnknownReason::UnreadableAnswer),
            Ok(None) => return Reply::Answer { status, body },
            Err(error) => return failed(&error),
        }
    }
}

fn failed(error: &reqwest::Error) -> Reply {
    if error.is_connect() {
        Reply::NotSent("no connection".to_owned())
    } else if error.is_timeout() {
        Reply::Unknown(UnknownReason::Timeout)
    } else if error.is_builder() {
        Reply::NotSent("the request cannot be made".to_owned())
    } else {
        Reply::Unknown(UnknownReason::ConnectionLost)
    }
}

/// Whether the answer is none: the PSP failed, or is still at work on an earlier request with this key.
fn repeatable(status: StatusCode) -> bool {
    status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT
}

/// Whether the answer says what became of every request with its key.
fn settles(status: StatusCode) -> bool {
    status.is_success() || status == StatusCode::PAYMENT_REQUIRED
}

fn backoff(retries: u32) -> Duration {
    let longest = BACKOFF_FIRST.saturating_mul(1 << retries.min(16));
    let micros = u64::try_from(longest.as_micros()).unwrap_or(u64::MAX);
    Duration::from_micros(rand::rng().random_range(0..=micros))
}
