//! A marketplace and its trade: sales with fees, refunds, payouts, and requests sent twice.

use std::collections::BTreeMap;
use std::sync::Mutex;

use anyhow::{Context, bail, ensure};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::books::{ACCOUNTS, Books, Leg, opposite};
use crate::client::{Answer, Client};
use crate::money::{CURRENCIES, decimal};

/// How many of its people post at once.
const CALLERS: usize = 8;

/// What was done.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) sales: usize,
    pub(crate) refunds: usize,
    pub(crate) payouts: usize,
    pub(crate) replays: usize,
    pub(crate) refused: BTreeMap<String, (usize, String)>,
}

impl Tally {
    pub(crate) fn add(&mut self, other: Self) {
        self.sales += other.sales;
        self.refunds += other.refunds;
        self.payouts += other.payouts;
        self.replays += other.replays;
        for (code, (count, detail)) in other.refused {
            self.refused.entry(code).or_insert((0, detail)).0 += count;
        }
    }

    /// Entries that are in the ledger.
    pub(crate) fn posted(&self) -> usize {
        self.sales + self.refunds + self.payouts
    }
}

/// A sale that may be refunded.
#[derive(Debug)]
struct Sale {
    entry: String,
    currency: usize,
    legs: Vec<Leg>,
}

/// A marketplace.
#[derive(Debug)]
pub(crate) struct Marketplace {
    pub(crate) name: &'static str,
    pub(crate) client: Client,
    accounts: BTreeMap<String, String>,
    books: Mutex<Books>,
    sales: Mutex<Vec<Sale>>,
}

impl Marketplace {
    /// Opens its accounts.
    pub(crate) async fn open(name: &'static str, client: Client) -> anyhow::Result<Self> {
        let mut accounts = BTreeMap::new();
        for (index, (currency, decimals)) in CURRENCIES.iter().enumerate() {
            for (account, kind, floor) in ACCOUNTS {
                let code = Books::code(index, account);
                let mut body = json!({"code": code, "type": kind, "currency": currency});
                if floor {
                    body["min_balance"] = json!(decimal(0, *decimals));
                }
                let answer = client.post("/v1/accounts", &format!("open-{code}"), &body).await?;
                ensure!(answer.status == StatusCode::CREATED, "{code}: {}", answer.body);
                accounts.insert(code, answer.text("id")?);
            }
        }
        let (books, sales) = (Mutex::default(), Mutex::default());
        Ok(Self { name, client, accounts, books, sales })
    }

    /// What it kept itself.
    pub(crate) fn books(&self) -> anyhow::Result<Books> {
        Ok(self.books.lock().map_err(|_| anyhow::anyhow!("a caller panicked"))?.clone())
    }

    /// Deals `deals` times in part `part` of the demonstration.
    pub(crate) async fn trade(
        &self,
        bases: &[String],
        part: usize,
        deals: usize,
    ) -> anyhow::Result<Tally> {
        let client = self.client.with_bases(bases);
        let callers = (0..CALLERS).map(|caller| {
            let client = &client;
            async move {
                let mut tally = Tally::default();
                for n in (caller..deals).step_by(CALLERS) {
                    self.deal(client, part * deals + n, &mut tally).await?;
                }
                anyhow::Ok(tally)
            }
        });
        let mut tally = Tally::default();
        for caller in futures::future::try_join_all(callers).await? {
            tally.add(caller);
        }
        Ok(tally)
    }

    /// Deal number `n`: of ten, one is a payout and one refunds an earlier sale, the rest are sales.
    async fn deal(&self, client: &Client, n: usize, tally: &mut Tally) -> anyhow::Result<()> {
        match n % 10 {
            3 => self.pay_out(client, n, tally).await,
            7 => match self.sales.lock().ok().and_then(|mut sales| sales.pop()) {
                Some(sale) => self.refund(client, n, sale, tally).await,
                None => self.sell(client, n, tally).await,
            },
            _ => self.sell(client, n, tally).await,
        }
    }

