//! Processes that are killed and servers that go away, under load, over HTTP.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use event_store::mirror::LogStream;
use nix::sys::signal::Signal;
use replay_tool::verify::{MirrorSource, Silent, VerifyOptions, verify};
use serde_json::{Value, json};
use supervisor::{Binaries, Nats, NatsOptions};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::ground::{Ground, PATIENCE, Process, read_env, runut};

/// How often the process is killed.
const KILLS: u32 = 50;
/// How many post at once; each round is killed after another number of answers.
const CALLERS: u32 = 16;
/// How long NATS is away.
const NATS_AWAY: Duration = Duration::from_secs(30);
/// While NATS is away, the read models follow Postgres: at most this behind, on a busy machine.
const VISIBLE_WITHOUT_NATS: Duration = Duration::from_secs(5);
const CREATED: u16 = 201;

/// A merchant with two accounts.
#[derive(Clone)]
struct Merchant {
    http: reqwest::Client,
    key: Arc<str>,
    accounts: [Arc<str>; 2],
}

/// An answer to a posted entry.
#[derive(Debug, PartialEq)]
struct Posted {
    body: String,
    position: String,
}

impl Merchant {
    async fn of(endpoints: &BTreeMap<String, String>) -> Self {
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        let key: Arc<str> = endpoints["MERCHANT_KEY"].as_str().into();
        let mut merchant = Self { http, key, accounts: ["".into(), "".into()] };
        for (slot, code) in ["cash", "sales"].into_iter().enumerate() {
            let body = json!({"code": code, "type": "asset", "currency": "USD"});
            let url = format!("{}/v1/accounts", endpoints["COMMAND_URL"]);
            let posted = merchant.post(&url, code, &body).await.expect("opened");
            let account: Value = serde_json::from_str(&posted.body).expect("JSON");
            merchant.accounts[slot] = account["id"].as_str().expect("an id").into();
        }
        merchant
    }

    /// `None` where there was no answer, or one that says to ask again.
    async fn post(&self, url: &str, key: &str, body: &Value) -> Option<Posted> {
        let request = self.http.post(url).bearer_auth(&*self.key).header("Idempotency-Key", key);
        let answer = request.json(body).send().await.ok()?;
        let status = answer.status().as_u16();
        let position = answer.headers().get("runut-position").cloned();
        let body = answer.text().await.ok()?;
        if status == 503 {
            return None;
        }
        assert_eq!(status, CREATED, "{body}");
        let position = position.expect("a position").to_str().expect("a number").to_owned();
        Some(Posted { body, position })
    }

    async fn entry(&self, command_url: &str, reference: &str) -> Option<Posted> {
        let [debit, credit] = &self.accounts;
        let posting = |account: &str, direction: &str| json!({"account": account, "direction": direction, "amount": "1.00", "currency": "USD"});
        let postings = [posting(debit, "debit"), posting(credit, "credit")];
        let body = json!({"external_ref": reference, "postings": postings});
        self.post(&format!("{command_url}/v1/ledger/entries"), reference, &body).await
    }

    /// The first account's posted debits, as of `position` or later.
    async fn debits(&self, query_url: &str, position: &str) -> String {
        let url = format!("{query_url}/v1/accounts/{}", self.accounts[0]);
        let request = self.http.get(url).bearer_auth(&*self.key);
        let answer = request.header("Runut-Min-Position", position).send().await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.status().as_u16(), 200);
        let text = answer.text().await.expect("a body");
        let account: Value = serde_json::from_str(&text).expect("JSON");
        account["debits"].as_str().unwrap_or_else(|| panic!("{text}")).to_owned()
    }
}

/// A command-api of its own on the log of `endpoints`; where it answers.
fn command_api(ground: &Ground, endpoints: &BTreeMap<String, String>) -> (Process, String) {
    let file = ground.path("second.env");
    // A killed one leaves its file.
    let _ = std::fs::remove_file(&file);
    let path = file.to_string_lossy();
    let mut command = runut(&["serve", "command-api", "--no-mirror", "--endpoints-file", &path]);
    command.env("DATABASE_URL", &endpoints["DATABASE_URL"]);
    let mut process = ground.spawn(command);
    let url = process.wait_for("the second command-api", || read_env(&file))["URL"].clone();
    (process, url)
}

