//! Logs that are in order, at rest and while they grow.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use replay_tool::verify::VerifyOptions;

use crate::given::{World, open, post, verified};
use crate::ledger::with_everything;

#[tokio::test]
async fn an_empty_log_is_in_order() {
    let database = testkit::TestDatabase::create().await;
    let options = VerifyOptions::of(database.url(migrations::Role::Auditor));
    let verified = verified(&options).await;
    verified.assert_clean();
    assert_eq!(verified.summary.events, 0);
}

#[tokio::test]
async fn a_log_with_something_of_everything_is_in_order() {
    let world = World::with_history().await;
    // A refusal, an answer that found everything done, and a replay: rows of keys without events.
    world.submit(open("empty", Some(0))).await;
    assert_eq!(world.submit_with_key(post("r4", "sales", "empty", 5), "refused").await, 409);
    assert_eq!(world.submit_with_key(post("r2", "cash", "sales", 70), "done").await, 200);
    assert_eq!(world.submit_with_key(post("r2", "cash", "sales", 70), "k2").await, 201);
    let verified = world.verified().await;
    verified.assert_clean();
    let summary = verified.summary;
    assert_eq!((summary.from, summary.to, summary.events), (1, 15, 15));
    assert_eq!(summary.not_checked, Vec::<String>::new());
    let counts: Vec<u64> = summary.parts.iter().map(|part| part.count).collect();
    assert_eq!(counts, [15, 15, 15, 5], "{:?}", summary.parts);
}

#[tokio::test]
async fn all_that_a_ledger_does_is_in_order_in_one_pass_and_in_several() {
    let (world, _) = with_everything().await;
    world.verified().await.assert_clean();
    for accounts_per_pass in [1, 2] {
        let options = VerifyOptions { accounts_per_pass, ..world.options() };
        let verified = verified(&options).await;
        verified.assert_clean();
        assert!(verified.summary.parts.len() > 4, "{:?}", verified.summary.parts);
    }
}

#[tokio::test]
async fn whatever_a_ledger_does_a_range_may_begin_and_end_in_it() {
    let (world, _) = with_everything().await;
    for at in 1..=i64::try_from(world.events().await.len()).expect("a position") {
        let after = VerifyOptions { from: Some(at), ..world.options() };
        verified(&after).await.assert_clean();
        let before = VerifyOptions { to: Some(at), ..world.options() };
        verified(&before).await.assert_clean();
    }
}

#[tokio::test]
async fn a_range_is_checked_by_itself_and_says_what_it_leaves_out() {
    let world = World::with_history().await;
    let options = VerifyOptions { from: Some(5), to: Some(8), ..world.options() };
    let verified = verified(&options).await;
    verified.assert_clean();
    assert_eq!(verified.summary.events, 4);
    assert_eq!(verified.summary.not_checked.len(), 2);
    let beyond = VerifyOptions { from: Some(15), ..world.options() };
    let error = replay_tool::verify::verify(&beyond, &mut replay_tool::verify::Silent).await;
    assert!(error.is_err(), "there is nothing to check");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_grows_meanwhile_is_in_order() {
    let world = Arc::new(World::new().await);
    let stop = Arc::new(AtomicBool::new(false));
    let writer = {
        let (world, stop) = (Arc::clone(&world), Arc::clone(&stop));
        tokio::spawn(async move {
            let mut number = 0;
            while !stop.load(Ordering::Relaxed) {
                let batch = (number..number + 50).map(|number| {
                    let world = Arc::clone(&world);
                    async move {
                        let (reference, code) = (format!("r{number}"), format!("a{number}"));
                        world.submit(open(&code, None)).await;
                        world.submit_with_key(post(&reference, &code, "sales", 5), &reference).await
                    }
                });
                futures::future::join_all(batch).await;
                number += 50;
            }
        })
    };
    // At full speed: how quickly it grows here, and how long verify would rest, is up to the machine.
    let options = VerifyOptions { full_speed: true, ..world.options() };
    for _ in 0..5 {
        verified(&options).await.assert_clean();
    }
    stop.store(true, Ordering::Relaxed);
    writer.await.expect("the writer ends");
    let last = world.verified().await;
    last.assert_clean();
    assert!(last.summary.paused_seconds <= 0.0, "it grows no more");
    assert!(last.summary.events > 100, "it did grow");
}
