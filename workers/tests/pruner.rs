//! The pruner against a real Postgres.

use std::sync::Arc;
use std::time::Duration;

use domain::Timestamp;
use event_store::Clock;
use migrations::Role;
use sqlx::PgConnection;
use testkit::TestDatabase;
use tokio_util::sync::CancellationToken;
use workers::{
    BATCH_KEYS_MAX, KEYS_KEPT_FOR, Options, Pruned, Pruner, PrunerOptions, UNANSWERED_COUNTED_MAX,
    WEBHOOKS_KEPT_FOR, Workers,
};

/// The time at which all these tests play.
const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);
const MICROSECOND: Duration = Duration::from_micros(1);
const HOUR_MICROS: i64 = 3_600_000_000;
/// How long a worker may take to do what it does in milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug)]
struct FixedClock;

impl Clock for FixedClock {
    fn now(&self) -> Timestamp {
        NOW
    }
}

struct Keys {
    database: TestDatabase,
    owner: PgConnection,
    head: i64,
}

impl Keys {
    async fn none() -> Self {
        let database = TestDatabase::create().await;
        database.stop_clock_at(NOW.micros()).await;
        let owner = database.owner().await;
        Self { database, owner, head: 0 }
    }

    fn options(&self) -> PrunerOptions {
        PrunerOptions {
            database_url: self.database.url(Role::Pruner),
            clock: Arc::new(FixedClock),
            steady_for: Duration::ZERO,
        }
    }

    /// Adds `count` keys of this age, all called `name` and a number.
    async fn add(&mut self, name: &str, count: i64, age: Duration, answered: bool) {
        let age_micros = i64::try_from(age.as_micros()).expect("an age in range");
        let recorded_at = Timestamp::from_micros(NOW.micros() - age_micros).datetime();
        sqlx::query(
            "insert into idempotency_keys
             select 1, '00000000-0000-0000-0000-000000000000', $1 || n, sha256('request'), 'thing',
                    case when $3 then 201 end, case when $3 then '{}' end, $5, $4
             from generate_series(1, $2) n",
        )
        .bind(name)
        .bind(count)
        .bind(answered)
        .bind(recorded_at)
        .bind(self.head)
        .execute(&mut self.owner)
        .await
        .expect("keys are added");
    }

    /// Appends an event of this age, so that keys that are added from here on were answered at its position.
    async fn append(&mut self, age: Duration) {
        let age_micros = i64::try_from(age.as_micros()).expect("an age in range");
        self.head += 1;
        let event = "with event as (
            insert into events values (1, $1, 'thing-' || $1, 1, gen_random_uuid(), 'thing.happened', 1,
                gen_random_uuid(), '{}', '{}', $2, sha256('event'))
        )
        update log_head set position = $1, recorded_at = $2";
        sqlx::query(event)
            .bind(self.head)
            .bind(Timestamp::from_micros(NOW.micros() - age_micros).datetime())
            .execute(&mut self.owner)
            .await
            .expect("an event is appended");
    }

    async fn add_webhook(&mut self, name: &str, state: &str, age: Duration) {
        let age_micros = i64::try_from(age.as_micros()).expect("an age in range");
        sqlx::query(
            "insert into webhooks (digest, psp, received_at, body, state, deliveries)
             values (sha256($1::bytea), $1, $3, $1::bytea, $2, 1)",
        )
        .bind(name)
        .bind(state)
        .bind(Timestamp::from_micros(NOW.micros() - age_micros).datetime())
        .execute(&mut self.owner)
        .await
        .expect("a webhook is added");
    }

    async fn left(&mut self) -> Vec<String> {
        sqlx::query_scalar("select key from idempotency_keys order by key")
            .fetch_all(&mut self.owner)
            .await
            .expect("keys are listed")
    }
}

#[tokio::test]
async fn keys_older_than_72_hours_are_removed_and_younger_ones_kept() {
    let mut keys = Keys::none().await;
    keys.add("older", 2, KEYS_KEPT_FOR + MICROSECOND, true).await;
    keys.add("exactly", 1, KEYS_KEPT_FOR, true).await;
    keys.add("younger", 1, Duration::ZERO, true).await;
    let mut pruner = Pruner::new(keys.options()).expect("a pruner");
    let pruned = pruner.pass().await.expect("a pass");
    assert_eq!(pruned, Pruned { removed: 2, webhooks: 0, batches: 2, unanswered: 0 });
    assert_eq!(keys.left().await, ["exactly1", "younger1"]);
}

