//! Sums of more than 64 bits, on every way out.

use domain::ledger::{Details, Direction, ExternalRef, PostEntry, Posting, Postings};
use domain::{AMOUNT_MINOR_MAX, Amount, Command, Timestamp};
use http_body_util::BodyExt;
use serde_json::json;

use crate::bookkeeping;
use crate::hledger_reader::Journal;
use crate::platform::{Platform, TOKO, account};

/// The pairs of the largest entry.
const PAIRS: i128 = 500;
/// So many of the largest entries are more than 64 bits hold.
const ENTRIES: i128 = 3;

/// A decimal of dollars.
fn usd(minor: i128) -> String {
    format!("{}.{:02}", minor / 100, minor % 100)
}

/// What so many of the largest entries move.
fn moved(entries: i128) -> i128 {
    entries * PAIRS * i128::from(AMOUNT_MINOR_MAX)
}

/// The largest entry: from `sales` to `cash`.
async fn post_most(platform: &Platform, reference: &str, effective_at: Option<Timestamp>) {
    let usd = "USD".parse().expect("a currency");
    let amount = Amount::from_minor(AMOUNT_MINOR_MAX, usd).expect("an amount");
    let posting = |code, direction| Posting { account_id: account(TOKO, code), direction, amount };
    let pair = [posting("cash", Direction::Debit), posting("sales", Direction::Credit)];
    let pairs = usize::try_from(PAIRS).expect("few");
    let postings = Postings::new(pair.repeat(pairs)).expect("balanced");
    let details = Details { effective_at, ..Details::default() };
    let reference = ExternalRef::parse(reference).expect("a reference");
    let command = PostEntry::new(TOKO, reference, details, postings);
    platform.submit(Command::PostEntry(command)).await;
}

/// A ledger of sums that take more than 64 bits: of what is recorded, and of what is dated.
async fn rich() -> Platform {
    let platform = Platform::new().await;
    let dated = Timestamp::from_micros(platform.now().micros() - 86_400_000_000);
    for number in 0..ENTRIES {
        post_most(&platform, &format!("recorded-{number}"), None).await;
        post_most(&platform, &format!("dated-{number}"), Some(dated)).await;
    }
    platform
}

#[tokio::test]
async fn balances_statements_and_trial_balances_are_exact() {
    let platform = rich().await;
    let merchant = platform.merchant.seeing(platform.position());
    let all = usd(moved(2 * ENTRIES));
    assert!(moved(ENTRIES) > i64::MAX.into());
    let cash = format!("/v1/accounts/{}", account(TOKO, "cash"));
    let shown = merchant.get(&cash).await.json();
    for field in ["balance", "debits"] {
        assert_eq!(shown[field], all, "{field}");
    }
    // It may be overdrawn by 500.00.
    assert_eq!(shown["available"], usd(moved(2 * ENTRIES) + 50_000));
    let dated = usd(moved(ENTRIES));
    let day = "2025-12-31";
    let then = merchant.get(&format!("{cash}/balance?effective_at={day}")).await.json();
    assert_eq!(then["balance"], dated);
    let now = merchant.get(&format!("{cash}/balance")).await.json();
    assert_eq!(now["balance"], all);
    let statement = merchant.get(&format!("{cash}/statement?limit=1")).await.json();
    assert_eq!(statement["data"][0]["balance"], all);
    let rollup = merchant.get(&format!("{cash}/rollup")).await.json();
    assert_eq!(rollup["currencies"][0]["balance"], all);
    for (asked, sum) in [(String::new(), &all), (format!("?effective_at={day}"), &dated)] {
        let path = format!("/v1/ledger/trial-balance{asked}");
        let trial = merchant.get(&path).await.json()["currencies"][0].clone();
        assert_eq!((&trial["debits"], &trial["credits"]), (&json!(sum), &json!(sum)), "{path}");
        assert_eq!(trial["difference"], "0.00");
    }
}

#[tokio::test]
async fn a_consumer_compares_balances_of_any_size() {
    let platform = rich().await;
    let merchant = platform.merchant.seeing(platform.position());
    let report = async |balance: String| {
        let balance = json!({"code": "cash", "balance": balance, "currency": "USD"});
        let question = json!({"balances": [balance]}).to_string();
        merchant.ask("/v1/ledger/consistency-report", &question).await
    };
    let all = moved(2 * ENTRIES);
    assert_eq!(report(usd(all)).await.json()["result"], "zero_drift");
    let drift = report(usd(all - 1)).await.json();
    assert_eq!(drift["drifts"][0]["difference"], "0.01");
    let first = usd(moved(1));
    assert!(report(first).await.json()["drifts"][0]["agreed_at"].is_i64());
    let beyond = report("9".repeat(40)).await;
    assert_eq!(beyond.status, 422, "{}", beyond.body);
}

#[tokio::test]
async fn exports_have_every_digit() {
    let platform = rich().await;
    let merchant = platform.merchant.seeing(platform.position());
    let all = moved(2 * ENTRIES);
    let csv = merchant.get(&format!("/v1/accounts/{}/statement.csv", account(TOKO, "cash"))).await;
    let last = bookkeeping::rows(csv.body.as_bytes()).pop().expect("a line");
    assert!(last.contains(&usd(all)), "{last:?}");
    let journal = merchant.get("/v1/ledger/journal?format=hledger").await;
    let balances = Journal::read(&journal.body).balances();
    assert_eq!(balances[&("assets:cash".to_owned(), "USD".to_owned())], all);
    let ledger = merchant.get("/v1/ledger/journal?format=beancount").await;
    let file = bookkeeping::file("wide.beancount", &ledger.body);
    assert_eq!(bookkeeping::bean_check(&file), (true, String::new()));
    assert_eq!(bookkeeping::bean_balances(&file)[&("cash".to_owned(), "USD".to_owned())], all);
    // Parquet has single amounts only.
    let parquet = merchant.download("/v1/ledger/journal?format=parquet").await;
    let parquet = parquet.into_body().collect().await.expect("all of it").to_bytes();
    assert!(parquet.ends_with(b"PAR1"));
}
