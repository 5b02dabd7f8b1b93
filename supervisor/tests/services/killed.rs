use std::future::pending;
use std::path::PathBuf;
use std::time::Duration;

use crate::ground::{
    Ground, KILLED_DIR_VARIABLE, ask, connect, execute, store_a_message, stored_messages,
};

/// From before there is a cluster, through `initdb` and the first start, to well after it.
const LIVES_MS: [u64; 6] = [20, 150, 400, 800, 1_600, 3_000];

/// Not a test of its own: what the test below starts and kills.
#[tokio::test]
async fn runs_until_it_is_killed() {
    let Some(dir) = std::env::var_os(KILLED_DIR_VARIABLE) else { return };
    let ground = Ground::at(PathBuf::from(dir));
    let _services = tokio::join!(ground.postgres(), ground.nats());
    pending::<()>().await;
}

#[tokio::test]
async fn whenever_we_are_killed_the_next_start_works() {
    let ground = Ground::new(0o711);
    for life_ms in LIVES_MS {
        ground.run_and_kill(Duration::from_millis(life_ms));
    }
    let (postgres, nats) = tokio::join!(ground.postgres(), ground.nats());
    execute(&mut connect(&postgres).await, "create table kept as select 'here' as word").await;
    store_a_message(&nats).await;
    let ports = (postgres.port(), nats.port());
    postgres.stop().await.expect("stopped");
    nats.stop().await.expect("stopped");

    for life_ms in LIVES_MS {
        ground.run_and_kill(Duration::from_millis(life_ms));
    }
    let (postgres, nats) = tokio::join!(ground.postgres(), ground.nats());
    assert_eq!((postgres.port(), nats.port()), ports);
    assert_eq!(ask(&mut connect(&postgres).await, "select word from kept").await, "here");
    assert!(stored_messages(&nats).await);
    postgres.stop().await.expect("stopped");
    nats.stop().await.expect("stopped");
}
