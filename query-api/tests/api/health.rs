//! What is answered to whoever runs the service.

use std::time::Duration;

use crate::platform::{PATIENCE, Platform, TOKO};

#[tokio::test]
async fn a_service_whose_read_models_are_current_is_ready() {
    let platform = Platform::new().await;
    let operator = platform.operator.seeing(platform.position());
    operator.get("/v1/accounts").await.json();
    operator.get("/v1/merchants").await.json();
    operator.get("/v1/payments").await.json();
    insta::assert_snapshot!(platform.anonymous.get("/health/ready").await);
    assert_eq!(platform.anonymous.get("/health/live").await.status.as_u16(), 204);
    assert_eq!(platform.anonymous.get("/metrics").await.body, "metrics_total 1\n");
}

#[tokio::test]
async fn a_read_model_that_lags_too_long_is_not_ready() {
    let mut platform = Platform::new().await;
    let operator = platform.operator.seeing(platform.position());
    operator.get("/v1/accounts").await.json();
    operator.get("/v1/merchants").await.json();
    operator.get("/v1/payments").await.json();
    platform.stop_projecting().await;
    platform.sell(TOKO, "order-1", 100).await;
    assert_eq!(platform.anonymous.get("/health/ready").await.status.as_u16(), 200);
    platform.pass(Duration::from_secs(31)).await;
    // What was found is answered for a moment after.
    let not_ready = async {
        while platform.anonymous.get("/health/ready").await.status.as_u16() != 503 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, not_ready).await.expect("it is not ready");
    let standing = platform.analyst.get("/v1/projections").await.json();
    for projection in standing["data"].as_array().expect("projections") {
        assert_eq!(projection["lag_events"], 1);
        assert_eq!(projection["lag_seconds"], 31.0);
    }
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems() {
    let platform = Platform::new().await;
    assert_eq!(platform.merchant.get("/v1/unheard-of").await.problem().0, 404);
    assert_eq!(platform.anonymous.get("/v1/unheard-of").await.problem().0, 404);
}
