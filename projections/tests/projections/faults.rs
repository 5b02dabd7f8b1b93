//! Two runners at once, and runners that die between any two steps of a batch.

use migrations::Role;
use projections::Options;
use sqlx::{Connection, PgConnection};
use testkit::Proxy;

use super::scenario::{Running, Scenario, eventually};

/// Where a batch of `ledger_balance` is held up, in the order of its steps.
#[derive(Debug, Clone, Copy)]
enum Step {
    LockCheckpoint,
    ReadAccounts,
    UpdateAccounts,
    InsertEntries,
    InsertPostings,
    AddToTrialBalance,
    MoveCheckpoint,
    Commit,
}

const STEPS: [Step; 8] = [
    Step::LockCheckpoint,
    Step::ReadAccounts,
    Step::UpdateAccounts,
    Step::InsertEntries,
    Step::InsertPostings,
    Step::AddToTrialBalance,
    Step::MoveCheckpoint,
    Step::Commit,
];

impl Step {
    /// Holds up whoever comes to this step, until the transaction of `db` ends.
    async fn block(self, db: &mut PgConnection) {
        let statement = match self {
            Self::LockCheckpoint => {
                "select 1 from read.checkpoint where projection = 'ledger_balance' for update"
            }
            Self::ReadAccounts => "lock table read.accounts in access exclusive mode",
            Self::UpdateAccounts => "lock table read.accounts in exclusive mode",
            Self::InsertEntries => "lock table read.entries in exclusive mode",
            Self::InsertPostings => "lock table read.postings in exclusive mode",
            Self::AddToTrialBalance => "lock table read.trial_balance in exclusive mode",
            Self::MoveCheckpoint | Self::Commit => "select pg_advisory_xact_lock(42) -- the gate",
        };
        sqlx::raw_sql(statement).execute(db).await.expect(statement);
    }
}

/// Triggers that wait at the gate: one when the checkpoint moves, one when the transaction commits.
async fn build_gates(db: &mut PgConnection, step: Step) {
    let gate = "create function public.wait_at_gate() returns trigger language plpgsql \
        security definer as \
        $$ begin perform pg_advisory_xact_lock_shared(42); return new; end $$";
    sqlx::raw_sql(gate).execute(&mut *db).await.expect(gate);
    let trigger = match step {
        Step::MoveCheckpoint => {
            "create trigger gate before update on read.checkpoint for each row \
             when (new.projection = 'ledger_balance' and new.position > old.position) \
             execute function public.wait_at_gate()"
        }
        Step::Commit => {
            "create constraint trigger gate after update on read.checkpoint \
             deferrable initially deferred for each row \
             when (new.projection = 'ledger_balance' and new.position > old.position) \
             execute function public.wait_at_gate()"
        }
        Step::LockCheckpoint
        | Step::ReadAccounts
        | Step::UpdateAccounts
        | Step::InsertEntries
        | Step::InsertPostings
        | Step::AddToTrialBalance => return,
    };
    sqlx::raw_sql(trigger).execute(db).await.expect(trigger);
}

/// The backend of a projector that waits for a lock.
async fn held_up(watcher: &mut PgConnection, step: Step) -> i32 {
    eventually(&format!("a batch held up at {step:?}"), async || {
        sqlx::query_scalar(
            "select pid from pg_stat_activity where datname = current_database() \
             and usename = $1 and wait_event_type = 'Lock'",
        )
        .bind(Role::Projector.login())
        .fetch_optional(&mut *watcher)
        .await
        .expect("reads")
    })
    .await
}

/// Waits until a backend has ended.
async fn gone(watcher: &mut PgConnection, backend: i32) {
    eventually("the backend is gone", async || {
        let there: bool =
            sqlx::query_scalar("select exists (select from pg_stat_activity where pid = $1)")
                .bind(backend)
                .fetch_one(&mut *watcher)
                .await
                .expect("reads");
        (!there).then_some(())
    })
    .await;
}

/// A scenario with something applied, and a batch that will be held up at `step`.
async fn held_scenario(step: Step) -> (Scenario, PgConnection) {
    let mut scenario = Scenario::with_accounts().await;
    scenario.sell(3).await;
    let running = Running::start(scenario.options_without_nats());
    running.reaches(scenario.log.position()).await;
    running.stop().await;
    let mut blocker = scenario.database.owner().await;
    build_gates(&mut blocker, step).await;
    (scenario, blocker)
}

