//! The proof at the end: every number from two sides.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use comfy_table::{Table, presets};
use event_store::mirror::connect_nats;
use serde_json::Value;
use tokio::process::Command;

use crate::books::{ACCOUNTS, Books};
use crate::client::Client;
use crate::money::{CURRENCIES, decimal};
use crate::say;
use crate::stack::Stack;
use crate::trading::{Marketplace, Tally};

/// How long mirror and projections may take to be where the log is.
const CATCH_UP_MAX: Duration = Duration::from_secs(60);
/// How often that is looked at.
const POLL: Duration = Duration::from_millis(20);

/// Checks and prints; `false` when anything does not hold.
pub(crate) async fn check(
    stack: &Stack,
    marketplaces: &[Arc<Marketplace>],
    tally: &Tally,
    traded: &[(usize, Duration)],
) -> anyhow::Result<bool> {
    print_trade(tally, traded);
    let query = stack.endpoint("QUERY_URL")?;
    let auditor = Client::new(vec![query.clone()], stack.endpoint("AUDITOR_KEY")?)?;
    let caught_up = Instant::now();
    let head = await_projections(&auditor).await?;
    let lag =
        format!("{:.0} ms after the last answer", caught_up.elapsed().as_secs_f64() * 1_000.0);
    say(&format!("projection lag 0 at position {head}, {lag}"));
    let last = await_mirror(&stack.endpoint("NATS_URL")?, head).await?;
    say(&format!("log head {head} = JetStream last sequence {last}"));
    let mut held = true;
    for (marketplace, key) in marketplaces.iter().zip(["MERCHANT_KEY", "OTHER_MERCHANT_KEY"]) {
        let client = Client::new(vec![query.clone()], stack.endpoint(key)?)?;
        held &= check_balances(&client, marketplace).await?;
    }
    held &= check_trial_balance(&auditor).await?;
    let database_url = stack.endpoint("DATABASE_AUDITOR_URL")?;
    held &= verify(&database_url, &stack.endpoint("NATS_URL")?).await?;
    Ok(held)
}

fn print_trade(tally: &Tally, traded: &[(usize, Duration)]) {
    let (sales, refunds, payouts) = (tally.sales, tally.refunds, tally.payouts);
    let entries = tally.posted();
    say(&format!("{entries} entries: {sales} sales, {refunds} refunds, {payouts} payouts"));
    say(&format!(
        "{} retries with the same key: each got the first answer, byte for byte",
        tally.replays
    ));
    for (code, (count, detail)) in &tally.refused {
        say(&format!("{count} refused: {code} ({detail})"));
    }
    for (part, (posted, took)) in traded.iter().enumerate() {
        let what = ["one command-api", "two command-apis", "NATS killed and back"][part.min(2)];
        say(&format!(
            "part {}: {posted} entries in {:.1} s ({what})",
            part + 1,
            took.as_secs_f64()
        ));
    }
}

fn number(value: &Value, name: &str) -> anyhow::Result<i64> {
    value
        .get(name)
        .and_then(Value::as_i64)
        .with_context(|| format!("no number `{name}` in {value}"))
}

fn rows(value: &Value) -> anyhow::Result<&Vec<Value>> {
    value.get("data").and_then(Value::as_array).with_context(|| format!("no `data` in {value}"))
}

/// Waits until every projection is where the log is; that position.
///
/// # Errors
/// They are not in time.
pub async fn await_projections(auditor: &Client) -> anyhow::Result<i64> {
    let deadline = Instant::now() + CATCH_UP_MAX;
    loop {
        let head = number(&auditor.get("/v1/log/head").await?, "position")?;
        let projections = auditor.get("/v1/projections").await?;
        let lags: Result<Vec<i64>, _> =
            rows(&projections)?.iter().map(|row| number(row, "lag_events")).collect();
        let lags = lags?;
        if !lags.is_empty() && lags.iter().all(|lag| *lag == 0) {
            return Ok(head);
        }
        ensure!(Instant::now() < deadline, "the projections do not catch up: {projections}");
        tokio::time::sleep(POLL).await;
    }
}

