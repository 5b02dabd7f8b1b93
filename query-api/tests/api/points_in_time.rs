//! Balances and trial balances as they were, and as they take effect.

use std::time::Duration;

use domain::ledger::{Details, Direction, ExternalRef, PostEntry, Posting, Postings};
use domain::{Amount, Command, Timestamp};
use serde_json::Value;

use crate::actors::Actor;
use crate::platform::{Platform, TOKO, WARUNG, account};

/// An entry that debits cash and credits sales, or the other way round where `minor` is negative.
pub(crate) async fn post(
    platform: &Platform,
    reference: &str,
    minor: i64,
    effective_at: Option<Timestamp>,
) {
    let amount = Amount::from_minor(minor.abs(), "USD".parse().expect("a currency"));
    let (debit, credit) = if minor > 0 { ("cash", "sales") } else { ("sales", "cash") };
    let posting = |code: &str, direction| Posting {
        account_id: account(TOKO, code),
        direction,
        amount: amount.clone().expect("an amount"),
    };
    let postings = vec![posting(debit, Direction::Debit), posting(credit, Direction::Credit)];
    let command = PostEntry::new(
        TOKO,
        ExternalRef::parse(reference).expect("a reference"),
        Details { effective_at, ..Details::default() },
        Postings::new(postings).expect("balanced"),
    );
    platform.submit(Command::PostEntry(command)).await;
}

async fn cash(actor: &Actor, at: &str) -> Value {
    let cash = account(TOKO, "cash");
    actor.get(&format!("/v1/accounts/{cash}/balance{at}")).await.json()
}

/// What happened, for the fold that says what is right.
struct Happened {
    position: i64,
    recorded_at: Timestamp,
    effective_at: Timestamp,
    minor: i64,
}

fn decimal(minor: i64) -> String {
    let sign = if minor < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", minor.abs() / 100, minor.abs() % 100)
}

/// Entries with and without a time of their own: days, hours, minutes and seconds back, or ahead.
async fn history(platform: &Platform) -> Vec<Happened> {
    let mut happened = Vec::new();
    for n in 0..120_i64 {
        platform.pass(Duration::from_millis(u64::try_from(n % 7).expect("small") * 997_001)).await;
        let now = platform.now();
        let back = [0, 1_000, 61_000, 3_661_000, 90_061_000, -7_200_500, -86_400_000];
        let dated = (n % 3 != 0)
            .then(|| now.plus_millis(-back[usize::try_from(n).expect("small") % back.len()]));
        let minor = if n % 4 == 3 { -(n + 1) } else { 10 * n + 7 };
        post(platform, &format!("r{n}"), minor, dated).await;
        let (position, effective_at) = (platform.position(), dated.unwrap_or(now));
        happened.push(Happened { position, recorded_at: now, effective_at, minor });
    }
    happened
}

#[tokio::test]
async fn a_balance_at_any_point_is_the_fold_to_there() {
    let platform = Platform::new().await;
    let happened = history(&platform).await;
    let merchant = platform.merchant.seeing(platform.position());
    let sum = |counts: &dyn Fn(&Happened) -> bool| {
        decimal(happened.iter().filter(|one| counts(one)).map(|one| one.minor).sum())
    };
    for at in happened.iter().step_by(5) {
        let Happened { position, recorded_at, effective_at, .. } = at;
        let shown = cash(&merchant, &format!("?position={position}")).await;
        assert_eq!(shown["balance"], sum(&|one| one.position <= *position), "{position}");
        let shown = cash(&merchant, &format!("?recorded_at={recorded_at}")).await;
        assert_eq!(shown["balance"], sum(&|one| one.recorded_at <= *recorded_at));
        for time in [*effective_at, effective_at.plus_millis(-1), effective_at.plus_millis(59_999)]
        {
            let shown = cash(&merchant, &format!("?effective_at={time}")).await;
            assert_eq!(shown["balance"], sum(&|one| one.effective_at <= time), "{time}");
        }
    }
    let last = cash(&merchant, "?recorded_at=9999-12-31T23:59:59.999999Z").await;
    assert_eq!(last["balance"], sum(&|_| true));
    let now = cash(&merchant, "").await;
    assert_eq!(now["balance"], sum(&|_| true));
    assert_eq!(now["position"], platform.position());
}

