//! What the database itself refuses, whoever asks.

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use sqlx::Connection;
use testkit::TestDatabase;

use crate::given::{Process, check_log, count, opened, post, request, whole};
use event_store::{RequestKey, RequestPart, SubmitError};
use migrations::Role;

async fn refused(database: &TestDatabase, role: Option<Role>, statement: &'static str) -> String {
    let mut db = match role {
        Some(role) => database.connect(role).await,
        None => database.owner().await,
    };
    let refused = sqlx::query(statement).execute(&mut db).await;
    refused.expect_err(statement).to_string()
}

#[tokio::test]
async fn nothing_recorded_is_changed_or_removed_not_even_by_the_owner() {
    let database = TestDatabase::create().await;
    opened(&database).await.stop().await;
    for statement in [
        "update events set data = '{}'",
        "delete from events",
        "delete from events where false",
        "truncate events",
        "truncate events cascade",
        "delete from log_head",
        "truncate log_head",
    ] {
        assert!(refused(&database, None, statement).await.contains("append-only"), "{statement}");
    }
    for statement in [
        "update log_head set position = position - 1",
        "update log_head set recorded_at = recorded_at - interval '1 us'",
        "update log_head set log_id = 2",
    ] {
        assert!(refused(&database, None, statement).await.contains("may not fall"), "{statement}");
    }
    // Replication and restore tools switch ordinary triggers off; these stay on.
    let mut owner = database.owner().await;
    sqlx::query("set session_replication_role = replica").execute(&mut owner).await.expect("set");
    let update = sqlx::query("update events set data = '{}'").execute(&mut owner).await;
    assert!(update.is_err());
    check_log(&database).await;
}

#[tokio::test]
async fn services_have_no_privilege_to_change_the_log() {
    let database = TestDatabase::create().await;
    opened(&database).await.stop().await;
    let everyone = [Role::Application, Role::Projector, Role::Query, Role::Auditor, Role::Pruner];
    for role in everyone {
        for statement in [
            "update events set data = '{}'",
            "delete from events",
            "truncate events",
            "alter table events disable trigger all",
            "drop table events",
            "create table public.mine (x int)",
            "delete from log_head",
            "truncate idempotency_keys",
            "delete from account_balances",
        ] {
            let message = refused(&database, Some(role), statement).await;
            let denied = message.contains("permission denied") || message.contains("must be owner");
            assert!(denied, "{role:?} {statement}: {message}");
        }
    }
    for role in [Role::Projector, Role::Query, Role::Auditor, Role::Pruner] {
        for statement in [
            "insert into events select * from events",
            "update log_head set position = position + 1",
            "update idempotency_keys set status = 200",
        ] {
            let message = refused(&database, Some(role), statement).await;
            assert!(message.contains("permission denied"), "{role:?} {statement}: {message}");
        }
    }
    check_log(&database).await;
}

#[tokio::test]
async fn a_poisonous_command_is_refused_alone() {
    let database = TestDatabase::create().await;
    let process = opened(&database).await;
    let mut owner = database.owner().await;
    // A rule of the database that the domain knows nothing of, as disk corruption or a later constraint is.
    sqlx::query("alter table events add constraint poison check (data::text not like '%poison%')")
        .execute(&mut owner)
        .await
        .expect("altered");
    let mut blocked = owner.begin().await.expect("a transaction");
    sqlx::query("select 1 from log_head for update").execute(&mut *blocked).await.expect("locked");
    // All two hundred wait behind the first, so they are in one batch.
    let callers = (0..200).map(|n| {
        let reference = if n == 77 { "poison".to_owned() } else { format!("good-{n}") };
        tokio::spawn(process.submit_owned(post(&reference, "cash", "sales", 1)))
    });
    let callers: Vec<_> = callers.collect();
    blocked.rollback().await.expect("unlocked");
    for (n, caller) in callers.into_iter().enumerate() {
        let answer = caller.await.expect("no panic");
        if n == 77 {
            assert_eq!(answer, Err(SubmitError::Refused));
        } else {
            assert_eq!(answer.expect("answered").status, 201);
        }
    }
    assert_eq!(count(&database, "select count(*) from events").await, 2 + 199);
    check_log(&database).await;
}

/// Has the database end every statement that appends what has `slow` in it.
const SLOW: &str = "
    create function linger() returns trigger language plpgsql as
        'begin perform pg_sleep(60); return new; end';
    create trigger linger before insert on events for each row
        when (new.data::text like '%slow%') execute function linger();
    do $$ begin execute format(
        'alter role runut_app in database %I set statement_timeout = ''300ms''', current_database()
    ); end $$";

