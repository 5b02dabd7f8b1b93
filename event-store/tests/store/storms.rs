//! Several processes on one log, and many callers at once.

use std::collections::HashSet;
use std::time::Duration;

use event_store::{Answer, SubmitError};
use testkit::TestDatabase;
use tokio::time::Instant;

use crate::given::{Process, check_log, count, open, opened, post};

/// What a caller does who is told to come back: asks again with the same key.
async fn insist(process: &Process, reference: &str, key: &str) -> Answer {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match process.submit_with_key(post(reference, "cash", "sales", 1), key).await {
            Ok(answer) => return answer,
            Err(error) => {
                assert!(error.retryable() && Instant::now() < deadline, "{error}");
                tokio::task::yield_now().await;
            }
        }
    }
}

async fn post_many(process: &Process, name: &str, entries: usize, callers: usize) -> Vec<Answer> {
    let caller = |caller: usize| async move {
        let mut answers = Vec::new();
        for n in (caller..entries).step_by(callers) {
            let reference = format!("{name}-{n}");
            answers.push(insist(process, &reference, &reference).await);
        }
        answers
    };
    futures::future::join_all((0..callers).map(caller)).await.into_iter().flatten().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_write_ten_thousand_entries_each_without_a_gap_or_a_double() {
    const ENTRIES: usize = 10_000;
    let database = TestDatabase::create().await;
    let first = opened(&database).await;
    let second = Process::on(&database).await;
    let (one, two) = tokio::join!(
        post_many(&first, "first", ENTRIES, 100),
        post_many(&second, "second", ENTRIES, 100)
    );
    let positions: HashSet<i64> = one.iter().chain(&two).map(|a| a.position.number()).collect();
    assert_eq!(positions.len(), 2 * ENTRIES, "every answer names an event of its own");
    assert!(one.iter().chain(&two).all(|answer| answer.status == 201));
    assert_eq!(count(&database, "select count(*) from events").await, 2 + 2 * 10_000);
    let moved = "select debits_posted::bigint from account_balances order by 1 desc limit 1";
    assert_eq!(count(&database, moved).await, 2 * 10_000);
    check_log(&database).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_callers_with_one_key_over_two_processes_have_one_effect_and_one_answer() {
    let database = TestDatabase::create().await;
    let processes = [opened(&database).await, Process::on(&database).await];
    for round in 0..20 {
        let key = format!("key-{round}");
        let callers = (0..50).map(|caller| insist(&processes[caller % 2], &key, &key));
        let answers = futures::future::join_all(callers).await;
        let bodies: HashSet<_> = answers.iter().map(|answer| answer.body.clone()).collect();
        assert_eq!(bodies.len(), 1, "one answer, byte for byte");
        assert_eq!(answers.iter().filter(|answer| !answer.replayed).count(), 1);
    }
    assert_eq!(count(&database, "select count(*) from events").await, 22);
    check_log(&database).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_overdraft_storm_over_two_processes_never_passes_the_minimum() {
    let database = TestDatabase::create().await;
    let processes = [Process::on(&database).await, Process::on(&database).await];
    processes[0].submit(open("cash", Some(0))).await.expect("opened");
    processes[0].submit(open("sales", None)).await.expect("opened");
    processes[1].submit(post("fund", "cash", "sales", 100)).await.expect("funded");
    let spend = |n: usize| {
        let process = &processes[n % 2];
        async move {
            process.submit(post(&format!("spend-{n}"), "sales", "cash", 3)).await.expect("answered")
        }
    };
    let answers = futures::future::join_all((0..400).map(spend)).await;
    let accepted = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(accepted, 33, "100 cover 33 times 3, and nobody is refused while they do");
    let left = "select (debits_posted - credits_posted)::bigint from account_balances where debits_posted = 100";
    assert_eq!(count(&database, left).await, 1);
    check_log(&database).await;
}

#[tokio::test]
async fn a_key_revoked_in_one_process_is_refused_by_the_other_within_a_second() {
    use domain::api_keys::{IssueApiKey, RevokeApiKey, Role, SecretDigest};
    use domain::{ApiKeyId, Command, MerchantId};
    let database = TestDatabase::create().await;
    let (first, second) = (Process::on(&database).await, Process::on(&database).await);
    let key_id = ApiKeyId::from_uuid(uuid::Uuid::from_u128(5));
    let issue = Command::IssueApiKey(IssueApiKey {
        key_id,
        merchant_id: MerchantId::PLATFORM,
        role: Role::Auditor,
        label: None,
        secret: SecretDigest::of("secret"),
    });
    first.submit(issue).await.expect("issued");
    let known = second.store.api_key(key_id).await.expect("readable").expect("known");
    assert!(!known.revoked);
    first.submit(Command::RevokeApiKey(RevokeApiKey { key_id })).await.expect("revoked");
    let revoked_at = Instant::now();
    // The second process is idle: nothing but its own following of the head tells it.
    while !second.store.api_key(key_id).await.expect("readable").expect("known").revoked {
        assert!(revoked_at.elapsed() < Duration::from_secs(1), "a second has passed");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_callers_than_the_queue_holds_are_told_to_come_back() {
    let database = TestDatabase::create().await;
    let process = opened(&database).await;
    let mut owner = database.owner().await;
    let mut blocked = sqlx::Connection::begin(&mut owner).await.expect("a transaction");
    sqlx::query("select 1 from log_head for update").execute(&mut *blocked).await.expect("locked");
    let flood = (0..event_store::QUEUE_COMMANDS_MAX + 2 * event_store::BATCH_COMMANDS_MAX + 10)
        .map(|n| process.submit_owned(post(&format!("r{n}"), "cash", "sales", 1)))
        .map(tokio::spawn)
        .collect::<Vec<_>>();
    let mut overloaded = 0;
    let mut flood = futures::stream::FuturesUnordered::from_iter(flood);
    // Those who find the queue full hear of it at once, while the others still wait.
    while overloaded == 0 {
        let answer =
            futures::StreamExt::next(&mut flood).await.expect("someone").expect("no panic");
        assert_eq!(answer.map(|answer| answer.status), Err(SubmitError::Overloaded));
        overloaded += 1;
    }
    blocked.rollback().await.expect("unlocked");
    let mut accepted = 0;
    while let Some(answer) = futures::StreamExt::next(&mut flood).await {
        match answer.expect("no panic") {
            Ok(answer) => accepted += usize::from(answer.status == 201),
            Err(error) => assert_eq!(error, SubmitError::Overloaded),
        }
    }
    let recorded = count(&database, "select count(*) from events").await - 2;
    assert_eq!(i64::try_from(accepted).expect("small"), recorded, "accepted is what is there");
    check_log(&database).await;
}

/// The machine's clock, so many milliseconds fast.
#[derive(Debug)]
struct Fast(i64);

impl event_store::Clock for Fast {
    fn now(&self) -> domain::Timestamp {
        let now = event_store::Clock::now(&event_store::SystemClock);
        domain::Timestamp::from_micros(now.micros() + self.0 * 1_000)
    }
}

#[tokio::test]
async fn recorded_time_never_falls_whatever_the_clocks_of_two_processes_say() {
    let database = TestDatabase::create().await;
    let slow = opened(&database).await;
    let url = database.url(migrations::Role::Application);
    let fast = Process::with_clock(url, std::sync::Arc::new(Fast(900))).await;
    for round in 0..20 {
        // A rejection of the fast one moves neither the head's position nor its time.
        let key = format!("k-{round}");
        let unknown = fast.submit_with_key(post("x", "cash", "nowhere", 1), &key).await;
        assert_eq!(unknown.expect("answered").status, 409);
        let entry = slow.submit(post(&format!("slow-{round}"), "cash", "sales", 1)).await;
        assert_eq!(entry.expect("answered").status, 201);
        let entry = fast.submit(post(&format!("fast-{round}"), "cash", "sales", 1)).await;
        assert_eq!(entry.expect("answered").status, 201);
    }
    let falls =
        "select count(*) from (select recorded_at < lag(recorded_at) over (order by position)
                 as falls from events) e where falls";
    assert_eq!(count(&database, falls).await, 0);
    check_log(&database).await;
}