async fn verified(endpoints: &BTreeMap<String, String>) {
    let options = VerifyOptions::of(&endpoints["DATABASE_AUDITOR_URL"]);
    let summary = verify(&options, &mut Silent).await.expect("it can be verified");
    assert!(summary.clean(), "{:?}", summary.findings);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_api_killed_fifty_times_under_load_loses_and_doubles_nothing() {
    let ground = Ground::new(0o711);
    let mut up = ground.up();
    let endpoints = up.endpoints();
    let merchant = Merchant::of(&endpoints).await;
    let survivor = &endpoints["COMMAND_URL"];
    let mut acknowledged = 0;
    for round in 0..KILLS {
        let (mut process, url) = command_api(&ground, &endpoints);
        let answered = Arc::new((AtomicU32::new(0), Notify::new()));
        let mut callers = JoinSet::new();
        for caller in 0..CALLERS {
            let (merchant, url) = (merchant.clone(), url.clone());
            let answered = Arc::clone(&answered);
            callers.spawn(async move {
                let reference = format!("{round}-{caller}");
                let first = merchant.entry(&url, &reference).await;
                if first.is_some() {
                    answered.0.fetch_add(1, Ordering::AcqRel);
                }
                answered.1.notify_one();
                (reference, first)
            });
        }
        // Another moment each round: at once, after a few answers, after nearly all.
        while answered.0.load(Ordering::Acquire) < round % CALLERS {
            answered.1.notified().await;
        }
        process.signal(Signal::SIGKILL);
        process.end();
        while let Some(called) = callers.join_next().await {
            let (reference, first) = called.expect("no panic");
            acknowledged += u32::from(first.is_some());
            // Asked again of another process: the same effect, whether or not it was answered.
            let begun = Instant::now();
            let settled = loop {
                if let Some(settled) = merchant.entry(survivor, &reference).await {
                    break settled;
                }
                assert!(begun.elapsed() < PATIENCE, "{reference} does not settle");
            };
            if let Some(first) = first {
                assert_eq!(settled, first, "acknowledged, then answered otherwise");
            }
        }
        verified(&endpoints).await;
    }
    assert!(acknowledged > 0, "some were answered before their process died");
    let last = merchant.entry(survivor, "last").await.expect("posted");
    let debits = merchant.debits(&endpoints["QUERY_URL"], &last.position).await;
    assert_eq!(debits, format!("{}.00", KILLS * CALLERS + 1));
    up.process.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_nats_is_away_everything_goes_on_and_the_mirror_catches_up_after() {
    let ground = Ground::new(0o711);
    let binaries = Binaries::locate(None).expect("installed by `make services`");
    let nats_dir = ground.path("elsewhere");
    std::fs::create_dir(&nats_dir).expect("a folder");
    let mut options = NatsOptions::new(&nats_dir, binaries);
    options.port = supervisor::free_port().expect("a free port");
    options.password = Some("of-this-test-alone".to_owned());
    let nats = Nats::start(options.clone()).await.expect("NATS starts");
    let url = nats.url();
    let mut up = ground.up_with(&["--nats-url", &url]);
    let endpoints = up.endpoints();
    let merchant = Merchant::of(&endpoints).await;
    let (command_url, query_url) = (&endpoints["COMMAND_URL"], &endpoints["QUERY_URL"]);
    merchant.entry(command_url, "before").await.expect("posted");
    nats.stop().await.expect("NATS stops");

    let away = Instant::now();
    let (mut count, mut slowest) = (1, Duration::ZERO);
    while away.elapsed() < NATS_AWAY {
        let posted = merchant.entry(command_url, &format!("away-{count}")).await;
        let posted = posted.expect("commands go on");
        count += 1;
        let answered = Instant::now();
        let debits = merchant.debits(query_url, &posted.position).await;
        slowest = slowest.max(answered.elapsed());
        assert_eq!(debits, format!("{count}.00"), "each entry is there exactly once");
    }
    assert!(slowest < VISIBLE_WITHOUT_NATS, "an effect took {slowest:?} to be seen");

    let nats = Nats::start(options).await.expect("NATS starts again");
    assert_eq!(nats.url(), url);
    let last = merchant.entry(command_url, "after").await.expect("posted");
    assert_eq!(merchant.debits(query_url, &last.position).await, format!("{}.00", count + 1));
    let head: u64 = last.position.parse().expect("a position");
    let client = event_store::mirror::connect_nats(&url, "test").await.expect("NATS answers");
    let jetstream = async_nats::jetstream::new(client);
    let begun = Instant::now();
    loop {
        let stream = jetstream.get_stream(LogStream::default().name()).await;
        let mirrored = stream.map_or(0, |stream| stream.cached_info().state.last_sequence);
        if mirrored == head {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "mirrored to {mirrored} of {head}");
    }
    let mut options = VerifyOptions::of(&endpoints["DATABASE_AUDITOR_URL"]);
    options.mirror = Some(MirrorSource { nats_url: url, stream: LogStream::default() });
    let summary = verify(&options, &mut Silent).await.expect("it can be verified");
    assert!(summary.clean(), "{:?}", summary.findings);
    up.process.stop();
    nats.stop().await.expect("NATS stops");
}
