//! Merchants, API keys, and who is let in.

use std::time::Duration;

use domain::MerchantId;
use domain::api_keys::Role;

use crate::platform::{Platform, TOKO, WARUNG};

#[tokio::test]
async fn merchants_are_listed_for_the_platform_and_a_merchant_sees_itself() {
    let platform = Platform::new().await;
    let position = platform.position();
    let list = platform.operator.seeing(position).get("/v1/merchants").await;
    insta::assert_snapshot!("the_list_of_merchants", list);
    let own = platform.merchant.seeing(position).get("/v1/merchants").await;
    assert_eq!(own.ids(), [TOKO.to_string()]);
    let shown = platform.reader.get(&format!("/v1/merchants/{TOKO}")).await;
    insta::assert_snapshot!("a_merchant", shown);
    let tag = shown.header("etag").to_owned();
    let path = format!("/v1/merchants/{TOKO}");
    let unchanged = platform.merchant.get_with(&path, &[("if-none-match", &tag)]).await;
    assert_eq!(unchanged.status.as_u16(), 304);
}

#[tokio::test]
async fn keys_are_listed_without_anything_of_their_secret() {
    let platform = Platform::new().await;
    let (key_id, _) = platform.issue(WARUNG, Role::MerchantRead).await;
    platform.revoke(key_id).await;
    let operator = platform.operator.seeing(platform.position());
    let list = operator.get("/v1/api-keys").await;
    insta::assert_snapshot!(list);
    for digest in ["secret", "sha256"] {
        assert!(!list.body.contains(digest), "{list}");
    }
    let theirs = operator.get(&format!("/v1/api-keys?merchant={WARUNG}")).await.json();
    assert_eq!(theirs["data"].as_array().expect("keys").len(), 2);
    let platforms = platform.auditor.get("/v1/api-keys?merchant=platform").await.json();
    assert_eq!(platforms["data"].as_array().expect("keys").len(), 3);
}

#[tokio::test]
async fn a_key_opens_as_soon_as_it_is_issued_and_nothing_a_second_after_it_was_revoked() {
    let mut platform = Platform::new().await;
    platform.merchant.seeing(platform.position()).get("/v1/accounts").await.json();
    // Not even the read models have to know.
    platform.stop_projecting().await;
    let (key_id, newcomer) = platform.issue(TOKO, Role::Merchant).await;
    assert_eq!(newcomer.get("/v1/accounts").await.status.as_u16(), 200);
    platform.revoke(key_id).await;
    let refused = async {
        while newcomer.get("/v1/accounts").await.status.as_u16() != 401 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(1), refused).await.expect("refused within 1 s");
    let revoked = newcomer.get("/v1/accounts").await;
    let anonymous = platform.anonymous.get("/v1/accounts").await;
    assert_eq!(revoked.body, anonymous.body, "nothing tells a revoked key from none");
}

#[tokio::test]
async fn keys_of_the_platform_are_the_platforms() {
    let platform = Platform::new().await;
    let (_, analyst) = platform.issue(MerchantId::PLATFORM, Role::Analyst).await;
    let list = analyst.seeing(platform.position()).get("/v1/accounts").await;
    assert_eq!(list.ids().len(), 4);
}
