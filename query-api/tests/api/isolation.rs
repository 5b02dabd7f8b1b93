//! Who sees what: every route for everybody who may not.

use domain::accounts::AccountType;
use domain::api_keys::Role;
use domain::{EntryId, HoldId, MerchantId, PaymentId};
use uuid::Uuid;

use crate::platform::{Platform, TOKO, WARUNG, account};

/// The one query with a body.
const CONSISTENCY_REPORT: &str = "/v1/ledger/consistency-report";

/// Every other route that needs a key, with ids of the merchant Toko.
fn routes(entry: EntryId, payment: PaymentId) -> Vec<String> {
    let cash = account(TOKO, "cash");
    vec![
        "/v1/accounts".to_owned(),
        format!("/v1/accounts/{cash}"),
        format!("/v1/accounts/{cash}/statement"),
        format!("/v1/accounts/{cash}/balance"),
        format!("/v1/accounts/{cash}/rollup"),
        format!("/v1/accounts/{cash}/statement.csv"),
        "/v1/ledger/journal".to_owned(),
        "/v1/ledger/entries".to_owned(),
        format!("/v1/ledger/entries/{entry}"),
        "/v1/ledger/holds".to_owned(),
        format!("/v1/ledger/holds/{}", HoldId::from_uuid(Uuid::from_u128(1))),
        "/v1/ledger/clearing-alerts".to_owned(),
        "/v1/ledger/closes".to_owned(),
        "/v1/ledger/closes/months".to_owned(),
        "/v1/ledger/trial-balance".to_owned(),
        "/v1/payments".to_owned(),
        format!("/v1/payments/{payment}"),
        format!("/v1/payments/{payment}/refunds"),
        format!("/v1/payments/{payment}/timeline"),
        "/v1/psps".to_owned(),
        "/v1/dead-letters".to_owned(),
        "/v1/log/head".to_owned(),
        "/v1/events".to_owned(),
        format!("/v1/streams/account-{cash}"),
        "/v1/projections".to_owned(),
        "/v1/merchants".to_owned(),
        format!("/v1/merchants/{TOKO}"),
        "/v1/api-keys".to_owned(),
    ]
}

#[tokio::test]
async fn no_route_answers_without_a_valid_key() {
    let platform = Platform::new().await;
    let entry = platform.sell(TOKO, "order-1", 100).await;
    let routes = routes(entry, platform.pay(TOKO, "lost_card").await);
    let documented = query_api::openapi().paths.paths.len();
    assert_eq!(routes.len() + 1, documented, "every documented route is tried");
    let (key_id, revoked) = platform.issue(TOKO, Role::Merchant).await;
    platform.revoke(key_id).await;
    for actor in [&platform.anonymous, &revoked] {
        let refused = actor.ask(CONSISTENCY_REPORT, "{").await;
        assert_eq!(refused.problem(), (401, "unauthorized".to_owned()));
    }
    for path in routes {
        let anonymous = platform.anonymous.get(&path).await;
        assert_eq!(anonymous.problem(), (401, "unauthorized".to_owned()), "{path}");
        assert_eq!(revoked.get(&path).await.body, anonymous.body, "{path}");
        for garbled in ["Bearer x", "Basic eDp5", "Bearer runut_0000_00"] {
            let refused = platform.anonymous.get_with(&path, &[("authorization", garbled)]).await;
            assert_eq!(refused.body, anonymous.body, "{path} with {garbled}");
        }
    }
}

#[tokio::test]
async fn anothers_and_the_platforms_are_not_there_exactly_like_what_is_unknown() {
    let platform = Platform::new().await;
    let entry = platform.sell(TOKO, "order-1", 100).await;
    platform.open(MerchantId::PLATFORM, "fees", AccountType::Income, "USD").await;
    let payment = platform.pay(TOKO, "lost_card").await;
    let other = platform.other_merchant.seeing(platform.position());
    let unknown_entry = EntryId::from_uuid(Uuid::from_u128(0xDEAD));
    let unknown_payment = PaymentId::from_uuid(Uuid::from_u128(0xDEAD));
    let unknown = account(TOKO, "unknown");
    let (theirs, system) = (account(TOKO, "cash"), account(MerchantId::PLATFORM, "fees"));
    let unknown_merchant = MerchantId::from_uuid(Uuid::from_u128(0xC));
    let platforms_own = MerchantId::PLATFORM;
    for (unknown, hidden) in [
        (format!("/v1/accounts/{unknown}"), vec![theirs.to_string(), system.to_string()]),
        (format!("/v1/accounts/{unknown}/statement"), vec![theirs.to_string(), system.to_string()]),
        (format!("/v1/accounts/{unknown}/balance"), vec![theirs.to_string(), system.to_string()]),
        (format!("/v1/accounts/{unknown}/rollup"), vec![theirs.to_string(), system.to_string()]),
        (
            format!("/v1/accounts/{unknown}/statement.csv"),
            vec![theirs.to_string(), system.to_string()],
        ),
        (format!("/v1/ledger/entries/{unknown_entry}"), vec![entry.to_string()]),
        (format!("/v1/payments/{unknown_payment}"), vec![payment.to_string()]),
        (format!("/v1/payments/{unknown_payment}/refunds"), vec![payment.to_string()]),
        (format!("/v1/payments/{unknown_payment}/timeline"), vec![payment.to_string()]),
        (
            format!("/v1/merchants/{unknown_merchant}"),
            vec![TOKO.to_string(), platforms_own.to_string()],
        ),
    ] {
        let expected = other.get(&unknown).await;
        assert_eq!(expected.problem(), (404, "not-found".to_owned()), "{unknown}");
        let id = unknown.split('/').find(|part| part.contains('_')).expect("an id");
        for hidden in hidden {
            let answer = other.get(&unknown.replace(id, &hidden)).await;
            assert_eq!(answer.status, expected.status, "{hidden}");
            assert_eq!(answer.body, expected.body, "byte for byte: {hidden}");
            let headers = ["content-type", "runut-position", "etag", "content-length"];
            for name in headers {
                assert_eq!(answer.header(name), expected.header(name), "{name} of {hidden}");
            }
        }
        let garbled = other.get(&unknown.replace(id, "garbled")).await;
        assert_eq!(garbled.body, expected.body, "{unknown}");
    }
}

