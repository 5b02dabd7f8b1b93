//! The kill switch, as operators use it.

use serde_json::json;

use crate::app::App;

#[tokio::test]
async fn an_operator_switches_a_psp_off_and_on() {
    let app = App::new().await;
    let never = app.operator.post("/v1/psps/alpha/enable", &json!({})).await.expect(404);
    assert_eq!(never.text("code"), "psp-not-found");
    let why = json!({"reason": "too many time-outs"});
    let off = app.operator.post_with_key("/v1/psps/alpha/disable", &why, "off").await.expect(200);
    assert_eq!((off.json()["disabled"].clone(), off.text("psp")), (json!(true), "alpha".into()));
    let again = app.operator.post_with_key("/v1/psps/alpha/disable", &why, "off").await;
    assert_eq!(again.expect(200).body, off.body);
    let already = app.operator.post("/v1/psps/alpha/disable", &json!({})).await.expect(200);
    assert_eq!(already.json()["version"], 1, "it was off");
    let on = app.operator.post("/v1/psps/alpha/enable", &json!({})).await.expect(200);
    assert_eq!(on.json()["disabled"], json!(false));
    for path in ["/v1/psps/alpha/disable", "/v1/psps/alpha/enable"] {
        assert_eq!(app.merchant.post(path, &json!({})).await.status, 403);
        assert_eq!(app.anonymous.post(path, &json!({})).await.status, 401);
    }
    app.operator.post("/v1/psps/a%20b/disable", &json!({})).await.expect(404);
    app.operator.post("/v1/psps/aplha/disable", &json!({})).await.expect(404);
    let card = json!({"reason": "4242424242424242"});
    app.operator.post("/v1/psps/alpha/disable", &card).await.expect(422);
}