#[tokio::test]
async fn keys_of_when_all_clocks_were_behind_are_as_young_as_the_log_says() {
    let mut keys = Keys::none().await;
    let (long, little) = (2 * KEYS_KEPT_FOR, Duration::from_secs(60));
    keys.append(long).await;
    keys.add("old", 1, long, true).await;
    keys.append(little).await;
    // The clocks said 100 days ago; the log's time does not fall.
    keys.add("behind", 1, 100 * KEYS_KEPT_FOR / 3, true).await;
    keys.append(little).await;
    let mut role = keys.database.connect(Role::Pruner).await;
    let mut pruner = Pruner::new(keys.options()).expect("a pruner");
    assert_eq!(pruner.pass().await.expect("a pass").removed, 1);
    assert_eq!(keys.left().await, ["behind1"]);
    let everything = sqlx::query("delete from idempotency_keys").execute(&mut role).await;
    assert_eq!(everything.expect("sent").rows_affected(), 0, "whatever the role sends");
}

#[tokio::test]
async fn a_key_whose_request_has_no_answer_is_kept_and_counted() {
    let mut keys = Keys::none().await;
    keys.add("claimed", 1, 2 * KEYS_KEPT_FOR, false).await;
    keys.add("answered", 1, 2 * KEYS_KEPT_FOR, true).await;
    keys.add("under way", 1, Duration::ZERO, false).await;
    let mut pruner = Pruner::new(keys.options()).expect("a pruner");
    let pruned = pruner.pass().await.expect("a pass");
    assert_eq!(pruned, Pruned { removed: 1, webhooks: 0, batches: 2, unanswered: 1 });
    assert_eq!(keys.left().await, ["claimed1", "under way1"]);
}

#[tokio::test]
async fn many_keys_are_removed_in_bounded_batches() {
    let mut keys = Keys::none().await;
    keys.add("old", 2 * BATCH_KEYS_MAX + 1, 2 * KEYS_KEPT_FOR, true).await;
    let mut pruner = Pruner::new(keys.options()).expect("a pruner");
    let pruned = pruner.pass().await.expect("a pass");
    assert_eq!(pruned.removed, 2 * BATCH_KEYS_MAX.unsigned_abs() + 1);
    assert_eq!(pruned.batches, 4);
    assert!(keys.left().await.is_empty());
    let again = pruner.pass().await.expect("a pass over nothing");
    assert_eq!(again, Pruned { removed: 0, webhooks: 0, batches: 2, unanswered: 0 });
}

#[tokio::test]
async fn the_count_of_unanswered_keys_is_bounded() {
    let mut keys = Keys::none().await;
    keys.add("claimed", UNANSWERED_COUNTED_MAX + 5, 2 * KEYS_KEPT_FOR, false).await;
    let mut pruner = Pruner::new(keys.options()).expect("a pruner");
    let pruned = pruner.pass().await.expect("a pass");
    assert_eq!(pruned.unanswered, UNANSWERED_COUNTED_MAX);
}

#[tokio::test]
async fn a_lost_connection_is_made_again_by_the_next_pass() {
    let mut keys = Keys::none().await;
    let mut pruner = Pruner::new(keys.options()).expect("a pruner");
    pruner.pass().await.expect("a first pass");
    sqlx::query(
        "select pg_terminate_backend(pid) from pg_stat_activity
         where datname = current_database() and usename = 'runut_pruner'",
    )
    .execute(&mut keys.owner)
    .await
    .expect("sessions end");
    keys.add("old", 1, 2 * KEYS_KEPT_FOR, true).await;
    pruner.pass().await.expect_err("the connection is gone");
    let pruned = pruner.pass().await.expect("connected again");
    assert_eq!(pruned.removed, 1);
}

