//! Steps that are taken all together or not at all.

use domain::holds::HoldStatus;
use domain::ledger::ExternalRef;
use domain::{EntryId, HoldId, MerchantId};
use serde_json::{Value, json};

use crate::actors::{entry, posting};
use crate::app::App;

const CHAINS: &str = "/v1/ledger/chains";

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
        of_type("entry", entry(external_ref, &self.cash, &self.sales, amount))
    }

    fn hold(&self, external_ref: &str, amount: &str) -> Value {
        of_type("hold", entry(external_ref, &self.sales, &self.cash, amount))
    }

    fn ledger(&self) -> MerchantId {
        self.app.merchant_id.parse().expect("an id")
    }

    fn hold_id(&self, external_ref: &str) -> String {
        HoldId::of(self.ledger(), &ExternalRef::parse(external_ref).expect("a reference"))
            .to_string()
    }

    fn entry_id(&self, external_ref: &str) -> String {
        EntryId::of(self.ledger(), &ExternalRef::parse(external_ref).expect("a reference"))
            .to_string()
    }
}

fn of_type(kind: &str, mut step: Value) -> Value {
    step["type"] = json!(kind);
    step
}

#[tokio::test]
async fn a_chain_does_all_that_its_steps_say_in_their_order() {
    let books = Books::new().await;
    let (first, second) = (books.hold_id("table-7"), books.hold_id("table-8"));
    let mut sweep = of_type("entry", entry("sweep", &books.sales, &books.cash, "100.00"));
    sweep["up_to"] = json!(true);
    let chain = json!({"steps": [
        books.deposit("deposit", "10.00"),
        books.hold("table-7", "8.00"),
        {"type": "post_hold", "hold": first, "amount": "3.00", "currency": "USD"},
        {"type": "post_hold", "hold": first, "external_ref": "the-rest"},
        books.hold("table-8", "2.00"),
        {"type": "void_hold", "hold": second},
        {"type": "reverse", "entry": books.entry_id("deposit"),
         "amount": "1.00", "currency": "USD", "external_ref": "back"},
        sweep,
    ]});
    let answer = books.app.merchant.post_with_key(CHAINS, &chain, "k").await;
    insta::assert_snapshot!(answer);
    let replayed = books.app.merchant.post_with_key(CHAINS, &chain, "k").await;
    assert_eq!((replayed.status, &replayed.body), (201, &answer.body));
    assert_eq!(replayed.header("idempotent-replayed"), "true");
    let totals = books.app.totals(&books.cash).await;
    assert_eq!((totals.debits_posted, totals.credits_posted), (1_000, 1_000));
    assert!(totals.nothing_held());
    assert_eq!(books.app.hold(&first).await.status, HoldStatus::Posted);
    assert_eq!(books.app.hold(&second).await.status, HoldStatus::Voided);
}

#[tokio::test]
async fn a_chain_is_about_what_was_there_before_too_and_finds_what_it_did() {
    let books = Books::new().await;
    let merchant = &books.app.merchant;
    let made = json!({"steps": [books.deposit("deposit", "10.00"), books.hold("table-7", "8.00")]});
    merchant.post(CHAINS, &made).await.expect(201);
    let again = merchant.post(CHAINS, &made).await;
    insta::assert_snapshot!("there_already", again);
    let hold = books.hold_id("table-7");
    let chain = json!({"steps": [
        {"type": "post_hold", "hold": hold, "external_ref": "meal", "amount": "3.00",
         "currency": "USD", "last": true},
        {"type": "reverse", "entry": books.entry_id("deposit"), "amount": "7.00",
         "currency": "USD", "external_ref": "back"},
    ]});
    merchant.post(CHAINS, &chain).await.expect(201);
    assert_eq!(
        merchant.post(CHAINS, &chain).await.expect(200).json()["results"][1]["type"],
        "reverse"
    );
    assert_eq!(books.app.balance_minor(&books.cash).await, 0);
}

#[tokio::test]
async fn a_step_that_is_refused_refuses_the_chain() {
    let books = Books::new().await;
    let merchant = &books.app.merchant;
    let before = books.app.written().await.0;
    let chain = json!({"steps": [
        books.deposit("deposit", "10.00"),
        books.hold("table-7", "10.01"),
        {"type": "void_hold", "hold": books.hold_id("table-7")},
    ]});
    let refused = merchant.post_with_key(CHAINS, &chain, "k").await;
    insta::assert_snapshot!("a_step_is_refused", refused);
    let replayed = merchant.post_with_key(CHAINS, &chain, "k").await;
    assert_eq!((replayed.status, &replayed.body), (409, &refused.body));
    let missing = json!({"steps": [
        books.deposit("deposit", "10.00"),
        {"type": "post_hold", "hold": books.hold_id("nobody's")},
    ]});
    let missing = merchant.post(CHAINS, &missing).await.expect(404);
    assert_eq!(
        (missing.text("code"), missing.pointers()),
        ("hold-not-found".to_owned(), vec!["/steps/1".to_owned()])
    );
    assert_eq!(books.app.written().await.0, before, "nothing of them happened");
}

