//! A merchant who posts entries over HTTP, the processes that they post to, and the auditor afterwards.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use replay_tool::verify::{Silent, VerifyOptions, verify};
use serde_json::{Value, json};

use crate::ground::{Ground, PATIENCE, Process, read_env, runut};

const CREATED: u16 = 201;

/// A merchant with two accounts.
#[derive(Clone)]
pub(crate) struct Merchant {
    http: reqwest::Client,
    key: Arc<str>,
    accounts: [Arc<str>; 2],
}

/// An answer to a posted entry.
#[derive(Debug, PartialEq)]
pub(crate) struct Posted {
    pub(crate) body: String,
    pub(crate) position: String,
}

impl Merchant {
    pub(crate) async fn of(endpoints: &BTreeMap<String, String>) -> Self {
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

    pub(crate) async fn entry(&self, command_url: &str, reference: &str) -> Option<Posted> {
        let [debit, credit] = &self.accounts;
        let posting = |account: &str, direction: &str| json!({"account": account, "direction": direction, "amount": "1.00", "currency": "USD"});
        let postings = [posting(debit, "debit"), posting(credit, "credit")];
        let body = json!({"external_ref": reference, "postings": postings});
        self.post(&format!("{command_url}/v1/ledger/entries"), reference, &body).await
    }

    /// Asks until there is an answer.
    pub(crate) async fn insist(&self, command_url: &str, reference: &str) -> Posted {
        let begun = Instant::now();
        loop {
            if let Some(posted) = self.entry(command_url, reference).await {
                return posted;
            }
            assert!(begun.elapsed() < PATIENCE, "{reference} does not settle");
            tokio::task::yield_now().await;
        }
    }

    /// The first account's posted debits, as of `position` or later.
    pub(crate) async fn debits(&self, query_url: &str, position: &str) -> String {
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
pub(crate) fn command_api(
    ground: &Ground,
    endpoints: &BTreeMap<String, String>,
) -> (Process, String) {
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

pub(crate) async fn verified(endpoints: &BTreeMap<String, String>) {
    let mut options = VerifyOptions::of(&endpoints["DATABASE_AUDITOR_URL"]);
    options.read_models = true;
    let summary = verify(&options, &mut Silent).await.expect("it can be verified");
    assert!(summary.clean(), "{:?}", summary.findings);
}
