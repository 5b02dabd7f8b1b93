//! The honest merchant: pays at a steady rate whatever the answers do, and runs its errands.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use bench::Latencies;
use demo::client::Client;
use futures::stream::{self, StreamExt};
use reqwest::{RequestBuilder, Response};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::SKEWED_COMMAND_API;
use crate::deployment::Deployment;
use crate::storm::Asked;

/// Payments a second to the healthy process.
const PAYMENTS_PER_S: u32 = 100;
/// Payments a second to both, in turns, each repeated until it has its answer.
const THROUGH_BOTH_PER_S: u32 = 10;
/// How long one answer may take: past the 10 s that a service may take for it.
const ANSWER_MAX: Duration = Duration::from_secs(30);
/// How long a payment through both is repeated, and after which pause.
const REPEATED_MAX: Duration = Duration::from_secs(60);
const REPEATED_AFTER: Duration = Duration::from_millis(100);
/// How long it may take, and how many at a time, to ask again for payments that had no answer.
const ASKED_MAX: Duration = Duration::from_secs(120);
const ASKED_AT_ONCE_MAX: usize = 16;
/// How often an import and an export are begun.
const ERRANDS_EVERY: Duration = Duration::from_secs(2);
/// The token of a payment at whose PSP nothing goes wrong.
const FAULTLESS: &str = "ok";

/// The merchant and where it goes.
#[derive(Debug)]
pub(super) struct Honest {
    http: reqwest::Client,
    key: String,
    healthy: String,
    skewed: String,
    query: String,
    accounts: [String; 2],
    /// How many hundredths of the rates it pays at.
    rate_percent: u32,
}

/// Payments that were asked for.
#[derive(Debug, Default)]
pub(super) struct Load {
    pub(super) asked: Vec<Asked>,
    /// References of payments that had no answer with an id.
    open: Vec<String>,
    /// How often which answer came; `none` where none did.
    pub(super) statuses: BTreeMap<String, u64>,
    pub(super) latencies: Times,
    /// How long, in milliseconds, the slowest of those took that were due in each second.
    slowest_ms: Vec<u64>,
}

/// Latencies; of nothing at first.
#[derive(Debug)]
pub(super) struct Times(Latencies);

impl Default for Times {
    fn default() -> Self {
        // The bounds are constants that a histogram takes.
        Self(Latencies::new().expect("a histogram"))
    }
}

impl Times {
    pub(super) fn millis(&self, quantile: f64) -> f64 {
        self.0.millis(quantile)
    }
}

/// What came through both processes.
#[derive(Debug)]
pub(super) struct ThroughBoth {
    pub(super) load: Load,
    pub(super) healthy: BTreeMap<String, u64>,
    pub(super) skewed: BTreeMap<String, u64>,
}

/// How errands ended.
#[derive(Debug, Default)]
pub(super) struct Errands {
    pub(super) outcomes: BTreeMap<String, u64>,
}

/// An answer, or that there was none.
#[derive(Debug)]
struct Answered {
    status: String,
    id: Option<String>,
}

/// How long a payment took, and when it was due.
#[derive(Debug, Clone, Copy)]
struct Timed {
    /// In whole seconds after the beginning.
    due_s: usize,
    took: Duration,
}

impl Timed {
    /// One that is answered now.
    fn now(began: Instant, due: Instant) -> Self {
        let due_s = due.saturating_duration_since(began).as_secs();
        Self { due_s: usize::try_from(due_s).unwrap_or(usize::MAX), took: due.elapsed() }
    }
}

impl Load {
    /// Whether each had an answer, and a good one.
    pub(super) fn all_well(&self) -> bool {
        !self.statuses.is_empty() && self.statuses.keys().all(|status| status.starts_with('2'))
    }

    /// Adds the payments of another, not how they were answered.
    pub(super) fn add(&mut self, other: Self) {
        self.asked.extend(other.asked);
        self.open.extend(other.open);
    }

    pub(super) fn figure(&self, of: &str) -> Value {
        let Times(latencies) = &self.latencies;
        let millis = |quantile| (latencies.millis(quantile) * 10.0).round() / 10.0;
        json!({
            "load": of, "answers": self.statuses, "p50_ms": millis(0.5), "p95_ms": millis(0.95),
            "p99_ms": millis(0.99), "p999_ms": millis(0.999), "slowest_ms_of_each_s": self.slowest_ms,
        })
    }

    fn count(&mut self, reference: String, answered: Answered, timed: Timed) {
        self.latencies.0.record(timed.took);
        let (second, took_ms) =
            (timed.due_s, u64::try_from(timed.took.as_millis()).unwrap_or(u64::MAX));
        if self.slowest_ms.len() <= second {
            self.slowest_ms.resize(second + 1, 0);
        }
        self.slowest_ms[second] = self.slowest_ms[second].max(took_ms);
        *self.statuses.entry(answered.status).or_default() += 1;
        match answered.id {
            Some(id) => self.asked.push(Asked { id, token: FAULTLESS }),
            None => self.open.push(reference),
        }
    }
}

