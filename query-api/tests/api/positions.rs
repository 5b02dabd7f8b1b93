//! Reading one's own writes.

use std::time::{Duration, Instant};

use domain::api_keys::Role;

use crate::platform::{Platform, TOKO, Told, account};

#[tokio::test]
async fn a_query_shows_at_least_the_position_that_it_asks_for() {
    for told in [Told::ByCheckpoints, Told::InProcess] {
        let platform = Platform::told(told).await;
        let path = format!("/v1/accounts/{}", account(TOKO, "cash"));
        for sale in 1..=20 {
            platform.sell(TOKO, &format!("order-{sale}"), 100).await;
            let answer = platform.merchant.seeing(platform.position()).get(&path).await;
            assert_eq!(answer.json()["balance"], format!("{sale}.00"));
            let shown: i64 = answer.header("runut-position").parse().expect("a position");
            assert!(shown >= platform.position());
        }
    }
}

#[tokio::test]
async fn a_query_waits_for_its_position() {
    let mut platform = Platform::new().await;
    platform.merchant.seeing(platform.position()).get("/v1/accounts").await.json();
    platform.stop_projecting().await;
    platform.sell(TOKO, "order-1", 100).await;
    let merchant = platform.merchant.seeing(platform.position());
    let path = format!("/v1/accounts/{}", account(TOKO, "cash"));
    let waiting = tokio::spawn(async move { merchant.get(&path).await });
    // Whoever does not insist is answered with what there is.
    let stale = platform.merchant.get(&format!("/v1/accounts/{}", account(TOKO, "cash"))).await;
    assert_eq!(stale.json()["balance"], "0.00");
    assert!(!waiting.is_finished());
    platform.project_again();
    let answer = waiting.await.expect("answered");
    assert_eq!(answer.json()["balance"], "1.00");
}

#[tokio::test]
async fn a_position_that_does_not_come_in_time_is_worth_another_try() {
    let mut platform = Platform::new().await;
    platform.merchant.seeing(platform.position()).get("/v1/accounts").await.json();
    platform.stop_projecting().await;
    platform.sell(TOKO, "order-1", 100).await;
    let began = Instant::now();
    let merchant = platform.merchant.seeing(platform.position());
    // More than there are connections: who waits holds none, so others are answered meanwhile.
    let waiting: Vec<_> = (0..40)
        .map(|_| {
            let merchant = merchant.clone();
            tokio::spawn(async move { merchant.get("/v1/accounts").await })
        })
        .collect();
    platform.merchant.get("/v1/accounts").await.json();
    assert!(began.elapsed() < Duration::from_secs(5), "those who do not wait are not held up");
    for answer in waiting {
        let answer = answer.await.expect("answered");
        assert_eq!(answer.problem(), (503, "projection-behind".to_owned()));
        assert_eq!(answer.header("retry-after"), "1");
    }
    assert!(began.elapsed() >= Duration::from_secs(5));
    insta::assert_snapshot!(merchant.get("/v1/accounts").await);
}

#[tokio::test]
async fn what_is_asked_for_up_to_a_time_that_is_over_is_never_short() {
    let mut platform = Platform::new().await;
    platform.merchant.seeing(platform.position()).get("/v1/accounts").await.json();
    platform.stop_projecting().await;
    platform.sell(TOKO, "order-1", 100).await;
    let mut owner = platform.database.owner().await;
    let at = "select to_char((recorded_at + $1 * interval '1 us') at time zone 'UTC',               'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"') from log_head";
    let mut times = Vec::new();
    for micros in [-1, 0, 1] {
        let time = sqlx::query_scalar(at).bind(micros).fetch_one(&mut owner).await;
        times.push(time.expect("a time"));
    }
    let [before, then, after]: [String; 3] = times.try_into().expect("three");
    let cash = account(TOKO, "cash");
    let asked = [
        format!("/v1/accounts/{cash}/balance?recorded_at={then}"),
        format!("/v1/ledger/trial-balance?recorded_at={then}"),
        format!("/v1/accounts/{cash}/statement?to={after}"),
        format!("/v1/accounts/{cash}/statement.csv?to={after}"),
        format!("/v1/ledger/entries?to={after}"),
        format!("/v1/ledger/journal?format=csv&to={after}"),
        format!("/v1/payments?to={after}"),
    ];
    let waiting = asked.each_ref().map(|path| {
        let (merchant, path) = (platform.merchant.clone(), path.clone());
        tokio::spawn(async move { merchant.get(&path).await })
    });
    // What was over before the sale is known.
    let path = format!("/v1/accounts/{cash}/balance?recorded_at={before}");
    assert_eq!(platform.merchant.get(&path).await.json()["balance"], "0.00");
    for (path, waiting) in asked.iter().zip(waiting) {
        let refused = waiting.await.expect("answered");
        assert_eq!(refused.problem(), (503, "projection-behind".to_owned()), "{path}");
    }
    platform.project_again();
    let balance = platform.merchant.get(&asked[0]).await.json();
    assert_eq!(balance["balance"], "1.00");
    assert_eq!(balance["position"], platform.position());
    let trial = platform.merchant.get(&asked[1]).await.json();
    assert_eq!(trial["currencies"][0]["debits"], "1.00");
    for path in &asked[2..6] {
        let body = platform.merchant.get(path).await.body;
        assert!(body.contains("order-1"), "{path}: {body}");
    }
}

