//! Holds, what they hold, and what accounts have left beside them.

use std::time::Duration;

use domain::accounts::{AmendAccount, Change, ClearingTerms};
use domain::books::{CloseDay, CutOffDay, DayBalances};
use domain::holds::{CreateHold, PostHold, VoidHold};
use domain::ledger::{
    Details, Direction, ExternalRef, Part, PostEntry, Posting, Postings, ReverseEntry,
};
use domain::{Amount, Command, Day, HoldId, Metadata};

use crate::platform::{Platform, TOKO, account};

fn usd(minor: i64) -> Amount {
    Amount::from_minor(minor, "USD".parse().expect("a currency")).expect("an amount")
}

fn leaving(minor: i64) -> Postings {
    let posting = |code: &str, direction| Posting {
        account_id: account(TOKO, code),
        direction,
        amount: usd(minor),
    };
    let postings = vec![posting("sales", Direction::Debit), posting("cash", Direction::Credit)];
    Postings::new(postings).expect("balanced")
}

fn reference(text: &str) -> ExternalRef {
    ExternalRef::parse(text).expect("a reference")
}

async fn hold(platform: &Platform, name: &str, minor: i64) -> HoldId {
    let details = Details::default();
    let end = Some(platform.now().plus_millis(86_400_000));
    let command = CreateHold::new(TOKO, reference(name), details, leaving(minor), end);
    let id = command.hold_id();
    platform.submit(Command::CreateHold(command)).await;
    id
}

async fn post_part(platform: &Platform, id: HoldId, part: Part) {
    let hold = platform.store.hold(id).await.expect("the log is there");
    let details = Details::default();
    let command = PostHold::new(TOKO, id, None, details, part, false, hold.as_deref());
    platform.submit(Command::PostHold(command)).await;
}

async fn void(platform: &Platform, id: HoldId) {
    let hold = platform.store.hold(id).await.expect("the log is there");
    platform.submit(Command::VoidHold(VoidHold::new(TOKO, id, hold.as_deref()))).await;
}

#[tokio::test]
async fn a_hold_shows_what_it_holds_and_what_posted_it() {
    let platform = Platform::new().await;
    platform.sell(TOKO, "order-1", 50_000).await;
    let id = hold(&platform, "table-7", 30_000).await;
    let before = platform.position();
    post_part(&platform, id, Part::Amount(usd(10_000))).await;
    let merchant = platform.merchant.seeing(platform.position());
    insta::assert_snapshot!(merchant.get(&format!("/v1/ledger/holds/{id}")).await);
    let cash = format!("/v1/accounts/{}", account(TOKO, "cash"));
    let shown = merchant.get(&cash).await.json();
    assert_eq!(shown["balance"], "400.00");
    assert_eq!(shown["held_credits"], "200.00");
    assert_eq!(shown["available"], "700.00", "it may fall to -500.00");
    let then = merchant.get(&format!("{cash}/balance?position={before}")).await.json();
    assert_eq!((&then["balance"], &then["held_credits"]), (&"500.00".into(), &"300.00".into()));
    void(&platform, id).await;
    let merchant = platform.merchant.seeing(platform.position());
    let shown = merchant.get(&format!("/v1/ledger/holds/{id}")).await.json();
    assert_eq!(shown["status"], "voided");
    assert_eq!(shown["outstanding"].as_array().map(Vec::len), Some(0));
    assert_eq!(shown["entries"].as_array().map(Vec::len), Some(1));
    assert_eq!(merchant.get(&cash).await.json()["held_credits"], "0.00");
}

