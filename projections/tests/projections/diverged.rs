//! A checkpoint that is not one of this log: seen, not skipped over, and ended by a rebuild only.

use event_store::log::Position;
use projections::{LedgerBalance, ProjectionHealth, ProjectionState};

use super::events::{Happened, posted};
use super::scenario::{Running, Scenario};

fn diverged(health: &ProjectionHealth) -> bool {
    health.state == ProjectionState::Diverged
}

/// Accounts and eight sales, applied; then all but the first four events are lost.
async fn restored() -> Scenario {
    let mut scenario = Scenario::with_accounts().await;
    scenario.sell(8).await;
    let running = Running::start(scenario.options_without_nats());
    running.reaches(scenario.log.position()).await;
    running.stop().await;
    scenario.log.cut_after(Position::from_number(4)).await;
    scenario
}

async fn append_others(scenario: &mut Scenario, count: usize) {
    let at = scenario.log.position();
    let others: Vec<Happened> = (0..count)
        .map(|index| posted(&format!("other {at}/{index}"), "sales", "cash", 3))
        .collect();
    scenario.log.append(others).await;
}

async fn stays_diverged(scenario: &mut Scenario, running: Running) {
    for projection in ["ledger_balance", "access"] {
        let health = running.is(projection, "diverged", diverged).await;
        assert_eq!(health.position, Position::from_number(10), "nothing is applied or undone");
    }
    append_others(scenario, 20).await;
    running.stop().await;
    // The log has grown past the checkpoint and would go on from there: still not.
    let running = Running::start(scenario.options_without_nats());
    let health = running.is("ledger_balance", "still diverged", diverged).await;
    assert_eq!(health.position, Position::from_number(10));
    let mut db = scenario.query().await;
    let statuses = projections::statuses(&mut db).await.expect("reads");
    assert!(statuses.iter().all(|status| status.state == ProjectionState::Diverged));
    assert!(health.detail.is_some_and(|detail| !detail.is_empty()), "it says why");
    for projection in projections::all() {
        let database = scenario.options().database;
        projections::rebuild(&database, &*projection, &|_| {}).await.expect("rebuilds");
    }
    running.reaches(scenario.log.position()).await;
    running.is("ledger_balance", "running", |health| !diverged(health)).await;
    running.stop().await;
    scenario.assert_exactly_once().await;
}

#[tokio::test]
async fn a_checkpoint_beyond_the_head_diverges() {
    let mut scenario = restored().await;
    let running = Running::start(scenario.options_without_nats());
    stays_diverged(&mut scenario, running).await;
}

#[tokio::test]
async fn a_checkpoint_with_another_hash_diverges() {
    let mut scenario = restored().await;
    append_others(&mut scenario, 6).await;
    let running = Running::start(scenario.options_without_nats());
    stays_diverged(&mut scenario, running).await;
}

#[tokio::test]
async fn a_head_that_falls_under_a_running_projection_diverges_it() {
    let mut scenario = Scenario::with_accounts().await;
    scenario.sell(8).await;
    let running = Running::start(scenario.options());
    running.reaches(scenario.log.position()).await;
    scenario.log.cut_after(Position::from_number(4)).await;
    stays_diverged(&mut scenario, running).await;
}

#[tokio::test]
async fn a_rebuild_replaces_a_diverged_generation_that_is_further() {
    let scenario = restored().await;
    let running = Running::start(scenario.options_without_nats());
    running.is("ledger_balance", "diverged", diverged).await;
    let database = scenario.options().database;
    let rebuilt = projections::rebuild(&database, &LedgerBalance, &|_| {}).await;
    let rebuilt = rebuilt.expect("rebuilds");
    assert_eq!((rebuilt.generation, rebuilt.position), (2, Position::from_number(4)));
    running.is("ledger_balance", "running", |health| !diverged(health)).await;
    running.stop().await;
}
