//! Accounts, their balances and their statements.

use std::time::Duration;

use domain::accounts::AccountType;

use crate::platform::{Platform, TOKO, WARUNG, account};
use crate::points_in_time::post;

#[tokio::test]
async fn an_account_shows_its_balance() {
    let platform = Platform::new().await;
    platform.pass(Duration::from_secs(60)).await;
    platform.sell(TOKO, "order-1", 12_500).await;
    platform.post_in(TOKO, "refund-1", ("sales", "cash"), 2_550, "USD").await;
    let cash = account(TOKO, "cash");
    let merchant = platform.merchant.seeing(platform.position());
    insta::assert_snapshot!(merchant.get(&format!("/v1/accounts/{cash}")).await);
}

#[tokio::test]
async fn accounts_are_listed_newest_first_and_filtered() {
    let platform = Platform::new().await;
    platform.open(TOKO, "kas", AccountType::Asset, "IDR").await;
    platform.freeze(TOKO, "sales").await;
    let merchant = platform.merchant.seeing(platform.position());
    insta::assert_snapshot!(merchant.get("/v1/accounts").await);
    let [cash, sales, kas] = ["cash", "sales", "kas"].map(|code| account(TOKO, code).to_string());
    for (filter, found) in [
        ("code=cash", vec![&cash]),
        ("type=asset", vec![&kas, &cash]),
        ("currency=IDR", vec![&kas]),
        ("status=frozen", vec![&sales]),
        ("status=open&type=asset&currency=USD", vec![&cash]),
        ("status=closed", vec![]),
        ("code=unheard-of", vec![]),
        (&format!("ledger={TOKO}&code=cash"), vec![&cash]),
        (&format!("ledger={WARUNG}"), vec![]),
    ] {
        let ids = merchant.get(&format!("/v1/accounts?{filter}")).await.ids();
        assert_eq!(ids.iter().collect::<Vec<_>>(), found, "{filter}");
    }
    let analyst = platform.analyst.seeing(platform.position());
    let all = analyst.get("/v1/accounts").await.ids();
    assert_eq!(all.len(), 5, "the analyst sees both ledgers");
    let theirs = analyst.get(&format!("/v1/accounts?ledger={WARUNG}")).await.ids();
    assert_eq!(theirs, ["sales", "cash"].map(|code| account(WARUNG, code).to_string()));
}

/// A name is looked for in every ledger there is, up to a bound; whoever sees one ledger never meets it.
#[tokio::test]
async fn among_very_many_ledgers_a_name_is_looked_for_in_one() {
    let platform = Platform::new().await;
    let analyst = platform.analyst.seeing(platform.position());
    assert_eq!(analyst.get("/v1/accounts?code=cash").await.ids().len(), 2);
    platform
        .repair(
            "insert into read.accounts select more.* \
             from read.accounts a, generate_series(1, 9999) n, \
                 jsonb_populate_record(a, jsonb_build_object('account_id', gen_random_uuid(), \
                     'ledger', gen_random_uuid(), 'opened_position', 1000 + n)) more \
             where a.opened_position = (select min(opened_position) from read.accounts)",
        )
        .await;
    for path in ["/v1/accounts?code=cash", "/v1/ledger/entries?external_ref=order-1"] {
        let refused = analyst.get(path).await;
        assert_eq!(refused.status.as_u16(), 422, "{path}");
        insta::allow_duplicates! { insta::assert_snapshot!(refused.body) }
        assert_eq!(platform.merchant.get(path).await.status.as_u16(), 200);
        let named = analyst.get(&format!("{path}&ledger={TOKO}")).await;
        assert_eq!(named.status.as_u16(), 200);
    }
    // One fewer, and all are searched.
    let one_less = "delete from read.accounts where ctid = any(array( \
        select max(ctid) from read.accounts group by ledger having count(*) = 1 limit 1))";
    platform.repair(one_less).await;
    assert_eq!(analyst.get("/v1/accounts?code=cash").await.ids().len(), 2);
}

#[tokio::test]
async fn an_account_is_sent_again_only_when_anything_of_it_changed() {
    let platform = Platform::new().await;
    let path = format!("/v1/accounts/{}", account(TOKO, "cash"));
    let first = platform.merchant.seeing(platform.position()).get(&path).await;
    let tag = first.header("etag").to_owned();
    assert!(tag.starts_with("\"1."), "{tag} begins with the account's version");
    let unchanged = platform.merchant.get_with(&path, &[("if-none-match", &tag)]).await;
    assert_eq!((unchanged.status.as_u16(), unchanged.body.as_str()), (304, ""));
    assert_eq!(unchanged.header("etag"), tag);
    assert_eq!(unchanged.header("runut-position"), platform.position().to_string());

    platform.sell(TOKO, "order-1", 100).await;
    let merchant = platform.merchant.seeing(platform.position());
    let changed = merchant.get_with(&path, &[("if-none-match", &tag)]).await;
    assert_eq!(changed.json()["balance"], "1.00");
    assert_ne!(changed.header("etag"), tag, "a posting changes the tag");

    platform.freeze(TOKO, "cash").await;
    let frozen = platform.merchant.seeing(platform.position()).get(&path).await;
    assert!(frozen.header("etag").starts_with("\"2."), "{frozen}");
}

