//! Runners that die at every step, each step twice, and the next one that goes on.

use std::sync::Arc;

use projections::{LedgerBalance, Options, Payments, Projection, Runner};
use testkit::{killed_at, killed_at_every_wait};
use tokio_util::sync::CancellationToken;

use super::events::{Happened, posted, way_of_a_payment};
use super::scenario::{Running, Scenario};
use super::tables;

/// Has a runner of `projection` alone die at every step of applying what `happens` each time.
async fn dies_at_every_step(
    projection: Arc<dyn Projection>,
    happens: impl Fn(u128) -> Vec<Happened>,
) {
    let mut scenario = Scenario::with_accounts().await;
    let options = |scenario: &Scenario| Options {
        projections: vec![Arc::clone(&projection)],
        ..scenario.options_without_nats()
    };
    // The tables are there, as in a deployment that runs.
    let running = Running::start(options(&scenario));
    running.one_reaches(projection.name(), scenario.log.position()).await;
    running.stop().await;
    let mut turn = 0;
    let deaths = killed_at_every_wait(async |waits| {
        turn += 1;
        scenario.log.append(happens(turn)).await;
        let head = scenario.log.position();
        let (runner, handle) = Runner::new(options(&scenario));
        let life = async {
            tokio::select! {
                () = runner.run(CancellationToken::new()) => {}
                reached = handle.wait_for(projection.name(), head) => {
                    reached.expect("it runs");
                }
            }
        };
        let lived = killed_at(waits, life).is_some();
        if !lived {
            let running = Running::start(options(&scenario));
            running.one_reaches(projection.name(), head).await;
            running.stop().await;
        }
        lived
    })
    .await;
    assert!(deaths > 10, "it connects, reads, applies, moves its checkpoint and commits: {deaths}");
    let mut owner = scenario.database.owner().await;
    let live = tables::dump(&mut owner, &*projection, "read").await;
    tables::same(&live, &tables::expected(&mut owner, &*projection).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_the_ledgers_balances() {
    let sale = |turn: u128| vec![posted(&format!("sale {turn}"), "cash", "sales", 1)];
    dies_at_every_step(Arc::new(LedgerBalance), sale).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_the_payments() {
    dies_at_every_step(Arc::new(Payments), |turn| way_of_a_payment(turn * 1_000)).await;
}
