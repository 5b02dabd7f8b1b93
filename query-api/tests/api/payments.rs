//! Payments as they stand, listed, and how they got there.

use domain::psps::DisablePsp;
use domain::{Command, Name, PaymentId};
use serde_json::{Value, json};

use crate::platform::{Platform, TOKO, WARUNG};

#[tokio::test]
async fn a_payment_is_shown_with_its_amounts_and_its_version_as_etag() {
    let platform = Platform::new().await;
    let id = platform.pay(TOKO, "ok").await;
    platform.refund(TOKO, id, 2_500).await;
    let merchant = platform.merchant.seeing(platform.position());
    let answer = merchant.get(&format!("/v1/payments/{id}")).await;
    insta::assert_json_snapshot!("payment", redacted(answer.json()));
    assert_eq!(answer.header("etag"), "\"7\"");
    let unchanged =
        merchant.get_with(&format!("/v1/payments/{id}"), &[("if-none-match", "\"7\"")]).await;
    assert_eq!(unchanged.status.as_u16(), 304);
    let refunds = merchant.get(&format!("/v1/payments/{id}/refunds")).await.json();
    assert_eq!(refunds["data"][0]["amount"], "25.00");
    assert_eq!(refunds["data"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn payments_are_listed_by_what_they_are() {
    let platform = Platform::new().await;
    let paid = platform.pay(TOKO, "ok").await;
    let lost = platform.pay(TOKO, "lost_card").await;
    let restricted = platform.pay(TOKO, "restricted_card").await;
    let expired = platform.pay(TOKO, "expired_card").await;
    let elsewhere = platform.pay(WARUNG, "ok").await;
    let merchant = platform.merchant.seeing(platform.position());
    let operator = platform.operator.seeing(platform.position());
    let all = [expired, restricted, lost, paid];
    for (filter, expected) in [
        ("", &all[..]),
        ("?state=captured", &[paid]),
        ("?state=declined", &[restricted, lost]),
        ("?state=requires_method", &[expired]),
        ("?decline_class=data_fix", &[expired]),
        ("?decline_class=hard", &[restricted, lost]),
        // That it is thought to be fraud is said to nobody, not even by what a filter finds.
        ("?decline_class=fraud", &[]),
        ("?psp=alpha", &all),
        ("?psp=beta", &[]),
        ("?customer=customer%207", &all),
        ("?customer=nobody", &[]),
        ("?reference=ok", &[paid]),
        ("?currency=USD&amount_min=100.00&amount_max=100.00", &all),
        ("?currency=USD&amount_min=100.01", &[]),
        ("?currency=JPY", &[]),
        ("?from=2000-01-01T00:00:00Z", &all),
        ("?to=2000-01-01T00:00:00Z", &[]),
    ] {
        let ids = merchant.get(&format!("/v1/payments{filter}")).await.ids();
        assert_eq!(ids, texts(expected), "{filter}");
    }
    let ids = operator.get(&format!("/v1/payments?merchant={WARUNG}")).await.ids();
    assert_eq!(ids, texts(&[elsewhere]));
    let page = merchant.get("/v1/payments?limit=3").await.json();
    let cursor = page["next_cursor"].as_str().expect("more").to_owned();
    let rest = merchant.get(&format!("/v1/payments?limit=3&cursor={cursor}")).await.ids();
    assert_eq!(rest, texts(&[paid]));
    for wrong in ["?amount_min=1", "?amount_min=1.001&currency=USD", "?state=odd", "?surprise=1"] {
        let refused = merchant.get(&format!("/v1/payments{wrong}")).await;
        assert_eq!(refused.problem(), (422, "invalid-request".to_owned()), "{wrong}");
    }
}

#[tokio::test]
async fn the_timeline_has_every_event_and_entry_and_keys_for_operators_only() {
    let platform = Platform::new().await;
    let id = platform.pay(TOKO, "ok").await;
    platform.refund(TOKO, id, 2_500).await;
    let path = format!("/v1/payments/{id}/timeline");
    let timeline = |answer: Value| answer["data"].as_array().expect("a list").clone();
    let merchants = timeline(platform.merchant.seeing(platform.position()).get(&path).await.json());
    let types: Vec<&str> = merchants.iter().filter_map(|item| item["type"].as_str()).collect();
    assert_eq!(
        types,
        [
            "payment.created",
            "payment.authorization_requested",
            "payment.attempt_started",
            "payment.captured",
            "ledger.entry_posted",
            "payment.refund_requested",
            "payment.attempt_started",
            "payment.refund_succeeded",
            "ledger.entry_posted",
        ]
    );
    let key = |items: &[Value]| items[2]["data"]["key"].clone();
    assert_eq!(key(&merchants), Value::Null);
    let operators = timeline(platform.operator.get(&path).await.json());
    assert!(key(&operators).is_string());
    let merchant = platform.merchant.seeing(platform.position());
    platform.webhook_of(id).await;
    let with_webhook = timeline(merchant.get(&path).await.json());
    assert_eq!(with_webhook.len(), merchants.len() + 1);
    let last = with_webhook.last().expect("the webhook");
    assert_eq!((&last["type"], &last["position"]), (&json!("psp.webhook"), &Value::Null));
    let first = merchant.get(&format!("{path}?limit=4")).await.json();
    let cursor = first["next_cursor"].as_str().expect("more").to_owned();
    let rest = timeline(merchant.get(&format!("{path}?limit=4&cursor={cursor}")).await.json());
    assert_eq!([timeline(first), rest].concat(), with_webhook, "cut between events");
}

#[tokio::test]
async fn a_reason_that_would_warn_a_fraudster_is_shown_to_operators_only() {
    let platform = Platform::new().await;
    let id = platform.pay(TOKO, "stolen_card").await;
    let merchant = platform.merchant.seeing(platform.position());
    for path in ["", "/timeline"] {
        let answer = merchant.get(&format!("/v1/payments/{id}{path}")).await;
        assert!(answer.body.contains("card_declined"), "{answer}");
        // It is the reference that this test gives the payment.
        let said = answer.body.replace("\"reference\":\"stolen_card\"", "");
        assert!(!said.contains("stolen") && !said.contains("fraud"), "{said}");
    }
    let raw = platform.operator.get(&format!("/v1/payments/{id}/timeline")).await;
    assert!(raw.body.contains("\"code\":\"stolen_card\""), "{raw}");
    for (actor, class, found) in [
        (&platform.operator, "fraud", 1),
        (&platform.operator, "hard", 0),
        (&merchant, "fraud", 0),
        (&merchant, "hard", 1),
    ] {
        let list = actor.get(&format!("/v1/payments?decline_class={class}")).await;
        assert_eq!(list.ids().len(), found, "{class}: {list}");
    }
}

#[tokio::test]
async fn psps_are_listed_with_their_switch_and_how_they_do() {
    let platform = Platform::new().await;
    let disable = DisablePsp {
        psp: "beta".parse().expect("a name"),
        reason: Some(Name::parse("too many time-outs").expect("a name")),
    };
    platform.submit(Command::DisablePsp(disable)).await;
    for (worker, breaker, errors) in [(1, "closed", 0), (2, "open", 10)] {
        platform.psp_does(worker, "alpha", breaker, errors).await;
    }
    let operator = platform.operator.seeing(platform.position());
    let psps = operator.get("/v1/psps").await.json();
    assert_eq!(
        psps["data"][0],
        json!({
            "psp": "alpha", "disabled": false, "reason": null, "switched_at": null,
            "health": {
                "breaker": "open", "calls": 40, "errors": 10, "under_way": 2, "workers": 2
            },
        })
    );
    assert_eq!(psps["data"][1]["psp"], "beta");
    assert_eq!(psps["data"][1]["disabled"], true);
    assert_eq!(psps["data"][1]["reason"], "too many time-outs");
    assert_eq!(psps["data"][1]["health"], Value::Null);
    assert_eq!(platform.merchant.get("/v1/psps").await.status.as_u16(), 403);
}

#[tokio::test]
async fn dead_letters_are_listed_for_operators() {
    let platform = Platform::new().await;
    for body in ["one", "two", "three"] {
        platform.dead_letter(body).await;
    }
    let letters = platform.operator.get("/v1/dead-letters?limit=2").await.json();
    assert_eq!(letters["data"][0]["body"], "three");
    assert_eq!(letters["data"][0]["reason"], "it makes no sense");
    let cursor = letters["next_cursor"].as_str().expect("more").to_owned();
    let rest = platform.operator.get(&format!("/v1/dead-letters?limit=2&cursor={cursor}")).await;
    assert_eq!(rest.json()["data"][0]["body"], "one");
    assert_eq!(platform.auditor.get("/v1/dead-letters").await.status.as_u16(), 403);
}

fn texts(ids: &[PaymentId]) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}

/// Without what differs from run to run.
fn redacted(mut answer: Value) -> Value {
    fn walk(value: &mut Value) {
        match value {
            Value::Object(fields) => {
                for (name, field) in fields {
                    if name.ends_with("_at") {
                        *field = "[time]".into();
                    } else if ["id", "payment", "entry"].contains(&name.as_str()) {
                        *field = "[id]".into();
                    } else {
                        walk(field);
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(walk),
            _ => {}
        }
    }
    walk(&mut answer);
    answer
}
