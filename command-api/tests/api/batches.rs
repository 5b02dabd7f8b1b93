//! Many entries in one request.

use serde_json::{Value, json};

use crate::actors::entry;
use crate::app::App;

const BATCH: &str = "/v1/ledger/entries:batch";

struct Books {
    app: App,
    cash: String,
    sales: String,
}

impl Books {
    async fn new() -> Self {
        let app = App::new().await;
        let cash = app.merchant.open("cash", Some("0.00")).await;
        let sales = app.merchant.open("sales", None).await;
        Self { app, cash, sales }
    }

    fn deposit(&self, external_ref: &str, amount: &str) -> Value {
        entry(external_ref, &self.cash, &self.sales, amount)
    }

    fn withdrawal(&self, external_ref: &str, amount: &str) -> Value {
        entry(external_ref, &self.sales, &self.cash, amount)
    }

    async fn cash_minor(&self) -> i64 {
        self.app.balance_minor(&self.cash).await
    }
}

#[tokio::test]
async fn each_entry_of_a_batch_is_posted_or_refused_by_itself() {
    let books = Books::new().await;
    let merchant = &books.app.merchant;
    merchant.post_entry(&books.deposit("there \"already\"", "1.00")).await.expect(201);
    let mut sweep = books.withdrawal("sweep", "100.00");
    sweep["up_to"] = json!(true);
    let entries = [
        books.deposit("r1", "5.00"),
        books.deposit("there \"already\"", "1.00"),
        books.deposit("there \"already\"", "2.00"),
        books.withdrawal("r2", "6.01"),
        books.withdrawal("r3", "4.00"),
        entry("r4", &books.cash, "acc_00000000000000000000000001", "1.00"),
        sweep,
    ];
    let batch = json!({"entries": entries});
    let answer = merchant.post_with_key(BATCH, &batch, "k").await;
    insta::assert_snapshot!(answer);
    assert_eq!(books.cash_minor().await, 0);
    let replayed = merchant.post_with_key(BATCH, &batch, "k").await;
    assert_eq!((replayed.status, &replayed.body), (200, &answer.body));
    assert_eq!(replayed.header("idempotent-replayed"), "true");
    assert_eq!(replayed.position(), answer.position());
    // Under another key, what was refused is looked at anew.
    let again = merchant.post(BATCH, &batch).await.expect(200).json();
    assert_eq!((&again["created"], &again["existing"]), (&json!(0), &json!(4)));
}

#[tokio::test]
async fn a_batch_of_which_all_are_posted_is_created() {
    let books = Books::new().await;
    let entries: Vec<Value> =
        (0..1_000).map(|n| books.deposit(&format!("order-{n:04}"), "0.01")).collect();
    let batch = json!({"entries": entries, "atomic": false});
    let (events, keys) = books.app.written().await;
    let answer = books.app.merchant.post(BATCH, &batch).await.expect(201);
    assert!(answer.body.starts_with(r#"{"created":1000,"existing":0,"refused":0,"results":[{"#));
    let results = answer.json()["results"].clone();
    let results = results.as_array().expect("results");
    assert_eq!(results[999]["external_ref"], "order-0999");
    assert_eq!(books.app.written().await, (events + 1_000, keys + 1));
    assert_eq!(books.cash_minor().await, 1_000);
    let last = results[999]["id"].as_str().expect("an id");
    let reversed = format!("/v1/ledger/entries/{last}/reverse");
    books.app.merchant.post(&reversed, &json!({})).await.expect(201);
}

#[tokio::test]
async fn an_atomic_batch_is_posted_as_a_whole_or_not_at_all() {
    let books = Books::new().await;
    let merchant = &books.app.merchant;
    let entries = [books.deposit("r1", "5.00"), books.withdrawal("r2", "5.01")];
    let before = books.app.written().await.0;
    let refused = merchant.post(BATCH, &json!({"atomic": true, "entries": entries})).await;
    insta::assert_snapshot!("refused_as_a_whole", refused);
    assert_eq!(books.app.written().await.0, before);
    let entries = [books.deposit("r1", "5.00"), books.withdrawal("r2", "5.00")];
    let batch = json!({"atomic": true, "entries": entries});
    merchant.post(BATCH, &batch).await.expect(201);
    let again = merchant.post(BATCH, &batch).await.expect(200).json();
    assert_eq!(again["existing"], json!(2));
    assert_eq!(books.cash_minor().await, 0);
}

#[tokio::test]
async fn what_is_malformed_in_a_batch_refuses_all_of_it_by_field() {
    let books = Books::new().await;
    let merchant = &books.app.merchant;
    let before = books.app.written().await;
    let mut second = books.deposit("", "0.00");
    second["metadata"] = json!({"a/b": ""});
    let entries = [books.deposit("r1", "1.00"), second, books.deposit("r2", "x")];
    let refused = merchant.post(BATCH, &json!({"entries": entries})).await.expect(422);
    assert_eq!(
        refused.pointers(),
        [
            "/entries/1/external_ref",
            "/entries/1/metadata/a~1b",
            "/entries/1/postings/0/amount",
            "/entries/1/postings/1/amount",
            "/entries/2/postings/0/amount",
            "/entries/2/postings/1/amount"
        ]
    );
    let mut unknown = books.deposit("r1", "1.00");
    unknown["postings"][1]["fee"] = json!("1");
    let numbers = r#"{"entries":[{"external_ref":1,"postings":[]}]}"#;
    let twice = r#"{"entries":[{"external_ref":"a","external_ref":"b","postings":[]}]}"#;
    let nul = r#"{"entries":[{"external_ref":"a\u0000","postings":[]}]}"#;
    for (body, pointer) in [
        (json!({"entries": [unknown]}).to_string().as_str(), "/entries/0/postings/1/fee"),
        (numbers, "/entries/0/external_ref"),
        (twice, "/entries/0/external_ref"),
        (nul, "/entries/0/external_ref"),
        (r#"{"entries":[{}]}"#, "/entries/0/external_ref"),
        (r#"{"entries":[[]]}"#, "/entries/0"),
        (r#"{"entries":[],"atomic":1}"#, "/atomic"),
        (r#"{"atomic":true}"#, "/entries"),
    ] {
        let refused = merchant.request("POST", BATCH).body(body).send().await.expect(422);
        assert_eq!(refused.pointers(), [pointer], "{body}");
    }
    assert_eq!(books.app.written().await, before);
}

#[tokio::test]
async fn a_batch_is_bounded() {
    let books = Books::new().await;
    let merchant = &books.app.merchant;
    for count in [0, 1_001] {
        let entries = vec![books.deposit("r1", "1.00"); count];
        let refused = merchant.post(BATCH, &json!({"entries": entries})).await.expect(422);
        assert_eq!(refused.pointers(), ["/entries"], "{count}");
    }
    let mut large = books.deposit("r1", "1.00");
    let pair = large["postings"].as_array().expect("postings").clone();
    large["postings"] = pair.iter().cycle().take(1_000).cloned().collect();
    let mut entries = vec![large; 10];
    for (n, entry) in entries.iter_mut().enumerate() {
        entry["external_ref"] = json!(format!("large-{n}"));
    }
    merchant.post(BATCH, &json!({"entries": entries})).await.expect(201);
    entries.push(books.deposit("r2", "1.00"));
    let refused = merchant.post(BATCH, &json!({"entries": entries})).await.expect(422);
    assert_eq!(refused.text("detail"), "/entries: at most 10000 postings in all");
    let blank = " ".repeat(command_api::BATCH_BODY_BYTES_MAX + 1);
    merchant.request("POST", BATCH).body(blank).send().await.expect(413);
}
