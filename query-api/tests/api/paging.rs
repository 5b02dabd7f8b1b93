//! Pages: nothing is lost or doubled between them, and what is no page is refused.

use domain::accounts::AccountType;

use crate::platform::{Platform, TOKO, account};

#[tokio::test]
async fn pages_put_together_are_the_whole_list() {
    let platform = Platform::new().await;
    for number in 0..6 {
        platform.open(TOKO, &format!("extra-{number}"), AccountType::Expense, "USD").await;
        platform.sell(TOKO, &format!("order-{number}"), 100 + number).await;
    }
    platform.freeze(TOKO, "cash").await;
    let operator = platform.operator.seeing(platform.position());
    let statement = format!("/v1/accounts/{}/statement", account(TOKO, "cash"));
    let stream = format!("/v1/streams/account-{}", account(TOKO, "cash"));
    for (path, count) in [
        ("/v1/accounts", 10),
        ("/v1/accounts?type=expense", 6),
        ("/v1/ledger/entries", 6),
        ("/v1/merchants", 2),
        ("/v1/api-keys", 6),
        ("/v1/events?type=ledger.entry_posted", 6),
        ("/v1/events", usize::try_from(platform.position()).expect("a count")),
        (statement.as_str(), 6),
        (stream.as_str(), 2),
    ] {
        let whole = operator.get(&format!("{path}{}limit=200", separator(path))).await.json();
        let whole = whole["data"].as_array().expect("rows").clone();
        assert_eq!(whole.len(), count, "{path}");
        for limit in [1, 3, 200] {
            assert_eq!(operator.all(path, limit).await, whole, "{path} by {limit}");
        }
    }
}

#[tokio::test]
async fn rows_that_come_while_somebody_pages_do_not_shift_the_pages() {
    let platform = Platform::new().await;
    for number in 0..4 {
        platform.sell(TOKO, &format!("order-{number}"), 100).await;
    }
    let merchant = platform.merchant.seeing(platform.position());
    let first = merchant.get("/v1/ledger/entries?limit=2").await.json();
    platform.sell(TOKO, "late", 100).await;
    let cursor = first["next_cursor"].as_str().expect("a cursor").to_owned();
    let merchant = platform.merchant.seeing(platform.position());
    let second = merchant.get(&format!("/v1/ledger/entries?limit=2&cursor={cursor}")).await.json();
    let refs: Vec<&str> = [&first, &second]
        .into_iter()
        .flat_map(|page| page["data"].as_array().expect("rows"))
        .filter_map(|row| row["external_ref"].as_str())
        .collect();
    assert_eq!(refs, ["order-3", "order-2", "order-1", "order-0"]);
    assert_eq!(second["next_cursor"], serde_json::Value::Null);
}

#[tokio::test]
async fn what_is_no_page_is_refused_by_name() {
    let platform = Platform::new().await;
    let operator = platform.operator.seeing(platform.position());
    let cash = account(TOKO, "cash");
    let statement = format!("/v1/accounts/{cash}/statement");
    let stream = format!("/v1/streams/account-{cash}");
    let lists = [
        "/v1/accounts",
        "/v1/ledger/entries",
        "/v1/merchants",
        "/v1/api-keys",
        "/v1/events",
        &statement,
        &stream,
    ];
    for path in lists {
        for wrong in [
            "limit=0",
            "limit=201",
            "limit=x",
            "limit=1&limit=1",
            "cursor=garbage",
            "cursor=",
            "cursor=eyJhIjoxfQ",
            "colour=red",
            "limit=1%00",
        ] {
            let refused = operator.get(&format!("{path}?{wrong}")).await;
            assert_eq!(refused.problem(), (422, "invalid-request".to_owned()), "{path}?{wrong}");
            let parameter = wrong.split('=').next().expect("a name");
            assert!(refused.body.contains(parameter), "{refused}");
        }
    }
    for wrong in
        ["type=treasure", "currency=usd", "status=ajar", "ledger=x", "code=a%00b", "code=a&code=b"]
    {
        let refused = operator.get(&format!("/v1/accounts?{wrong}")).await;
        assert_eq!(refused.problem().0, 422, "{wrong}");
    }
    for path in ["/v1/log/head", "/v1/projections", "/v1/ledger/trial-balance"] {
        let refused = operator.get(&format!("{path}?limit=1")).await;
        assert_eq!(refused.problem().0, 422, "{path}");
    }
    let shown = operator.get(&format!("/v1/accounts/{cash}?expand=all")).await;
    assert_eq!(shown.problem().0, 422);
}

fn separator(path: &str) -> char {
    if path.contains('?') { '&' } else { '?' }
}
