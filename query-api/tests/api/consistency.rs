//! Whether somebody else's balances are ours.

use std::time::Duration;

use domain::accounts::AccountType;
use domain::ledger::{Details, Direction, ExternalRef, PostEntry, Posting, Postings};
use domain::{Amount, Command};
use serde_json::{Value, json};

use crate::actors::Actor;
use crate::platform::{Platform, TOKO, WARUNG, account};

const REPORT: &str = "/v1/ledger/consistency-report";

async fn ask(actor: &Actor, question: Value) -> Value {
    actor.ask(REPORT, &question.to_string()).await.json()
}

#[tokio::test]
async fn equal_balances_are_zero_drift() {
    let platform = Platform::new().await;
    platform.sell(TOKO, "order-1", 12_500).await;
    let merchant = platform.merchant.seeing(platform.position());
    let (cash, sales) = (account(TOKO, "cash"), "sales");
    let question = json!({"balances": [
        {"account": cash.to_string(), "balance": "125.00", "currency": "USD"},
        {"code": sales, "balance": "125.00", "currency": "USD"},
    ]});
    let answer = merchant.ask(REPORT, &question.to_string()).await;
    insta::assert_snapshot!(answer);
    assert_eq!(answer.json()["result"], "zero_drift");
    let named = json!({"ledger": TOKO.to_string(), "balances": question["balances"]});
    let seen = ask(&platform.analyst.seeing(platform.position()), named).await;
    assert_eq!(seen, answer.json(), "the platform's keys name the ledger");
}

#[tokio::test]
async fn a_drift_has_the_entries_behind_it_and_where_both_agreed_last() {
    let platform = Platform::new().await;
    platform.open(TOKO, "kas", AccountType::Asset, "JPY").await;
    platform.sell(TOKO, "order-1", 1_000).await;
    let agreed = platform.position();
    platform.sell(TOKO, "order-2", 250).await;
    platform.post_in(TOKO, "refund-1", ("sales", "cash"), 100, "USD").await;
    let merchant = platform.merchant.seeing(platform.position());
    let report = ask(
        &merchant,
        json!({"balances": [
            {"code": "cash", "balance": "10.00", "currency": "USD"},
            {"code": "sales", "balance": "11.50", "currency": "USD"},
            {"code": "kas", "balance": "0.00", "currency": "USD"},
            {"code": "unheard-of", "balance": "1.00", "currency": "USD"},
            {"account": account(WARUNG, "cash").to_string(), "balance": "0.00", "currency": "USD"},
        ]}),
    )
    .await;
    insta::assert_json_snapshot!(report);
    assert_eq!(report["result"], "drift");
    let drifts = report["drifts"].as_array().expect("drifts");
    let reasons: Vec<&str> = drifts.iter().filter_map(|drift| drift["reason"].as_str()).collect();
    assert_eq!(reasons, ["balance", "currency", "unknown-account", "unknown-account"]);
    assert_eq!(drifts[0]["difference"], "1.50");
    assert_eq!(drifts[0]["agreed_at"], agreed);
    let marked: Vec<_> = drifts[0]["entries"].as_array().expect("entries").iter().collect();
    let marked: Vec<&Value> = marked.into_iter().filter(|entry| entry["agreed"] == true).collect();
    assert_eq!(marked.len(), 1);
    assert_eq!(marked[0]["position"], agreed);
}

#[tokio::test]
async fn a_drift_has_the_last_entries_and_is_searched_further_back() {
    let platform = Platform::new().await;
    for index in 0..25 {
        platform.sell(TOKO, &format!("order-{index}"), 100).await;
    }
    let merchant = platform.merchant.seeing(platform.position());
    let theirs = json!({"balances": [{"code": "cash", "balance": "2.00", "currency": "USD"}]});
    let report = ask(&merchant, theirs).await;
    let drift = &report["drifts"][0];
    let entries = drift["entries"].as_array().expect("entries");
    assert_eq!(entries.len(), 20);
    let positions: Vec<i64> = entries.iter().filter_map(|e| e["position"].as_i64()).collect();
    assert!(positions.is_sorted_by(|newer, older| newer > older), "newest first");
    let agreed = drift["agreed_at"].as_i64().expect("among the last 10,000");
    assert!(agreed < positions[19], "further back than the entries shown");
}

