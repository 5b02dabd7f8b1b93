//! Entries and the trial balance.

use std::time::Duration;

use domain::accounts::AccountType;

use crate::platform::{Platform, TOKO, WARUNG};

#[tokio::test]
async fn an_entry_shows_what_it_moved_and_what_reversed_it() {
    let platform = Platform::new().await;
    let entry = platform.sell(TOKO, "order-1", 12_500).await;
    let reversal = platform.reverse(TOKO, entry).await;
    let merchant = platform.merchant.seeing(platform.position());
    let shown = merchant.get(&format!("/v1/ledger/entries/{entry}")).await;
    assert_eq!(shown.json()["reversed_by"], reversal.to_string());
    insta::assert_snapshot!("an_entry_that_was_reversed", shown);
    let shown = merchant.get(&format!("/v1/ledger/entries/{reversal}")).await;
    assert_eq!(shown.json()["reverses"], entry.to_string());
    insta::assert_snapshot!("the_entry_that_reverses_it", shown);
    let tag = shown.header("etag").to_owned();
    let path = format!("/v1/ledger/entries/{reversal}");
    let unchanged = merchant.get_with(&path, &[("if-none-match", &tag)]).await;
    assert_eq!(unchanged.status.as_u16(), 304);
}

#[tokio::test]
async fn entries_are_listed_newest_first_and_filtered() {
    let platform = Platform::new().await;
    let first = platform.sell(TOKO, "order-1", 100).await.to_string();
    platform.pass(Duration::from_secs(60)).await;
    let second = platform.sell(TOKO, "order-2", 200).await.to_string();
    platform.sell(WARUNG, "order-1", 300).await;
    let (merchant, now) = (platform.merchant.seeing(platform.position()), platform.now());
    let list = merchant.get("/v1/ledger/entries").await;
    insta::assert_snapshot!(list);
    for (filter, found) in [
        ("external_ref=order-1", vec![&first]),
        ("external_ref=unheard-of", vec![]),
        (&format!("from={now}"), vec![&second]),
        (&format!("to={now}"), vec![&first]),
        (&format!("ledger={TOKO}"), vec![&second, &first]),
        (&format!("ledger={WARUNG}"), vec![]),
        ("ledger=platform", vec![]),
    ] {
        let ids = merchant.get(&format!("/v1/ledger/entries?{filter}")).await.ids();
        assert_eq!(ids.iter().collect::<Vec<_>>(), found, "{filter}");
    }
    let auditor = platform.auditor.seeing(platform.position());
    assert_eq!(auditor.get("/v1/ledger/entries").await.ids().len(), 3);
    let both = auditor.get("/v1/ledger/entries?external_ref=order-1").await.ids();
    assert_eq!(both.len(), 2, "a reference is unique in its ledger only");
}

#[tokio::test]
async fn the_trial_balance_is_zero_in_every_currency() {
    let platform = Platform::new().await;
    for (code, kind) in [("kas", AccountType::Asset), ("modal", AccountType::Equity)] {
        platform.open(TOKO, code, kind, "JPY").await;
    }
    platform.post_in(TOKO, "capital", ("kas", "modal"), 1_000_000, "JPY").await;
    let entry = platform.sell(TOKO, "order-1", 12_500).await;
    platform.sell(TOKO, "order-2", 99).await;
    platform.reverse(TOKO, entry).await;
    platform.sell(WARUNG, "order-1", 5_000).await;
    let position = platform.position();
    let path = "/v1/ledger/trial-balance";
    let own = platform.merchant.seeing(position).get(path).await;
    insta::assert_snapshot!("of_the_own_ledger", own);
    let all = platform.analyst.seeing(position).get(path).await;
    insta::assert_snapshot!("of_all_ledgers", all);
    for (answer, currencies) in [(&own, 2), (&all, 2)] {
        let json = answer.json();
        let sums = json["currencies"].as_array().expect("currencies");
        assert_eq!(sums.len(), currencies);
        for sum in sums {
            let zero = if sum["currency"] == "JPY" { "0" } else { "0.00" };
            assert_eq!(sum["difference"], zero);
            assert_eq!(sum["debits"], sum["credits"]);
        }
    }
    let narrowed = format!("{path}?ledger={TOKO}");
    assert_eq!(platform.operator.get(&narrowed).await.body, own.body);
    assert_eq!(platform.merchant.get(&narrowed).await.body, own.body);
    let nothing = r#"{"currencies":[]}"#;
    assert_eq!(platform.merchant.get(&format!("{path}?ledger={WARUNG}")).await.body, nothing);
    assert_eq!(platform.operator.get(&format!("{path}?ledger=platform")).await.body, nothing);
}