impl ThroughBoth {
    /// The healthy process refuses nothing but what the other one has begun; the skewed one may say that it does
    /// not decide; in the end each payment is answered.
    pub(super) fn is_well(&self) -> bool {
        let good = |status: &str| status.starts_with('2') || status == IN_USE;
        self.load.all_well()
            && self.healthy.keys().all(|status| good(status))
            && self.skewed.keys().all(|status| good(status) || status == "503")
    }
}

/// The other process has the request and answers it.
const IN_USE: &str = "409 idempotency-key-in-use";

impl Errands {
    pub(super) fn is_well(&self) -> bool {
        let good = |outcome: &String| outcome.ends_with(" done");
        !self.outcomes.is_empty() && self.outcomes.keys().all(good)
    }
}

impl Honest {
    pub(super) async fn open(deployment: &Deployment, rate_percent: u32) -> anyhow::Result<Self> {
        let key = deployment.endpoint("MERCHANT_KEY")?;
        let healthy = deployment.endpoint("COMMAND_URL")?;
        let client = Client::new(vec![healthy.clone()], key.clone())?;
        let mut accounts = [String::new(), String::new()];
        for (account, code) in accounts.iter_mut().zip(["till", "sales"]) {
            let body = json!({"code": code, "type": "asset", "currency": "USD"});
            let answer = client.post("/v1/accounts", &format!("open-{code}"), &body).await?;
            ensure!(answer.status.is_success(), "{}", answer.body);
            *account = answer.text("id")?;
        }
        let http = reqwest::Client::builder().no_proxy().tcp_nodelay(true).timeout(ANSWER_MAX);
        Ok(Self {
            http: http.build()?,
            key,
            healthy,
            skewed: deployment.url_of(SKEWED_COMMAND_API)?,
            query: deployment.endpoint("QUERY_URL")?,
            accounts,
            rate_percent,
        })
    }

    /// Payments are sent at their times to the healthy process, once each, and timed from when they were due.
    pub(super) async fn pay_steadily(
        self: Arc<Self>,
        phase: &'static str,
        lasts: Duration,
    ) -> anyhow::Result<Load> {
        let mut payments = JoinSet::new();
        let mut load = Load::default();
        let started = Instant::now();
        for (n, due) in self.due(started, PAYMENTS_PER_S, lasts) {
            tokio::time::sleep_until(due.into()).await;
            let (honest, reference) = (Arc::clone(&self), format!("{phase}-{n}"));
            payments.spawn(async move {
                let answered = honest.pay(&honest.healthy, &reference).await;
                (reference, answered, Timed::now(started, due))
            });
        }
        while let Some(paid) = payments.join_next().await {
            let (reference, answered, timed) = paid?;
            load.count(reference, answered, timed);
        }
        Ok(load)
    }

    /// Payments are sent to both processes in turns, each until it has its answer.
    pub(super) async fn pay_through_both(
        self: Arc<Self>,
        lasts: Duration,
    ) -> anyhow::Result<ThroughBoth> {
        let mut payments = JoinSet::new();
        let started = Instant::now();
        for (n, due) in self.due(started, THROUGH_BOTH_PER_S, lasts) {
            tokio::time::sleep_until(due.into()).await;
            let (honest, reference) = (Arc::clone(&self), format!("both-{n}"));
            payments.spawn(async move {
                let (answered, met) = honest.repeat(n, &reference, due).await;
                (reference, answered, met, Timed::now(started, due))
            });
        }
        let (healthy, skewed) = (BTreeMap::new(), BTreeMap::new());
        let mut both = ThroughBoth { load: Load::default(), healthy, skewed };
        while let Some(paid) = payments.join_next().await {
            let (reference, answered, met, timed) = paid?;
            both.load.count(reference, answered, timed);
            for (at_skewed, status) in met {
                let statuses = if at_skewed { &mut both.skewed } else { &mut both.healthy };
                *statuses.entry(status).or_default() += 1;
            }
        }
        Ok(both)
    }

    /// The answer in the end, and what each process said on the way there.
    async fn repeat(
        &self,
        n: u32,
        reference: &str,
        began: Instant,
    ) -> (Answered, Vec<(bool, String)>) {
        let mut met = Vec::new();
        let mut at_skewed = n.is_multiple_of(2);
        loop {
            let url = if at_skewed { &self.skewed } else { &self.healthy };
            let answered = self.pay(url, reference).await;
            met.push((at_skewed, answered.status.clone()));
            if answered.id.is_some() || began.elapsed() > REPEATED_MAX {
                return (answered, met);
            }
            at_skewed = !at_skewed;
            tokio::time::sleep(REPEATED_AFTER).await;
        }
    }

