//! Charges, captures, voids and refunds, and what is refused of them.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::ground::{Folder, Running, answer, charge_body, path_of};

#[tokio::test]
async fn a_sale_is_an_operation_and_a_charge() {
    let folder = Folder::new();
    let psp = Running::start(&folder).await;
    let sale = psp.sold("k1", "ok").await;
    let id = sale["id"].as_str().expect("an id");
    let charge_id = sale["charge_id"].as_str().expect("an id");
    assert_eq!((id.len(), &id[..3]), (27, "op_"));
    assert_eq!((charge_id.len(), &charge_id[..3]), (27, "ch_"));
    let expected = json!({
        "id": id, "charge_id": charge_id, "reference": "pay_1", "idempotency_key": "k1",
        "kind": "sale", "status": "succeeded", "amount_minor": 10_000, "currency": "USD",
        "decline": null, "created_at": sale["created_at"],
    });
    assert_eq!(sale, expected);
    assert_eq!(psp.operation("k1").await.body, sale);
    let charge = psp.get(&format!("/v1/charges/{charge_id}")).await.body;
    assert_eq!(charge["captured_minor"], 10_000);
    assert_eq!(charge["operations"], json!([sale]));
}

#[tokio::test]
async fn an_authorization_is_captured_in_parts_and_refunded_in_parts() {
    let folder = Folder::new();
    let psp = Running::start(&folder).await;
    let charge = psp.authorized("k1", "ok").await;
    assert_eq!(psp.clearing().await, json!({}));
    let captures = path_of(&charge, "captures");
    let part = json!({"amount_minor": 6_000, "final": false});
    assert_eq!(psp.send(&captures, "k2", &part).await.body["kind"], "capture");
    let beyond = psp.send(&captures, "k3", &json!({"amount_minor": 4_001, "final": false})).await;
    assert_eq!((beyond.status, beyond.code()), (StatusCode::CONFLICT, "amount_too_large"));
    let last = json!({"amount_minor": 3_000, "final": true});
    assert_eq!(psp.send(&captures, "k4", &last).await.status, StatusCode::CREATED);
    let more = psp.send(&captures, "k5", &json!({"amount_minor": 1, "final": false})).await;
    assert_eq!((more.status, more.code()), (StatusCode::CONFLICT, "charge_already_captured"));
    let refunds = path_of(&charge, "refunds");
    let refund = psp.send(&refunds, "k6", &json!({"amount_minor": 8_999})).await;
    assert_eq!((refund.status, &refund.body["kind"]), (StatusCode::CREATED, &json!("refund")));
    let beyond = psp.send(&refunds, "k7", &json!({"amount_minor": 2})).await;
    assert_eq!((beyond.status, beyond.code()), (StatusCode::CONFLICT, "amount_too_large"));
    assert_eq!(psp.clearing().await, json!({"USD": 1}));
}

#[tokio::test]
async fn a_void_ends_an_authorization() {
    let folder = Folder::new();
    let psp = Running::start(&folder).await;
    let charge = psp.authorized("k1", "ok").await;
    let void = psp.send(&path_of(&charge, "void"), "k2", &json!({})).await;
    assert_eq!((&void.body["kind"], &void.body["amount_minor"]), (&json!("void"), &json!(10_000)));
    let capture = json!({"amount_minor": 1, "final": true});
    let capture = psp.send(&path_of(&charge, "captures"), "k3", &capture).await;
    assert_eq!((capture.status, capture.code()), (StatusCode::CONFLICT, "charge_voided"));
    let sale = psp.sold("k4", "ok").await;
    let void = psp.send(&path_of(&sale, "void"), "k5", &json!({})).await;
    assert_eq!((void.status, void.code()), (StatusCode::CONFLICT, "charge_already_captured"));
}

#[tokio::test]
async fn what_was_refused_by_the_rules_is_not_kept_under_its_key() {
    let folder = Folder::new();
    let psp = Running::start(&folder).await;
    let charge = psp.authorized("k1", "ok").await;
    let refund = json!({"amount_minor": 5});
    let early = psp.send(&path_of(&charge, "refunds"), "k2", &refund).await;
    assert_eq!((early.status, early.code()), (StatusCode::CONFLICT, "charge_not_captured"));
    assert_eq!(psp.operation("k2").await.status, StatusCode::NOT_FOUND);
    let capture = json!({"amount_minor": 5, "final": false});
    let reused = psp.send(&path_of(&charge, "captures"), "k2", &capture).await;
    assert_eq!(reused.status, StatusCode::CREATED);
}

#[tokio::test]
async fn a_body_that_is_wrong_is_refused_with_its_field() {
    let folder = Folder::new();
    let psp = Running::start(&folder).await;
    let wrong = |field: &str, value: Value| {
        let mut body = charge_body("pay_1", "ok", true);
        body[field] = value;
        body
    };
    for (field, value) in [
        ("reference", json!("")),
        ("reference", json!("with space")),
        ("reference", json!("r".repeat(65))),
        ("amount_minor", json!(0)),
        ("amount_minor", json!(9_007_199_254_740_992_i64)),
        ("amount_minor", json!(1.5)),
        ("currency", json!("usd")),
        ("currency", json!("US")),
        ("token", json!("card")),
        ("capture", json!("yes")),
        ("tip_minor", json!(1)),
    ] {
        let refused = psp.send("/v1/charges", "k1", &wrong(field, value.clone())).await;
        let message = refused.body["error"]["message"].as_str().expect("a message");
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{field} {value}");
        assert_eq!(refused.code(), "invalid_request");
        assert!(message.contains(field), "{message} names {field}");
    }
    let charge = psp.authorized("k1", "ok").await;
    for (action, body) in [
        ("captures", json!({"amount_minor": 1})),
        ("captures", json!({"amount_minor": -1, "final": true})),
        ("refunds", json!({"amount_minor": null})),
        ("void", json!({"why": "because"})),
    ] {
        let refused = psp.send(&path_of(&charge, action), "k2", &body).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{action} {body}");
    }
    let long = wrong("reference", json!("r".repeat(10_000)));
    let refused = psp.send("/v1/charges", "k2", &long).await;
    assert_eq!(
        (refused.status, refused.code()),
        (StatusCode::PAYLOAD_TOO_LARGE, "body_unreadable")
    );
}

