//! Rebuilds: a new generation beside the live one, and one switch that nobody sees half of.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use domain::Event;
use event_store::log::Position;
use futures::future::BoxFuture;
use projections::{
    AppliedEvent, ApplyError, LedgerBalance, Options, Projection, ProjectionState, RebuildError,
    Table,
};
use sqlx::{Connection, PgConnection};

use super::events::reversed;
use super::scenario::{Running, Scenario, eventually};

/// `ledger_balance` as a later program has it.
#[derive(Debug)]
struct Later;

impl Projection for Later {
    fn name(&self) -> &'static str {
        LedgerBalance.name()
    }

    fn version(&self) -> i32 {
        LedgerBalance.version() + 1
    }

    fn tables_sql(&self) -> &'static str {
        "create table accounts (account_id uuid primary key, note text)"
    }

    fn indexes_sql(&self) -> &'static str {
        "-- None."
    }

    fn tables(&self) -> &'static [Table] {
        &[Table { name: "accounts", key: &["account_id"] }]
    }

    fn concerns(&self, event: &Event) -> bool {
        LedgerBalance.concerns(event)
    }

    fn apply<'a>(
        &'a self,
        _db: &'a mut PgConnection,
        _events: &'a [AppliedEvent],
    ) -> BoxFuture<'a, Result<(), ApplyError>> {
        Box::pin(async { Ok(()) })
    }
}

/// What one repeatable-read transaction sees: the position, then how many entries and postings.
async fn glance(db: &mut PgConnection) -> (i64, i64, i64) {
    let mut transaction = db.begin_with(projections::BEGIN_READ).await.expect("begins");
    let hold = sqlx::raw_sql(projections::HOLD_GENERATION);
    hold.execute(&mut *transaction).await.expect("held");
    let position = projections::applied(&mut *transaction, "ledger_balance").await.expect("reads");
    let entries: i64 = sqlx::query_scalar("select count(*) from read.entries")
        .fetch_one(&mut *transaction)
        .await
        .expect("reads");
    let postings: i64 = sqlx::query_scalar("select count(*) from read.postings")
        .fetch_one(&mut *transaction)
        .await
        .expect("reads");
    transaction.commit().await.expect("commits");
    (position.expect("a checkpoint").number(), entries, postings)
}

#[tokio::test]
async fn a_rebuild_goes_on_beside_the_live_generation_and_nobody_sees_half_of_the_switch() {
    let mut scenario = Scenario::with_accounts().await;
    scenario.sell(2_000).await;
    let running = Running::start(scenario.options());
    running.reaches(scenario.log.position()).await;
    let done = Arc::new(AtomicBool::new(false));
    let mut readers = Vec::new();
    for _ in 0..3 {
        let (mut db, done) = (scenario.query().await, Arc::clone(&done));
        readers.push(tokio::spawn(async move {
            let (mut before, mut glances) = (0, 0);
            while !done.load(Ordering::SeqCst) {
                let (position, entries, postings) = glance(&mut db).await;
                assert_eq!((entries, postings), (position - 2, 2 * entries), "one moment");
                assert!(position >= before, "never fewer: {position} after {before}");
                (before, glances) = (position, glances + 1);
            }
            glances
        }));
    }
    let database = scenario.options().database;
    let progressed = Arc::new(AtomicI64::new(0));
    let seen = Arc::clone(&progressed);
    let rebuilding = tokio::spawn(async move {
        let report = move |progress: projections::Progress| {
            assert!(progress.position <= progress.head);
            seen.store(progress.position.number(), Ordering::SeqCst);
        };
        projections::rebuild(&database, &LedgerBalance, &report).await
    });
    while !rebuilding.is_finished() {
        scenario.sell(5).await;
        running.reaches(scenario.log.position()).await;
    }
    let rebuilt = rebuilding.await.expect("ends").expect("rebuilds");
    assert_eq!(rebuilt.generation, 2);
    assert!(progressed.load(Ordering::SeqCst) >= 2_002, "progress was told");
    scenario.sell(5).await;
    running.reaches(scenario.log.position()).await;
    done.store(true, Ordering::SeqCst);
    for reader in readers {
        assert!(reader.await.expect("every glance was whole") > 0);
    }
    assert_eq!(running.health("ledger_balance").generation, 2);
    running.stop().await;
    scenario.assert_exactly_once().await;
    let mut db = scenario.database.owner().await;
    let left: Option<String> = sqlx::query_scalar(
        "select nspname::text from pg_namespace where nspname like 'read\\_rebuild%'",
    )
    .fetch_optional(&mut db)
    .await
    .expect("reads");
    assert_eq!(left, None, "the rebuild's schema is gone");
}