    async fn sell(&self, client: &Client, n: usize, tally: &mut Tally) -> anyhow::Result<()> {
        let currency = n % CURRENCIES.len();
        let sum = 1_000 + i64::try_from((n * 7_919) % 90_000)?;
        let fee = sum * 29 / 1_000 + 30;
        let legs: Vec<Leg> = vec![
            ("psp_receivable", "debit", sum),
            ("seller_balance", "credit", sum - fee),
            ("fee_income", "credit", fee),
        ];
        let answer = self.post_entry(client, "sale", n, currency, &legs, tally).await?;
        ensure!(answer.status == StatusCode::CREATED, "a sale: {}", answer.body);
        tally.sales += 1;
        let entry = answer.text("id")?;
        if let Ok(mut sales) = self.sales.lock() {
            sales.push(Sale { entry, currency, legs });
        }
        Ok(())
    }

    /// A fixed sum: while the sellers' balance covers it, it is paid; else the minimum balance refuses it.
    async fn pay_out(&self, client: &Client, n: usize, tally: &mut Tally) -> anyhow::Result<()> {
        let currency = (n / 10) % CURRENCIES.len();
        let sum = 500_000;
        let legs: Vec<Leg> = vec![("seller_balance", "debit", sum), ("bank", "credit", sum)];
        let answer = self.post_entry(client, "payout", n, currency, &legs, tally).await?;
        if answer.status == StatusCode::CREATED {
            tally.payouts += 1;
            return Ok(());
        }
        refused(&answer, "insufficient-funds", tally)
    }

    async fn refund(
        &self,
        client: &Client,
        n: usize,
        sale: Sale,
        tally: &mut Tally,
    ) -> anyhow::Result<()> {
        let path = format!("/v1/ledger/entries/{}/reverse", sale.entry);
        let key = format!("refund-{n}");
        let answer = client.post(&path, &key, &json!({"description": "Refund"})).await?;
        if answer.status == StatusCode::CREATED {
            tally.refunds += 1;
            return self.note(sale.currency, &opposite(&sale.legs));
        }
        refused(&answer, "insufficient-funds", tally)
    }

    /// Posts an entry; every twentieth is sent again as a client does that lost the answer.
    async fn post_entry(
        &self,
        client: &Client,
        kind: &str,
        n: usize,
        currency: usize,
        legs: &[Leg],
        tally: &mut Tally,
    ) -> anyhow::Result<Answer> {
        let reference = format!("{kind}-{n}");
        let body = json!({
            "external_ref": reference,
            "postings": self.postings(currency, legs)?,
            "metadata": {"order": n.to_string()},
        });
        let answer = client.post("/v1/ledger/entries", &reference, &body).await?;
        if n.is_multiple_of(20) || kind == "payout" {
            let again = client.post("/v1/ledger/entries", &reference, &body).await?;
            let same = again.replayed && again.body == answer.body && again.status == answer.status;
            ensure!(same, "a retry got another answer: {} and then {}", answer.body, again.body);
            tally.replays += 1;
        }
        if answer.status == StatusCode::CREATED {
            self.note(currency, legs)?;
        }
        Ok(answer)
    }

    fn postings(&self, currency: usize, legs: &[Leg]) -> anyhow::Result<Vec<Value>> {
        let (name, decimals) = CURRENCIES[currency];
        legs.iter()
            .map(|(account, side, minor)| {
                let code = Books::code(currency, account);
                let id = self.accounts.get(&code).with_context(|| format!("no account {code}"))?;
                let amount = decimal(*minor, decimals);
                Ok(json!({"account": id, "direction": side, "amount": amount, "currency": name}))
            })
            .collect()
    }

    fn note(&self, currency: usize, legs: &[Leg]) -> anyhow::Result<()> {
        let mut books = self.books.lock().map_err(|_| anyhow::anyhow!("a caller panicked"))?;
        books.note(currency, legs);
        Ok(())
    }
}

/// Counts a refusal that may happen; any other is an error.
fn refused(answer: &Answer, expected: &str, tally: &mut Tally) -> anyhow::Result<()> {
    let code = answer.text("code")?;
    if code != expected {
        bail!("refused unexpectedly: {}", answer.body);
    }
    let detail = answer.json()?["title"].as_str().unwrap_or_default().to_owned();
    tally.refused.entry(code).or_insert((0, detail)).0 += 1;
    Ok(())
}
