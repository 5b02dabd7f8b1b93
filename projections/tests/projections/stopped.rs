//! Events that cannot be applied: the projection stops there, says so, and goes on after the repair.

use domain::accounts::AccountType;
use event_store::log::Position;
use projections::ProjectionState;

use super::events::{opened, posted};
use super::scenario::{Running, Scenario};

/// Waits until `projection` is stopped at `position`, and checks that everybody is told.
async fn stops_at(scenario: &Scenario, running: &Running, projection: &str, position: Position) {
    let stopped =
        running.is(projection, "stopped", |health| health.state == ProjectionState::Stopped).await;
    assert_eq!(stopped.failed_position, Some(position));
    let before = Position::from_number(position.number() - 1);
    assert_eq!(stopped.position, before, "all that comes before is applied");
    let mut db = scenario.query().await;
    let told = super::scenario::eventually("the checkpoint says so", async || {
        let mut statuses = projections::statuses(&mut db).await.expect("reads");
        statuses.retain(|status| status.projection == projection);
        statuses.pop().filter(|status| status.state == ProjectionState::Stopped)
    })
    .await;
    assert_eq!((told.position, told.failed_position), (before, Some(position)));
    assert_eq!(told.detail, stopped.detail);
    insta::assert_snapshot!(
        format!("{projection}_stopped_at_{position}"),
        stopped.detail.expect("a reason")
    );
}

#[tokio::test]
async fn an_event_of_unknown_type_stops_every_projection_until_it_is_known() {
    let mut scenario = Scenario::with_accounts().await;
    let sold = scenario.sell(20).await;
    let odd = &sold[7];
    scenario.log.overwrite_data(odd.position, &odd.data, "ledger.entry_teleported").await;
    let running = Running::start(scenario.options());
    stops_at(&scenario, &running, "ledger_balance", odd.position).await;
    stops_at(&scenario, &running, "access", odd.position).await;
    scenario.log.overwrite_data(odd.position, &odd.data, &odd.event_type).await;
    running.reaches(scenario.log.position()).await;
    let resumed = running.health("ledger_balance");
    assert_eq!((resumed.state, resumed.detail), (ProjectionState::Running, None));
    running.stop().await;
    scenario.assert_exactly_once().await;
}

#[tokio::test]
async fn malformed_data_stops_a_running_projection_until_it_is_repaired() {
    let mut scenario = Scenario::with_accounts().await;
    let running = Running::start(scenario.options());
    running.reaches(scenario.log.position()).await;
    // Stopped while the event is made malformed; nobody can be quicker than its repair.
    running.stop().await;
    let sold = scenario.sell(3).await;
    scenario.log.overwrite_data(sold[1].position, r#"{"entry_id":"x"}"#, &sold[1].event_type).await;
    let running = Running::start(scenario.options());
    stops_at(&scenario, &running, "ledger_balance", sold[1].position).await;
    // A restart changes nothing about it.
    running.stop().await;
    let running = Running::start(scenario.options());
    stops_at(&scenario, &running, "ledger_balance", sold[1].position).await;
    scenario.log.overwrite_data(sold[1].position, &sold[1].data, &sold[1].event_type).await;
    running.reaches(scenario.log.position()).await;
    running.stop().await;
    scenario.assert_exactly_once().await;
}

#[tokio::test]
async fn a_contradiction_stops_only_the_projection_that_it_concerns() {
    let mut scenario = Scenario::with_accounts().await;
    scenario.sell(300).await;
    let odd = scenario.log.append([posted("odd", "nowhere", "sales", 5)]).await;
    scenario.sell(300).await;
    let running = Running::start(scenario.options_without_nats());
    stops_at(&scenario, &running, "ledger_balance", odd[0].position).await;
    running.one_reaches("access", scenario.log.position()).await;
    let repaired = odd[0].data.replace(
        &super::events::account("nowhere").to_string(),
        &super::events::account("cash").to_string(),
    );
    scenario.log.overwrite_data(odd[0].position, &repaired, &odd[0].event_type).await;
    running.reaches(scenario.log.position()).await;
    running.stop().await;
    scenario.assert_exactly_once().await;
}

#[tokio::test]
async fn data_that_the_tables_refuse_is_found_in_the_middle_of_a_batch() {
    let mut scenario = Scenario::with_accounts().await;
    scenario.sell(137).await;
    let odd = scenario.log.append([opened("cash", AccountType::Asset, "USD")]).await;
    scenario.sell(50).await;
    let running = Running::start(scenario.options_without_nats());
    stops_at(&scenario, &running, "ledger_balance", odd[0].position).await;
    running.stop().await;
}
