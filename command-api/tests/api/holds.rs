//! Holds: made, posted in steps, voided.

use domain::holds::HoldStatus;
use serde_json::{Value, json};

use crate::actors::{entry, posting};
use crate::answers::Answer;
use crate::app::{App, Service};

const HOLDS: &str = "/v1/ledger/holds";
const SOON: &str = "2100-01-01T00:00:00Z";

struct Books {
    app: App,
    cash: String,
    sales: String,
}

impl Books {
    /// With 10.00 in cash, which may not be overdrawn.
    async fn new() -> Self {
        let app = App::new().await;
        let cash = app.merchant.open("cash", Some("0.00")).await;
        let sales = app.merchant.open("sales", None).await;
        app.merchant.post_entry(&entry("deposit", &cash, &sales, "10.00")).await.expect(201);
        Self { app, cash, sales }
    }

    /// To be paid out of cash.
    fn hold(&self, external_ref: &str, amount: &str) -> Value {
        entry(external_ref, &self.sales, &self.cash, amount)
    }

    async fn held(&self, external_ref: &str, amount: &str) -> String {
        let held = self.app.merchant.post(HOLDS, &self.hold(external_ref, amount)).await;
        held.expect(201).text("id")
    }

    async fn post(&self, hold: &str, body: &Value) -> Answer {
        self.app.merchant.post(&format!("{HOLDS}/{hold}/post"), body).await
    }

    async fn void(&self, hold: &str) -> Answer {
        self.app.merchant.request("POST", &format!("{HOLDS}/{hold}/void")).send().await
    }
}

#[tokio::test]
async fn what_is_held_cannot_be_spent_and_a_reference_is_one_hold() {
    let books = Books::new().await;
    let merchant = &books.app.merchant;
    let mut hold = books.hold("table-7", "4.00");
    hold["description"] = json!("Table 7");
    hold["metadata"] = json!({"table": "7"});
    let made = merchant.post_with_key(HOLDS, &hold, "k").await;
    insta::assert_snapshot!("held", made);
    let replayed = merchant.post_with_key(HOLDS, &hold, "k").await;
    assert_eq!((replayed.status, &replayed.body), (201, &made.body));
    assert_eq!(replayed.header("idempotent-replayed"), "true");
    let same = merchant.post(HOLDS, &hold).await.expect(200);
    assert_eq!(same.body, made.body);
    let other = merchant.post(HOLDS, &books.hold("table-7", "4.01")).await;
    insta::assert_snapshot!("another_hold_of_that_reference", other);
    let refused = merchant.post_entry(&entry("r1", &books.sales, &books.cash, "6.01")).await;
    assert_eq!(refused.expect(409).text("code"), "insufficient-funds");
    let totals = books.app.totals(&books.cash).await;
    assert_eq!((totals.debits_posted, totals.credits_pending), (1_000, 400));
    // Of entries it is another reference.
    merchant.post_entry(&entry("table-7", &books.sales, &books.cash, "2.00")).await.expect(201);
}

#[tokio::test]
async fn a_hold_is_posted_in_steps() {
    let books = Books::new().await;
    let hold = books.held("table-7", "8.00").await;
    let part = json!({"amount": "3.00", "currency": "USD", "external_ref": "first",
                      "description": "A starter"});
    let first = books.post(&hold, &part).await;
    insta::assert_snapshot!("posted_in_part", first);
    let again = books.post(&hold, &part).await.expect(200);
    assert_eq!(again.text("id"), first.text("id"));
    let other = json!({"amount": "3.01", "currency": "USD", "external_ref": "first"});
    let other = books.post(&hold, &other).await.expect(409);
    assert_eq!(other.text("code"), "external-ref-taken");
    let postings = [posting(&books.sales, "debit", "1.00"), posting(&books.cash, "credit", "1.00")];
    let second = books.post(&hold, &json!({"postings": postings})).await.expect(201);
    assert_eq!(second.json()["remaining"], json!({"amount": "4.00", "currency": "USD"}));
    let much = json!({"amount": "4.01", "currency": "USD"});
    assert_eq!(books.post(&hold, &much).await.expect(409).text("code"), "amount-above-held");
    let last = json!({"amount": "1.50", "currency": "USD", "last": true});
    insta::assert_snapshot!("posted_the_last_of_it", books.post(&hold, &last).await);
    assert_eq!(books.post(&hold, &json!({})).await.expect(409).text("code"), "hold-posted");
    // The first was of a part, and is to this day.
    assert_eq!(books.post(&hold, &part).await.expect(200).text("id"), first.text("id"));
    let rest = json!({"external_ref": "first", "description": "A starter"});
    assert_eq!(books.post(&hold, &rest).await.expect(409).text("code"), "external-ref-taken");
    let mut ending = part.clone();
    ending["last"] = json!(true);
    assert_eq!(books.post(&hold, &ending).await.expect(409).text("code"), "external-ref-taken");
    let totals = books.app.totals(&books.cash).await;
    assert_eq!((totals.credits_posted, totals.credits_pending), (550, 0));
    assert_eq!(books.app.hold(&hold).await.status, HoldStatus::Posted);
}

