//! What cannot be brought about from outside at will.

use std::sync::Arc;
use std::time::Duration;

use domain::accounts::{AccountType, OpenAccount};
use domain::ledger::{Details, Direction, ExternalRef, PostEntry, Posting, Postings};
use domain::{AccountId, Amount, Command, MerchantId, StateKey};
use migrations::Role;
use testkit::TestDatabase;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{EventStore, StoreOptions};
use crate::request::{NewAnswer, Origin, Request};
use crate::sequencer::{Pending, Reply, Work};
use crate::{RandomIds, SystemClock};

const LEDGER: MerchantId = MerchantId::from_uuid(Uuid::from_u128(7));
/// Enough that there is always a batch being decided while another is written.
const CALLERS: usize = 20;
/// More than go with one batch.
const SET_ASIDE: usize = 200;
/// Theirs, and at most one entry of each caller in a batch: they go with the next few.
const PASSED_BY_MAX: i64 = 200 + 10 * 20;
const PATIENCE: Duration = Duration::from_secs(5);

async fn process(database: &TestDatabase) -> (EventStore, CancellationToken) {
    let options = StoreOptions {
        database_url: database.url(Role::Application),
        clock: Arc::new(SystemClock),
        ids: Arc::new(RandomIds),
    };
    let (store, sequencer) = EventStore::open(options).await.expect("the log opens");
    let stop = CancellationToken::new();
    tokio::spawn(sequencer.run(stop.clone()));
    (store, stop)
}

fn request(command: Command) -> Request {
    let answer = |decided: &Result<_, _>, _| NewAnswer {
        status: if decided.is_ok() { 201 } else { 409 },
        resource_id: String::new(),
        body: String::new(),
        replay_body: None,
    };
    Request {
        command,
        key: None,
        origin: Origin::default(),
        answer: Arc::new(answer),
        bytes: Request::BYTES_USUAL,
    }
}

fn open(code: &str) -> Command {
    let (code, currency) = (code.parse().expect("a code"), "USD".parse().expect("a currency"));
    Command::OpenAccount(OpenAccount::plain(LEDGER, code, AccountType::Asset, currency))
}

fn post(reference: &str, debit: &str, credit: &str) -> Command {
    let posting = |code: &str, direction| Posting {
        account_id: AccountId::of(LEDGER, &code.parse().expect("a code")),
        direction,
        amount: Amount::from_minor(1, "USD".parse().expect("a currency")).expect("an amount"),
    };
    let postings = vec![posting(debit, Direction::Debit), posting(credit, Direction::Credit)];
    let reference = ExternalRef::parse(reference).expect("a reference");
    let postings = Postings::new(postings).expect("balanced");
    Command::PostEntry(PostEntry::new(LEDGER, reference, Details::default(), postings))
}

/// A command as it comes when its states could not be admitted again and again.
fn set_aside(store: &EventStore, command: Command) -> (Pending, oneshot::Receiver<Reply>) {
    let request = request(command);
    let (reply, answered) = oneshot::channel();
    let event_id = store.ids().next();
    let reads = request.command.reads();
    let loaded = Vec::new();
    let failed_admissions = u32::MAX;
    let fate = Arc::default();
    (
        Pending { request, event_id, reads, loaded, failed_admissions, fate, reply, taken: None },
        answered,
    )
}

/// Commands whose states could not be admitted again and again, which the sequencer then loads itself, are not
/// kept waiting by those that need nothing of the kind, however many there are.
#[tokio::test(flavor = "multi_thread")]
async fn commands_that_were_set_aside_have_their_turn_under_load() {
    let database = TestDatabase::create().await;
    let (store, stop) = process(&database).await;
    for code in ["cash", "sales"] {
        store.submit(request(open(code))).await.expect("opened");
    }
    // Another process opens it, so this one has no state of it.
    let (other, other_stops) = process(&database).await;
    other.submit(request(open("cold"))).await.expect("opened");
    other_stops.cancel();
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let (store, stop) = (store.clone(), stop.clone());
            tokio::spawn(async move {
                for number in 0_u32.. {
                    if stop.is_cancelled() {
                        return number;
                    }
                    let entry = post(&format!("{caller}-{number}"), "cash", "sales");
                    store.submit(request(entry)).await.expect("posted");
                }
                0
            })
        })
        .collect();
    let mut head = store.head();
    let under_way = head.wait_for(|head| head.number() > 200);
    tokio::time::timeout(PATIENCE, under_way).await.expect("in time").expect("it runs");

    let before = *store.head().borrow();
    let answers = (0..SET_ASIDE).map(|number| {
        let (entry, answered) = set_aside(&store, post(&format!("cold {number}"), "cold", "sales"));
        store.enqueue(Work::Command(Box::new(entry))).expect("there is room");
        answered
    });
    for answered in answers.collect::<Vec<_>>() {
        let answer = tokio::time::timeout(PATIENCE, answered).await.expect("its turn comes");
        let Ok(Reply::Done(Ok(answer))) = answer else { panic!("{answer:?}") };
        assert_eq!(answer.status, 201);
        let passed_by = answer.position.since(before);
        assert!(passed_by <= PASSED_BY_MAX, "{passed_by} entries were written before it");
    }
    stop.cancel();
    for caller in callers {
        assert!(caller.await.expect("no panic") > 0);
    }
}

/// States that were loaded from a database that is not there any more come to nothing.
#[tokio::test]
async fn what_was_loaded_before_everything_was_dropped_is_not_kept() {
    let database = TestDatabase::create().await;
    let (store, stop) = process(&database).await;
    store.submit(request(open("cash"))).await.expect("opened");
    let cash = StateKey::Account(AccountId::of(LEDGER, &"cash".parse().expect("a code")));
    let keep = async |loaded| {
        let (done, kept) = oneshot::channel();
        store.enqueue(Work::Keep(loaded, done)).expect("there is room");
        kept.await.expect("it answers");
        store.shared.cache.contains(&cash)
    };
    let before = store.load(None, vec![cash.clone()]).await.expect("loaded");
    store.shared.cache.clear();
    assert!(!keep(before).await);
    let after = store.load(None, vec![cash.clone()]).await.expect("loaded");
    assert!(keep(after).await);
    stop.cancel();
}
