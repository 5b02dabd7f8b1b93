//! A runner that has Postgres alone: what the read models hold.

use std::sync::Arc;

use domain::MerchantId;
use domain::accounts::AccountType;
use domain::api_keys::Role;
use event_store::log::Position;
use event_store::{EventStore, RandomIds, StoreOptions, SystemClock};
use projections::{Access, Feed, LedgerBalance, Options, Projection, ProjectionState, WaitError};
use tokio_util::sync::CancellationToken;

use super::events::{
    SHOP, closed, frozen, issued, merchant, opened, posted, posted_in, registered, reversed,
    revoked, unfrozen,
};
use super::ledger_events::{End, amended, closed_day, dated, partly_reversed, way_of_a_hold};
use super::scenario::{Running, Scenario};
use super::tables::dump;

/// A bit of everything that can happen.
async fn history(scenario: &mut Scenario) {
    let log = &mut scenario.log;
    log.append([
        registered(SHOP, "The Shop"),
        registered(merchant(7), "Seven"),
        issued(1, SHOP, Role::Merchant),
        issued(2, MerchantId::PLATFORM, Role::Auditor),
        issued(3, merchant(7), Role::MerchantRead),
        opened("cash", AccountType::Asset, "USD"),
        opened("sales", AccountType::Income, "USD"),
        opened("customers:1", AccountType::Liability, "USD"),
        opened("yen", AccountType::Asset, "JPY"),
        opened("yen-sales", AccountType::Income, "JPY"),
    ])
    .await;
    let sale = log
        .append([
            posted("r1", "cash", "sales", 1_250),
            posted("r2", "cash", "customers:1", 5_000),
            posted_in("JPY", "r3", "yen", "yen-sales", 300),
        ])
        .await;
    log.append([revoked(3, merchant(7)), frozen("customers:1")]).await;
    let entry = log.entry(sale[0].position);
    log.append(reversed(&entry)).await;
    log.append([unfrozen("customers:1"), closed("sales"), posted("r4", "customers:1", "cash", 40)])
        .await;
}

#[tokio::test]
async fn a_history_is_folded_into_accounts_entries_statements_and_a_trial_balance() {
    let mut scenario = Scenario::new().await;
    history(&mut scenario).await;
    let running = Running::start(scenario.options_without_nats());
    running.reaches(scenario.log.position()).await;
    running.stop().await;
    scenario.assert_exactly_once().await;
    let mut db = scenario.database.owner().await;
    insta::assert_snapshot!("ledger_balance", dump(&mut db, &LedgerBalance, "read").await);
    insta::assert_snapshot!("access", dump(&mut db, &Access, "read").await);
}

#[tokio::test]
async fn holds_dates_parts_and_closes_are_folded() {
    let mut scenario = Scenario::with_accounts().await;
    let log = &mut scenario.log;
    let sale = log.append([amended("cash", 50), posted("r1", "cash", "sales", 1_000)]).await;
    let entry = log.entry(sale[1].position);
    log.append(partly_reversed(&entry, 1, 300)).await;
    log.append(partly_reversed(&entry, 2, 200)).await;
    for (number, end) in [(1, End::Posted), (2, End::Voided), (3, End::Expired)] {
        let way = way_of_a_hold(number, ("sales", "cash"), end);
        log.append(way.into_iter().flatten()).await;
    }
    let at = "2025-06-14T23:59:59.5Z".parse().expect("a time");
    log.append([dated("r2", ("cash", "sales"), 210, at)]).await;
    let day = "2025-05-31".parse().expect("a day");
    log.append(closed_day(day).into_iter().flatten()).await;
    let running = Running::start(scenario.options_without_nats());
    running.reaches(scenario.log.position()).await;
    running.stop().await;
    scenario.assert_exactly_once().await;
    let mut db = scenario.database.owner().await;
    insta::assert_snapshot!("ledger_life", dump(&mut db, &LedgerBalance, "read").await);
}

#[tokio::test]
async fn batches_of_any_cut_yield_the_same_rows() {
    let mut scenario = Scenario::new().await;
    let running = Running::start(scenario.options_without_nats());
    history(&mut scenario).await;
    running.reaches(scenario.log.position()).await;
    scenario.sell(40).await;
    running.reaches(scenario.log.position()).await;
    running.stop().await;
    scenario.assert_exactly_once().await;
}

