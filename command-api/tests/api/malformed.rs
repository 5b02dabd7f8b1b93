//! What cannot be read is refused clearly, field by field, and leaves no trace.

use std::fmt::Write;

use command_api::{ACCOUNT_BODY_BYTES_MAX, EMPTY_BODY_BYTES_MAX, ENTRY_BODY_BYTES_MAX};
use serde_json::{Value, json};

use crate::actors::{Sending, entry};
use crate::answers::Answer;
use crate::app::App;

const ENTRIES: &str = "/v1/ledger/entries";

/// Collects what was refused and how, for one snapshot.
#[derive(Default)]
struct Refusals(String);

impl Refusals {
    fn note(&mut self, what: &str, refused: &Answer) {
        assert!((400..500).contains(&refused.status), "{what}: {refused}");
        assert_eq!(refused.header("content-type"), "application/problem+json", "{what}");
        let problem = refused.json();
        let errors = problem.get("errors").map_or_else(String::new, Value::to_string);
        let (code, detail) = (&problem["code"], &problem["detail"]);
        let line = writeln!(self.0, "{what}\n  {} {code}: {detail}\n  {errors}", refused.status);
        line.expect("a text grows");
    }
}

struct Ledger {
    app: App,
    cash: String,
    sales: String,
}

impl Ledger {
    async fn new() -> Self {
        let app = App::new().await;
        let (cash, sales) =
            (app.merchant.open("cash", None).await, app.merchant.open("sales", None).await);
        Self { app, cash, sales }
    }

    fn entry(&self) -> Value {
        entry("r1", &self.cash, &self.sales, "10.00")
    }

    fn sending(&self, body: impl Into<Vec<u8>>) -> Sending {
        self.app.merchant.request("POST", ENTRIES).body(body)
    }

    /// A valid entry as text, with `from` replaced by `to`.
    fn with(&self, from: &str, to: &str) -> String {
        let text = self.entry().to_string();
        assert!(text.contains(from), "{from} is in {text}");
        text.replacen(from, to, 1)
    }
}

