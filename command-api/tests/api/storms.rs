//! Many at once, each over a connection of its own: what happens is what may happen, whatever the order, and after it
//! there is no drift.

use domain::holds::HoldStatus;
use futures::future::join_all;
use serde_json::{Value, json};

use crate::actors::{Actor, entry};
use crate::answers::Answer;
use crate::app::{App, Service};
use crate::sockets::Served;

const CLIENTS: usize = 64;
const ENTRIES: &str = "/v1/ledger/entries";
const HOLDS: &str = "/v1/ledger/holds";

/// Two processes on one log, served over HTTP, and 100.00 in `cash`, which may not be overdrawn.
struct Storm {
    app: App,
    _second: Service,
    _served: [Served; 2],
    /// Half of them of each process.
    clients: Vec<Actor>,
    cash: String,
    sales: String,
}

impl Storm {
    async fn brews() -> Self {
        let app = App::new().await;
        let second = Service::on(&app.database).await;
        let cash = app.merchant.open("cash", Some("0.00")).await;
        let sales = app.merchant.open("sales", None).await;
        app.merchant.post_entry(&entry("deposit", &cash, &sales, "100.00")).await.expect(201);
        let served = [
            Served::on_loopback(app.service.router.clone()).await,
            Served::on_loopback(second.router.clone()).await,
        ];
        let mut clients = Vec::with_capacity(CLIENTS);
        for n in 0..CLIENTS {
            clients.push(app.merchant.over(served[n % 2].connect().await));
        }
        Self { app, _second: second, _served: served, clients, cash, sales }
    }

    /// All of `requests` at once, each by a client of its own.
    async fn of(&self, requests: Vec<(String, Value)>) -> Vec<Answer> {
        assert_eq!(requests.len(), self.clients.len(), "a request for each client");
        let sent = self.clients.iter().zip(&requests);
        let answers = join_all(sent.map(|(client, (path, body))| client.post(path, body))).await;
        // The states are looked at in the first process, which has to know what the other wrote.
        let last = answers.iter().map(Answer::position).max().unwrap_or_default();
        self.app.service.follows_to(last, crate::app::PATIENCE).await;
        answers
    }

    /// Nobody lost or got anything that is not in the log.
    async fn passes(self) {
        self.app.proves_zero_drift().await;
    }

    fn withdrawal(&self, external_ref: &str, amount: &str) -> Value {
        entry(external_ref, &self.sales, &self.cash, amount)
    }
}

