//! Connections that break, servers that die, processes that are killed.

use std::time::Duration;

use event_store::Answer;
use migrations::Role;
use sqlx::{Connection, PgConnection};
use supervisor::{Binaries, Postgres, PostgresOptions};
use testkit::{TestDatabase, unique_name};
use tokio::time::Instant;

use crate::given::{Process, appends_wait, check_log, count, opened, post, through_proxy, until};

#[tokio::test]
async fn a_batch_that_waits_on_the_head_while_its_client_dies_and_then_commits_is_answered_once() {
    let database = TestDatabase::create().await;
    let (process, proxy) = through_proxy(&database).await;
    let mut owner = database.owner().await;
    let mut blocked = owner.begin().await.expect("a transaction");
    sqlx::query("select 1 from log_head for update").execute(&mut *blocked).await.expect("locked");
    let caller = tokio::spawn(process.submit_owned_with_key(post("r1", "cash", "sales", 1), "k"));
    appends_wait(&database, 1).await;
    proxy.cut();
    proxy.forward();
    appends_wait(&database, 2).await;
    blocked.rollback().await.expect("unlocked");
    let answer = caller.await.expect("no panic").expect("answered");
    assert_eq!((answer.status, answer.position.number(), answer.replayed), (201, 4, false));
    assert_eq!(count(&database, "select count(*) from events").await, 4);
    check_log(&database).await;
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_found_and_answered() {
    let database = TestDatabase::create().await;
    let (process, proxy) = through_proxy(&database).await;
    proxy.swallow_answers();
    let caller = tokio::spawn(process.submit_owned(post("r1", "cash", "sales", 1)));
    let there = async || count(&database, "select count(*) from events").await == 4;
    until("it is committed", there).await;
    proxy.cut();
    proxy.forward();
    let answer = caller.await.expect("no panic").expect("answered");
    assert_eq!((answer.status, answer.position.number()), (201, 4));
    // What follows builds on it.
    assert_eq!(process.submit(post("r2", "cash", "sales", 1)).await.expect("posted").status, 201);
    check_log(&database).await;
}

#[tokio::test]
async fn a_stored_rejection_whose_answer_is_lost_stays_that_rejection() {
    let database = TestDatabase::create().await;
    let (process, proxy) = through_proxy(&database).await;
    process.submit(post("r1", "cash", "sales", 1)).await.expect("posted");
    proxy.swallow_answers();
    // Another content under the same reference: a rejection, which appends no event.
    let taken = post("r1", "cash", "sales", 2);
    let caller = tokio::spawn(process.submit_owned_with_key(taken.clone(), "k"));
    proxy.cut();
    proxy.forward();
    let answer = caller.await.expect("no panic").expect("answered");
    assert_eq!(answer.status, 409);
    let again = process.submit_with_key(taken, "k").await.expect("replayed");
    assert_eq!((again.body, again.replayed), (answer.body, true));
    check_log(&database).await;
}

#[tokio::test]
async fn a_process_that_finds_an_older_database_restored_forgets_what_it_knew() {
    let database = TestDatabase::create().await;
    opened(&database).await.stop().await;
    let backup = database.copy_while_in_use().await;
    let (live, restored) = (address_of(&database), address_of(&backup));
    assert_eq!(live.0, restored.0, "both are on the shared server");
    let (process, proxy) = through_proxy(&database).await;
    process.submit_with_key(post("lost", "cash", "sales", 70), "k").await.expect("posted");
    process.submit(post("lost too", "cash", "sales", 1)).await.expect("posted");
    // The backup takes the database's place, and another process has written to it already.
    let other = Process::on(&backup).await;
    for n in 0..9 {
        other.submit(post(&format!("new-{n}"), "cash", "sales", 1)).await.expect("posted");
    }
    proxy.cut();
    rename(&database, &backup).await;
    proxy.forward();
    let deadline = Instant::now() + Duration::from_secs(20);
    let answer = loop {
        match process.submit_with_key(post("lost", "cash", "sales", 70), "k").await {
            Ok(answer) if !answer.replayed => break answer,
            // From memory, until it has looked at the database again: 100 ms at the most.
            Ok(_) => assert!(Instant::now() < deadline, "it never notices"),
            Err(error) => assert!(error.retryable() && Instant::now() < deadline, "{error}"),
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(answer.status, 201, "it is new to this history");
    assert_eq!(answer.position.number(), 2 + 9 + 1);
    check_log(&database).await;
}

#[tokio::test]
async fn what_was_decided_over_a_history_that_is_gone_is_decided_again_even_at_the_same_position() {
    let database = TestDatabase::create().await;
    opened(&database).await.stop().await;
    let backup = database.copy_while_in_use().await;
    let (process, proxy) = through_proxy(&database).await;
    process.submit(post("lost", "cash", "sales", 70)).await.expect("posted");
    let other = Process::on(&backup).await;
    for reference in ["new-1", "new-2"] {
        other.submit(post(reference, "cash", "sales", 1)).await.expect("posted");
    }
    other.stop().await;
    let heads = "select position from log_head";
    assert_eq!(count(&database, heads).await, count(&backup, heads).await);
    proxy.cut();
    // Decided over the balances of before, and in hand until there is a database again.
    let caller = tokio::spawn(process.submit_owned(post("in hand", "cash", "sales", 5)));
    rename(&database, &backup).await;
    proxy.forward();
    let answer = caller.await.expect("no panic").expect("answered");
    assert_eq!((answer.status, answer.position.number()), (201, 5));
    check_log(&database).await;
}

/// As a primary that a failover has made a standby, or a disk that is full: commands wait, and it is said.
#[tokio::test]
async fn a_database_that_takes_no_writes_is_said_and_appended_to_once_it_does() {
    let database = TestDatabase::create().await;
    let process = opened(&database).await;
    let mut owner = database.owner().await;
    read_only(&mut owner, "on").await;
    let caller = tokio::spawn(process.submit_owned(post("r1", "cash", "sales", 1)));
    let said = async || {
        let trouble = process.store.trouble().await;
        trouble.is_some_and(|trouble| trouble.contains("read-only"))
    };
    until("it is said", said).await;
    assert!(!caller.is_finished(), "it may pass within the caller's patience");
    read_only(&mut owner, "off").await;
    assert_eq!(caller.await.expect("no panic").expect("answered").status, 201);
    until("it is ready again", async || process.store.trouble().await.is_none()).await;
    check_log(&database).await;
}

/// Has the database be so for whoever connects, and has everybody connect again.
async fn read_only(owner: &mut PgConnection, state: &str) {
    let set = format!(
        "do $$ begin execute format(
            'alter database %I set default_transaction_read_only = {state}', current_database()
         ); end $$"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(set)).execute(&mut *owner).await.expect("set");
    let others = "select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and pid <> pg_backend_pid()";
    sqlx::query(others).execute(owner).await.expect("they connect again");
}

#[tokio::test]
async fn a_head_beyond_the_last_event_is_said_and_nothing_is_written_after_it() {
    let database = TestDatabase::create().await;
    let process = opened(&database).await;
    let ahead = "update log_head set position = position + 1";
    sqlx::query(ahead).execute(&mut database.owner().await).await.expect("moved");
    let caller = tokio::spawn(process.submit_owned(post("r1", "cash", "sales", 1)));
    let said = "the head of the log is at 3, but its last event is at 2";
    until("it is said", async || process.store.trouble().await.as_deref() == Some(said)).await;
    assert!(!caller.is_finished(), "it may be mended within the caller's patience");
    assert_eq!(count(&database, "select count(*) from events").await, 2);
    process.kill();
}

/// Puts the backup in the database's place.
async fn rename(database: &TestDatabase, backup: &TestDatabase) {
    let mut admin = TestDatabase::create().await.owner().await;
    for statement in [
        format!("drop database {} with (force)", database.name()),
        format!(
            "select pg_terminate_backend(pid) from pg_stat_activity where datname = '{}'",
            backup.name()
        ),
        format!("alter database {} rename to {}", backup.name(), database.name()),
    ] {
        let until = Instant::now() + Duration::from_secs(20);
        while let Err(error) =
            sqlx::raw_sql(sqlx::AssertSqlSafe(statement.clone())).execute(&mut admin).await
        {
            assert!(Instant::now() < until, "{statement}: {error}");
        }
    }
}

/// Host and port, and the name of the database.
fn address_of(database: &TestDatabase) -> (String, String) {
    let url = database.url(Role::Application);
    let (address, name) =
        url.split('@').nth(1).and_then(|rest| rest.split_once('/')).expect("a URL");
    (address.to_owned(), name.to_owned())
}

/// Asks again and again, of whichever process is there.
async fn insist(database: &TestDatabase, process: &mut Process, reference: &str) -> Answer {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match process.submit_with_key(post(reference, "cash", "sales", 1), reference).await {
            Ok(answer) => return answer,
            Err(error) => assert!(error.retryable() && Instant::now() < deadline, "{error}"),
        }
        *process = Process::on(database).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_killed_fifty_times_under_load_loses_and_doubles_nothing() {
    let database = TestDatabase::create().await;
    opened(&database).await.stop().await;
    let mut process = Process::on(&database).await;
    let mut acknowledged = 0;
    for round in 0..50_u32 {
        let entry = |n| format!("{round}-{n}");
        let callers: Vec<_> = (0..40)
            .map(|n| {
                let reference = entry(n);
                let submitted =
                    process.submit_owned_with_key(post(&reference, "cash", "sales", 1), &reference);
                tokio::spawn(submitted)
            })
            .collect();
        // Each round a little later: before the batch is sent, while it is, and after.
        let lifetime = Duration::from_micros(u64::from(round) * 150);
        drop(tokio::time::timeout(lifetime, std::future::pending::<()>()).await);
        process.kill();
        let mut answers = Vec::new();
        for caller in callers {
            answers.push(caller.await.expect("no panic"));
        }
        acknowledged += answers.iter().filter(|answer| answer.is_ok()).count();
        process = Process::on(&database).await;
        for (n, answer) in answers.into_iter().enumerate() {
            let settled = insist(&database, &mut process, &entry(n)).await;
            assert_eq!(settled.status, 201);
            if let Ok(answer) = answer {
                assert_eq!((settled.body, settled.position), (answer.body, answer.position));
            }
        }
        check_log(&database).await;
    }
    assert!(acknowledged > 0, "some were answered before their process died");
    assert_eq!(count(&database, "select count(*) from events").await, 2 + 50 * 40);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_killed_under_load_loses_and_doubles_nothing() {
    let dir = std::env::temp_dir().join(unique_name("runut"));
    std::fs::create_dir(&dir).expect("a folder");
    let binaries = Binaries::locate(None).expect("installed by `make services`");
    let mut options = PostgresOptions::new(&dir, binaries, "test");
    options.settings.push(("shared_buffers".to_owned(), "64MB".to_owned()));
    options.settings.push(("min_wal_size".to_owned(), "32MB".to_owned()));
    let postgres = Postgres::start(options).await.expect("starts");
    let database = TestDatabase::migrate_on(&postgres.url()).await;
    let process = opened(&database).await;
    let deadline = Instant::now() + Duration::from_secs(90);
    let caller = |caller: usize| {
        let process = &process;
        async move {
            for n in 0..60 {
                let reference = format!("{caller}-{n}");
                loop {
                    let entry = post(&reference, "cash", "sales", 1);
                    match process.submit_with_key(entry, &reference).await {
                        Ok(answer) => break assert_eq!(answer.status, 201),
                        Err(error) => {
                            assert!(error.retryable() && Instant::now() < deadline, "{error}");
                        }
                    }
                    tokio::task::yield_now().await;
                }
            }
        }
    };
    let killer = async {
        for _ in 0..3 {
            let before = process.store.head().borrow().number();
            let mut head = process.store.head();
            head.wait_for(|head| head.number() > before + 50).await.expect("it goes on");
            postgres.kill().await.expect("killed");
            head.mark_unchanged();
            drop(head.changed().await);
        }
    };
    let callers = futures::future::join_all((0..20).map(caller));
    tokio::join!(callers, killer);
    assert_eq!(count(&database, "select count(*) from events").await, 2 + 20 * 60);
    check_log(&database).await;
    process.stop().await;
    postgres.destroy().await.expect("gone");
    std::fs::remove_dir_all(&dir).expect("removed");
}