/// Books that stopped before the first posting have nothing in the account.
#[tokio::test]
async fn books_that_have_nothing_agreed_when_the_account_was_opened() {
    let platform = Platform::new().await;
    platform.open(TOKO, "till", AccountType::Asset, "USD").await;
    let opened = platform.position();
    platform.post_in(TOKO, "in", ("till", "sales"), 500, "USD").await;
    let theirs = |balance: &str| json!({"balances": [{"code": "till", "balance": balance, "currency": "USD"}]});
    let merchant = platform.merchant.seeing(platform.position());
    let report = ask(&merchant, theirs("0.00")).await;
    assert_eq!(report["drifts"][0]["agreed_at"], opened);
    assert_eq!(report["drifts"][0]["entries"][0]["agreed"], false);
    assert_eq!(ask(&merchant, theirs("1.00")).await["drifts"][0]["agreed_at"], Value::Null);
    platform.post_in(TOKO, "out", ("sales", "till"), 500, "USD").await;
    let emptied = platform.position();
    platform.post_in(TOKO, "in-again", ("till", "sales"), 700, "USD").await;
    let merchant = platform.merchant.seeing(platform.position());
    let report = ask(&merchant, theirs("0.00")).await;
    assert_eq!(report["drifts"][0]["agreed_at"], emptied, "the last time");
}

/// What is compared is of one position, and so are the entries behind it, although they are read later.
#[tokio::test]
async fn a_report_is_of_one_position_whatever_is_posted_meanwhile() {
    let platform = Platform::new().await;
    platform.sell(TOKO, "order-1", 1_000).await;
    let merchant = platform.merchant.seeing(platform.position());
    let theirs = json!({"balances": [
        {"code": "cash", "balance": "0.00", "currency": "USD"},
        {"code": "sales", "balance": "0.00", "currency": "USD"},
    ]});
    for turn in 0..20 {
        let reference = format!("meanwhile-{turn}");
        let (report, _) =
            tokio::join!(ask(&merchant, theirs.clone()), platform.sell(TOKO, &reference, 100));
        let drifts = report["drifts"].as_array().expect("drifts");
        assert_eq!(drifts[0]["actual"], drifts[1]["actual"], "both sides of all entries");
        for drift in drifts {
            let last = &drift["entries"][0];
            assert_eq!(last["balance"], drift["actual"], "the last entry that counts");
            assert!(last["position"].as_i64() <= report["position"].as_i64());
        }
    }
}

/// A balance that an account passes through within an entry was never its balance.
#[tokio::test]
async fn books_agree_after_entries_not_within_them() {
    let platform = Platform::new().await;
    let amount = |cents| Amount::from_minor(cents, "USD".parse().expect("a currency"));
    let posting = |code, direction, cents| Posting {
        account_id: account(TOKO, code),
        direction,
        amount: amount(cents).expect("an amount"),
    };
    let postings = vec![
        posting("cash", Direction::Debit, 500),
        posting("cash", Direction::Debit, 700),
        posting("sales", Direction::Credit, 1_200),
    ];
    let reference = ExternalRef::parse("in-two").expect("a reference");
    let postings = Postings::new(postings).expect("balanced");
    let entry = PostEntry::new(TOKO, reference, Details::default(), postings);
    platform.submit(Command::PostEntry(entry)).await;
    let posted = platform.position();
    platform.sell(TOKO, "order-1", 100).await;
    let merchant = platform.merchant.seeing(platform.position());
    for (balance, agreed_at) in [("5.00", Value::Null), ("12.00", json!(posted))] {
        let theirs = json!({"balances": [{"code": "cash", "balance": balance, "currency": "USD"}]});
        let report = ask(&merchant, theirs).await;
        assert_eq!(report["drifts"][0]["agreed_at"], agreed_at, "{balance}");
        assert_eq!(report["drifts"][0]["entries"].as_array().expect("entries").len(), 3);
    }
}

