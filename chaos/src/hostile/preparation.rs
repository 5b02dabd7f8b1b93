//! What the attackers have before they attack: keys, and a ledger whose pages are as large as pages can be.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use demo::client::{Answer, Client};
use serde_json::{Value, json};

use crate::deployment::Deployment;

/// WAL files that the server is given to write over: somewhat more than a minute fills.
const WAL_FILES: usize = 24;
/// Accounts with the largest metadata: as many as a page has, so that the page is 20 MB.
const LARGE_ACCOUNTS: u32 = 200;
/// Entries with the most postings, so that an export is more than kernels buffer.
const LARGE_ENTRIES: u32 = 60;
/// Keys of the hostile merchant, used in turns: large requests count many times in the limit of a key.
const KEYS: usize = 24;
/// The most postings of an entry.
const POSTINGS_MAX: usize = 1_000;
/// The most that metadata may be: keys, and the characters of each and of its value.
const METADATA_KEYS: usize = 50;
const METADATA_KEY_CHARACTERS: usize = 64;
const METADATA_VALUE_CHARACTERS: usize = 500;
/// Four bytes in UTF-8, as much as a character can take.
const LARGEST_CHARACTER: &str = "\u{10400}";

/// A key that its holder lost.
#[derive(Debug, Clone)]
pub(super) struct LeakedKey {
    pub(super) id: String,
    pub(super) token: String,
}

/// What the attackers have.
#[derive(Debug)]
pub(super) struct Preparation {
    /// The hostile merchant's accounts.
    pub(super) accounts: [String; 2],
    /// More keys of the hostile merchant.
    pub(super) keys: Vec<LeakedKey>,
    /// An auditor's key, which follows the log.
    pub(super) auditor: LeakedKey,
    /// Keys that are revoked in the middle: one of the hostile merchant, one of an auditor.
    pub(super) to_be_revoked: [LeakedKey; 2],
    /// Where in the log the hostile merchant's ledger has everything that was prepared.
    pub(super) position: u64,
}

impl Preparation {
    pub(super) async fn make(deployment: &Deployment) -> anyhow::Result<Self> {
        bench::season(&deployment.endpoint("DATABASE_ADMIN_URL")?, WAL_FILES).await?;
        let commands = vec![deployment.endpoint("COMMAND_URL")?];
        let operator = Client::new(commands.clone(), deployment.endpoint("OPERATOR_KEY")?)?;
        let hostile = Client::new(commands.clone(), deployment.endpoint("OTHER_MERCHANT_KEY")?)?;
        let merchant = deployment.endpoint("OTHER_MERCHANT_ID")?;
        let auditor = json!({"role": "auditor"});
        let of_merchant = json!({"role": "merchant", "merchant": merchant});
        let mut keys = Vec::with_capacity(KEYS);
        for n in 0..KEYS {
            keys.push(issue(&operator, &format!("hostile-{n}"), &of_merchant).await?);
        }
        let clients = keys.iter().map(|key| Client::new(commands.clone(), key.token.clone()));
        let clients: Vec<Client> = clients.collect::<anyhow::Result<_>>()?;
        let mut in_turns = clients.iter().cycle();
        let mut next = || in_turns.next().context("a key");
        let mut prepared = Self {
            accounts: [open(&hostile, "a").await?, open(&hostile, "b").await?],
            keys,
            auditor: issue(&operator, "auditor", &auditor).await?,
            to_be_revoked: [
                issue(&operator, "to-be-revoked-merchant", &of_merchant).await?,
                issue(&operator, "to-be-revoked-auditor", &auditor).await?,
            ],
            position: 0,
        };
        for n in 0..LARGE_ACCOUNTS {
            let name = format!("prepared-{n}");
            posted(next()?, "/v1/accounts", &name, &large_account(&name)).await?;
        }
        for n in 0..LARGE_ENTRIES {
            let name = format!("prepared-{n}");
            let entry = large_entry(&prepared.accounts, &name);
            let key = format!("entry-{name}");
            let answer = posted(next()?, "/v1/ledger/entries", &key, &entry).await?;
            prepared.position = answer.position.context("an entry has a position")?;
        }
        Ok(prepared)
    }
}

async fn posted(client: &Client, path: &str, key: &str, body: &Value) -> anyhow::Result<Answer> {
    let answer = client.post(path, key, body).await?;
    ensure!(answer.status.is_success(), "{path}: {} {}", answer.status, answer.body);
    Ok(answer)
}

async fn open(client: &Client, code: &str) -> anyhow::Result<String> {
    let body = json!({"code": code, "type": "asset", "currency": "USD"});
    posted(client, "/v1/accounts", &format!("open-{code}"), &body).await?.text("id")
}

async fn issue(operator: &Client, name: &str, body: &Value) -> anyhow::Result<LeakedKey> {
    let key = posted(operator, "/v1/api-keys", name, body).await?;
    Ok(LeakedKey { id: key.text("id")?, token: key.text("token")? })
}

/// An account with metadata as large as it may be: some 110 KiB.
pub(super) fn large_account(code: &str) -> Value {
    json!({"code": code, "type": "asset", "currency": "USD", "metadata": largest_metadata()})
}

fn largest_metadata() -> BTreeMap<String, String> {
    let key = |n: usize| {
        let number = format!("{n:02}");
        number.clone() + &LARGEST_CHARACTER.repeat(METADATA_KEY_CHARACTERS - number.len())
    };
    let value = LARGEST_CHARACTER.repeat(METADATA_VALUE_CHARACTERS);
    (0..METADATA_KEYS).map(|n| (key(n), value.clone())).collect()
}

/// An entry with as many postings as it may have.
pub(super) fn large_entry(accounts: &[String; 2], external_ref: &str) -> Value {
    entry(accounts, external_ref, POSTINGS_MAX)
}

/// An entry that moves a cent with every two postings.
pub(super) fn entry(accounts: &[String; 2], external_ref: &str, postings: usize) -> Value {
    let posting = |n: usize| {
        let (account, direction) = (&accounts[n % 2], ["debit", "credit"][n % 2]);
        json!({"account": account, "direction": direction, "amount": "0.01", "currency": "USD"})
    };
    let postings: Vec<Value> = (0..postings).map(posting).collect();
    json!({"external_ref": external_ref, "postings": postings})
}