#[tokio::test]
async fn the_query_role_reads_the_tables_and_the_checkpoint_and_nobody_else_writes_them() {
    let mut scenario = Scenario::with_accounts().await;
    let sold = scenario.sell(3).await;
    let running = Running::start(scenario.options_without_nats());
    running.reaches(scenario.log.position()).await;
    let mut db = scenario.query().await;
    let applied = projections::applied(&mut db, "ledger_balance").await.expect("reads");
    assert_eq!(applied, Some(sold[2].position));
    assert_eq!(projections::applied(&mut db, "unheard_of").await.expect("reads"), None);
    let balances: Vec<i64> = sqlx::query_scalar(
        "select balance_after_minor::bigint from read.postings join read.accounts using (account_id) \
         where code = 'sales' order by position desc",
    )
    .fetch_all(&mut db)
    .await
    .expect("reads");
    assert_eq!(balances, [3, 2, 1]);
    let refused = sqlx::raw_sql("update read.checkpoint set position = 0").execute(&mut db).await;
    assert!(refused.is_err(), "the query role only reads");
    running.stop().await;
}

#[tokio::test]
async fn lag_is_told_in_events_and_seconds() {
    let mut scenario = Scenario::with_accounts().await;
    let running = Running::start(scenario.options_without_nats());
    running.reaches(scenario.log.position()).await;
    running.stop().await;
    scenario.sell(5).await;
    let waiting_since = scenario.log.recorded[2].recorded_at;
    scenario.database.stop_clock_at(waiting_since.micros() + 1_500_000).await;
    let mut db = scenario.query().await;
    let statuses = projections::statuses(&mut db).await.expect("reads");
    let names: Vec<&str> = statuses.iter().map(|status| status.projection.as_str()).collect();
    assert_eq!(names, ["access", "ledger_balance"]);
    for status in statuses {
        assert_eq!((status.lag_events(), status.state), (5, ProjectionState::Running));
        assert_eq!(status.lag.as_millis(), 1_500);
    }
}

#[tokio::test]
async fn what_the_process_has_in_memory_is_applied_and_what_it_has_not_is_read() {
    let mut scenario = Scenario::with_accounts().await;
    // What was there before is in nobody's memory.
    let database_url = scenario.database.url(migrations::Role::Application);
    let options =
        StoreOptions { database_url, clock: Arc::new(SystemClock), ids: Arc::new(RandomIds) };
    let (store, sequencer) = EventStore::open(options).await.expect("the log opens");
    let stop = CancellationToken::new();
    let sequencing = tokio::spawn(sequencer.run(stop.clone()));
    let mut recent = store.recent();
    let first = scenario.log.position();
    assert!(recent.after(Position::START, 10).is_none(), "nothing is kept yet");
    let feed = Feed::Process(recent.clone());
    let running = Running::start(Options { feed, ..scenario.options_without_nats() });
    running.reaches(first).await;
    for _ in 0..5 {
        scenario.sell(3).await;
        running.reaches(scenario.log.position()).await;
    }
    let sold = scenario.log.position();
    recent.beyond(Position::from_number(sold.number() - 1)).await;
    let kept = recent.after(first, 100).expect("all since then is kept");
    let kept: Vec<Position> = kept.iter().map(|event| event.recorded.position).collect();
    let appended = scenario.log.recorded.iter().map(|row| row.position);
    assert_eq!(kept, appended.filter(|position| *position > first).collect::<Vec<_>>());
    assert!(recent.after(Position::START, 100).is_none(), "what came before has to be read");
    assert_eq!(recent.after(scenario.log.position(), 100).expect("nothing is missing").len(), 0);
    running.stop().await;
    stop.cancel();
    sequencing.await.expect("the sequencer ends");
    scenario.assert_exactly_once().await;
}

#[tokio::test]
async fn waiting_ends_with_the_runner_and_not_for_an_unknown_projection() {
    let scenario = Scenario::new().await;
    let running = Running::start(scenario.options_without_nats());
    let handle = running.handle.clone();
    let never = Position::from_number(1);
    assert_eq!(handle.wait_for("unheard_of", never).await, Err(WaitError::Unknown));
    let waiting = tokio::spawn(async move { handle.wait_for("access", never).await });
    running.stop().await;
    assert_eq!(waiting.await.expect("ends"), Err(WaitError::Ended));
}

#[tokio::test]
async fn every_projection_is_found_by_its_name() {
    for projection in projections::all() {
        let found = projections::named(projection.name()).expect("found");
        assert_eq!(found.name(), projection.name());
    }
    assert!(projections::named("unheard_of").is_none());
    let _: Arc<dyn Projection> = Arc::new(LedgerBalance);
}