#[tokio::test]
async fn holds_are_listed_newest_first_and_filtered() {
    let platform = Platform::new().await;
    platform.sell(TOKO, "order-1", 50_000).await;
    let first = hold(&platform, "table-1", 100).await.to_string();
    let second = hold(&platform, "table-2", 200).await;
    void(&platform, second).await;
    let second = second.to_string();
    let merchant = platform.merchant.seeing(platform.position());
    let (cash, unknown) = (account(TOKO, "cash"), account(TOKO, "unknown"));
    for (filter, found) in [
        (String::new(), vec![&second, &first]),
        ("external_ref=table-1".to_owned(), vec![&first]),
        ("status=held".to_owned(), vec![&first]),
        ("status=voided".to_owned(), vec![&second]),
        (format!("account={cash}"), vec![&second, &first]),
        (format!("account={unknown}"), vec![]),
        (format!("ledger={TOKO}&limit=1"), vec![&second]),
    ] {
        let ids = merchant.get(&format!("/v1/ledger/holds?{filter}")).await.ids();
        assert_eq!(ids.iter().collect::<Vec<_>>(), found, "{filter}");
    }
    let other = platform.other_merchant.seeing(platform.position());
    assert_eq!(other.get("/v1/ledger/holds").await.ids(), Vec::<String>::new());
}

#[tokio::test]
async fn entries_are_found_by_what_is_in_them() {
    let platform = Platform::new().await;
    platform.sell(TOKO, "order-1", 100).await;
    let second = platform.sell(TOKO, "order-2", 250).await;
    let original = platform.store.entry_posted(second).await.expect("the log is there");
    let part = Part::Amount(usd(50));
    let command =
        ReverseEntry::new(TOKO, second, None, Details::default(), part, original.as_ref());
    platform.submit(Command::ReverseEntry(command)).await;
    platform.pass(Duration::from_secs(86_400)).await;
    let details = Details {
        effective_at: Some("2025-12-24T12:00:00Z".parse().expect("a time")),
        ..Details::default()
    };
    let dated = PostEntry::new(TOKO, reference("dated"), details, leaving(77));
    platform.submit(Command::PostEntry(dated)).await;
    let merchant = platform.merchant.seeing(platform.position());
    let refs = async |filter: &str| -> Vec<String> {
        let page = merchant.get(&format!("/v1/ledger/entries?{filter}")).await.json();
        let data = page["data"].as_array().expect("a page").clone();
        let name = |entry: &serde_json::Value| entry["external_ref"].as_str().map(str::to_owned);
        data.iter().filter_map(name).map(|text| text[..5.min(text.len())].to_owned()).collect()
    };
    let (cash, unknown) = (account(TOKO, "cash"), account(TOKO, "unknown"));
    assert_eq!(refs("metadata_key=order&metadata_value=order-2").await, ["order"]);
    assert_eq!(refs("metadata_key=order&metadata_value=order-3").await, Vec::<String>::new());
    assert_eq!(refs("amount=0.50&currency=USD").await, ["rever"]);
    assert_eq!(refs("amount=2.50&currency=USD").await, ["order"]);
    assert_eq!(refs(&format!("account={cash}")).await.len(), 4);
    assert_eq!(refs(&format!("account={cash}&amount=1.00&currency=USD")).await, ["order"]);
    assert_eq!(refs(&format!("account={unknown}")).await, Vec::<String>::new());
    assert_eq!(refs("effective_to=2025-12-25T00:00:00Z").await, ["dated"]);
    assert_eq!(refs("effective_from=2025-12-25T00:00:00Z").await.len(), 3);
    assert_eq!(refs("late=true").await, Vec::<String>::new());
    assert_eq!(refs("late=false").await.len(), 4);
    for (query, parameter) in [
        ("amount=1.00", "currency"),
        ("currency=USD", "amount"),
        ("amount=1.001&currency=USD", "amount"),
        ("metadata_key=a", "metadata_value"),
        ("metadata_value=a", "metadata_key"),
    ] {
        let refused = merchant.get(&format!("/v1/ledger/entries?{query}")).await;
        assert!(refused.body.contains(&format!("\"parameter\":\"{parameter}\"")), "{refused}");
    }
    let analyst = platform.analyst.get("/v1/ledger/entries?late=true").await;
    assert!(analyst.body.contains("\"parameter\":\"ledger\""), "{analyst}");
}

