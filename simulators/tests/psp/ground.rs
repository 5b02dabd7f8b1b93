//! A simulator in a runtime of its own, so that it can be killed, and a client that talks to it.

use std::future::Future;
use std::ops::Deref;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use simulators::psp::{OpenError, Options, Psp, WebhookTarget};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

pub(crate) const API_KEY: &str = "sk_test_1";
pub(crate) const NAME: &str = "alpha";
/// How long anything may take that takes milliseconds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);
/// How long a client waits for an answer that does not come; all it costs is the test's time.
const GIVES_UP_AFTER: Duration = Duration::from_secs(1);
const POLL_EVERY: Duration = Duration::from_millis(10);

/// A folder that goes with the test.
#[derive(Debug)]
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("psp-{}-{number}", std::process::id());
        let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    pub(crate) fn ledger(&self) -> PathBuf {
        self.0.join("ledger.ndjson")
    }

    pub(crate) fn lines(&self) -> String {
        std::fs::read_to_string(self.ledger()).expect("the ledger is text")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder left behind harms nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A simulator that runs, and who calls it.
#[derive(Debug)]
pub(crate) struct Running {
    runtime: Option<Runtime>,
    served: Option<tokio::task::JoinHandle<()>>,
    shutdown: CancellationToken,
    caller: Caller,
}

/// Who calls a simulator.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    url: String,
    client: reqwest::Client,
}

/// What was answered.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) replayed: bool,
    pub(crate) text: String,
    pub(crate) body: Value,
}

impl Answer {
    pub(crate) fn code(&self) -> &str {
        self.body["error"]["code"].as_str().unwrap_or_default()
    }
}

/// Opens a simulator on this ledger.
pub(crate) async fn open(
    ledger: PathBuf,
    webhook: Option<WebhookTarget>,
) -> Result<(Psp, String), OpenError> {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let (name, api_key) = (NAME.to_owned(), API_KEY.to_owned());
    let psp = Psp::open(Options { name, listener, ledger, api_key, webhook })?;
    Ok((psp, url))
}

impl Running {
    pub(crate) async fn start(folder: &Folder) -> Self {
        Self::start_with(folder, None).await
    }

    pub(crate) async fn start_with(folder: &Folder, webhook: Option<WebhookTarget>) -> Self {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        let runtime = builder.worker_threads(1).enable_all().build().expect("a runtime");
        let opened = runtime.spawn(open(folder.ledger(), webhook));
        let (psp, url) = opened.await.expect("no panic").expect("the simulator opens");
        let shutdown = CancellationToken::new();
        let served = Some(runtime.spawn(psp.run(shutdown.clone())));
        Self { runtime: Some(runtime), served, shutdown, caller: Caller::of(url) }
    }

    /// Ends it as a kill does: nothing is finished and nobody is told.
    pub(crate) async fn kill(mut self) {
        self.kill_runtime().await;
    }

    /// Asks it to stop and waits until it did.
    pub(crate) async fn stop(mut self) {
        self.shutdown.cancel();
        let served = self.served.take().expect("it runs");
        let stopped = tokio::time::timeout(PATIENCE, served).await;
        stopped.expect("it stops in time").expect("it does not panic");
        self.kill_runtime().await;
    }

    async fn kill_runtime(&mut self) {
        let runtime = self.runtime.take().expect("it runs");
        let killed = tokio::task::spawn_blocking(move || runtime.shutdown_timeout(PATIENCE));
        killed.await.expect("it ends");
    }
}

impl Deref for Running {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.caller
    }
}

impl Caller {
    pub(crate) fn of(url: String) -> Self {
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE);
        Self { url, client: client.build().expect("a client") }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    pub(crate) fn post(&self, path: &str, key: &str, body: &Value) -> reqwest::RequestBuilder {
        let request = self.request(Method::POST, path).bearer_auth(API_KEY);
        request.header("Idempotency-Key", key).body(body.to_string())
    }

