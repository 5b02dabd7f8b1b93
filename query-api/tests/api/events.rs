//! The log, in pages.

use crate::platform::{Platform, TOKO, WARUNG, account};

#[tokio::test]
async fn events_are_listed_ascending_and_whole() {
    let platform = Platform::new().await;
    platform.sell(TOKO, "order-1", 12_500).await;
    let last = platform.position();
    let page = platform.auditor.get(&format!("/v1/events?after={}", last - 1)).await;
    insta::assert_snapshot!(page);
    let all = platform.auditor.get("/v1/events?limit=200").await;
    let positions: Vec<String> = (1..=last).map(|position| position.to_string()).collect();
    let json = all.json();
    let rows = json["data"].as_array().expect("events");
    let found: Vec<String> = rows.iter().map(|row| row["position"].to_string()).collect();
    assert_eq!(found, positions);
    assert_eq!(json["next_cursor"], serde_json::Value::Null);
    assert_eq!(all.header("runut-position"), last.to_string());
}

#[tokio::test]
async fn data_and_metadata_are_the_bytes_that_were_hashed() {
    let platform = Platform::new().await;
    platform.sell(TOKO, "order-1", 12_500).await;
    let page = platform.auditor.get("/v1/events?limit=200").await;
    let mut owner = platform.database.owner().await;
    let stored: Vec<(String, String)> =
        sqlx::query_as("select data::text, metadata::text from events order by position")
            .fetch_all(&mut owner)
            .await
            .expect("events");
    for (data, metadata) in stored {
        assert!(page.body.contains(&format!("\"data\":{data},\"metadata\":{metadata},")), "{data}");
    }
}

#[tokio::test]
async fn events_are_filtered() {
    let platform = Platform::new().await;
    platform.sell(TOKO, "order-1", 100).await;
    platform.sell(WARUNG, "order-1", 100).await;
    platform.freeze(TOKO, "cash").await;
    let cash = account(TOKO, "cash");
    for (filter, count) in [
        ("type=ledger.entry_posted".to_owned(), 2),
        ("type=ledger.entry_posted&type=ledger.account_frozen".to_owned(), 3),
        (format!("stream=account-{cash}"), 2),
        (format!("stream=account-{cash}&type=ledger.account_frozen"), 1),
        (format!("merchant={WARUNG}&type=ledger.entry_posted"), 1),
        ("merchant=platform".to_owned(), 3),
        (format!("after={}", platform.position()), 0),
        ("stream=unheard-of".to_owned(), 0),
    ] {
        let page = platform.auditor.get(&format!("/v1/events?limit=200&{filter}")).await.json();
        assert_eq!(page["data"].as_array().expect("events").len(), count, "{filter}");
        assert_eq!(page["next_cursor"], serde_json::Value::Null, "{filter}");
    }
    for wrong in ["type=unheard.of", "after=-1", "after=x", "merchant=x", "after=1&cursor=MQ"] {
        let refused = platform.auditor.get(&format!("/v1/events?{wrong}")).await;
        assert_eq!(refused.problem(), (422, "invalid-request".to_owned()), "{wrong}");
    }
    let beyond = format!("/v1/events?after={}", platform.position() + 1);
    let refused = platform.auditor.get(&beyond).await;
    assert_eq!(refused.problem(), (422, "position-beyond-head".to_owned()));
}

#[tokio::test]
async fn a_stream_is_all_that_happened_to_one_thing() {
    let platform = Platform::new().await;
    platform.freeze(TOKO, "cash").await;
    let stream = format!("/v1/streams/account-{}", account(TOKO, "cash"));
    insta::assert_snapshot!(platform.operator.get(&stream).await);
    for unknown in ["unheard-of", "account-acc_x", "a%00b", "a%2Fb"] {
        let answer = platform.operator.get(&format!("/v1/streams/{unknown}")).await;
        assert_eq!(answer.problem(), (404, "not-found".to_owned()), "{unknown}");
    }
}

#[tokio::test]
async fn the_head_is_where_the_log_ends() {
    let platform = Platform::new().await;
    insta::assert_snapshot!(platform.reader.get("/v1/log/head").await);
}

#[tokio::test]
async fn what_is_rare_in_a_long_log_takes_several_pages() {
    let platform = Platform::without_projections().await;
    let there = platform.position();
    // As the log has them, but for their hashes.
    platform
        .repair(
            "insert into events (log_id, position, stream_id, version, event_id, event_type, \
                 schema_version, merchant_id, data, metadata, recorded_at, leaf_hash) \
             select 1, head.position + number, 'filler-' || number, 1, gen_random_uuid(), \
                 'merchant.registered', 1, gen_random_uuid(), '{}', '{}', head.recorded_at, \
                 sha256('') \
             from log_head as head, generate_series(1, 60000) as number",
        )
        .await;
    platform.repair("update log_head set position = position + 60000").await;
    let rare = "/v1/events?type=ledger.account_opened";
    let first = platform.auditor.get(rare).await.json();
    assert_eq!(first["data"].as_array().expect("events").len(), 4);
    assert!(first["next_cursor"].is_string(), "it has not looked at all of the log");
    assert_eq!(platform.auditor.all(rare, 50).await.len(), 4);
    let head = platform.auditor.get("/v1/log/head").await.json();
    assert_eq!(head["position"], there + 60_000);
    let late = platform.auditor.get("/v1/events?stream=filler-60000").await.json();
    assert_eq!(late["data"].as_array().expect("events").len(), 1, "streams have an index");
    assert_eq!(late["next_cursor"], serde_json::Value::Null);
}

#[tokio::test]
async fn a_page_of_large_events_is_cut_by_its_bytes() {
    let platform = Platform::without_projections().await;
    let there = platform.position();
    platform
        .repair(
            "insert into events (log_id, position, stream_id, version, event_id, event_type, \
                 schema_version, merchant_id, data, metadata, recorded_at, leaf_hash) \
             select 1, head.position + number, 'large-' || number, 1, gen_random_uuid(), \
                 'merchant.registered', 1, gen_random_uuid(), \
                 json_build_object('text', repeat('x', 200000)), '{}', head.recorded_at, sha256('') \
             from log_head as head, generate_series(1, 12) as number",
        )
        .await;
    platform.repair("update log_head set position = position + 12").await;
    let large = format!("/v1/events?after={there}");
    let first = platform.auditor.get(&large).await;
    assert!(first.body.len() <= 1_200_000, "{} bytes", first.body.len());
    assert_eq!(first.json()["data"].as_array().expect("events").len(), 5);
    assert!(first.json()["next_cursor"].is_string());
    let auditor = &platform.auditor;
    assert_eq!(auditor.all("/v1/events?type=merchant.registered", 200).await.len(), 14);
}