#[tokio::test]
async fn the_pruners_role_can_neither_read_nor_change_events_nor_write_keys() {
    let keys = Keys::none().await;
    let mut role = keys.database.connect(Role::Pruner).await;
    for refused in [
        "select from events",
        "delete from events",
        "truncate events",
        "update log_head set position = position + 1",
        "update idempotency_keys set response = ''",
        "truncate idempotency_keys",
        "delete from account_balances",
    ] {
        let error = sqlx::query(refused).execute(&mut role).await.expect_err(refused);
        let code = error.as_database_error().and_then(|error| error.code());
        assert_eq!(code.as_deref(), Some("42501"), "{refused}: {error}");
    }
}

#[tokio::test]
async fn workers_prune_at_once_and_end_when_told() {
    let mut keys = Keys::none().await;
    keys.add("old", 1, 2 * KEYS_KEPT_FOR, true).await;
    let workers = Workers::new(Options { payments: None, ledger: None, pruner: keys.options() })
        .expect("workers");
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(workers.run(shutdown.clone()));
    let removed = async {
        while !keys.left().await.is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, removed).await.expect("the key is removed");
    shutdown.cancel();
    tokio::time::timeout(PATIENCE, running).await.expect("they end").expect("without a panic");
}

#[tokio::test]
async fn webhooks_that_were_worked_off_a_month_ago_are_removed_and_dead_ones_kept() {
    let mut keys = Keys::none().await;
    for (name, state, age) in [
        ("old", "processed", WEBHOOKS_KEPT_FOR + MICROSECOND),
        ("young", "processed", WEBHOOKS_KEPT_FOR),
        ("dead", "dead", 2 * WEBHOOKS_KEPT_FOR),
        ("waiting", "received", 2 * WEBHOOKS_KEPT_FOR),
    ] {
        keys.add_webhook(name, state, age).await;
    }
    let mut pruner = Pruner::new(keys.options()).expect("a pruner");
    assert_eq!(pruner.pass().await.expect("a pass").webhooks, 1);
    let left: Vec<String> = sqlx::query_scalar("select psp from webhooks order by psp")
        .fetch_all(&mut keys.owner)
        .await
        .expect("webhooks are listed");
    assert_eq!(left, ["dead", "waiting", "young"]);
}

#[tokio::test]
async fn nothing_is_removed_while_the_clocks_disagree_whichever_of_them_leapt() {
    let mut keys = Keys::none().await;
    keys.add("old", 1, 2 * KEYS_KEPT_FOR, true).await;
    keys.add("fresh", 1, Duration::ZERO, true).await;
    let mut pruner = Pruner::new(keys.options()).expect("a pruner");
    // The database's clock is elsewhere than the process', by more than keys are kept and by little.
    for leap in [80 * HOUR_MICROS, -80 * HOUR_MICROS, 1_000_001, -1_000_001] {
        keys.database.stop_clock_at(NOW.micros() + leap).await;
        let refused = pruner.pass().await.expect_err("the clocks disagree");
        assert!(matches!(refused, workers::PassError::Clock(_)), "{refused}");
        assert_eq!(keys.left().await.len(), 2);
    }
    keys.database.stop_clock_at(NOW.micros()).await;
    assert_eq!(pruner.pass().await.expect("a pass").removed, 1);
    assert_eq!(keys.left().await, ["fresh1"]);
}

#[tokio::test]
async fn the_pruners_role_can_remove_nothing_younger_than_promised_whatever_it_sends() {
    let mut keys = Keys::none().await;
    keys.add("old", 1, KEYS_KEPT_FOR + MICROSECOND, true).await;
    keys.add("young", 1, KEYS_KEPT_FOR, true).await;
    keys.add("claimed", 1, 2 * KEYS_KEPT_FOR, false).await;
    for (name, age) in [("old", WEBHOOKS_KEPT_FOR + MICROSECOND), ("young", WEBHOOKS_KEPT_FOR)] {
        keys.add_webhook(name, "processed", age).await;
    }
    keys.add_webhook("dead", "dead", 2 * WEBHOOKS_KEPT_FOR).await;
    let mut role = keys.database.connect(Role::Pruner).await;
    for (everything, removed) in [("delete from idempotency_keys", 1), ("delete from webhooks", 1)]
    {
        let done = sqlx::query(everything).execute(&mut role).await.expect(everything);
        assert_eq!(done.rows_affected(), removed, "{everything}");
    }
    assert_eq!(keys.left().await, ["claimed1", "young1"]);
}
