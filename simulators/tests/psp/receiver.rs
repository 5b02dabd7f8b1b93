//! A receiver of webhooks that checks what it gets.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;
use simulators::psp::{SIGNATURE_HEADER, WebhookTarget};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::ground::PATIENCE;

const SECRET: &str = "whsec_alpha";

/// Takes webhooks and keeps them in the order they came.
#[derive(Debug)]
pub(crate) struct Receiver {
    url: String,
    taken: watch::Receiver<Vec<Value>>,
    serving: tokio::task::JoinHandle<()>,
}

#[derive(Clone)]
struct Shared {
    taken: watch::Sender<Vec<Value>>,
    refusals_left: Arc<Mutex<u32>>,
}

impl Receiver {
    /// One that refuses the first so many, after looking at them.
    pub(crate) async fn refusing_first(refusals: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/hooks", listener.local_addr().expect("an address"));
        let (sender, taken) = watch::channel(Vec::new());
        let shared = Shared { taken: sender, refusals_left: Arc::new(Mutex::new(refusals)) };
        let router = Router::new().route("/hooks", post(take)).with_state(shared);
        let serving = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("it serves");
        });
        Self { url, taken, serving }
    }

    pub(crate) async fn start() -> Self {
        Self::refusing_first(0).await
    }

    pub(crate) fn target(&self) -> WebhookTarget {
        WebhookTarget { url: self.url.clone(), secret: SECRET.to_owned() }
    }

    /// The first so many events, as soon as they are there.
    pub(crate) async fn first(&self, count: usize) -> Vec<Value> {
        self.until(|events| events.len() >= count).await
    }

    /// The events when they are enough.
    pub(crate) async fn until(&self, enough: impl FnMut(&Vec<Value>) -> bool) -> Vec<Value> {
        let mut taken = self.taken.clone();
        let waiting = tokio::time::timeout(PATIENCE, taken.wait_for(enough));
        waiting.await.expect("events come in time").expect("the receiver runs").clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn take(State(shared): State<Shared>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let signature = headers.get(SIGNATURE_HEADER).and_then(|it| it.to_str().ok());
    if !signature.is_some_and(|signature| is_signed(signature, &body)) {
        // An event that no test expects, so that it fails.
        shared.taken.send_modify(|taken| taken.push("a wrong signature".into()));
        return StatusCode::OK;
    }
    {
        let mut left = shared.refusals_left.lock().expect("no panic");
        if *left > 0 {
            *left -= 1;
            return StatusCode::INTERNAL_SERVER_ERROR;
        }
    }
    let event = serde_json::from_slice(&body).expect("an event");
    shared.taken.send_modify(|taken| taken.push(event));
    StatusCode::OK
}

/// Checks a signature in other words than those it was made with.
fn is_signed(signature: &str, body: &[u8]) -> bool {
    let Some((timestamp, digits)) = signature.split_once(",v1=") else { return false };
    let Some(timestamp) = timestamp.strip_prefix("t=") else { return false };
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("a key");
    mac.update(&[timestamp.as_bytes(), b".", body].concat());
    let pairs = (0..digits.len()).step_by(2).map(|at| digits.get(at..at + 2));
    let bytes = pairs.map(|pair| u8::from_str_radix(pair?, 16).ok()).collect::<Option<Vec<_>>>();
    bytes.is_some_and(|bytes| mac.verify_slice(&bytes).is_ok())
}