#[tokio::test]
async fn a_command_that_always_takes_too_long_is_refused_alone() {
    let database = TestDatabase::create().await;
    opened(&database).await.stop().await;
    let mut owner = database.owner().await;
    sqlx::raw_sql(SLOW).execute(&mut owner).await.expect("slow");
    let process = Process::on(&database).await;
    process.submit(post("first", "cash", "sales", 1)).await.expect("posted");
    let mut blocked = owner.begin().await.expect("a transaction");
    sqlx::query("select 1 from log_head for update").execute(&mut *blocked).await.expect("locked");
    let callers = (0..4).map(|n| {
        let reference = if n == 2 { "slow".to_owned() } else { format!("good-{n}") };
        tokio::spawn(process.submit_owned(post(&reference, "cash", "sales", 1)))
    });
    let callers: Vec<_> = callers.collect();
    blocked.rollback().await.expect("unlocked");
    for (n, caller) in callers.into_iter().enumerate() {
        let answer = caller.await.expect("no panic");
        if n == 2 {
            assert_eq!(answer, Err(SubmitError::Refused));
        } else {
            assert_eq!(answer.expect("answered").status, 201);
        }
    }
    // A process that says it cannot append is sent nothing that could show otherwise.
    process.submit(post("slow again", "cash", "sales", 1)).await.expect_err("refused");
    assert_eq!(process.store.trouble().await, None);
    check_log(&database).await;
}

#[tokio::test]
async fn a_claimed_key_is_answered_once_by_the_last_append() {
    let database = TestDatabase::create().await;
    let (process, other) = (opened(&database).await, Process::on(&database).await);
    let part = |part| {
        let mut key = whole("long");
        key.part = part;
        Some(key)
    };
    let first = request(post("r1", "cash", "sales", 1), part(RequestPart::First));
    process.store.submit(first).await.expect("claimed");
    let waiting = tokio::spawn(other.submit_owned_with_key(post("r1", "cash", "sales", 1), "long"));
    let mut mismatch = request(post("r9", "cash", "sales", 1), part(RequestPart::Whole));
    mismatch.key.as_mut().expect("a key").fingerprint = [9; 32];
    assert_eq!(other.store.submit(mismatch).await, Err(SubmitError::KeyReused));
    let last = request(post("r2", "cash", "sales", 1), part(RequestPart::Last));
    let answer = process.store.submit(last).await.expect("answered");
    let replayed = waiting.await.expect("no panic").expect("answered");
    assert_eq!((replayed.body, replayed.replayed), (answer.body.clone(), true));
    // A second answer does not replace the first.
    let again = request(post("r3", "cash", "sales", 1), part(RequestPart::Last));
    process.store.submit(again).await.expect("appended");
    let late =
        other.submit_with_key(post("r1", "cash", "sales", 1), "long").await.expect("replayed");
    assert_eq!(late.body, answer.body);
    check_log(&database).await;
}

/// As many requests under one key as may wait for its answer do; those beyond are told at once that it is in use.
#[tokio::test]
async fn requests_that_wait_for_the_answer_of_a_key_are_bounded() {
    const WAITS_MAX: usize = 128;
    const BEYOND: usize = 8;
    let database = TestDatabase::create().await;
    let process = opened(&database).await;
    let part = |part| Some(RequestKey { part, ..whole("long") });
    let first = request(post("r1", "cash", "sales", 1), part(RequestPart::First));
    process.store.submit(first).await.expect("claimed");
    let again = |_| process.submit_owned_with_key(post("r1", "cash", "sales", 1), "long");
    let mut waiting: FuturesUnordered<_> = (0..WAITS_MAX + BEYOND).map(again).collect();
    for _ in 0..BEYOND {
        assert_eq!(waiting.next().await, Some(Err(SubmitError::KeyInUse)));
    }
    let last = request(post("r2", "cash", "sales", 1), part(RequestPart::Last));
    let answered = async { process.store.submit(last).await.expect("answered") };
    let (answer, replayed) = futures::join!(answered, waiting.collect::<Vec<_>>());
    assert_eq!(replayed.len(), WAITS_MAX);
    for replayed in replayed {
        let replayed = replayed.expect("those that waited are answered");
        assert_eq!((replayed.body, replayed.replayed), (answer.body.clone(), true));
    }
    check_log(&database).await;
}