#[tokio::test]
async fn all_of_a_hold_is_posted_without_a_body() {
    let books = Books::new().await;
    for (reference, body) in [("h1", ""), ("h2", "null"), ("h3", "{}")] {
        let hold = books.held(reference, "3.00").await;
        let path = format!("{HOLDS}/{hold}/post");
        let posted = books.app.merchant.request("POST", &path).body(body).send().await.expect(201);
        assert_eq!(posted.text("external_ref"), format!("hold:{hold}:1"));
        assert_eq!((posted.text("status"), posted.text("hold")), ("posted".to_owned(), hold));
        assert_eq!(posted.json().get("remaining"), None);
    }
}

#[tokio::test]
async fn a_hold_is_voided_once() {
    let books = Books::new().await;
    let hold = books.held("table-7", "8.00").await;
    insta::assert_snapshot!("voided", books.void(&hold).await);
    assert_eq!(books.void(&hold).await.expect(409).text("code"), "hold-voided");
    assert_eq!(books.post(&hold, &json!({})).await.expect(409).text("code"), "hold-voided");
    assert!(books.app.totals(&books.cash).await.nothing_held());
    // What was there under the reference is what it is now.
    let again = books.app.merchant.post(HOLDS, &books.hold("table-7", "8.00")).await.expect(200);
    assert_eq!((again.text("status"), again.header("etag")), ("voided".to_owned(), "\"2\""));
}

#[tokio::test]
async fn a_hold_belongs_to_a_payment_of_its_ledger() {
    let books = Books::new().await;
    let theirs = json!({"amount": "1.00", "currency": "USD"});
    let theirs = books.app.other_merchant.post("/v1/payments", &theirs).await.expect(201);
    let mine = json!({"amount": "1.00", "currency": "USD"});
    let mine = books.app.merchant.post("/v1/payments", &mine).await.expect(201);
    let mut hold = books.hold("table-7", "8.00");
    for path in [HOLDS, "/v1/ledger/entries"] {
        hold["payment"] = json!(theirs.text("id"));
        let refused = books.app.merchant.post(path, &hold).await.expect(404);
        assert_eq!(refused.text("code"), "payment-not-found");
    }
    hold["payment"] = json!(mine.text("id"));
    hold["dispute"] = json!("dsp_01h455vb4pex5vsknk084sn02q");
    let made = books.app.merchant.post(HOLDS, &hold).await;
    let hold = books.app.hold(&made.text("id")).await;
    assert_eq!(hold.details.payment_id.map(|id| id.to_string()), Some(mine.text("id")));
    // Another process has none of it in memory.
    let other = Service::on(&books.app.database).await;
    let merchant = other.called_by(&books.app.merchant);
    merchant.post(&format!("{HOLDS}/{}/post", hold.id), &json!({})).await.expect(201);
}

#[tokio::test]
async fn what_is_wrong_with_a_hold_is_said_by_field() {
    let books = Books::new().await;
    let mut hold = books.hold("", "0.00");
    for (field, text) in [("payment", "pay_1"), ("dispute", "x"), ("expires_at", "tomorrow")] {
        hold[field] = json!(text);
    }
    let refused = books.app.merchant.post(HOLDS, &hold).await.expect(422);
    assert_eq!(
        refused.pointers(),
        [
            "/external_ref",
            "/payment",
            "/dispute",
            "/expires_at",
            "/postings/0/amount",
            "/postings/1/amount"
        ]
    );
    let mut dated = books.hold("h1", "1.00");
    dated["effective_at"] = json!(SOON);
    let refused = books.app.merchant.post(HOLDS, &dated).await.expect(422);
    assert_eq!(refused.pointers(), ["/effective_at"], "a hold takes no effect");
    let mut endless = books.hold("h1", "1.00");
    endless["expires_at"] = json!(SOON);
    let refused = books.app.merchant.post(HOLDS, &endless).await.expect(422);
    assert_eq!(refused.text("code"), "hold-end-out-of-range");
    let id = books.held("h2", "1.00").await;
    for (body, pointer) in [
        (json!({"amount": "1.00"}), "/currency"),
        (json!({"currency": "USD"}), "/amount"),
        (json!({"amount": "1.00", "currency": "USD", "postings": []}), "/postings"),
        (json!({"postings": []}), "/postings"),
        (json!({"amount": 1, "currency": "USD"}), "/amount"),
        (json!({"last": "yes"}), "/last"),
        (json!({"payment": "pay_01h455vb4pex5vsknk084sn02q"}), "/payment"),
    ] {
        let refused = books.post(&id, &body).await.expect(422);
        assert_eq!(refused.pointers(), [pointer], "{body}");
    }
    assert_eq!(books.app.hold(&id).await.status, HoldStatus::Held);
}