#[tokio::test]
async fn the_switch_waits_for_a_query_and_a_second_rebuild_is_refused_meanwhile() {
    let mut scenario = Scenario::with_accounts().await;
    scenario.sell(50).await;
    let running = Running::start(scenario.options_without_nats());
    running.reaches(scenario.log.position()).await;
    let mut db = scenario.database.owner().await;
    let mut reading = db.begin_with(projections::BEGIN_READ).await.expect("begins");
    sqlx::raw_sql(projections::HOLD_GENERATION).execute(&mut *reading).await.expect("held");
    projections::applied(&mut *reading, "ledger_balance").await.expect("reads");
    let (database, reached) = (scenario.options().database, Arc::new(AtomicI64::new(0)));
    let (first, seen) = (database.clone(), Arc::clone(&reached));
    let rebuilding = tokio::spawn(async move {
        let report = move |progress: projections::Progress| {
            seen.store(progress.position.number(), Ordering::SeqCst);
        };
        projections::rebuild(&first, &LedgerBalance, &report).await
    });
    eventually("the new generation is filled", async || {
        (reached.load(Ordering::SeqCst) == 52).then_some(())
    })
    .await;
    let second = projections::rebuild(&database, &LedgerBalance, &|_| {}).await;
    assert!(matches!(second, Err(RebuildError::AlreadyRunning)), "{second:?}");
    // The live generation goes on while the switch waits; the query sees none of it.
    scenario.sell(5).await;
    running.reaches(scenario.log.position()).await;
    let entries: i64 = sqlx::query_scalar("select count(*) from read.entries")
        .fetch_one(&mut *reading)
        .await
        .expect("reads");
    assert_eq!(entries, 50);
    assert!(!rebuilding.is_finished(), "it waits");
    reading.commit().await.expect("commits");
    assert_eq!(rebuilding.await.expect("ends").expect("rebuilds").generation, 2);
    running.reaches(scenario.log.position()).await;
    running.stop().await;
    scenario.assert_exactly_once().await;
}