#[tokio::test]
async fn balances_are_compared_as_they_were() {
    let platform = Platform::new().await;
    platform.sell(TOKO, "order-1", 1_000).await;
    let then = platform.position();
    platform.pass(Duration::from_secs(60)).await;
    let before = platform.now();
    platform.pass(Duration::from_secs(60)).await;
    platform.sell(TOKO, "order-2", 250).await;
    let merchant = platform.merchant.seeing(platform.position());
    let balances = json!([
        {"code": "cash", "balance": "10.00", "currency": "USD"},
        {"code": "sales", "balance": "10.00", "currency": "USD"},
    ]);
    let report = ask(&merchant, json!({"balances": balances, "position": then})).await;
    assert_eq!((&report["result"], &report["position"]), (&json!("zero_drift"), &json!(then)));
    let dated = json!({"balances": balances, "effective_at": before.to_string()});
    assert_eq!(ask(&merchant, dated).await["result"], "zero_drift");
    let later = json!({"balances": balances, "effective_at": platform.now().to_string()});
    let report = ask(&merchant, later).await;
    assert_eq!(report["result"], "drift");
    assert_eq!(report["drifts"][0]["actual"], "12.50");
    assert_eq!(report["drifts"][0]["entries"].as_array().expect("entries").len(), 2);
    let ahead = json!({"balances": balances, "position": platform.position() + 1_000});
    let ahead = merchant.ask(REPORT, &ahead.to_string()).await;
    assert_eq!(ahead.problem().1, "position-beyond-head");
}

#[tokio::test]
async fn accounts_with_a_balance_that_were_not_mentioned_are_named() {
    let platform = Platform::new().await;
    platform.open(TOKO, "empty", AccountType::Asset, "USD").await;
    platform.sell(TOKO, "order-1", 1_000).await;
    let merchant = platform.merchant.seeing(platform.position());
    let theirs = json!({"balances": [{"code": "cash", "balance": "10.00", "currency": "USD"}]});
    let report = ask(&merchant, theirs.clone()).await;
    assert_eq!(report["result"], "zero_drift", "what was sent is right");
    insta::assert_json_snapshot!(report["missing"]);
    let other = ask(&platform.other_merchant.seeing(platform.position()), theirs).await;
    assert_eq!(other["missing"]["count"], 0, "another's are not there");
    assert_eq!(other["drifts"][0]["actual"], "0.00", "its own `cash` is");
}

#[tokio::test]
async fn a_merchant_that_names_anothers_ledger_finds_nothing_there() {
    let platform = Platform::new().await;
    platform.sell(TOKO, "order-1", 1_000).await;
    let other = platform.other_merchant.seeing(platform.position());
    for ledger in [TOKO.to_string(), "platform".to_owned()] {
        let report = ask(
            &other,
            json!({"ledger": ledger, "balances": [
                {"code": "cash", "balance": "10.00", "currency": "USD"},
            ]}),
        )
        .await;
        assert_eq!(report["drifts"][0]["reason"], "unknown-account");
        assert_eq!(report["missing"]["count"], 0);
    }
}

#[tokio::test]
async fn what_cannot_be_compared_is_refused_field_by_field() {
    let platform = Platform::new().await;
    let merchant = &platform.merchant;
    let question = json!({"position": 1, "effective_at": "2026-01-01T00:00:00Z", "balances": [
        {"code": "cash", "balance": "1.005", "currency": "USD"},
        {"code": "cash", "account": account(TOKO, "cash").to_string(), "balance": "1", "currency": "USD"},
        {"balance": "1", "currency": "usd"},
        {"account": "acc_garbled", "balance": "1", "currency": "USD"},
        {"code": "sales", "balance": "1", "currency": "USD"},
        {"account": account(TOKO, "sales").to_string(), "balance": "1", "currency": "USD"},
    ]});
    insta::assert_snapshot!(merchant.ask(REPORT, &question.to_string()).await);
    let one = json!({"code": "cash", "balance": "1.00", "currency": "USD"});
    for refused in [
        json!({}),
        json!({"balances": []}),
        json!({"balances": vec![&one; 1_001]}),
        json!({"balances": [one], "position": -1}),
        json!({"balances": [one], "at": 1}),
        json!({"balances": [{"code": "cash", "balance": 1, "currency": "USD"}]}),
    ] {
        let answer = merchant.ask(REPORT, &refused.to_string()).await;
        assert_eq!(answer.problem(), (422, "invalid-request".to_owned()), "{refused}");
    }
    let unnamed = platform.operator.ask(REPORT, &json!({"balances": [one]}).to_string()).await;
    assert_eq!(unnamed.problem(), (422, "invalid-request".to_owned()), "which ledger?");
    assert_eq!(merchant.ask(REPORT, "{").await.problem().0, 400);
    let question = json!({"balances": [one]}).to_string();
    let parameter = merchant.ask(&format!("{REPORT}?x=1"), &question).await;
    assert_eq!(parameter.problem(), (422, "invalid-request".to_owned()));
}
