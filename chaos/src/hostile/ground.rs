//! What every attack has at hand: where to go, with which keys, and until when.

use std::collections::{BTreeMap, HashSet};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use reqwest::RequestBuilder;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::preparation::Preparation;
use super::webhook::Genuine;
use super::{SKEWED_COMMAND_API, wire};
use crate::deployment::Deployment;

/// How long an attacker waits for an answer that it wants.
const ANSWER_MAX: Duration = Duration::from_secs(15);
/// The most requests of a flood under way at a time; those beyond are not sent, and counted.
const AT_ONCE_MAX: usize = 64;

/// What every attack has at hand.
#[derive(Debug)]
pub(super) struct Ground {
    /// The attackers' client.
    pub(super) http: reqwest::Client,
    /// The operator's, who comes from elsewhere.
    pub(super) operator: reqwest::Client,
    /// The command-api whose clock is right.
    pub(super) healthy: String,
    /// The command-api whose clock leaps.
    pub(super) skewed: String,
    pub(super) query: String,
    /// The hostile merchant's key.
    pub(super) merchant_key: String,
    pub(super) operator_key: String,
    pub(super) prepared: Preparation,
    pub(super) genuine: Genuine,
    pub(super) offset_file: PathBuf,
    began: Instant,
    lasts: Duration,
    /// How many hundredths of its rate an attack keeps to.
    rate_percent: u32,
    /// Connections that their attacker keeps; only the server ends them.
    held: Mutex<Vec<TcpStream>>,
}

impl Ground {
    /// The attack begins now.
    pub(super) fn new(
        deployment: &Deployment,
        prepared: Preparation,
        genuine: Genuine,
        offset_file: PathBuf,
        (lasts, rate_percent): (Duration, u32),
    ) -> anyhow::Result<Self> {
        let http = || reqwest::Client::builder().no_proxy().tcp_nodelay(true).timeout(ANSWER_MAX);
        Ok(Self {
            http: http().local_address(wire::ATTACKER).build()?,
            operator: http().local_address(wire::HONEST).build()?,
            healthy: deployment.endpoint("COMMAND_URL")?,
            skewed: deployment.url_of(SKEWED_COMMAND_API)?,
            query: deployment.endpoint("QUERY_URL")?,
            merchant_key: deployment.endpoint("OTHER_MERCHANT_KEY")?,
            operator_key: deployment.endpoint("OPERATOR_KEY")?,
            prepared,
            genuine,
            offset_file,
            began: Instant::now(),
            lasts,
            rate_percent,
            held: Mutex::default(),
        })
    }

    /// A command of the hostile merchant.
    pub(super) fn command(&self, path: &str, key: &str, body: &Value) -> RequestBuilder {
        self.command_with(&self.merchant_key, path, key, body)
    }

    /// The same with another of its API keys.
    pub(super) fn command_with(
        &self,
        api_key: &str,
        path: &str,
        key: &str,
        body: &Value,
    ) -> RequestBuilder {
        let request = self.http.post(format!("{}{path}", self.healthy));
        request.bearer_auth(api_key).header("Idempotency-Key", key).json(body)
    }

    /// When the attack ends.
    pub(super) fn ends(&self) -> Instant {
        self.began + self.lasts
    }

    pub(super) fn is_over(&self) -> bool {
        Instant::now() >= self.ends()
    }

    /// So many hundredths of the attack's time.
    pub(super) fn percent(&self, percent: u32) -> Duration {
        self.lasts * percent / 100
    }

    /// When so many hundredths of the attack are over.
    pub(super) fn at_percent(&self, percent: u32) -> Instant {
        self.began + self.percent(percent)
    }

    /// Waits until so many hundredths of the attack are over.
    pub(super) async fn until_percent(&self, percent: u32) {
        tokio::time::sleep_until(self.at_percent(percent).into()).await;
    }

    /// Keeps a connection open and does nothing with it any more.
    pub(super) fn hold(&self, stream: TcpStream) {
        self.held.lock().unwrap_or_else(PoisonError::into_inner).push(stream);
    }

    /// The attackers' ends of the connections that they keep.
    pub(super) fn held_ports(&self) -> HashSet<u16> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.iter().filter_map(|stream| Some(stream.local_addr().ok()?.port())).collect()
    }

    /// The ports of the attacked processes.
    pub(super) fn server_ports(&self) -> HashSet<u16> {
        let port = |url: &String| Some(wire::address_of(url).ok()?.port());
        [&self.healthy, &self.skewed, &self.query].into_iter().filter_map(port).collect()
    }
}

/// What an attack did, by name.
#[derive(Debug, Default)]
pub(super) struct Counts(Mutex<BTreeMap<String, u64>>);

impl Counts {
    pub(super) fn add(&self, what: impl Into<String>) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.entry(what.into()).or_default() += 1;
    }

    pub(super) fn counted(&self) -> BTreeMap<String, u64> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The status of an answer that was read to its end.
    pub(super) async fn answered(&self, request: RequestBuilder) {
        let answered = async {
            let response = request.send().await?;
            let status = response.status().as_u16();
            response.bytes().await?;
            Ok::<_, reqwest::Error>(status)
        };
        match answered.await {
            Ok(status) => self.add(status.to_string()),
            Err(error) if error.is_timeout() => self.add("no answer in time"),
            Err(_) => self.add("cut off"),
        }
    }
}

/// Begins `per_second` of `one` a second, or as many hundredths of it as are asked for, until the attack ends, whatever comes of those before; at most
/// [`AT_ONCE_MAX`] are under way.
pub(super) async fn paced<Work>(
    ground: &Ground,
    counts: &Counts,
    per_second: u32,
    one: impl Fn(u64) -> Work,
) where
    Work: Future<Output = ()> + Send + 'static,
{
    let mut under_way = JoinSet::new();
    let pause = Duration::from_secs(1) * 100 / (per_second * ground.rate_percent);
    let mut due = tokio::time::interval(pause);
    for n in 0.. {
        due.tick().await;
        if ground.is_over() {
            break;
        }
        while under_way.try_join_next().is_some() {}
        if under_way.len() < AT_ONCE_MAX {
            under_way.spawn(one(n));
        } else {
            counts.add("not sent, too many under way");
        }
    }
    while under_way.join_next().await.is_some() {}
}
