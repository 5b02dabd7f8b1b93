//! Old snapshots on the log's server are seen.

use std::time::Duration;

use event_store::{OldSnapshot, SNAPSHOT_TRANSACTIONS_MAX};
use sqlx::{AssertSqlSafe, Connection};
use testkit::TestDatabase;
use tokio_util::sync::CancellationToken;

use crate::given::{opened, post};

/// Other tests share the server, and an older snapshot of theirs is named first.
const PATIENCE: Duration = Duration::from_mins(1);

#[tokio::test]
async fn a_session_that_reads_an_old_snapshot_is_named_until_it_ends() {
    named_until_it_ends("isolation level repeatable read; select 1 from log_head").await;
}

/// All that come after it have its transaction as their oldest.
#[tokio::test]
async fn a_session_that_forgot_to_commit_is_named_until_it_ends() {
    named_until_it_ends("; select pg_current_xact_id()").await;
}

async fn named_until_it_ends(how: &str) {
    let database = TestDatabase::create().await;
    let process = opened(&database).await;
    let (stop, mut alarm) = (CancellationToken::new(), process.store.old_snapshot());
    let watch = tokio::spawn(process.store.snapshot_watch().run(stop.clone()));

    // Somebody whom no time-out ends.
    let mut session = database.owner().await;
    let begin = format!("set idle_in_transaction_session_timeout = 0; begin {how}");
    let pid: i32 = sqlx::query_scalar("select pg_backend_pid()")
        .fetch_one(&mut session)
        .await
        .expect("a number");
    sqlx::raw_sql(AssertSqlSafe(begin)).execute(&mut session).await.expect("begun");
    for number in 0..=SNAPSHOT_TRANSACTIONS_MAX {
        process.submit(post(&format!("r{number}"), "cash", "sales", 1)).await.expect("posted");
    }
    let holder = format!("session {pid} of runut_owner");
    let names_it = |old: &OldSnapshot| old.holders.contains(&holder);
    let named = alarm.wait_for(|old| old.as_ref().is_some_and(names_it));
    tokio::time::timeout(PATIENCE, named).await.expect("in time").expect("it runs");
    session.close().await.expect("closed");
    let gone = alarm.wait_for(|old| !old.as_ref().is_some_and(names_it));
    tokio::time::timeout(PATIENCE, gone).await.expect("in time").expect("it runs");
    stop.cancel();
    watch.await.expect("it ends");
}