    /// Sends and awaits an answer.
    pub(crate) async fn send(&self, path: &str, key: &str, body: &Value) -> Answer {
        answer(self.post(path, key, body)).await.expect("an answer")
    }

    /// Sends, and sees that the connection breaks without an answer.
    pub(crate) async fn send_and_be_cut(&self, path: &str, key: &str, body: &Value) {
        let error = answer(self.post(path, key, body)).await.expect_err("no answer");
        assert!(!error.is_timeout(), "the connection breaks at once: {error:?}");
        assert!(error.is_request(), "there is no answer that breaks off: {error:?}");
    }

    /// Sends, and gives up since no answer comes.
    pub(crate) async fn send_and_give_up(&self, path: &str, key: &str, body: &Value) {
        let request = self.post(path, key, body).timeout(GIVES_UP_AFTER);
        let error = answer(request).await.expect_err("no answer");
        assert!(error.is_timeout(), "the connection stays open: {error:?}");
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        let request = self.request(Method::GET, path).bearer_auth(API_KEY);
        answer(request).await.expect("an answer")
    }

    pub(crate) async fn operation(&self, key: &str) -> Answer {
        self.get(&format!("/v1/operations/{key}")).await
    }

    pub(crate) async fn charge(&self, key: &str, token: &str, capture: bool) -> Answer {
        self.send("/v1/charges", key, &charge_body("pay_1", token, capture)).await
    }

    /// Sells for 10000 and answers the operation, which succeeded.
    pub(crate) async fn sold(&self, key: &str, token: &str) -> Value {
        let answer = self.charge(key, token, true).await;
        assert_eq!(
            (answer.status, &answer.body["status"]),
            (StatusCode::CREATED, &json!("succeeded"))
        );
        answer.body
    }

    /// Authorizes 10000 and answers the operation, which succeeded.
    pub(crate) async fn authorized(&self, key: &str, token: &str) -> Value {
        let answer = self.charge(key, token, false).await;
        assert_eq!(
            (answer.status, &answer.body["status"]),
            (StatusCode::CREATED, &json!("succeeded"))
        );
        answer.body
    }

    /// Waits until the operation has this status.
    pub(crate) async fn comes_to(&self, key: &str, status: &str) -> Value {
        eventually(|| async {
            let answer = self.operation(key).await;
            (answer.body["status"] == status).then_some(answer.body)
        })
        .await
    }

    pub(crate) async fn clearing(&self) -> Value {
        self.get("/ledger/summary").await.body["clearing"].clone()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

pub(crate) async fn answer(request: reqwest::RequestBuilder) -> Result<Answer, reqwest::Error> {
    let response = request.send().await?;
    let status = response.status();
    let replayed = response.headers().get("idempotent-replayed").is_some_and(|it| it == "true");
    let text = response.text().await?;
    let body = serde_json::from_str(&text).unwrap_or(Value::Null);
    Ok(Answer { status, replayed, text, body })
}

pub(crate) fn charge_body(reference: &str, token: &str, capture: bool) -> Value {
    json!({
        "reference": reference,
        "amount_minor": 10_000,
        "currency": "USD",
        "token": token,
        "capture": capture,
    })
}

/// The path of an operation's charge.
pub(crate) fn charge_path(operation: &Value) -> String {
    format!("/v1/charges/{}", operation["charge_id"].as_str().expect("an id"))
}

/// The path of what can be done with an operation's charge.
pub(crate) fn path_of(operation: &Value, action: &str) -> String {
    format!("{}/{action}", charge_path(operation))
}

/// Looks until something is there.
pub(crate) async fn eventually<T, F>(mut look: impl FnMut() -> F) -> T
where
    F: Future<Output = Option<T>>,
{
    let looking = async {
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            tokio::time::sleep(POLL_EVERY).await;
        }
    };
    tokio::time::timeout(PATIENCE, looking).await.expect("it comes in time")
}