#[tokio::test]
async fn closes_show_their_digests_and_what_came_late() {
    let platform = Platform::new().await;
    platform.sell(TOKO, "order-1", 100).await;
    platform.pass(Duration::from_secs(3 * 86_400)).await;
    let day: Day = "2026-01-01".parse().expect("a day");
    platform.submit(Command::CutOffDay(CutOffDay { ledger: TOKO, day })).await;
    let merchant = platform.merchant.seeing(platform.position());
    let shown = merchant.get("/v1/ledger/closes").await.json();
    assert_eq!(shown["data"][0]["status"], "closing");
    let details = Details { effective_at: Some(day.start()), ..Details::default() };
    let late = PostEntry::new(TOKO, reference("late"), details, leaving(5));
    platform.submit(Command::PostEntry(late)).await;
    let balances = DayBalances::add_up(TOKO, day, None, []);
    let close = CloseDay { ledger: TOKO, day, previous: None, balances };
    platform.submit(Command::CloseDay(close)).await;
    let merchant = platform.merchant.seeing(platform.position());
    insta::assert_snapshot!(merchant.get("/v1/ledger/closes").await);
    let late = merchant.get("/v1/ledger/entries?late=true").await.json();
    assert_eq!(late["data"][0]["effective_at"], "2026-01-02T00:00:00.000000Z");
    assert_eq!(late["data"][0]["late_for"], "2026-01-01T00:00:00.000000Z");
    assert_eq!(
        merchant.get("/v1/ledger/closes/months").await.json()["data"],
        serde_json::json!([])
    );
    let other = platform.other_merchant.seeing(platform.position());
    assert_eq!(other.get("/v1/ledger/closes").await.json()["data"], serde_json::json!([]));
}

#[tokio::test]
async fn an_account_that_should_clear_says_since_when_it_has_not() {
    let platform = Platform::new().await;
    let amend = AmendAccount {
        ledger: TOKO,
        account_id: account(TOKO, "cash"),
        name: Change::Keep,
        metadata: Change::Set(Some(Metadata::default())),
        min_balance_minor: Change::Keep,
        max_balance_minor: Change::Set(Some(1_000_000)),
        clearing: Change::Set(Some(ClearingTerms::new(100, 24).expect("terms"))),
        expected_versions: None,
    };
    platform.submit(Command::AmendAccount(amend)).await;
    platform.sell(TOKO, "order-1", 100).await;
    let path = "/v1/accounts?uncleared=true";
    assert!(platform.merchant.seeing(platform.position()).get(path).await.ids().is_empty());
    platform.pass(Duration::from_secs(60)).await;
    platform.sell(TOKO, "order-2", 1).await;
    let since = platform.now();
    platform.pass(Duration::from_secs(60)).await;
    platform.sell(TOKO, "order-3", 1).await;
    let page = platform.merchant.seeing(platform.position()).get(path).await.json();
    assert_eq!(page["data"][0]["uncleared_since"], since.to_string());
    assert_eq!(page["data"][0]["clearing"]["threshold"], "1.00");
    assert_eq!(page["data"][0]["max_balance"], "10000.00");
    let alerts = "/v1/ledger/clearing-alerts";
    assert!(
        platform.merchant.get(alerts).await.json()["data"].as_array().is_some_and(Vec::is_empty)
    );
    platform.pass(Duration::from_secs(25 * 3_600)).await;
    insta::assert_snapshot!("a_clearing_alert", platform.merchant.get(alerts).await);
    let other = platform.other_merchant.get(alerts).await.json();
    assert_eq!(other["data"], serde_json::json!([]));
    platform.post_in(TOKO, "out", ("sales", "cash"), 2, "USD").await;
    assert!(platform.merchant.seeing(platform.position()).get(path).await.ids().is_empty());
}