#[tokio::test]
async fn a_request_needs_the_api_key_and_an_idempotency_key() {
    let folder = Folder::new();
    let psp = Running::start(&folder).await;
    let live = answer(psp.request(Method::GET, "/health/live")).await.expect("an answer");
    assert_eq!(live.status, StatusCode::OK);
    for path in ["/ledger", "/ledger/summary", "/v1/operations/k1", "/v1/charges/ch_1", "/nowhere"]
    {
        let bare = answer(psp.request(Method::GET, path)).await.expect("an answer");
        assert_eq!(
            (bare.status, bare.code()),
            (StatusCode::UNAUTHORIZED, "unauthorized"),
            "{path}"
        );
        let wrong = psp.request(Method::GET, path).bearer_auth("sk_test_2");
        assert_eq!(answer(wrong).await.expect("an answer").status, StatusCode::UNAUTHORIZED);
        let right = psp.get(path).await.status;
        let expected =
            if path.starts_with("/ledger") { StatusCode::OK } else { StatusCode::NOT_FOUND };
        assert_eq!(right, expected, "{path}");
    }
    let body = charge_body("pay_1", "ok", true);
    let bare = psp.request(Method::POST, "/v1/charges").bearer_auth(crate::ground::API_KEY);
    let bare = answer(bare.body(body.to_string())).await.expect("an answer");
    assert_eq!((bare.status, bare.code()), (StatusCode::BAD_REQUEST, "idempotency_key_invalid"));
    for key in ["", "with space", &"k".repeat(65)] {
        let refused = psp.send("/v1/charges", key, &body).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{key:?}");
    }
    let longest = "k".repeat(64);
    assert_eq!(psp.send("/v1/charges", &longest, &body).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn an_unknown_charge_is_not_found() {
    let folder = Folder::new();
    let psp = Running::start(&folder).await;
    for (action, body) in [
        ("captures", json!({"amount_minor": 1, "final": true})),
        ("refunds", json!({"amount_minor": 1})),
        ("void", json!({})),
    ] {
        let unknown = psp.send(&format!("/v1/charges/ch_none/{action}"), "k1", &body).await;
        assert_eq!((unknown.status, unknown.code()), (StatusCode::NOT_FOUND, "not_found"));
    }
}

#[tokio::test]
async fn the_ledger_is_read_in_pages_and_in_sum() {
    let folder = Folder::new();
    let psp = Running::start(&folder).await;
    let mut ids = Vec::new();
    for n in 0..5 {
        ids.push(psp.sold(&format!("k{n}"), "ok").await["charge_id"].clone());
    }
    psp.charge("k5", "decline_hard", true).await;
    let shown = |page: &Value| {
        let charges = page["charges"].as_array().expect("charges");
        charges.iter().map(|charge| charge["id"].clone()).collect::<Vec<_>>()
    };
    let first = psp.get("/ledger?limit=2").await.body;
    assert_eq!(shown(&first), ids[..2]);
    assert_eq!((&first["next"], &first["clearing"]), (&ids[1], &json!({"USD": 50_000})));
    let after = first["next"].as_str().expect("more");
    let rest = psp.get(&format!("/ledger?after={after}")).await.body;
    assert_eq!(shown(&rest)[..3], ids[2..]);
    assert_eq!((rest["charges"].as_array().map(Vec::len), &rest["next"]), (Some(4), &Value::Null));
    for (query, status) in [
        ("limit=0", StatusCode::UNPROCESSABLE_ENTITY),
        ("limit=10001", StatusCode::UNPROCESSABLE_ENTITY),
        ("page=2", StatusCode::UNPROCESSABLE_ENTITY),
        ("after=ch_none", StatusCode::NOT_FOUND),
    ] {
        assert_eq!(psp.get(&format!("/ledger?{query}")).await.status, status, "{query}");
    }
    let summary = psp.get("/ledger/summary").await.body;
    let expected = json!({
        "charges": 6,
        "operations": {"sale": {"succeeded": 5, "declined": 1}},
        "changing": 0,
        "clearing": {"USD": 50_000},
    });
    assert_eq!(summary, expected);
}

#[tokio::test]
async fn clearing_is_kept_by_currency() {
    let folder = Folder::new();
    let psp = Running::start(&folder).await;
    psp.sold("k1", "ok").await;
    let mut body = charge_body("pay_2", "ok", true);
    body["currency"] = json!("JPY");
    body["amount_minor"] = json!(700);
    psp.send("/v1/charges", "k2", &body).await;
    assert_eq!(psp.clearing().await, json!({"USD": 10_000, "JPY": 700}));
}
