//! The API's document: a change of it is a change that somebody looks at.

use crate::platform::Platform;

#[tokio::test]
async fn the_document_is_as_reviewed() {
    let document = serde_json::to_value(query_api::openapi()).expect("JSON");
    insta::assert_json_snapshot!(document);
    let platform = Platform::new().await;
    let served = platform.anonymous.get("/openapi.json").await.json();
    assert_eq!(served, document);
    assert_eq!(platform.anonymous.get("/docs/").await.status.as_u16(), 200);
}

#[test]
fn every_query_is_described() {
    let document = serde_json::to_value(query_api::openapi()).expect("JSON");
    assert!(document["openapi"].as_str().is_some_and(|version| version.starts_with("3.1")));
    for (path, item) in document["paths"].as_object().expect("paths") {
        let query = item.get("get").unwrap_or_else(|| &item["post"]);
        assert_eq!(item.get("post").is_some(), path == "/v1/ledger/consistency-report", "{path}");
        assert!(query["summary"].is_string(), "{path} has a summary");
        assert!(query["responses"]["200"]["content"].is_object(), "{path} has an answer");
        assert!(item.as_object().expect("methods").len() == 1, "{path} is only read");
    }
}