    /// The times at which `per_second` a second, or as many hundredths of it as are asked for, are due for so long.
    fn due(
        &self,
        started: Instant,
        per_second: u32,
        lasts: Duration,
    ) -> impl Iterator<Item = (u32, Instant)> + use<> {
        let pause = Duration::from_secs(1) * 100 / (per_second * self.rate_percent);
        (0..)
            .map(move |n| (n, started + pause * n))
            .take_while(move |(_, due)| *due < started + lasts)
    }

    async fn pay(&self, url: &str, reference: &str) -> Answered {
        let request = self.http.post(format!("{url}/v1/payments"));
        let request = request.bearer_auth(&self.key).header("Idempotency-Key", reference);
        match answer(request.json(&payment(reference))).await {
            Ok((status, body)) => {
                let body = serde_json::from_str::<Value>(&body).unwrap_or_default();
                let id = body["id"].as_str().filter(|_| status < 300).map(str::to_owned);
                let in_use = body["code"] == "idempotency-key-in-use";
                let status = if in_use { IN_USE.to_owned() } else { status.to_string() };
                Answered { status, id }
            }
            Err(_) => Answered { status: "none".to_owned(), id: None },
        }
    }

    /// Asks once more, with the same key, for each payment that has no answer yet; all that have one then, and how many
    /// have none in time.
    pub(super) async fn ask_for_all(&self, load: Load) -> anyhow::Result<(Vec<Asked>, usize)> {
        let Load { mut asked, open, .. } = load;
        let client = &Client::new(vec![self.healthy.clone()], self.key.clone())?;
        let ask = async |reference: String| {
            let answer = client.post("/v1/payments", &reference, &payment(&reference)).await?;
            let id = answer.text("id").with_context(|| reference.clone())?;
            anyhow::Ok(Asked { id, token: FAULTLESS })
        };
        let mut unanswered = open.len();
        let mut answers = stream::iter(open).map(ask).buffer_unordered(ASKED_AT_ONCE_MAX);
        let deadline = tokio::time::Instant::now() + ASKED_MAX;
        while let Ok(Some(answer)) = tokio::time::timeout_at(deadline, answers.next()).await {
            asked.push(answer?);
            unanswered -= 1;
        }
        Ok((asked, unanswered))
    }

    /// An import and an export now and then, as somebody in the merchant's accounts department does.
    pub(super) async fn run_errands(self: Arc<Self>, lasts: Duration) -> anyhow::Result<Errands> {
        let (mut errands, ends) = (Errands::default(), Instant::now() + lasts);
        let mut due = tokio::time::interval(ERRANDS_EVERY);
        for n in 0_u32.. {
            due.tick().await;
            if Instant::now() >= ends {
                break;
            }
            let import = self.import(n);
            let path = "/v1/ledger/journal?format=csv";
            let export = self.http.get(format!("{}{path}", self.query)).bearer_auth(&self.key);
            for (what, request, sign) in
                [("import", import, "\"done\":true"), ("export", export, "")]
            {
                let outcome = match answer(request).await {
                    Ok((200, body)) if body.contains(sign) => format!("{what} done"),
                    Ok((200, _)) => format!("{what} stopped"),
                    Ok((status, body)) => format!("{what} {status}: {body}"),
                    Err(_) => format!("{what} broke off"),
                };
                *errands.outcomes.entry(outcome).or_default() += 1;
            }
        }
        Ok(errands)
    }

    fn import(&self, n: u32) -> RequestBuilder {
        let [till, sales] = &self.accounts;
        let posting = |account: &str, direction: &str| json!({"account": account, "direction": direction, "amount": "1.00", "currency": "USD"});
        let postings = json!([posting(till, "debit"), posting(sales, "credit")]);
        let line = json!({"external_ref": format!("errand-{n}"), "postings": postings});
        let request = self.http.post(format!("{}/v1/ledger/imports", self.healthy));
        let request = request.bearer_auth(&self.key);
        let request = request.header("Idempotency-Key", format!("errand-{n}"));
        request.header("Content-Type", "application/x-ndjson").body(format!("{line}\n"))
    }
}

fn payment(reference: &str) -> Value {
    json!({
        "amount": "25.00", "currency": "USD", "capture_method": "automatic", "reference": reference,
        // Payers come with cards of their own.
        "payment_method": {"token": FAULTLESS, "fingerprint": reference},
    })
}

async fn answer(request: RequestBuilder) -> reqwest::Result<(u16, String)> {
    let response: Response = request.send().await?;
    let status = response.status().as_u16();
    Ok((status, response.text().await?))
}
