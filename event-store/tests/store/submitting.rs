//! One process: what is answered is there, once.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use domain::holds::{CreateHold, ExpireHold, PostHold, VoidHold};
use domain::ledger::{Details, ExternalRef, Part};
use domain::{Command, HoldId, Timestamp};
use event_store::{Clock, EventStore, RandomIds, StoreOptions, SubmitError};
use migrations::Role;
use testkit::TestDatabase;
use tokio_util::sync::CancellationToken;

use crate::given::{LEDGER, Process, check_log, count, moving, open, opened, post, request, whole};

#[tokio::test]
async fn what_is_answered_is_in_the_log_at_the_position_answered() {
    let database = TestDatabase::create().await;
    let process = opened(&database).await;
    let answer = process.submit(post("r1", "cash", "sales", 500)).await.expect("posted");
    assert_eq!((answer.status, answer.position.number(), answer.replayed), (201, 3, false));
    check_log(&database).await;
}

#[tokio::test]
async fn the_same_key_gets_the_first_answer_byte_for_byte() {
    let database = TestDatabase::create().await;
    let process = opened(&database).await;
    let first = process.submit_with_key(post("r1", "cash", "sales", 5), "k").await.expect("posted");
    let again =
        process.submit_with_key(post("r1", "cash", "sales", 5), "k").await.expect("replayed");
    assert_eq!((&again.body, again.status, again.position), (&first.body, 201, first.position));
    assert!(again.replayed && !first.replayed);
    // Another process has nothing in memory: the index tells it.
    let other = Process::on(&database).await;
    let late = other.submit_with_key(post("r1", "cash", "sales", 5), "k").await.expect("replayed");
    assert_eq!((late.body, late.replayed), (first.body, true));
    assert_eq!(count(&database, "select count(*) from events").await, 3);
    check_log(&database).await;
}

#[tokio::test]
async fn the_same_key_for_another_request_is_refused() {
    let database = TestDatabase::create().await;
    let process = opened(&database).await;
    process.submit_with_key(post("r1", "cash", "sales", 5), "k").await.expect("posted");
    for process in [process, Process::on(&database).await] {
        let mut other = request(post("r2", "cash", "sales", 5), Some(whole("k")));
        other.key.as_mut().expect("a key").fingerprint = [2; 32];
        assert_eq!(process.store.submit(other).await, Err(SubmitError::KeyReused));
    }
    assert_eq!(count(&database, "select count(*) from events").await, 3);
}

#[tokio::test]
async fn a_rejections_late_duplicate_gets_the_same_rejection() {
    let database = TestDatabase::create().await;
    let process = Process::on(&database).await;
    process.submit(open("cash", Some(0))).await.expect("opened");
    process.submit(open("sales", None)).await.expect("opened");
    let spend = || post("r1", "sales", "cash", 5);
    let refused = process.submit_with_key(spend(), "k").await.expect("answered");
    assert_eq!(refused.status, 409);
    process.submit(post("r2", "cash", "sales", 50)).await.expect("now there is money");
    let other = Process::on(&database).await;
    for process in [&process, &other] {
        let late = process.submit_with_key(spend(), "k").await.expect("answered");
        assert_eq!((late.status, &late.body, late.replayed), (409, &refused.body, true));
    }
    let accepted = other.submit_with_key(spend(), "another key").await.expect("answered");
    assert_eq!(accepted.status, 201);
    check_log(&database).await;
}

#[tokio::test]
async fn a_reference_is_used_once_whatever_the_key() {
    let database = TestDatabase::create().await;
    let process = opened(&database).await;
    let first = process.submit_with_key(post("r1", "cash", "sales", 5), "a").await.expect("posted");
    assert_eq!(first.status, 201);
    for process in [&process, &Process::on(&database).await] {
        let same = process.submit(post("r1", "cash", "sales", 5)).await.expect("answered");
        assert_eq!(same.status, 200, "the same entry is already there");
        let other = process.submit(post("r1", "cash", "sales", 6)).await.expect("answered");
        assert_eq!(other.status, 409);
        assert!(other.body.starts_with("external-ref-taken"));
    }
    assert_eq!(count(&database, "select count(*) from events").await, 3);
}

#[tokio::test]
async fn fifty_at_once_with_one_key_or_one_reference_have_one_effect() {
    let database = TestDatabase::create().await;
    let process = opened(&database).await;
    let by_key = (0..50).map(|_| process.submit_with_key(post("r1", "cash", "sales", 5), "k"));
    let answers = futures::future::join_all(by_key).await;
    let bodies: Vec<_> =
        answers.iter().map(|answer| &answer.as_ref().expect("answered").body).collect();
    assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
    let fresh =
        answers.iter().filter(|answer| !answer.as_ref().expect("answered").replayed).count();
    assert_eq!(fresh, 1);
    let by_ref = (0..50).map(|_| process.submit(post("r2", "cash", "sales", 5)));
    let answers = futures::future::join_all(by_ref).await;
    let created = answers.iter().filter(|a| a.as_ref().expect("answered").status == 201).count();
    let same = answers.iter().filter(|a| a.as_ref().expect("answered").status == 200).count();
    assert_eq!((created, same), (1, 49));
    assert_eq!(count(&database, "select count(*) from events").await, 4);
    check_log(&database).await;
    process.stop().await;
}