fn with_status(answers: &[Answer], status: u16) -> usize {
    answers.iter().filter(|answer| answer.status == status).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_hold_and_spend_as_the_funds_allow() {
    let storm = Storm::brews().await;
    let request = |n: usize| {
        let body = storm.withdrawal(&format!("w{n}"), "3.00");
        let chain = json!({"steps": [{"type": "entry", "external_ref": format!("c{n}"),
                                      "postings": body["postings"]}]});
        match n % 3 {
            0 => (ENTRIES.to_owned(), body),
            1 => (HOLDS.to_owned(), body),
            _ => ("/v1/ledger/chains".to_owned(), chain),
        }
    };
    let answers = storm.of((0..CLIENTS).map(request).collect()).await;
    assert_eq!((with_status(&answers, 201), with_status(&answers, 409)), (33, 31), "of 100.00");
    let refused = answers.iter().filter(|answer| answer.status == 409);
    assert!(refused.into_iter().all(|answer| answer.text("code") == "insufficient-funds"));
    let cash = storm.app.totals(&storm.cash).await;
    assert_eq!(cash.credits_posted + cash.credits_pending, 33 * 300);
    storm.passes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_entries_that_take_what_is_there_all_but_one_take_all_or_nothing() {
    let storm = Storm::brews().await;
    let request = |n: usize| {
        let mut body = storm.withdrawal(&format!("w{n}"), "3.00");
        body["up_to"] = json!(true);
        (ENTRIES.to_owned(), body)
    };
    let answers = storm.of((0..CLIENTS).map(request).collect()).await;
    assert_eq!((with_status(&answers, 201), with_status(&answers, 409)), (34, 30));
    let moved = answers.iter().filter(|answer| answer.status == 201).map(|a| a.text("amount"));
    assert_eq!(moved.filter(|amount| amount == "1.00").count(), 1, "the last one");
    assert_eq!(storm.app.totals(&storm.cash).await.credits_posted, 10_000);
    storm.passes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_reference_is_one_entry_and_one_hold() {
    let storm = Storm::brews().await;
    for (path, body) in [
        (ENTRIES, storm.withdrawal("one", "3.00")),
        (HOLDS, storm.withdrawal("one", "3.00")),
        ("/v1/ledger/entries:batch", json!({"entries": [storm.withdrawal("two", "3.00")]})),
    ] {
        let answers = storm.of(vec![(path.to_owned(), body); CLIENTS]).await;
        assert_eq!((with_status(&answers, 201), with_status(&answers, 200)), (1, CLIENTS - 1));
        let id = |answer: &Answer| match answer.json() {
            one if one["id"].is_string() => one["id"].clone(),
            batch => batch["results"][0]["id"].clone(),
        };
        assert!(answers.iter().all(|answer| id(answer) == id(&answers[0])), "{path}");
    }
    let cash = storm.app.totals(&storm.cash).await;
    assert_eq!((cash.credits_posted, cash.credits_pending), (600, 300));
    storm.passes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_is_posted_or_voided_never_both() {
    let storm = Storm::brews().await;
    for turn in 0..4 {
        let hold = storm.withdrawal(&format!("h{turn}"), "3.00");
        let hold = storm.app.merchant.post(HOLDS, &hold).await.expect(201).text("id");
        let before = storm.app.totals(&storm.cash).await.credits_posted;
        let request = |n| {
            let verb = if n % 4 < 2 { "post" } else { "void" };
            (format!("{HOLDS}/{hold}/{verb}"), json!({}))
        };
        let answers = storm.of((0..CLIENTS).map(request).collect()).await;
        let (posted, voided) = (with_status(&answers, 201), with_status(&answers, 200));
        assert_eq!((posted + voided, with_status(&answers, 409)), (1, CLIENTS - 1));
        let (status, moved) =
            if posted == 1 { (HoldStatus::Posted, 300) } else { (HoldStatus::Voided, 0) };
        assert_eq!(storm.app.hold(&hold).await.status, status);
        let cash = storm.app.totals(&storm.cash).await;
        assert_eq!((cash.credits_posted - before, cash.credits_pending), (moved, 0));
    }
    storm.passes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_is_posted_in_parts_until_nothing_is_left() {
    let storm = Storm::brews().await;
    let hold = storm.app.merchant.post(HOLDS, &storm.withdrawal("h", "100.00")).await;
    let path = format!("{HOLDS}/{}/post", hold.expect(201).text("id"));
    let part = json!({"amount": "3.00", "currency": "USD"});
    let answers = storm.of(vec![(path, part); CLIENTS]).await;
    assert_eq!((with_status(&answers, 201), with_status(&answers, 409)), (33, 31));
    let mut left: Vec<String> = answers
        .iter()
        .filter(|answer| answer.status == 201)
        .map(|answer| answer.json()["remaining"]["amount"].as_str().expect("an amount").to_owned())
        .collect();
    assert!(left.iter().any(|left| left == "1.00"), "the last one: {left:?}");
    left.sort_unstable();
    left.dedup();
    assert_eq!(left.len(), 33, "each says what was left after it");
    let cash = storm.app.totals(&storm.cash).await;
    assert_eq!((cash.credits_posted, cash.credits_pending), (9_900, 100));
    storm.passes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_directions_between_two_accounts_get_through() {
    let storm = Storm::brews().await;
    let request = |n: usize| {
        let (debit, credit) =
            if n % 4 < 2 { (&storm.cash, &storm.sales) } else { (&storm.sales, &storm.cash) };
        (ENTRIES.to_owned(), entry(&format!("r{n}"), debit, credit, "1.00"))
    };
    let answers = storm.of((0..CLIENTS).map(request).collect()).await;
    assert_eq!(with_status(&answers, 201), CLIENTS);
    for account in [&storm.cash, &storm.sales] {
        let totals = storm.app.totals(account).await;
        let both = totals.debits_posted.min(totals.credits_posted);
        assert_eq!((both, totals.debits_posted + totals.credits_posted), (3_200, 16_400));
    }
    storm.passes().await;
}