#[tokio::test]
async fn a_runner_killed_at_any_step_leaves_each_event_applied_once() {
    for step in STEPS {
        let (mut scenario, mut blocker) = held_scenario(step).await;
        let mut watcher = scenario.database.owner().await;
        let mut blocking = blocker.begin().await.expect("begins");
        step.block(&mut blocking).await;
        scenario.sell(10).await;
        let running = Running::start(scenario.options_without_nats());
        held_up(&mut watcher, step).await;
        running.kill().await;
        // The next one starts while the server still works for the dead one.
        let running = Running::start(scenario.options_without_nats());
        blocking.rollback().await.expect("lets go");
        running.reaches(scenario.log.position()).await;
        running.stop().await;
        scenario.assert_exactly_once().await;
    }
}

#[tokio::test]
async fn a_connection_lost_at_any_step_leaves_each_event_applied_once() {
    for step in STEPS {
        let (mut scenario, mut blocker) = held_scenario(step).await;
        let mut watcher = scenario.database.owner().await;
        let running = Running::start(scenario.options_without_nats());
        running.reaches(scenario.log.position()).await;
        let mut blocking = blocker.begin().await.expect("begins");
        step.block(&mut blocking).await;
        scenario.sell(10).await;
        let backend = held_up(&mut watcher, step).await;
        let terminated: bool = sqlx::query_scalar("select pg_terminate_backend($1)")
            .bind(backend)
            .fetch_one(&mut watcher)
            .await
            .expect("terminates");
        assert!(terminated, "there was a backend");
        blocking.rollback().await.expect("lets go");
        running.reaches(scenario.log.position()).await;
        running.stop().await;
        scenario.assert_exactly_once().await;
    }
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_not_repeated() {
    let (mut scenario, mut blocker) = held_scenario(Step::Commit).await;
    let mut watcher = scenario.database.owner().await;
    let options = scenario.options_without_nats();
    let server = format!("{}:{}", options.database.get_host(), options.database.get_port());
    let proxy = Proxy::to(server).await;
    let address = proxy.address();
    let database = options.database.clone().host(&address.ip().to_string()).port(address.port());
    let running = Running::start(Options { database, ..options });
    running.reaches(scenario.log.position()).await;
    let mut blocking = blocker.begin().await.expect("begins");
    Step::Commit.block(&mut blocking).await;
    scenario.sell(10).await;
    let backend = held_up(&mut watcher, Step::Commit).await;
    proxy.swallow_answers();
    blocking.rollback().await.expect("lets go");
    let head = scenario.log.position();
    eventually("the commit", async || {
        let applied = projections::applied(&mut watcher, "ledger_balance").await.expect("reads");
        (applied == Some(head)).then_some(())
    })
    .await;
    proxy.cut();
    gone(&mut watcher, backend).await;
    proxy.forward();
    scenario.sell(1).await;
    running.reaches(scenario.log.position()).await;
    running.stop().await;
    scenario.assert_exactly_once().await;
}

#[tokio::test]
async fn two_runners_of_one_projection_apply_each_event_once() {
    let mut scenario = Scenario::with_accounts().await;
    scenario.create_stream(1).await;
    let accounts = scenario.log.recorded.clone();
    scenario.publish(&accounts).await;
    let runners: Vec<Running> = (0..3).map(|_| Running::start(scenario.options())).collect();
    for count in [1, 40, 3, 200, 1, 1, 1, 25] {
        let events = scenario.sell(count).await;
        scenario.publish(&events).await;
    }
    for running in runners {
        running.reaches(scenario.log.position()).await;
        running.stop().await;
    }
    scenario.assert_exactly_once().await;
}

/// A page that takes longer than a statement may take is applied in parts that do not, whatever ends in between.
#[tokio::test]
async fn a_batch_that_takes_too_long_is_followed_by_smaller_ones() {
    let mut scenario = Scenario::with_accounts().await;
    let running = Running::start(scenario.options_without_nats());
    running.reaches(scenario.log.position()).await;
    running.stop().await;
    // Together these take 6.4 s of the 5 s that a statement has.
    let slow = "create function public.linger() returns trigger language plpgsql as \
            $$ begin perform pg_sleep(0.4); return new; end $$; \
        create trigger linger before insert on read.entries for each row \
            execute function public.linger()";
    let mut owner = scenario.database.owner().await;
    sqlx::raw_sql(slow).execute(&mut owner).await.expect("slow");
    scenario.sell(16).await;
    let running = Running::start(scenario.options_without_nats());
    running.reaches(scenario.log.position()).await;
    running.stop().await;
    scenario.assert_exactly_once().await;
}
