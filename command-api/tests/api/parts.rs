//! Entries that move what is available, that take effect at a time of their own, and that are undone in part
//! or replaced.

use event_store::{Clock, SystemClock};
use serde_json::{Value, json};

use crate::actors::{entry, posting};
use crate::answers::Answer;
use crate::app::App;

const ENTRIES: &str = "/v1/ledger/entries";

struct Books {
    app: App,
    cash: String,
    sales: String,
}

impl Books {
    /// With 10.00 in cash, which may not be overdrawn; posted as `deposit`.
    async fn new() -> (Self, String) {
        let app = App::new().await;
        let cash = app.merchant.open("cash", Some("0.00")).await;
        let sales = app.merchant.open("sales", None).await;
        let deposit = entry("deposit", &cash, &sales, "10.00");
        let deposit = app.merchant.post_entry(&deposit).await.expect(201).text("id");
        (Self { app, cash, sales }, deposit)
    }

    async fn of(&self, entry: &str, verb: &str, body: &Value) -> Answer {
        self.app.merchant.post(&format!("{ENTRIES}/{entry}/{verb}"), body).await
    }

    async fn cash_minor(&self) -> i64 {
        self.app.balance_minor(&self.cash).await
    }
}

#[tokio::test]
async fn an_entry_moves_up_to_what_is_available_and_says_how_much() {
    let (books, _) = Books::new().await;
    let merchant = &books.app.merchant;
    let mut sweep = entry("sweep-1", &books.sales, &books.cash, "25.00");
    sweep["up_to"] = json!(true);
    let moved = merchant.post_entry(&sweep).await;
    insta::assert_snapshot!("moved_what_was_available", moved);
    let again = sweep.clone();
    sweep["external_ref"] = json!("sweep-2");
    let nothing = merchant.post_entry(&sweep).await.expect(409);
    assert_eq!(nothing.text("code"), "insufficient-funds");
    assert_eq!(books.cash_minor().await, 0);
    merchant.post_entry(&entry("more", &books.cash, &books.sales, "1.00")).await.expect(201);
    assert_eq!(merchant.post_entry(&again).await.expect(200).body, moved.body);
    assert_eq!(books.cash_minor().await, 100);
    let mut split = sweep.clone();
    let halves = [
        posting(&books.sales, "debit", "2.00"),
        posting(&books.cash, "credit", "1.00"),
        posting(&books.cash, "credit", "1.00"),
    ];
    split["postings"] = json!(halves);
    let refused = merchant.post_entry(&split).await.expect(422);
    assert_eq!(refused.pointers(), ["/postings"]);
}

#[tokio::test]
async fn what_is_dated_before_a_cut_off_is_late_and_says_so() {
    let (books, _) = Books::new().await;
    let merchant = &books.app.merchant;
    merchant.post("/v1/ledger/closes", &json!({"day": "2020-01-31"})).await.expect(202);
    let mut dated = entry("r1", &books.cash, &books.sales, "1.00");
    dated["effective_at"] = json!("2020-01-15T12:00:00+07:00");
    let late = merchant.post_entry(&dated).await;
    insta::assert_snapshot!("late", late);
    assert_eq!(merchant.post_entry(&dated).await.expect(200).body, late.body);
    dated["external_ref"] = json!("r2");
    dated["effective_at"] = json!("2020-02-01T12:00:00Z");
    let in_time = merchant.post_entry(&dated).await.expect(201).json();
    assert_eq!(in_time.as_object().map(serde_json::Map::len), Some(3), "today's answer: {in_time}");
    for far in ["1969-12-31T23:59:59Z", "2100-01-01T00:00:00Z"] {
        dated["external_ref"] = json!("r3");
        dated["effective_at"] = json!(far);
        let refused = merchant.post_entry(&dated).await.expect(422);
        assert_eq!(refused.text("code"), "effective-time-out-of-range");
    }
    for (field, text) in [("effective_at", "noon"), ("payment", "ent_1"), ("dispute", "")] {
        let mut wrong = entry("r4", &books.cash, &books.sales, "1.00");
        wrong[field] = json!(text);
        let refused = merchant.post_entry(&wrong).await.expect(422);
        assert_eq!(refused.pointers(), [format!("/{field}")]);
    }
}