#[tokio::test]
async fn a_statement_has_the_balance_after_every_posting() {
    let platform = Platform::new().await;
    for sale in 1..=30 {
        let reference = format!("order-{sale}");
        if sale % 4 == 0 {
            platform.post_in(TOKO, &reference, ("sales", "cash"), sale * 3, "USD").await;
        } else {
            platform.sell(TOKO, &reference, sale * 7).await;
        }
    }
    let merchant = platform.merchant.seeing(platform.position());
    for (code, grows_by) in [("cash", "debit"), ("sales", "credit")] {
        let path = format!("/v1/accounts/{}", account(TOKO, code));
        let lines = merchant.all(&format!("{path}/statement"), 7).await;
        assert_eq!(lines.len(), 30);
        let mut balance = 0;
        let mut position = 0;
        for line in lines.iter().rev() {
            let amount = cents(&line["amount"]);
            balance += if line["direction"] == grows_by { amount } else { -amount };
            assert_eq!(cents(&line["balance"]), balance, "{line}");
            let at = line["position"].as_i64().expect("a position");
            assert!(at > position, "newest first");
            position = at;
        }
        let shown = merchant.get(&path).await.json();
        assert_eq!(cents(&shown["balance"]), balance, "{code}");
    }
    let page = format!("/v1/accounts/{}/statement?limit=2", account(TOKO, "cash"));
    insta::assert_snapshot!(merchant.get(&page).await);
}

#[tokio::test]
async fn a_statement_of_a_time_has_what_was_posted_then() {
    let platform = Platform::new().await;
    platform.sell(TOKO, "before", 100).await;
    platform.pass(Duration::from_secs(3_600)).await;
    let from = platform.now();
    platform.sell(TOKO, "first", 200).await;
    platform.pass(Duration::from_secs(60)).await;
    platform.sell(TOKO, "last", 300).await;
    platform.pass(Duration::from_secs(3_600)).await;
    let to = platform.now();
    platform.sell(TOKO, "after", 400).await;
    let merchant = platform.merchant.seeing(platform.position());
    let path = format!("/v1/accounts/{}/statement", account(TOKO, "cash"));
    for (range, refs) in [
        (String::new(), vec!["after", "last", "first", "before"]),
        (format!("?from={from}"), vec!["after", "last", "first"]),
        (format!("?to={to}"), vec!["last", "first", "before"]),
        (format!("?from={from}&to={to}"), vec!["last", "first"]),
        (format!("?from={to}&to={from}"), vec![]),
        ("?from=2099-01-01T00:00:00Z".to_owned(), vec![]),
        ("?to=1999-01-01T00:00:00Z".to_owned(), vec![]),
    ] {
        let page = merchant.get(&format!("{path}{range}")).await.json();
        let lines = page["data"].as_array().expect("lines").iter();
        let found: Vec<&str> = lines.filter_map(|line| line["external_ref"].as_str()).collect();
        assert_eq!(found, refs, "{range}");
    }
    let garbled = merchant.get(&format!("{path}?from=yesterday")).await;
    assert_eq!(garbled.problem(), (422, "invalid-request".to_owned()));
}

#[tokio::test]
async fn a_statement_says_when_each_posting_takes_effect() {
    let platform = Platform::new().await;
    platform.pass(Duration::from_secs(3_600)).await;
    platform.sell(TOKO, "now", 100).await;
    let yesterday = platform.now().plus_millis(-86_400_000);
    post(&platform, "yesterday's", 200, Some(yesterday)).await;
    let merchant = platform.merchant.seeing(platform.position());
    let path = format!("/v1/accounts/{}/statement", account(TOKO, "cash"));
    let page = merchant.get(&path).await.json();
    let now = platform.now().to_string();
    for (line, effective_at) in [(0, yesterday.to_string()), (1, now.clone())] {
        assert_eq!(page["data"][line]["effective_at"], effective_at, "{page}");
        assert_eq!(page["data"][line]["recorded_at"], now);
    }
}

#[tokio::test]
async fn an_empty_account_has_an_empty_statement() {
    let platform = Platform::new().await;
    let merchant = platform.merchant.seeing(platform.position());
    let path = format!("/v1/accounts/{}/statement", account(TOKO, "cash"));
    insta::assert_snapshot!(merchant.get(&path).await.body, @r#"{"data":[],"next_cursor":null}"#);
}

#[tokio::test]
async fn a_closed_account_is_still_shown() {
    let platform = Platform::new().await;
    platform.close(TOKO, "cash").await;
    let merchant = platform.merchant.seeing(platform.position());
    let closed = merchant.get(&format!("/v1/accounts/{}", account(TOKO, "cash"))).await;
    assert_eq!(closed.json()["status"], "closed");
}

fn cents(amount: &serde_json::Value) -> i64 {
    let text = amount.as_str().expect("a decimal string");
    let (whole, cents) = text.split_once('.').expect("two decimals");
    assert_eq!(cents.len(), 2, "{text}");
    format!("{whole}{cents}").parse().expect("digits")
}
