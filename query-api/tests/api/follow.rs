//! The log, followed.

use domain::MerchantId;
use domain::api_keys::Role;

use crate::platform::{PATIENCE, Platform, TOKO};

#[tokio::test]
async fn who_follows_gets_what_is_there_and_what_comes() {
    let platform = Platform::new().await;
    let there = platform.position();
    let mut followed = platform.auditor.follow("/v1/events", &[]).await;
    let count = usize::try_from(there).expect("a count");
    assert_eq!(followed.ids(count).await, (1..=there).collect::<Vec<_>>());
    platform.sell(TOKO, "order-1", 100).await;
    let (id, event) = followed.next().await.expect("it goes on");
    assert_eq!(id, platform.position());
    assert_eq!(event["type"], "ledger.entry_posted");
    assert_eq!(event["data"]["external_ref"], "order-1");
    let page = platform.auditor.get(&format!("/v1/events?after={there}")).await.json();
    assert_eq!(page["data"][0], event, "it is the same event as in a page");
}

#[tokio::test]
async fn who_connects_again_misses_nothing_and_gets_nothing_twice() {
    let platform = Platform::new().await;
    let mut first = platform.auditor.follow("/v1/events?after=3", &[]).await;
    assert_eq!(first.ids(2).await, [4, 5]);
    drop(first);
    platform.sell(TOKO, "order-1", 100).await;
    // The client repeats its first request and adds what it had last, which counts.
    let last = [("last-event-id", "5")];
    let mut again = platform.auditor.follow("/v1/events?after=3", &last).await;
    let rest = usize::try_from(platform.position() - 5).expect("a count");
    assert_eq!(again.ids(rest).await, (6..=platform.position()).collect::<Vec<_>>());
}

#[tokio::test]
async fn filters_hold_for_followers() {
    let platform = Platform::new().await;
    let mut followed = platform.operator.follow("/v1/events?type=ledger.account_frozen", &[]).await;
    platform.sell(TOKO, "order-1", 100).await;
    platform.freeze(TOKO, "cash").await;
    let (id, event) = followed.next().await.expect("it goes on");
    assert_eq!((id, &event["type"]), (platform.position(), &"ledger.account_frozen".into()));
}

#[tokio::test]
async fn what_cannot_be_followed_is_refused() {
    let platform = Platform::new().await;
    let sse = ("accept", "text/event-stream");
    for (path, last, status) in [
        ("/v1/events", "x", 400),
        ("/v1/events", "-1", 400),
        ("/v1/events", "1000000", 422),
        ("/v1/events?after=1000000", "", 422),
        ("/v1/events?limit=5", "", 422),
        ("/v1/events?colour=red", "", 422),
    ] {
        let mut headers = vec![sse];
        if !last.is_empty() {
            headers.push(("last-event-id", last));
        }
        let refused = platform.auditor.get_with(path, &headers).await;
        assert_eq!(refused.problem().0, status, "{path} {last}: {refused}");
    }
    // What makes no sense is refused where it would be ignored, too.
    for last in ["x", "XYxs", "-1", ""] {
        let refused = platform.auditor.get_with("/v1/events", &[("last-event-id", last)]).await;
        assert_eq!(refused.problem().0, 400, "{last}: {refused}");
    }
    let beyond = platform.auditor.seeing(platform.position() + 1);
    assert_eq!(beyond.get_with("/v1/events", &[sse]).await.problem().0, 422);
}

#[tokio::test]
async fn a_revoked_key_follows_no_further() {
    let platform = Platform::new().await;
    let (key_id, auditor) = platform.issue(MerchantId::PLATFORM, Role::Auditor).await;
    let mut followed =
        auditor.follow(&format!("/v1/events?after={}", platform.position() - 1), &[]).await;
    assert_eq!(followed.ids(1).await, [platform.position()]);
    platform.revoke(key_id).await;
    platform.sell(TOKO, "order-1", 100).await;
    assert!(followed.next().await.is_none(), "the answer ends without another event");
}

#[tokio::test]
async fn followers_are_let_go_when_the_process_stops() {
    let platform = Platform::new().await;
    let mut followed =
        platform.auditor.follow(&format!("/v1/events?after={}", platform.position()), &[]).await;
    platform.shutdown.cancel();
    assert!(followed.next().await.is_none());
}

#[tokio::test]
async fn there_is_room_for_so_many_followers_and_again_when_one_goes() {
    let platform = Platform::new().await;
    let mut followers = Vec::new();
    // As many keys as take all places with their shares.
    for _ in 0..4 {
        let (_, auditor) = platform.issue(MerchantId::PLATFORM, Role::Auditor).await;
        for _ in 0..16 {
            followers.push(auditor.follow("/v1/events", &[]).await);
        }
    }
    let sse = [("accept", "text/event-stream")];
    let refused = platform.auditor.get_with("/v1/events", &sse).await;
    assert_eq!(refused.problem(), (503, "unavailable".to_owned()));
    assert_eq!(refused.header("retry-after"), "1");
    platform.auditor.get("/v1/events").await.json();
    followers.pop();
    let mut again = platform.auditor.follow("/v1/events", &[]).await;
    let first = tokio::time::timeout(PATIENCE, again.next()).await.expect("in time");
    assert_eq!(first.expect("an event").0, 1);
}