#[tokio::test]
async fn an_entry_is_reversed_in_parts() {
    let (books, deposit) = Books::new().await;
    let soon = SystemClock.now().plus_millis(3_600_000).to_string();
    let mut part = json!({"amount": "4.00", "currency": "USD", "external_ref": "back-1",
                          "effective_at": "2020-01-15T12:00:00Z"});
    let early = books.of(&deposit, "reverse", &part).await.expect(422);
    assert_eq!(early.text("code"), "effective-before-original");
    part["effective_at"] = json!(soon);
    let first = books.of(&deposit, "reverse", &part).await.expect(201);
    assert_eq!(first.text("reverses"), deposit);
    let again = books.of(&deposit, "reverse", &part).await.expect(200);
    assert_eq!(again.body, first.body);
    let other = json!({"amount": "4.01", "currency": "USD", "external_ref": "back-1"});
    let other = books.of(&deposit, "reverse", &other).await.expect(409);
    assert_eq!(other.text("code"), "external-ref-taken");
    let much = json!({"amount": "6.01", "currency": "USD"});
    let much = books.of(&deposit, "reverse", &much).await.expect(409);
    assert_eq!(much.text("code"), "amount-above-reversible");
    let postings = [posting(&books.cash, "debit", "1.00"), posting(&books.sales, "credit", "1.00")];
    books.of(&deposit, "reverse", &json!({"postings": postings})).await.expect(201);
    assert_eq!(books.cash_minor().await, 500);
    books.of(&deposit, "reverse", &json!({})).await.expect(201);
    assert_eq!(books.cash_minor().await, 0);
    let done = books.of(&deposit, "reverse", &json!({})).await.expect(409);
    assert_eq!(done.text("code"), "entry-already-reversed");
}

#[tokio::test]
async fn what_is_wrong_with_a_part_is_said_by_field() {
    let (books, deposit) = Books::new().await;
    for (body, pointer) in [
        (json!({"amount": "1.00"}), "/currency"),
        (json!({"currency": "USD"}), "/amount"),
        (json!({"amount": "1.00", "currency": "USD", "postings": []}), "/postings"),
        (json!({"amount": "1.000", "currency": "USD"}), "/amount"),
        (json!({"postings": [posting(&books.cash, "left", "1.00")]}), "/postings/0/direction"),
        (json!({"up_to": true}), "/up_to"),
    ] {
        let refused = books.of(&deposit, "reverse", &body).await.expect(422);
        assert_eq!(refused.pointers(), [pointer], "{body}");
    }
    let three = [
        posting(&books.cash, "debit", "2.00"),
        posting(&books.sales, "credit", "1.00"),
        posting(&books.sales, "credit", "1.00"),
    ];
    let split = json!({"external_ref": "split", "postings": three});
    let split = books.app.merchant.post_entry(&split).await.expect(201).text("id");
    let part = json!({"amount": "1.00", "currency": "USD"});
    let refused = books.of(&split, "reverse", &part).await.expect(422);
    assert_eq!(refused.text("code"), "amount-ambiguous");
}

#[tokio::test]
async fn an_entry_is_replaced_in_one_go() {
    let (books, deposit) = Books::new().await;
    books.of(&deposit, "reverse", &json!({"amount": "1.00", "currency": "USD"})).await.expect(201);
    let better = entry("deposit-b", &books.cash, &books.sales, "8.00");
    let replaced = books.of(&deposit, "replace", &better).await;
    insta::assert_snapshot!("replaced", replaced);
    assert_eq!(replaced.text("replaces"), deposit);
    assert_eq!(books.cash_minor().await, 800);
    let again = books.of(&deposit, "replace", &better).await.expect(200);
    assert_eq!(again.text("id"), replaced.text("id"));
    assert_eq!(again.json().get("reversal"), None, "it is not known from the entry alone");
    let other = entry("deposit-c", &books.cash, &books.sales, "8.00");
    let done = books.of(&deposit, "replace", &other).await.expect(409);
    assert_eq!(done.text("code"), "entry-already-reversed");
    let mut wrong = better.clone();
    wrong["up_to"] = json!(false);
    let refused = books.of(&deposit, "replace", &wrong).await.expect(422);
    assert_eq!(refused.pointers(), ["/up_to"]);
    wrong = entry("", &books.cash, &books.sales, "0");
    let refused = books.of(&deposit, "replace", &wrong).await.expect(422);
    let expected = ["/external_ref", "/postings/0/amount", "/postings/1/amount"];
    assert_eq!(refused.pointers(), expected);
    let reversal = replaced.text("reversal");
    let of_reversal = books.of(&reversal, "replace", &other).await.expect(409);
    assert_eq!(of_reversal.text("code"), "reversal-is-final");
}