#[tokio::test]
async fn what_is_wrong_with_steps_is_said_by_field() {
    let books = Books::new().await;
    let merchant = &books.app.merchant;
    let mut entry = books.deposit("r1", "1.00");
    entry["hold"] = json!("hld_1");
    entry["last"] = json!(true);
    let chain = json!({"steps": [
        {"type": "wish"},
        {"type": "entry"},
        entry,
        {"type": "post_hold", "hold": "hld_1", "amount": "1.00", "up_to": true},
        {"type": "void_hold", "description": "never mind"},
        {"type": "reverse", "entry": "ent_1", "hold": "hld_1"},
        {"type": "hold", "external_ref": "", "postings": [], "expires_at": "soon",
         "effective_at": "2026-11-20T12:00:00Z"},
    ]});
    let refused = merchant.post(CHAINS, &chain).await.expect(422);
    assert_eq!(
        refused.pointers(),
        [
            "/steps/0/type",
            "/steps/1/external_ref",
            "/steps/1/postings",
            "/steps/2/hold",
            "/steps/2/last",
            "/steps/3/up_to",
            "/steps/3/hold",
            "/steps/3/currency",
            "/steps/4/hold",
            "/steps/4/description",
            "/steps/5/hold",
            "/steps/5/entry",
            "/steps/6/effective_at",
            "/steps/6/external_ref",
            "/steps/6/expires_at",
            "/steps/6/postings"
        ]
    );
    let unknown = json!({"steps": [{"type": "void_hold", "colour": "red"}]});
    assert_eq!(merchant.post(CHAINS, &unknown).await.expect(422).pointers(), ["/steps/0/colour"]);
    for count in [0, 101] {
        let steps = vec![books.deposit("r1", "1.00"); count];
        let refused = merchant.post(CHAINS, &json!({"steps": steps})).await.expect(422);
        assert_eq!(refused.pointers(), ["/steps"], "{count}");
    }
}

/// What was held or posted before is moved too, although the body does not spell it out.
#[tokio::test]
async fn the_bound_of_a_chain_counts_what_holds_and_entries_moved_before() {
    let books = Books::new().await;
    let merchant = &books.app.merchant;
    merchant.post_entry(&entry("deposit", &books.cash, &books.sales, "10.00")).await.expect(201);
    let of_a_thousand = |external_ref: &str, debit: &str, credit: &str| {
        let sides = (0..1_000).map(|n| match n % 2 {
            0 => posting(debit, "debit", "0.01"),
            _ => posting(credit, "credit", "0.01"),
        });
        json!({"external_ref": external_ref, "postings": sides.collect::<Vec<_>>()})
    };
    let held = of_a_thousand("held", &books.sales, &books.cash);
    merchant.post("/v1/ledger/holds", &held).await.expect(201);
    let entry = of_a_thousand("posted", &books.cash, &books.sales);
    merchant.post_entry(&entry).await.expect(201);
    let before = books.app.written().await.0;
    let hold = books.hold_id("held");
    for step in [
        json!({"type": "void_hold", "hold": hold}),
        json!({"type": "post_hold", "hold": hold}),
        json!({"type": "reverse", "entry": books.entry_id("posted")}),
    ] {
        let refused = merchant.post(CHAINS, &json!({"steps": vec![&step; 11]})).await.expect(422);
        assert_eq!(refused.pointers(), ["/steps"], "11,000 postings: {step}");
        assert!(refused.body.contains("at most 10000 postings in all"), "{refused}");
        let most = merchant.post(CHAINS, &json!({"steps": vec![&step; 10]})).await.expect(409);
        assert_eq!(most.pointers(), ["/steps/1"], "as many as may be: {step}");
    }
    // And what the chain itself holds.
    let mut made = of_a_thousand("made", &books.sales, &books.cash);
    made["type"] = json!("hold");
    let mut steps = vec![made];
    steps.resize(11, json!({"type": "void_hold", "hold": books.hold_id("made")}));
    let refused = merchant.post(CHAINS, &json!({"steps": steps})).await.expect(422);
    assert_eq!(refused.pointers(), ["/steps"]);
    // Spelt out and not: together they count.
    let mut steps = vec![json!({"type": "void_hold", "hold": hold}); 10];
    steps.push(books.deposit("one-more", "1.00"));
    let refused = merchant.post(CHAINS, &json!({"steps": steps})).await.expect(422);
    assert_eq!(refused.pointers(), ["/steps"]);
    assert_eq!(books.app.written().await.0, before, "nothing of them happened");
}
