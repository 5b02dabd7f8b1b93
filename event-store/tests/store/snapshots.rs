//! Old snapshots on the log's server are seen.

use std::time::Duration;

use event_store::SNAPSHOT_TRANSACTIONS_MAX;
use sqlx::Connection;
use testkit::TestDatabase;
use tokio_util::sync::CancellationToken;

use crate::given::{opened, post};

const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_session_that_holds_a_snapshot_while_others_write_is_named_until_it_ends() {
    let database = TestDatabase::create().await;
    let process = opened(&database).await;
    let (stop, mut alarm) = (CancellationToken::new(), process.store.old_snapshot());
    let watch = tokio::spawn(process.store.snapshot_watch().run(stop.clone()));

    // Somebody whom no time-out ends.
    let mut session = database.owner().await;
    let begin = "set idle_in_transaction_session_timeout = 0; \
        begin isolation level repeatable read; select 1 from log_head";
    sqlx::raw_sql(begin).execute(&mut session).await.expect("begun");
    for number in 0..=SNAPSHOT_TRANSACTIONS_MAX {
        process.submit(post(&format!("r{number}"), "cash", "sales", 1)).await.expect("posted");
    }
    let named = tokio::time::timeout(PATIENCE, alarm.wait_for(Option::is_some)).await;
    let said = named.expect("in time").expect("it runs").clone().unwrap_or_default();
    assert!(said.starts_with("session ") && said.contains(" has held a snapshot for "), "{said}");
    session.close().await.expect("closed");
    let gone = tokio::time::timeout(PATIENCE, alarm.wait_for(Option::is_none)).await;
    gone.expect("in time").expect("it runs");
    stop.cancel();
    watch.await.expect("it ends");
}
