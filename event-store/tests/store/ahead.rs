//! What is decided while a batch is being written: good if that is committed, decided again if not.

use event_store::QUEUE_COMMANDS_MAX;
use sqlx::Connection;
use testkit::TestDatabase;
use tokio::task::JoinHandle;

use crate::given::{Process, appends_wait, check_log, count, open, opened, post, until};

/// Begins a call: its command is in the queue at once, since its states are in memory.
async fn begun<T: Send + 'static>(call: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    let mut call = Box::pin(call);
    assert!(futures::poll!(&mut call).is_pending());
    tokio::spawn(call)
}

/// Until the sequencer has taken everything out of its queue.
async fn taken_in(process: &Process) {
    let empty = async || process.store.free_places() == QUEUE_COMMANDS_MAX;
    until("the queue is empty", empty).await;
}

#[tokio::test]
async fn commands_decided_ahead_see_what_the_batch_before_them_wrote() {
    let database = TestDatabase::create().await;
    let process = opened(&database).await;
    process.submit(post("warm", "cash", "sales", 1)).await.expect("posted");
    let mut owner = database.owner().await;
    let mut held = owner.begin().await.expect("a transaction");
    sqlx::query("select 1 from log_head for update").execute(&mut *held).await.expect("held");
    let entry = post("r1", "cash", "sales", 5);
    let first = tokio::spawn(process.submit_owned_with_key(entry.clone(), "k1"));
    appends_wait(&database, 1).await;
    let same_key = begun(process.submit_owned_with_key(entry.clone(), "k1")).await;
    let same_entry = begun(process.submit_owned_with_key(entry, "k2")).await;
    let same_ref = begun(process.submit_owned_with_key(post("r1", "cash", "sales", 6), "k3")).await;
    let next = begun(process.submit_owned(post("r2", "cash", "sales", 7))).await;
    taken_in(&process).await;
    assert!(!next.is_finished(), "nothing is answered that rests on what is not committed");
    held.rollback().await.expect("let go");

    let first = first.await.expect("no panic").expect("answered");
    assert_eq!((first.status, first.position.number(), first.replayed), (201, 4, false));
    let replay = same_key.await.expect("no panic").expect("answered");
    assert_eq!((replay.body, replay.position, replay.replayed), (first.body, first.position, true));
    let already = same_entry.await.expect("no panic").expect("answered");
    assert_eq!((already.status, already.replayed), (200, false));
    assert_eq!(same_ref.await.expect("no panic").expect("answered").status, 409);
    let next = next.await.expect("no panic").expect("answered");
    assert_eq!((next.status, next.position.number()), (201, 5));
    check_log(&database).await;
}

#[tokio::test]
async fn what_was_decided_ahead_is_decided_again_when_another_process_was_first() {
    let database = TestDatabase::create().await;
    let process = Process::on(&database).await;
    for (code, minimum) in [("purse", Some(0)), ("bank", None)] {
        process.submit(open(code, minimum)).await.expect("opened");
    }
    process.submit(post("filled", "purse", "bank", 100)).await.expect("posted");
    let other = Process::on(&database).await;
    other.submit(post("warm", "purse", "bank", 1)).await.expect("posted");
    process.submit(post("warm too", "purse", "bank", 1)).await.expect("posted");
    let mut owner = database.owner().await;
    let mut held = owner.begin().await.expect("a transaction");
    sqlx::query("select 1 from log_head for update").execute(&mut *held).await.expect("held");
    // Whoever waits for the head first is first: 102 are there, and the other process takes 100.
    let spent = tokio::spawn(other.submit_owned(post("spent", "bank", "purse", 100)));
    appends_wait(&database, 1).await;
    let first = tokio::spawn(process.submit_owned_with_key(post("a", "bank", "purse", 60), "a"));
    appends_wait(&database, 2).await;
    // Decided over what the first would have left: 42, then 52, then 12.
    let back = begun(process.submit_owned(post("b", "purse", "bank", 10))).await;
    let ahead = begun(process.submit_owned(post("c", "bank", "purse", 40))).await;
    let repeated = begun(process.submit_owned_with_key(post("a", "bank", "purse", 60), "a")).await;
    taken_in(&process).await;
    held.rollback().await.expect("let go");

    let status = async |answer: JoinHandle<Result<event_store::Answer, _>>| {
        answer.await.expect("no panic").map(|answer| answer.status).expect("answered")
    };
    assert_eq!(status(spent).await, 201);
    assert_eq!(status(first).await, 409, "only 2 were left");
    assert_eq!(status(repeated).await, 409, "the same answer");
    assert_eq!(status(back).await, 201);
    assert_eq!(status(ahead).await, 409, "12 are not 40");
    let entries = "select count(*) from events where event_type = 'ledger.entry_posted'";
    assert_eq!(count(&database, entries).await, 5);
    check_log(&database).await;
}