#[tokio::test]
async fn no_list_has_anything_of_another_merchant() {
    let platform = Platform::new().await;
    let entry = platform.sell(TOKO, "order-1", 100).await;
    platform.open(MerchantId::PLATFORM, "fees", AccountType::Income, "USD").await;
    let payment = platform.pay(TOKO, "lost_card").await;
    let other = platform.other_merchant.seeing(platform.position());
    let hidden = [
        payment.to_string(),
        TOKO.to_string(),
        entry.to_string(),
        account(TOKO, "cash").to_string(),
        account(MerchantId::PLATFORM, "fees").to_string(),
    ];
    for path in ["/v1/accounts", "/v1/ledger/entries", "/v1/ledger/trial-balance", "/v1/merchants"]
    {
        for filter in [String::new(), format!("?ledger={TOKO}"), "?ledger=platform".to_owned()] {
            let answer = other.get(&format!("{path}{filter}")).await;
            if path == "/v1/merchants" && !filter.is_empty() {
                assert_eq!(answer.status.as_u16(), 422, "merchants have no such filter");
                continue;
            }
            assert_eq!(answer.status.as_u16(), 200, "{path}{filter}");
            for hidden in &hidden {
                assert!(!answer.body.contains(hidden), "{path}{filter}: {answer}");
            }
        }
    }
    for filter in [String::new(), format!("?merchant={TOKO}"), "?decline_class=hard".to_owned()] {
        let answer = other.get(&format!("/v1/payments{filter}")).await;
        assert_eq!(answer.body, r#"{"data":[],"next_cursor":null}"#, "{filter}");
    }
    let nothing = other.get("/v1/ledger/trial-balance").await;
    assert_eq!(nothing.body, r#"{"currencies":[]}"#, "its own ledger has no postings");
}

#[tokio::test]
async fn the_raw_log_is_for_auditors_and_operators_and_the_platforms_matters_for_the_platform() {
    let platform = Platform::new().await;
    let stream = format!("/v1/streams/account-{}", account(TOKO, "cash"));
    let (merchant, reader) = (&platform.merchant, &platform.reader);
    let (analyst, auditor) = (&platform.analyst, &platform.auditor);
    for path in ["/v1/events", "/v1/events?limit=0", &stream, "/v1/api-keys"] {
        for actor in [merchant, reader, analyst, &platform.other_merchant] {
            let refused = actor.get(path).await;
            assert_eq!(refused.problem(), (403, "insufficient-scope".to_owned()), "{path}");
        }
    }
    let follows = analyst.get_with("/v1/events", &[("accept", "text/event-stream")]).await;
    assert_eq!(follows.problem().0, 403);
    for path in ["/v1/events", &stream, "/v1/api-keys", "/v1/projections"] {
        for actor in [auditor, &platform.operator] {
            let answer = actor.seeing(platform.position()).get(path).await;
            assert_eq!(answer.status.as_u16(), 200, "{path}: {answer}");
        }
    }
    assert_eq!(analyst.get("/v1/projections").await.status.as_u16(), 200);
    for actor in [merchant, reader] {
        assert_eq!(actor.get("/v1/projections").await.problem().0, 403);
    }
}

#[tokio::test]
async fn the_platforms_roles_see_every_ledger() {
    let platform = Platform::new().await;
    let entries =
        [platform.sell(TOKO, "order-1", 100).await, platform.sell(WARUNG, "order-1", 1).await];
    platform.open(MerchantId::PLATFORM, "fees", AccountType::Income, "USD").await;
    for actor in [&platform.operator, &platform.auditor, &platform.analyst] {
        let actor = actor.seeing(platform.position());
        for entry in entries {
            let shown = actor.get(&format!("/v1/ledger/entries/{entry}")).await;
            assert_eq!(shown.status.as_u16(), 200);
        }
        let system = account(MerchantId::PLATFORM, "fees");
        let shown = actor.get(&format!("/v1/accounts/{system}")).await.json();
        assert_eq!(shown["ledger"], serde_json::Value::Null);
        let own = actor.get("/v1/accounts?ledger=platform").await.ids();
        assert_eq!(own, [system.to_string()]);
    }
}