#[tokio::test]
async fn an_entry_that_is_not_one_is_refused_by_field_and_leaves_no_trace() {
    let ledger = Ledger::new().await;
    let before = ledger.app.written().await;
    let mut refusals = Refusals::default();
    let amount = r#""amount":"10.00""#;
    let changes = [
        ("malformed JSON", r#"{"#, r#"{{"#),
        ("a number for an amount", amount, r#""amount":10.00"#),
        ("1e400 as a number", amount, r#""amount":1e400"#),
        ("1e400 as a text", amount, r#""amount":"1e400""#),
        ("null for an amount", amount, r#""amount":null"#),
        ("a negative amount", amount, r#""amount":"-10.00""#),
        ("zero", amount, r#""amount":"0.00""#),
        ("too many decimals", amount, r#""amount":"10.000""#),
        ("a huge amount", amount, r#""amount":"99999999999999999999.00""#),
        ("an unknown currency", r#""currency":"USD""#, r#""currency":"usd""#),
        ("unbalanced", amount, r#""amount":"10.01""#),
        ("an unknown direction", r#""debit""#, r#""left""#),
        ("a direction as an object", r#""debit""#, r#"{"debit":null}"#),
        ("a bad account id", &ledger.cash, "acc_1"),
        ("another kind of id", "acc_", "mer_"),
        ("an unknown field", r#""postings""#, r#""colour":"red","postings""#),
        ("an unknown field inside", amount, r#""amount":"10.00","fee":"1""#),
        ("a duplicate key", r#""postings""#, r#""external_ref":"r2","postings""#),
        ("a duplicate key inside", amount, r#""amount":"10.00","amount":"10.00""#),
        ("an escaped NUL", r#""r1""#, r#""r\u00001""#),
        ("an escaped NUL in a key", r#""postings""#, r#""a\u0000":1,"postings""#),
        ("a NUL byte", r#""r1""#, "\"r\x001\""),
        ("a control character", r#""r1""#, r#""r\n1""#),
        ("an empty reference", r#""r1""#, r#""""#),
        ("a reserved reference", r#""r1""#, r#""payment:1""#),
        ("metadata that is no text", r#""postings""#, r#""metadata":{"a":1},"postings""#),
        ("empty metadata", r#""postings""#, r#""metadata":{"a/b":""},"postings""#),
        ("a missing field", r#""external_ref":"r1","#, ""),
    ];
    for (what, from, to) in changes {
        refusals.note(what, &ledger.sending(ledger.with(from, to)).send().await);
    }
    for (what, body) in [
        ("nothing", &b""[..]),
        ("no object", b"[]"),
        ("not UTF-8", b"{\"external_ref\":\"\xff\"}"),
        ("two documents", b"{} {}"),
    ] {
        refusals.note(what, &ledger.sending(body).send().await);
    }
    insta::assert_snapshot!(refusals.0);
    assert_eq!(ledger.app.written().await, before);
}

#[tokio::test]
async fn too_few_and_too_many_postings_are_refused() {
    let ledger = Ledger::new().await;
    let before = ledger.app.written().await;
    let mut refusals = Refusals::default();
    let posting = ledger.entry()["postings"][0].clone();
    for count in [0, 1, 1_001] {
        let mut entry = ledger.entry();
        entry["postings"] = json!(vec![&posting; count]);
        let refused = ledger.sending(entry.to_string()).send().await;
        refusals.note(&format!("{count} postings"), &refused);
    }
    insta::assert_snapshot!(refusals.0);
    assert_eq!(ledger.app.written().await, before);
}

#[tokio::test]
async fn every_wrong_field_is_named_at_once() {
    let ledger = Ledger::new().await;
    let mut entry = entry("", "acc_1", "acc_2", "0");
    entry["description"] = json!("");
    entry["metadata"] = json!({"": "x"});
    let refused = ledger.sending(entry.to_string()).send().await.expect(422);
    assert_eq!(
        refused.pointers(),
        [
            "/external_ref",
            "/description",
            "/metadata",
            "/postings/0/account",
            "/postings/0/amount",
            "/postings/1/account",
            "/postings/1/amount"
        ]
    );
}

#[tokio::test]
async fn a_request_around_a_valid_body_can_be_wrong_too() {
    let ledger = Ledger::new().await;
    let before = ledger.app.written().await;
    let body = ledger.entry().to_string();
    let sending = || ledger.sending(body.clone());
    let too_large = " ".repeat(ENTRY_BODY_BYTES_MAX + 1 - body.len());
    let mut refusals = Refusals::default();
    for (what, sending) in [
        ("no Idempotency-Key", sending().without("idempotency-key")),
        ("an empty Idempotency-Key", sending().key("")),
        ("blanks in the Idempotency-Key", sending().key("a b")),
        ("a card's number in the Idempotency-Key", sending().key("pay-4242424242424242")),
        ("a long Idempotency-Key", sending().key(&"k".repeat(256))),
        ("an Idempotency-Key in UTF-8", sending().header("idempotency-key", "é")),
        ("no content type", sending().without("content-type")),
        ("another content type", sending().header("content-type", "text/plain")),
        ("a large body", ledger.sending(format!("{body}{too_large}"))),
    ] {
        refusals.note(what, &sending.send().await);
    }
    insta::assert_snapshot!(refusals.0);
    assert_eq!(ledger.app.written().await, before);
    // All of these were refused for what they say of themselves: the body itself is fine.
    sending().send().await.expect(201);
}

#[tokio::test]
async fn other_commands_are_read_as_strictly() {
    let ledger = Ledger::new().await;
    let app = &ledger.app;
    let before = app.written().await;
    let account = |change: Value| {
        let mut account = json!({"code": "bank", "type": "asset", "currency": "USD"});
        for (key, value) in change.as_object().expect("an object") {
            account[key] = value.clone();
        }
        app.merchant.request("POST", "/v1/accounts").body(account.to_string())
    };
    let key = |body: Value| app.operator.request("POST", "/v1/api-keys").body(body.to_string());
    let merchant = |path: &str| app.merchant.request("POST", path);
    let freeze = format!("/v1/accounts/{}/freeze", ledger.cash);
    let mut refusals = Refusals::default();
    for (what, sending) in [
        ("a code with blanks", account(json!({"code": "petty cash"}))),
        ("an unknown type", account(json!({"type": "bank"}))),
        ("an unknown currency", account(json!({"currency": "XXX"}))),
        ("a minimum as a number", account(json!({"min_balance": 0}))),
        ("a minimum with many decimals", account(json!({"min_balance": "0.001"}))),
        ("a name with NUL", account(json!({"name": "a\0"}))),
        ("a large account", account(json!({"name": "n".repeat(ACCOUNT_BODY_BYTES_MAX)}))),
        ("an unknown role", key(json!({"role": "root"}))),
        ("a bad merchant", key(json!({"role": "merchant", "merchant": "mer_1"}))),
        ("an empty label", key(json!({"role": "auditor", "label": ""}))),
        ("a bad account id", merchant("/v1/accounts/acc_1/freeze")),
        ("another kind of id", merchant("/v1/accounts/ent_01h455vb4pex5vsknk084sn02q/freeze")),
        ("an id that is no text", merchant("/v1/accounts/%ff/close")),
        ("a bad entry id", merchant("/v1/ledger/entries/1/reverse")),
        ("a bad key id", app.operator.request("DELETE", "/v1/api-keys/1")),
        ("a field where there are none", merchant(&freeze).body(r#"{"why":"fraud"}"#)),
        ("a large nothing", merchant(&freeze).body(" ".repeat(EMPTY_BODY_BYTES_MAX + 1))),
        ("a garbled If-Match", merchant(&freeze).header("if-match", "1")),
    ] {
        refusals.note(what, &sending.send().await);
    }
    insta::assert_snapshot!(refusals.0);
    assert_eq!(app.written().await, before);
}