#[tokio::test]
async fn who_waits_is_told_when_the_process_stops() {
    let mut platform = Platform::new().await;
    platform.merchant.seeing(platform.position()).get("/v1/accounts").await.json();
    platform.stop_projecting().await;
    platform.sell(TOKO, "order-1", 100).await;
    let merchant = platform.merchant.seeing(platform.position());
    let began = Instant::now();
    let waiting = tokio::spawn(async move { merchant.get("/v1/accounts").await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    platform.shutdown.cancel();
    let answer = waiting.await.expect("answered");
    assert_eq!(answer.problem(), (503, "unavailable".to_owned()));
    assert!(began.elapsed() < Duration::from_secs(4));
}

#[tokio::test]
async fn who_waits_with_a_key_that_is_revoked_gives_the_place_back_within_a_second() {
    let mut platform = Platform::new().await;
    let (key_id, leaked) = platform.issue(TOKO, Role::Merchant).await;
    leaked.seeing(platform.position()).get("/v1/accounts").await.json();
    platform.stop_projecting().await;
    platform.sell(TOKO, "order-1", 100).await;
    let leaked = leaked.seeing(platform.position());
    let waiting = tokio::spawn(async move { leaked.get("/v1/accounts").await });
    let merchant = platform.merchant.seeing(platform.position());
    let honest = tokio::spawn(async move { merchant.get("/v1/accounts").await });
    tokio::time::sleep(Duration::from_millis(100)).await;
    platform.revoke(key_id).await;
    let revoked = Instant::now();
    assert_eq!(waiting.await.expect("answered").problem(), (401, "unauthorized".to_owned()));
    assert!(revoked.elapsed() < Duration::from_secs(1), "{:?}", revoked.elapsed());
    assert!(!honest.is_finished(), "another key of the merchant waits on");
    honest.abort();
}

#[tokio::test]
async fn a_position_beyond_the_head_is_refused_at_once_and_a_garbled_one_too() {
    let platform = Platform::new().await;
    let beyond = platform.operator.seeing(platform.position() + 1);
    for path in [
        "/v1/accounts",
        "/v1/ledger/trial-balance",
        "/v1/merchants",
        "/v1/log/head",
        "/v1/events",
        "/v1/projections",
    ] {
        let refused = beyond.get(path).await;
        assert_eq!(refused.problem(), (422, "position-beyond-head".to_owned()), "{path}");
        for garbled in ["", "-1", "1.5", "x", "99999999999999999999"] {
            let refused = platform.operator.seeing_text(garbled).get(path).await;
            assert_eq!(refused.problem(), (400, "malformed-request".to_owned()), "{garbled:?}");
        }
    }
    insta::assert_snapshot!(beyond.get("/v1/accounts").await);
}

#[tokio::test]
async fn no_query_sees_a_rebuilt_read_model_half_done() {
    let platform = Platform::new().await;
    for sale in 1..=20 {
        platform.sell(TOKO, &format!("order-{sale}"), 100).await;
    }
    let merchant = platform.merchant.seeing(platform.position());
    let path = format!("/v1/accounts/{}", account(TOKO, "cash"));
    merchant.get(&path).await.json();
    let url = platform.database.url(migrations::Role::Projector);
    let database = event_store::log::connect_options(&url).expect("a URL");
    let rebuilding = async {
        for _ in 0..3 {
            let rebuilt = projections::rebuild(&database, &projections::LedgerBalance, &|_| {});
            rebuilt.await.expect("rebuilt");
        }
    };
    let statement_path = format!("{path}/statement");
    let querying = async {
        loop {
            let (shown, statement) =
                tokio::join!(merchant.get(&path), merchant.all(&statement_path, 200));
            assert_eq!(shown.json()["balance"], "20.00");
            assert_eq!(statement.len(), 20);
        }
    };
    tokio::select! {
        () = rebuilding => {}
        () = querying => {}
    }
    assert_eq!(merchant.get(&path).await.json()["balance"], "20.00");
}
