//! Merchants and their API keys.

use serde_json::{Value, json};

use crate::app::App;

#[tokio::test]
async fn a_merchant_is_registered_with_its_fee_terms() {
    let app = App::new().await;
    let merchant = json!({
        "name": "Kopi ☕",
        "fees": {
            "percent": "2.9",
            "fixed": [{"amount": "0.30", "currency": "USD"}, {"amount": "30", "currency": "JPY"}],
            "rounding": "half_up"
        }
    });
    insta::assert_snapshot!("with_fees", app.operator.post("/v1/merchants", &merchant).await);
    let free = json!({"name": "Kopi"});
    insta::assert_snapshot!("without_fees", app.operator.post("/v1/merchants", &free).await);
    let some = json!({"name": "Kopi", "fees": {"percent": "1"}});
    let some = app.operator.post("/v1/merchants", &some).await.expect(201);
    let terms = json!({"percent": "1", "fixed": [], "rounding": "half_even"});
    assert_eq!(some.json()["fees"], terms);
}

#[tokio::test]
async fn fee_terms_that_make_no_sense_are_refused_by_field() {
    let app = App::new().await;
    let mut refusals = Vec::new();
    for fees in [
        json!({}),
        json!({"percent": 2.9}),
        json!({"percent": "101"}),
        json!({"percent": "1", "rounding": "nearest"}),
        json!({"percent": "1", "fixed": [{"amount": "0", "currency": "USD"}]}),
        json!({"percent": "1", "fixed": [{"amount": "1", "currency": "USD"},
                                         {"amount": "2", "currency": "USD"}]}),
    ] {
        let merchant = json!({"name": "", "fees": fees});
        let refused = app.operator.post("/v1/merchants", &merchant).await.expect(422);
        refusals.push(format!("{fees}\n  {}", refused.json()["errors"]));
    }
    insta::assert_snapshot!(refusals.join("\n"));
}

#[tokio::test]
async fn a_key_opens_what_its_role_allows_until_it_is_revoked() {
    let app = App::new().await;
    let new_key = json!({"role": "merchant", "merchant": app.merchant_id, "label": "checkout"});
    let issued = app.operator.post("/v1/api-keys", &new_key).await;
    insta::assert_snapshot!("issued", issued);
    let holder = app.service.caller(Some(issued.text("token")));
    holder.open("cash", None).await;
    let path = format!("/v1/api-keys/{}", issued.text("id"));
    insta::assert_snapshot!("revoked", app.operator.delete(&path).await);
    let account = json!({"code": "bank", "type": "asset", "currency": "USD"});
    holder.post("/v1/accounts", &account).await.expect(401);
    let again = app.operator.delete(&path).await.expect(200);
    assert_eq!(again.json()["revoked"], json!(true));
    assert_eq!(again.header("idempotent-replayed"), "", "another request, the same effect");
}

#[tokio::test]
async fn a_key_of_the_platform_has_no_merchant_and_a_merchants_key_has_one() {
    let app = App::new().await;
    let issued = app.operator.post("/v1/api-keys", &json!({"role": "auditor"})).await.expect(201);
    assert_eq!(issued.json()["merchant"], Value::Null);
    let homeless = app.operator.post("/v1/api-keys", &json!({"role": "merchant"})).await;
    insta::assert_snapshot!("homeless", homeless);
    let unknown = domain::MerchantId::from_uuid(uuid::Uuid::from_u128(1)).to_string();
    let stranger = json!({"role": "merchant", "merchant": unknown});
    let stranger = app.operator.post("/v1/api-keys", &stranger).await;
    insta::assert_snapshot!("stranger", stranger);
    let unknown = domain::ApiKeyId::from_uuid(uuid::Uuid::from_u128(1));
    let missing = app.operator.delete(&format!("/v1/api-keys/{unknown}")).await.expect(404);
    assert_eq!(missing.text("code"), "api-key-not-found");
}

#[tokio::test]
async fn a_token_is_in_the_first_answer_and_nowhere_else() {
    let app = App::new().await;
    let new_key = json!({"role": "merchant", "merchant": app.merchant_id});
    let issue = || app.operator.post_with_key("/v1/api-keys", &new_key, "the-key");
    let first = issue().await.expect(201);
    let second = issue().await;
    insta::assert_snapshot!("replayed_without_token", second);
    assert_eq!(first.text("id"), second.text("id"));
    assert_eq!(issue().await.body, second.body);
    let token = first.text("token");
    let secret = token.rsplit('_').next().expect("a secret");
    assert_eq!(secret.len(), 64);
    let stored = app.everything_stored().await;
    assert!(stored.contains("the-key") && !stored.contains(secret), "the secret is stored");
    // The digest may be there in hex; the secret's bytes in hex are the secret itself.
    let digest = domain::api_keys::SecretDigest::of(secret).to_string();
    assert!(stored.contains(&digest));
}