#[tokio::test]
async fn a_trial_balance_by_effective_time_is_the_fold_to_there() {
    let platform = Platform::new().await;
    platform.sell(WARUNG, "another's", 1_000_000).await;
    let happened = history(&platform).await;
    let merchant = platform.merchant.seeing(platform.position());
    let path = "/v1/ledger/trial-balance?effective_at=";
    let check = async |at: &str, until: Timestamp| {
        let counted = || happened.iter().filter(|one| one.effective_at <= until);
        let sales: i64 = counted().map(|one| one.minor.max(0)).sum();
        let back: i64 = counted().map(|one| -one.minor.min(0)).sum();
        let shown = merchant.get(&format!("{path}{at}")).await.json();
        if sales + back == 0 {
            assert_eq!(shown["currencies"], serde_json::json!([]), "{at}");
            return;
        }
        let usd = &shown["currencies"][0];
        assert_eq!(usd["difference"], "0.00", "{at}");
        for (index, debits, credits) in [(0, sales, back), (1, back, sales)] {
            let sums = &usd["types"][index];
            assert_eq!(sums["debits"], decimal(debits), "{at}: {sums}");
            assert_eq!(sums["credits"], decimal(credits), "{at}: {sums}");
        }
        let cash = cash(&merchant, &format!("?effective_at={at}")).await;
        assert_eq!(cash["balance"], decimal(sales - back), "as that of the account: {at}");
    };
    for at in happened.iter().step_by(5) {
        for millis in [-1, 0, 1, 59_999] {
            let until = at.effective_at.plus_millis(millis);
            check(&until.to_string(), until).await;
        }
    }
    for (day, after) in [("2025-12-30", "2025-12-31"), ("2026-01-01", "2026-01-02")] {
        let after: Timestamp = format!("{after}T00:00:00Z").parse().expect("a time");
        check(day, Timestamp::from_micros(after.micros() - 1)).await;
    }
    let last: Timestamp = "9999-12-31T23:59:59.999999Z".parse().expect("a time");
    check("9999-12-31", last).await;
    let all = merchant.get(&format!("{path}9999-12-31")).await;
    assert_eq!(all.body, merchant.get("/v1/ledger/trial-balance").await.body);
    let assets = merchant.get(&format!("{path}9999-12-31&type=asset&currency=USD")).await.json();
    assert_eq!(assets["currencies"][0]["types"].as_array().map(Vec::len), Some(1));
    let analyst = platform.analyst.seeing(platform.position());
    let refused = analyst.get(&format!("{path}2026-01-01")).await;
    assert_eq!(refused.problem(), (422, "invalid-request".to_owned()), "which ledger?");
    assert!(refused.body.contains("\"parameter\":\"ledger\""), "{refused}");
    let named = analyst.get(&format!("{path}9999-12-31&ledger={TOKO}")).await;
    assert_eq!(named.body, all.body);
    let other = merchant.get(&format!("{path}9999-12-31&ledger={WARUNG}")).await;
    assert_eq!(other.body, r#"{"currencies":[]}"#, "another's ledger");
}

#[tokio::test]
async fn a_trial_balance_at_any_position_is_the_fold_to_there() {
    let platform = Platform::new().await;
    let mut sums = Vec::new();
    let (mut debits, mut others) = (0, 0);
    // Over several segments of the marks.
    for n in 1..=2_600_i64 {
        if n % 2 == 0 {
            platform.sell(WARUNG, &format!("w{n}"), 1).await;
            others += 1;
            continue;
        }
        platform.sell(TOKO, &format!("t{n}"), n).await;
        debits += n;
        if n % 97 == 0 {
            sums.push((platform.position(), debits, others));
        }
        platform.pass(Duration::from_millis(10)).await;
    }
    let merchant = platform.merchant.seeing(platform.position());
    let analyst = platform.analyst.seeing(platform.position());
    for (position, minor, others) in sums {
        let path = format!("/v1/ledger/trial-balance?position={position}");
        let all = analyst.get(&path).await.json();
        assert_eq!(all["currencies"][0]["debits"], decimal(minor + others), "of all ledgers");
        for position in [position, position + 1] {
            let path = format!("/v1/ledger/trial-balance?position={position}");
            let shown = merchant.get(&path).await.json();
            let [usd] = &shown["currencies"].as_array().expect("currencies")[..] else {
                panic!("one currency: {shown}");
            };
            assert_eq!(usd["debits"], decimal(minor), "{position}");
            assert_eq!(usd["difference"], "0.00");
        }
    }
    let path = "/v1/ledger/trial-balance?position=1";
    assert_eq!(merchant.get(path).await.body, r#"{"currencies":[]}"#);
    let head = platform.position();
    let now = merchant.get("/v1/ledger/trial-balance").await;
    let then = merchant.get(&format!("/v1/ledger/trial-balance?position={head}")).await;
    assert_eq!(then.body, now.body);
    let (all, at) = ("/v1/ledger/trial-balance", format!("?recorded_at={}", platform.now()));
    assert_eq!(analyst.get(&format!("{all}{at}")).await.body, analyst.get(all).await.body);
    let assets = merchant.get("/v1/ledger/trial-balance?type=asset&currency=USD").await.json();
    assert_eq!(assets["currencies"][0]["difference"], decimal(debits));
}

#[tokio::test]
async fn one_point_in_time_at_most_and_none_before_the_log() {
    let platform = Platform::new().await;
    let path = format!("/v1/accounts/{}/balance", account(TOKO, "cash"));
    let now = platform.now();
    for (query, parameter) in [
        (format!("?position=1&recorded_at={now}"), "recorded_at"),
        (format!("?recorded_at={now}&effective_at={now}"), "effective_at"),
        ("?position=-1".to_owned(), "position"),
        ("?position=x".to_owned(), "position"),
        ("?effective_at=yesterday".to_owned(), "effective_at"),
        ("?effective_at=2026-02-30".to_owned(), "effective_at"),
    ] {
        let refused = platform.merchant.get(&format!("{path}{query}")).await;
        assert_eq!(refused.problem(), (422, "invalid-request".to_owned()), "{query}");
        assert!(refused.body.contains(&format!("\"parameter\":\"{parameter}\"")), "{refused}");
    }
    let beyond = platform.position() + 1;
    let refused = platform.merchant.get(&format!("{path}?position={beyond}")).await;
    assert_eq!(refused.problem(), (422, "position-beyond-head".to_owned()));
}
