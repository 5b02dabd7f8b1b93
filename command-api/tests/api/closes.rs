//! Closing days.

use serde_json::json;

use crate::app::App;

const CLOSES: &str = "/v1/ledger/closes";

#[tokio::test]
async fn a_day_is_cut_off_once_it_is_over_one_after_the_other() {
    let app = App::new().await;
    let day = json!({"day": "2020-01-30"});
    let cut_off = app.merchant.post_with_key(CLOSES, &day, "k").await;
    insta::assert_snapshot!(cut_off);
    let replayed = app.merchant.post_with_key(CLOSES, &day, "k").await.expect(202);
    assert_eq!((replayed.header("idempotent-replayed"), &replayed.body), ("true", &cut_off.body));
    for (day, code) in [
        ("9999-12-30", "day-not-over"),
        ("2020-01-30", "day-cut-off"),
        ("2020-01-29", "day-cut-off"),
        ("2020-01-31", "day-being-closed"),
        ("2020-02-01", "month-not-closed"),
    ] {
        let refused = app.merchant.post(CLOSES, &json!({"day": day})).await.expect(409);
        assert_eq!(refused.text("code"), code, "{day}");
    }
    // The books of others, and of the platform, are others.
    app.other_merchant.post(CLOSES, &day).await.expect(202);
    app.operator.post(CLOSES, &day).await.expect(202);
}

#[tokio::test]
async fn what_is_no_day_is_refused() {
    let app = App::new().await;
    for day in ["", "yesterday", "2020-02-30", "2020-1-31", "2020-01-31T00:00:00Z"] {
        let refused = app.merchant.post(CLOSES, &json!({"day": day})).await.expect(422);
        assert_eq!(refused.pointers(), ["/day"], "{day}");
    }
    let refused = app.merchant.post(CLOSES, &json!({"day": "2020-01-31", "hour": 1})).await;
    assert_eq!(refused.expect(422).pointers(), ["/hour"]);
}