/// Waits until the stream of the NATS at `url` ends at `head`.
///
/// # Errors
/// It does not in time.
pub async fn await_mirror(url: &str, head: i64) -> anyhow::Result<u64> {
    let deadline = Instant::now() + CATCH_UP_MAX;
    loop {
        // It may not even be back yet.
        if let Ok(last) = last_sequence(url).await
            && i64::try_from(last)? == head
        {
            return Ok(last);
        }
        ensure!(Instant::now() < deadline, "the mirror does not catch up");
        tokio::time::sleep(POLL).await;
    }
}

async fn last_sequence(url: &str) -> Result<u64, async_nats::Error> {
    let nats = connect_nats(url, "runut demo").await?;
    let stream = async_nats::jetstream::new(nats).get_stream("runut").await?;
    Ok(stream.cached_info().state.last_sequence)
}

/// The ledger's balances beside what the marketplace kept itself.
async fn check_balances(client: &Client, marketplace: &Marketplace) -> anyhow::Result<bool> {
    let page = client.get("/v1/accounts?limit=200").await?;
    let accounts = rows(&page)?;
    let books = marketplace.books()?;
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    let titles = ACCOUNTS.iter().map(|(account, _, _)| *account);
    table.set_header(std::iter::once(marketplace.name).chain(titles));
    let mut held = true;
    for (index, (currency, decimals)) in CURRENCIES.iter().enumerate() {
        let mut cells = vec![(*currency).to_owned()];
        for (account, _, _) in ACCOUNTS {
            let code = Books::code(index, account);
            let row = accounts.iter().find(|row| row["code"] == code.as_str());
            let shown = row.and_then(|row| row["balance"].as_str()).context("a balance")?;
            let kept = decimal(books.balance(index, account), *decimals);
            held &= shown == kept;
            let cell =
                if shown == kept { shown.to_owned() } else { format!("{shown}, NOT {kept}") };
            cells.push(cell);
        }
        table.add_row(cells);
    }
    say(&table.to_string());
    Ok(held)
}

/// Whether debits and credits are equal in every currency; prints them.
///
/// # Errors
/// The query-api does not answer.
pub async fn check_trial_balance(auditor: &Client) -> anyhow::Result<bool> {
    let balance = auditor.get("/v1/ledger/trial-balance").await?;
    let mut held = true;
    let currencies = balance.get("currencies").and_then(Value::as_array);
    for row in currencies.with_context(|| format!("no `currencies` in {balance}"))? {
        let difference = row["difference"].as_str().context("a difference")?;
        let zero = difference.chars().all(|c| matches!(c, '0' | '.'));
        held &= zero;
        let (currency, debits) = (row["currency"].as_str(), row["debits"].as_str());
        let (currency, debits) = (currency.unwrap_or_default(), debits.unwrap_or_default());
        let shown = if zero { "0" } else { difference };
        say(&format!("trial balance {shown} {currency} (debits = credits = {debits})"));
    }
    Ok(held)
}

/// Replays the whole log as an auditor does, with the program an auditor has; prints the verdict.
///
/// # Errors
/// The program is not there.
pub async fn verify(database_url: &str, nats_url: &str) -> anyhow::Result<bool> {
    let mut program = std::env::current_exe()?;
    program.set_file_name("replay-tool");
    let started = Instant::now();
    let verified = Command::new(&program)
        .args(["verify", "--mirror", "--read-models"])
        .env("DATABASE_URL", database_url)
        .env("NATS_URL", nats_url)
        .output()
        .await
        .with_context(|| format!("{} is built beside runut", program.display()))?;
    let verdict = if verified.status.success() { "OK" } else { "FAILED" };
    say(&format!("verify {verdict} in {:.1} s", started.elapsed().as_secs_f64()));
    if !verified.status.success() {
        say(&String::from_utf8_lossy(&verified.stdout));
        say(&String::from_utf8_lossy(&verified.stderr));
    }
    Ok(verified.status.success())
}
