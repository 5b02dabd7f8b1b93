//! Read models compared with what the log folds into.

use event_store::log::Position;
use migrations::Role;
use projections::{Projection, fold_into};
use replay_tool::verify::{Check, VerifyOptions};

use crate::given::{Verified, World, merchant, verified};

/// Fills the live tables as far as `to`, as the runner would.
async fn fill(world: &World, to: i64) {
    let mut projector = world.database.connect(Role::Projector).await;
    for projection in projections::all() {
        let (projection, to): (&dyn Projection, _) = (&*projection, Position::from_number(to));
        fold_into(&mut projector, projection, "read", to, |_| {}).await.expect("folded");
    }
    world.tamper("grant select on all tables in schema read to runut_query, runut_auditor").await;
}

async fn compared(world: &World) -> Verified {
    verified(&VerifyOptions { read_models: true, ..world.options() }).await
}

#[tokio::test]
async fn read_models_that_are_what_the_log_says_are_in_order() {
    let world = World::with_history().await;
    fill(&world, 14).await;
    world.submit(merchant()).await;
    let compared = compared(&world).await;
    compared.assert_clean();
    assert_eq!(compared.summary.not_checked, Vec::<String>::new());
}

#[tokio::test]
async fn read_models_behind_the_log_are_compared_where_they_are() {
    let world = World::with_history().await;
    fill(&world, 9).await;
    compared(&world).await.assert_clean();
}

#[tokio::test]
async fn read_models_that_were_never_filled_are_not_checked() {
    let world = World::new().await;
    let compared = compared(&world).await;
    compared.assert_clean();
    assert_eq!(compared.summary.not_checked.len(), projections::all().len());
}

#[tokio::test]
async fn a_row_that_was_altered_is_found() {
    let world = World::with_history().await;
    fill(&world, 14).await;
    world.tamper("update read.accounts set balance_minor = 1 where code = 'cash'").await;
    let compared = compared(&world).await;
    compared.assert_finds([(Check::ReadModels, None)]);
    assert!(compared.only().subject.starts_with("ledger_balance.accounts: account_id "));
}

#[tokio::test]
async fn a_row_that_is_missing_is_found() {
    let world = World::with_history().await;
    fill(&world, 14).await;
    world.tamper("delete from read.postings where position = 4 and posting_index = 0").await;
    let compared = compared(&world).await;
    compared.assert_finds([(Check::ReadModels, None)]);
    assert_eq!(compared.only().found, "no row");
}

#[tokio::test]
async fn a_row_too_many_is_found() {
    let world = World::with_history().await;
    fill(&world, 14).await;
    world
        .tamper(
            "insert into read.merchants select gen_random_uuid(), name, fees, version, \
                 registered_at, registered_position + 100 from read.merchants limit 1",
        )
        .await;
    let compared = compared(&world).await;
    compared.assert_finds([(Check::ReadModels, None)]);
    assert_eq!(compared.only().expected, "no row");
}

#[tokio::test]
async fn a_read_model_beyond_the_head_is_found() {
    let world = World::with_history().await;
    fill(&world, 14).await;
    world.tamper("update read.checkpoint set position = 99 where projection = 'access'").await;
    compared(&world).await.assert_finds([(Check::ReadModels, Some(99))]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn read_models_that_move_meanwhile_are_compared_where_they_are_by_then() {
    let world = World::with_history().await;
    fill(&world, 9).await;
    // The live tables move between the first look at their checkpoint and the comparison.
    let mut observer = MovesOn { world: &world, moved: false };
    let options = VerifyOptions { read_models: true, ..world.options() };
    let summary = replay_tool::verify::verify(&options, &mut observer).await.expect("verified");
    assert!(observer.moved && summary.clean(), "{summary:?}");
}

struct MovesOn<'w> {
    world: &'w World,
    moved: bool,
}

impl replay_tool::verify::Observer for MovesOn<'_> {
    fn progress(&mut self, part: replay_tool::verify::Part, _: u64, _: u64) {
        if part == replay_tool::verify::Part::ReadModels && !self.moved {
            self.moved = true;
            tokio::task::block_in_place(|| {
                tokio::runtime::Handle::current().block_on(replace(self.world));
            });
        }
    }

    fn finding(&mut self, finding: &replay_tool::verify::Finding) {
        panic!("{finding:?}");
    }
}

/// Fills the live tables anew, further on.
async fn replace(world: &World) {
    world
        .tamper(
            "do $$ declare name text; begin \
                 for name in select tablename from pg_tables where schemaname = 'read' loop \
                     execute format('drop table read.%I', name); end loop; end $$",
        )
        .await;
    fill(world, 14).await;
}