/// The event to blame is in the middle of many: two tables are being copied into when it is refused.
#[tokio::test]
async fn a_rebuild_that_cannot_apply_an_event_among_many_names_it() {
    let mut scenario = Scenario::with_accounts().await;
    scenario.sell(6_000).await;
    let entry = scenario.log.entry(Position::from_number(10));
    scenario.log.append(reversed(&entry)).await;
    scenario.sell(1_200).await;
    let [_, again] = reversed(&entry);
    scenario.log.append([again]).await;
    let refused = scenario.log.position();
    scenario.sell(1_200).await;
    let database = scenario.options().database;
    match projections::rebuild(&database, &LedgerBalance, &|_| {}).await {
        Err(RebuildError::Event { position, reason }) => {
            assert_eq!(position, refused, "{reason}");
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_abandoned_rebuild_is_started_afresh() {
    let mut scenario = Scenario::with_accounts().await;
    scenario.sell(6_000).await;
    let database = scenario.options().database;
    let begun = AtomicBool::new(false);
    let report = |_| begun.store(true, Ordering::SeqCst);
    tokio::select! {
        biased;
        () = eventually("a first page", async || begun.load(Ordering::SeqCst).then_some(())) => {}
        rebuilt = projections::rebuild(&database, &LedgerBalance, &report) => {
            rebuilt.expect("rebuilds");
        }
    }
    // The server may still hold the lock of the connection that is gone.
    let rebuilt = eventually("the lock is free", async || {
        match projections::rebuild(&database, &LedgerBalance, &|_| {}).await {
            Err(RebuildError::AlreadyRunning) => None,
            other => Some(other.expect("rebuilds")),
        }
    })
    .await;
    assert_eq!(rebuilt.position, scenario.log.position());
    let running = Running::start(scenario.options_without_nats());
    running.reaches(scenario.log.position()).await;
    running.stop().await;
    scenario.assert_exactly_once().await;
}

#[tokio::test]
async fn a_program_of_a_later_version_rebuilds_and_an_earlier_one_then_stands_back() {
    let mut scenario = Scenario::with_accounts().await;
    scenario.sell(30).await;
    let earlier = Running::start(scenario.options_without_nats());
    earlier.reaches(scenario.log.position()).await;
    let later = Options { projections: vec![Arc::new(Later)], ..scenario.options_without_nats() };
    let later = Running::start(later);
    later.one_reaches("ledger_balance", scenario.log.position()).await;
    assert_eq!(later.health("ledger_balance").generation, 2);
    scenario.sell(1).await;
    later.one_reaches("ledger_balance", scenario.log.position()).await;
    let stands_back = earlier
        .is("ledger_balance", "the earlier program stands back", |health| {
            health.state == ProjectionState::Stopped
        })
        .await;
    let reason = stands_back.detail.expect("a reason");
    assert_eq!(reason, format!("version {} of a newer program has taken over", Later.version()));
    earlier.stop().await;
    later.stop().await;
    let mut db = scenario.database.owner().await;
    let tables: Vec<String> = sqlx::query_scalar(
        "select table_name::text from information_schema.tables where table_schema = 'read' order by 1",
    )
    .fetch_all(&mut db)
    .await
    .expect("reads");
    assert_eq!(tables, ["accounts", "api_keys", "checkpoint", "merchants"]);
}

#[tokio::test]
async fn dropped_tables_stop_a_projection_and_a_rebuild_brings_them_back() {
    let mut scenario = Scenario::with_accounts().await;
    let running = Running::start(scenario.options_without_nats());
    running.reaches(scenario.log.position()).await;
    let mut db = scenario.database.owner().await;
    sqlx::raw_sql("drop table read.entries").execute(&mut db).await.expect("drops");
    scenario.sell(1).await;
    running
        .is("ledger_balance", "stopped", |health| health.state == ProjectionState::Stopped)
        .await;
    let database = scenario.options().database;
    let rebuilt = projections::rebuild(&database, &LedgerBalance, &|_| {}).await;
    assert_eq!(rebuilt.expect("rebuilds").position, scenario.log.position());
    running.reaches(scenario.log.position()).await;
    running.stop().await;
    scenario.assert_exactly_once().await;
}

#[tokio::test]
async fn a_rebuild_says_which_event_it_cannot_apply_and_leaves_the_live_generation_alone() {
    let mut scenario = Scenario::with_accounts().await;
    let sold = scenario.sell(10).await;
    let running = Running::start(scenario.options_without_nats());
    running.reaches(scenario.log.position()).await;
    let odd = &sold[4];
    scenario.log.overwrite_data(odd.position, "{}", &odd.event_type).await;
    let database = scenario.options().database;
    match projections::rebuild(&database, &LedgerBalance, &|_| {}).await {
        Err(RebuildError::Event { position, .. }) => assert_eq!(position, odd.position),
        other => panic!("{other:?}"),
    }
    scenario.sell(3).await;
    running.reaches(scenario.log.position()).await;
    assert_eq!(running.health("ledger_balance").generation, 1);
    scenario.log.overwrite_data(odd.position, &odd.data, &odd.event_type).await;
    assert!(scenario.log.position() > Position::START);
    running.stop().await;
    scenario.assert_exactly_once().await;
}
