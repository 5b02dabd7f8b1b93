//! `bench history`: what a question about any point in time costs on an account with very many postings.
//!
//! All of it is asked over HTTP of a deployment on this machine that nobody else uses meanwhile. Every second
//! entry takes effect at a time of its own, somewhere in the year before.

use std::time::Instant;

use anyhow::{Context, ensure};
use clap::Args;
use demo::client::Client;
use demo::stack::Stack;
use event_store::{Clock, SystemClock};
use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::figures::{Figure, Output, Tally};
use crate::read_models::ReadModels;

/// Entries of a request.
const BATCH: u64 = 1_000;
/// Over how many seconds before now dated entries are spread: 400 days.
const DATED_SECONDS: u64 = 34_560_000;
/// Shares no factor with [`DATED_SECONDS`], so that neighbours are far apart.
const SCATTER: u64 = 7_919_111;
/// Shares no factor with usual numbers of questions.
const STRIDE: u64 = 61;

/// What to measure.
#[derive(Debug, Args)]
pub struct Options {
    /// Entries, all between the same two accounts.
    #[arg(long, default_value_t = 1_000_000)]
    entries: u64,
    /// Questions of each kind.
    #[arg(long, default_value_t = 200)]
    questions: u64,
    /// One JSON object a line.
    #[arg(long)]
    json: bool,
}

/// Fills a log, asks, and prints.
///
/// # Errors
/// Whatever kept it from measuring.
pub async fn run(options: Options) -> anyhow::Result<()> {
    let stack =
        Stack::start_with(None, &["--command-port", "0", "--rate-limit", "1000000"]).await?;
    let measured = measure(&stack, &options).await;
    let stopped = stack.stop().await;
    measured.and(stopped)
}

async fn measure(stack: &Stack, options: &Options) -> anyhow::Result<()> {
    let history = History::fill(stack, options.entries).await?;
    let mut output = Output::new(options.json);
    for question in Question::ALL {
        output.figure(&history.ask(question, options.questions).await?)?;
    }
    output.finish();
    Ok(())
}

/// What is asked, each time about another place of the history.
#[derive(Debug, Clone, Copy)]
enum Question {
    NewestPage,
    AnyPage,
    OldestPage,
    BalanceAtPosition,
    BalanceRecorded,
    BalanceEffective,
    TrialBalance,
}

impl Question {
    const ALL: [Self; 7] = [
        Self::NewestPage,
        Self::AnyPage,
        Self::OldestPage,
        Self::BalanceAtPosition,
        Self::BalanceRecorded,
        Self::BalanceEffective,
        Self::TrialBalance,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::NewestPage => "statement: the newest page",
            Self::AnyPage => "statement: a page anywhere",
            Self::OldestPage => "statement: the oldest page",
            Self::BalanceAtPosition => "balance after a position",
            Self::BalanceRecorded => "balance at a recorded time",
            Self::BalanceEffective => "balance at an effective time",
            Self::TrialBalance => "trial balance after a position",
        }
    }
}

struct History {
    reads: ReadModels,
    key: String,
    cash: String,
    first: i64,
    head: i64,
    began: OffsetDateTime,
    ended: OffsetDateTime,
}

impl History {
    async fn fill(stack: &Stack, entries: u64) -> anyhow::Result<Self> {
        let key = stack.endpoint("MERCHANT_KEY")?;
        let merchant = Client::new(vec![stack.endpoint("COMMAND_URL")?], key.clone())?;
        let reads = ReadModels::of(stack)?;
        let open = async |code: &str, kind: &str| -> anyhow::Result<String> {
            let account = json!({"code": code, "type": kind, "currency": "USD"});
            merchant.post("/v1/accounts", &format!("open-{code}"), &account).await?.text("id")
        };
        let (cash, sales) = (open("cash", "asset").await?, open("sales", "income").await?);
        let first = reads.head().await?;
        let began = SystemClock.now().datetime();
        let started = Instant::now();
        for batch in 0..entries.div_ceil(BATCH) {
            let numbers = batch * BATCH..((batch + 1) * BATCH).min(entries);
            let entry = |n: u64| one(n, &cash, &sales, began);
            let list: Vec<Value> = numbers.map(entry).collect::<anyhow::Result<_>>()?;
            let body = json!({"entries": list});
            let key = format!("batch-{batch}");
            let answer = merchant.post("/v1/ledger/entries:batch", &key, &body).await?;
            ensure!(answer.status == 201, "{}", answer.body);
        }
        reads.await_caught_up().await?;
        let (ended, head) = (SystemClock.now().datetime(), reads.head().await?);
        let seconds = started.elapsed().as_secs_f64();
        Output::remark(&format!("{entries} entries posted and projected in {seconds:.0} s"));
        Ok(Self { reads, key, cash, first, head, began, ended })
    }

    async fn ask(&self, question: Question, questions: u64) -> anyhow::Result<Figure> {
        let mut tally = Tally::new(self.head)?;
        let started = Instant::now();
        for n in 0..questions {
            let path = self.path(question, n * STRIDE % questions, questions)?;
            let asked = Instant::now();
            self.reads.get_as(&self.key, &path).await?;
            tally.latencies.record(asked.elapsed());
            tally.done += 1;
        }
        tally.took = started.elapsed();
        Ok(Figure::new(question.name(), &tally))
    }

    /// The question about the place `n` of `of` in the history.
    fn path(&self, question: Question, n: u64, of: u64) -> anyhow::Result<String> {
        let cash = &self.cash;
        let share = i64::try_from(n)?;
        let parts = i64::try_from(of)?;
        let position = self.first + (self.head - self.first) * share / parts;
        let recorded =
            self.began + (self.ended - self.began) * i32::try_from(n)? / i32::try_from(of)?;
        let back = i64::try_from(DATED_SECONDS)? * share / parts;
        let effective = self.ended - time::Duration::seconds(back);
        let statement = format!("/v1/accounts/{cash}/statement");
        let balance = format!("/v1/accounts/{cash}/balance");
        Ok(match question {
            Question::NewestPage => statement,
            Question::AnyPage => format!("{statement}?to={}", text(recorded)?),
            Question::OldestPage => {
                let soon = self.began + time::Duration::milliseconds(share);
                format!("{statement}?to={}", text(soon)?)
            }
            Question::BalanceAtPosition => format!("{balance}?position={position}"),
            Question::BalanceRecorded => format!("{balance}?recorded_at={}", text(recorded)?),
            Question::BalanceEffective => format!("{balance}?effective_at={}", text(effective)?),
            Question::TrialBalance => format!("/v1/ledger/trial-balance?position={position}"),
        })
    }
}

fn text(at: OffsetDateTime) -> anyhow::Result<String> {
    at.format(&Rfc3339).context("a time as text")
}

/// Entry number `n`; every second one takes effect at a time of its own.
fn one(n: u64, cash: &str, sales: &str, now: OffsetDateTime) -> anyhow::Result<Value> {
    let amount = format!("{}.{:02}", n % 97 + 1, n % 100);
    let posting = |account: &str, direction: &str| json!({"account": account, "direction": direction, "amount": amount, "currency": "USD"});
    let mut entry = json!({
        "external_ref": format!("entry-{n}"),
        "postings": [posting(cash, "debit"), posting(sales, "credit")],
    });
    if n % 2 == 1 {
        let back = time::Duration::seconds(i64::try_from(n * SCATTER % DATED_SECONDS)?);
        entry["effective_at"] = text(now - back)?.into();
    }
    Ok(entry)
}