/// What is refused never reaches the unique index that says that it is there already; so it is looked for.
#[tokio::test]
async fn what_is_there_already_is_answered_so_where_it_would_be_refused_now() {
    let database = TestDatabase::create().await;
    let process = opened(&database).await;
    process.submit(open("till", Some(0))).await.expect("opened");
    process.submit(post("in", "till", "cash", 5)).await.expect("posted");
    process.submit(post("out", "cash", "till", 5)).await.expect("posted");
    let again = process.submit(post("out", "cash", "till", 5)).await.expect("answered");
    assert_eq!(again.status, 200, "{}", again.body);
    let other = Process::on(&database).await;
    let again = other.submit(post("out", "cash", "till", 5)).await.expect("answered");
    assert_eq!(again.status, 200, "{}", again.body);
    let refused = other.submit(post("more", "cash", "till", 5)).await.expect("answered");
    assert_eq!(refused.status, 409);
    assert!(refused.body.starts_with("insufficient-funds"), "{}", refused.body);
    other.stop().await;
    process.stop().await;
    check_log(&database).await;
}

/// 2026-01-01T12:00:00Z
const NOON: Timestamp = Timestamp::from_micros(1_767_268_800_000_000);

#[derive(Debug)]
struct HandClock(AtomicI64);

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// Whatever is recorded of a hold once its time is over says that it is over.
#[tokio::test]
async fn what_waits_in_the_queue_is_decided_as_of_when_it_is_recorded() {
    let database = TestDatabase::create().await;
    database.stop_clock_at(NOON.micros()).await;
    let clock = Arc::new(HandClock(AtomicI64::new(NOON.micros())));
    let url = database.url(Role::Application);
    let first = Process::with_clock(url.clone(), Arc::clone(&clock) as Arc<dyn Clock>).await;
    for code in ["cash", "sales"] {
        first.submit(open(code, None)).await.expect("opened");
    }
    let ends_at = NOON.plus_millis(1_000);
    let reference = ExternalRef::parse("h1").expect("a reference");
    let id = HoldId::of(LEDGER, &reference);
    let (details, postings) = (Details::default(), moving("sales", "cash", 5));
    let hold = CreateHold::new(LEDGER, reference, details, postings, Some(ends_at));
    first.submit(Command::CreateHold(hold)).await.expect("held");
    // Of the process that runs: where no sequencer does, a state that is read has a place in the queue as well.
    let hold = first.store.hold(id).await.expect("the log is there");
    first.stop().await;

    let options = StoreOptions {
        database_url: url,
        clock: Arc::clone(&clock) as Arc<dyn Clock>,
        ids: Arc::new(RandomIds),
    };
    let (store, sequencer) = EventStore::open(options).await.expect("the log opens");
    let hold = hold.as_deref();
    let details = Details::default();
    let whole = PostHold::new(LEDGER, id, None, details, Part::Rest, false, hold);
    let commands = [
        Command::PostHold(whole),
        Command::VoidHold(VoidHold::new(LEDGER, id, hold)),
        Command::ExpireHold(ExpireHold::new(id, hold)),
    ];
    let waiting = commands.map(|command| {
        let store = store.clone();
        tokio::spawn(async move { store.submit(request(command, None)).await })
    });
    crate::given::until("they are in the queue", async || {
        store.free_places() == event_store::QUEUE_COMMANDS_MAX - 3
    })
    .await;
    database.stop_clock_at(ends_at.micros()).await;
    clock.0.store(ends_at.micros(), Ordering::SeqCst);
    let stop = CancellationToken::new();
    let running = tokio::spawn(sequencer.run(stop.clone()));
    let answers = futures::future::join_all(waiting).await;
    let bodies: Vec<String> = answers
        .into_iter()
        .map(|answer| answer.expect("no panic").expect("answered"))
        .map(|answer| format!("{} {}", answer.status, answer.body))
        .collect();
    // In whatever order they came: only its time ends it.
    for refused in &bodies[..2] {
        assert!(refused.starts_with("409 hold-expired"), "{bodies:?}");
    }
    assert!(bodies[2].starts_with("201"), "{bodies:?}");
    stop.cancel();
    running.await.expect("the sequencer stops");
    check_log(&database).await;
}
