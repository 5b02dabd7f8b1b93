//! Read models that do not move: not there, stopped, diverged, of another version.

use crate::platform::{Platform, TOKO, account};

#[tokio::test]
async fn before_any_projection_ran_the_log_answers_and_read_models_do_not() {
    let platform = Platform::without_projections().await;
    let operator = &platform.operator;
    for path in ["/v1/accounts", "/v1/ledger/entries", "/v1/ledger/trial-balance", "/v1/merchants"]
    {
        let refused = operator.get(path).await;
        assert_eq!(refused.problem(), (503, "projection-behind".to_owned()), "{path}");
        assert_eq!(refused.header("retry-after"), "1");
    }
    assert_eq!(operator.get("/v1/projections").await.body, r#"{"data":[]}"#);
    let head = operator.get("/v1/log/head").await.json();
    assert_eq!(head["position"], platform.position());
    assert!(!operator.get("/v1/events").await.ids().is_empty());
    assert_eq!(platform.anonymous.get("/health/ready").await.status.as_u16(), 503);
}

#[tokio::test]
async fn a_stopped_projection_is_shown_as_it_is_and_says_so() {
    let mut platform = Platform::new().await;
    platform.operator.seeing(platform.position()).get("/v1/accounts").await.json();
    platform.operator.seeing(platform.position()).get("/v1/merchants").await.json();
    platform.operator.seeing(platform.position()).get("/v1/payments").await.json();
    let shown = platform.position();
    platform.stop_projecting().await;
    platform.sell(TOKO, "order-1", 100).await;
    platform
        .repair(
            "update read.checkpoint set state = 'stopped', detail = 'no such account', \
                 failed_position = position + 1, updated_at = '2026-01-01T00:00:00Z'",
        )
        .await;
    let answer = platform.merchant.get(&format!("/v1/accounts/{}", account(TOKO, "cash"))).await;
    assert_eq!(answer.json()["balance"], "0.00");
    assert_eq!(answer.header("runut-position"), shown.to_string());
    assert_eq!(answer.header("runut-projection-state"), "stopped");
    insta::assert_snapshot!(platform.analyst.get("/v1/projections").await);
    let ready = platform.anonymous.get("/health/ready").await;
    assert_eq!(ready.status.as_u16(), 503);
    assert!(ready.body.contains("stopped") && ready.body.contains("no such account"), "{ready}");
}

#[tokio::test]
async fn a_diverged_projection_shows_another_history_and_is_not_shown() {
    let mut platform = Platform::new().await;
    platform.operator.seeing(platform.position()).get("/v1/accounts").await.json();
    platform.operator.seeing(platform.position()).get("/v1/merchants").await.json();
    platform.operator.seeing(platform.position()).get("/v1/payments").await.json();
    platform.stop_projecting().await;
    platform
        .repair(
            "update read.checkpoint set state = 'diverged', detail = 'the log has another event' \
             where projection = 'ledger_balance'",
        )
        .await;
    let refused = platform.merchant.get("/v1/accounts").await;
    insta::assert_snapshot!(refused);
    assert_eq!(refused.problem(), (503, "projection-diverged".to_owned()));
    platform.merchant.get("/v1/merchants").await.json();
    let standing = platform.operator.get("/v1/projections").await;
    assert!(standing.body.contains("diverged"), "{standing}");
    assert_eq!(platform.anonymous.get("/health/ready").await.status.as_u16(), 503);
}

#[tokio::test]
async fn tables_of_another_version_are_not_read() {
    let mut platform = Platform::new().await;
    platform.operator.seeing(platform.position()).get("/v1/accounts").await.json();
    platform.stop_projecting().await;
    platform.repair("update read.checkpoint set version = version + 1, state = 'rebuilding'").await;
    let refused = platform.merchant.get("/v1/accounts").await;
    assert_eq!(refused.problem(), (503, "projection-behind".to_owned()));
    assert!(refused.body.contains("reads version 5"), "{refused}");
    let cash = format!("/v1/accounts/{}", account(TOKO, "cash"));
    assert_eq!(platform.merchant.get(&cash).await.body, refused.body);
    platform.repair("alter table read.accounts rename balance_minor to balance").await;
    assert_eq!(platform.merchant.get(&cash).await.problem(), refused.problem());
    assert_eq!(platform.anonymous.get("/health/ready").await.status.as_u16(), 503);
}
