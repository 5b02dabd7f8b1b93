//! Balances and keys made again from the log alone.

use domain::{NewEvent, Timestamp};
use event_store::NewAnswer;
use event_store::log::{EVENTS_PAGE_MAX, LOG_ID, Position};
use event_store::rebuild::{RebuildError, account_balances, idempotency_keys};
use sqlx::AssertSqlSafe;
use testkit::TestDatabase;
use tokio::runtime::Handle;
use tokio::task::block_in_place;

use crate::given::{Process, account, check_log, count, open, opened, post, through_proxy, until};

const BALANCES: &str = "select coalesce(string_agg(b::text, ' ' order by account_id), '') \
    from account_balances b";
const KEYS: &str = "select coalesce(string_agg(k::text, ' ' order by key), '') \
    from idempotency_keys k";
const SESSIONS: &str = "select count(*) from pg_stat_activity \
    where datname = current_database() and usename = 'runut_app'";
const LONG_AGO: Timestamp = Timestamp::from_micros(0);

async fn text(database: &TestDatabase, sql: &'static str) -> String {
    sqlx::query_scalar(sql).fetch_one(&mut database.owner().await).await.expect("a text")
}

async fn run(database: &TestDatabase, sql: &str) {
    let mut owner = database.owner().await;
    sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(&mut owner).await.expect("carried out");
}

/// A log with two accounts and `entries` entries, and nobody who writes to it.
async fn left_alone(entries: i64) -> TestDatabase {
    let database = TestDatabase::create().await;
    let process = opened(&database).await;
    for number in 1..=entries {
        process.submit(post(&format!("r{number}"), "cash", "sales", number)).await.expect("posted");
    }
    leaves(process, &database).await;
    database
}

/// Ends a process, and waits until the server has noticed.
async fn leaves(process: Process, database: &TestDatabase) {
    process.stop().await;
    until("its sessions are gone", async || count(database, SESSIONS).await == 0).await;
}

#[tokio::test]
async fn balances_are_those_that_the_appends_wrote() {
    let database = left_alone(20).await;
    let written = text(&database, BALANCES).await;
    run(
        &database,
        "update account_balances set debits_posted = 7, position = 2 where debits_posted > 0; \
         delete from account_balances where credits_posted > 0; \
         insert into account_balances values (1, gen_random_uuid(), 1, 2, 3, 4, 5)",
    )
    .await;
    let mut told = Vec::new();
    let mut owner = database.owner().await;
    let made = account_balances(&mut owner, |at, head| told.push((at, head))).await.expect("made");
    let head = Position::from_number(22);
    assert_eq!((made.accounts, made.position), (2, head));
    assert_eq!(told, [(head, head)]);
    assert_eq!(text(&database, BALANCES).await, written);
    // And the log goes on from them.
    let process = Process::on(&database).await;
    process.submit(post("after", "cash", "sales", 1)).await.expect("posted");
    check_log(&database).await;
}

#[tokio::test]
async fn balances_of_an_empty_log_are_none() {
    let database = TestDatabase::create().await;
    let made = account_balances(&mut database.owner().await, |_, _| {}).await.expect("made");
    assert_eq!((made.accounts, made.position), (0, Position::START));
}

#[tokio::test]
async fn balances_are_left_alone_while_somebody_may_write() {
    let database = TestDatabase::create().await;
    let process = opened(&database).await;
    process.submit(post("r1", "cash", "sales", 5)).await.expect("posted");
    let written = text(&database, BALANCES).await;
    let refused = account_balances(&mut database.owner().await, |_, _| {}).await;
    assert!(matches!(refused, Err(RebuildError::Writers { sessions: 1.. })), "{refused:?}");
    assert_eq!(text(&database, BALANCES).await, written);
    process.submit(post("r2", "cash", "sales", 5)).await.expect("posted as before");
    check_log(&database).await;
}

#[tokio::test]
async fn a_process_that_was_cut_off_meanwhile_goes_on_from_the_new_balances() {
    let database = TestDatabase::create().await;
    opened(&database).await.stop().await;
    // Known to the process, and wrong.
    run(
        &database,
        &format!(
            "insert into account_balances values (1, '{}', 900, 900, 0, 0, 1)",
            account("cash").uuid()
        ),
    )
    .await;
    let (process, proxy) = through_proxy(&database).await;
    proxy.cut();
    until("its sessions are gone", async || count(&database, SESSIONS).await == 0).await;
    account_balances(&mut database.owner().await, |_, _| {}).await.expect("made");
    let caller = tokio::spawn(process.submit_owned(post("in hand", "cash", "sales", 5)));
    tokio::task::yield_now().await;
    proxy.forward();
    let answer = caller.await.expect("no panic").expect("answered");
    assert_eq!((answer.status, answer.position.number()), (201, 4));
    check_log(&database).await;
}

/// One that came and went while the events were added up.
#[tokio::test(flavor = "multi_thread")]
async fn balances_are_left_alone_when_somebody_wrote_meanwhile() {
    let database = left_alone(3).await;
    let written = text(&database, BALANCES).await;
    let write = async || {
        let process = Process::on(&database).await;
        process.submit(open("another", None)).await.expect("opened");
        leaves(process, &database).await;
    };
    let mut owner = database.owner().await;
    let refused = account_balances(&mut owner, |_, _| {
        block_in_place(|| Handle::current().block_on(write()));
    })
    .await;
    let (from, to) = match refused {
        Err(RebuildError::Grew { from, to }) => (from.number(), to.number()),
        other => panic!("{other:?}"),
    };
    assert_eq!((from, to), (5, 6));
    assert_eq!(text(&database, BALANCES).await, written);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_run_at_a_time_makes_balances() {
    let database = left_alone(3).await;
    let written = text(&database, BALANCES).await;
    let mut owner = database.owner().await;
    let second = async || account_balances(&mut database.owner().await, |_, _| {}).await;
    let first = account_balances(&mut owner, |_, _| {
        let refused = block_in_place(|| Handle::current().block_on(second()));
        assert!(matches!(refused, Err(RebuildError::AlreadyRunning)), "{refused:?}");
    })
    .await;
    first.expect("made");
    assert_eq!(text(&database, BALANCES).await, written);
    second().await.expect("made again");
}

#[tokio::test]
async fn a_log_with_a_gap_is_not_added_up() {
    let database = left_alone(3).await;
    run(&database, "alter table events disable trigger all; delete from events where position = 4")
        .await;
    let refused = account_balances(&mut database.owner().await, |_, _| {}).await;
    let Err(RebuildError::Gap { missing }) = refused else { panic!("{refused:?}") };
    assert_eq!(missing.number(), 4);
}

#[tokio::test]
async fn an_event_that_cannot_be_added_up_is_named_and_nothing_changes() {
    let database = left_alone(3).await;
    let written = text(&database, BALANCES).await;
    run(
        &database,
        "alter table events disable trigger all; \
         update events set event_type = 'ledger.unheard_of' where position = 4",
    )
    .await;
    let refused = account_balances(&mut database.owner().await, |_, _| {}).await;
    let Err(error @ RebuildError::Event { .. }) = refused else { panic!("{refused:?}") };
    assert!(error.to_string().contains("position 4"), "{error}");
    assert_eq!(text(&database, BALANCES).await, written);
    const LEFT: &str = "select count(*) from pg_class where relname like 'account_balances_reb%'";
    assert_eq!(count(&database, LEFT).await, 0, "nothing is left behind");
}

/// What a request is answered with, from its events alone.
fn answer(events: &[NewEvent], at: Timestamp) -> Option<NewAnswer> {
    Some(NewAnswer {
        status: 201,
        resource_id: events.first()?.event_id.to_string(),
        body: format!("{} events at {at}", events.len()),
        replay_body: None,
    })
}

#[tokio::test]
async fn a_key_that_is_there_again_keeps_its_request_from_a_second_effect() {
    let database = TestDatabase::create().await;
    let process = opened(&database).await;
    process.submit_with_key(post("r1", "cash", "sales", 5), "k1").await.expect("posted");
    process.submit_with_key(post("r2", "cash", "sales", 5), "k2").await.expect("posted");
    run(&database, "truncate idempotency_keys").await;
    // While a process is writing.
    let mut owner = database.owner().await;
    let made = idempotency_keys(&mut owner, LONG_AGO, answer, |_, _| {}).await.expect("made");
    assert_eq!((made.requests, made.restored, made.unanswered), (2, 2, 0));
    let again = idempotency_keys(&mut owner, LONG_AGO, answer, |_, _| {}).await.expect("made");
    let touched = again.restored + again.replaced;
    assert_eq!((again.requests, touched), (2, 0), "what is there is left as it is");
    let events = count(&database, "select count(*) from events").await;
    // Another process, which has no answers in memory; another entry, by its content.
    let other = Process::on(&database).await;
    let replayed = other.submit_with_key(post("r3", "cash", "sales", 5), "k1").await;
    let replayed = replayed.expect("answered");
    assert!(replayed.replayed && replayed.body.starts_with("1 events at "), "{replayed:?}");
    assert_eq!(replayed.position, Position::from_number(3));
    assert_eq!(count(&database, "select count(*) from events").await, events);
}

#[tokio::test]
async fn keys_that_contradict_the_events_are_replaced() {
    let database = TestDatabase::create().await;
    let process = opened(&database).await;
    for key in ["k1", "k2", "k3"] {
        process.submit_with_key(post(key, "cash", "sales", 5), key).await.expect("posted");
    }
    let mut owner = database.owner().await;
    run(&database, "update idempotency_keys set resource_id = 'as it was' where key = 'k3'").await;
    run(&database, "update idempotency_keys set fingerprint = sha256('x') where key = 'k1'").await;
    run(
        &database,
        "update idempotency_keys set status = 409, position = position + 1, \
             recorded_at = recorded_at + interval '1 second' where key = 'k2'",
    )
    .await;
    for (key, wrong) in [
        ("k4", "status = 409"),
        ("k5", "status = 409, position = 1"),
        ("k6", "position = position + 1"),
    ] {
        process.submit_with_key(post(key, "cash", "sales", 5), key).await.expect("posted");
        run(&database, &format!("update idempotency_keys set {wrong} where key = '{key}'")).await;
    }
    process.submit(post("last", "cash", "sales", 5)).await.expect("posted");
    let made = idempotency_keys(&mut owner, LONG_AGO, answer, |_, _| {}).await.expect("made");
    assert_eq!((made.requests, made.restored, made.replaced), (6, 0, 5));
    let right = "select count(*) from idempotency_keys k join events e \
        on e.position = k.position and e.recorded_at = k.recorded_at and k.status = 201 \
        and (e.metadata->>'fingerprint') = encode(k.fingerprint, 'hex') \
        and (k.resource_id = 'as it was') = (k.key = 'k3')";
    assert_eq!(count(&database, right).await, 6);
}

#[tokio::test]
async fn a_request_that_had_a_second_effect_is_answered_by_its_first() {
    let database = TestDatabase::create().await;
    let process = opened(&database).await;
    process.submit_with_key(post("r1", "cash", "sales", 5), "k").await.expect("posted");
    run(&database, "truncate idempotency_keys").await;
    let other = Process::on(&database).await;
    other.submit_with_key(post("r2", "cash", "sales", 5), "k").await.expect("posted");
    let mut owner = database.owner().await;
    for (restored, replaced) in [(0, 1), (0, 0)] {
        let made = idempotency_keys(&mut owner, LONG_AGO, answer, |_, _| {}).await.expect("made");
        assert_eq!((made.requests, made.restored, made.replaced), (1, restored, replaced));
        assert_eq!(count(&database, "select position from idempotency_keys").await, 3);
    }
}

#[tokio::test]
async fn keys_of_a_log_whose_end_is_missing_are_not_made() {
    let database = left_alone(3).await;
    run(&database, "alter table events disable trigger all; delete from events where position = 5")
        .await;
    let mut owner = database.owner().await;
    let refused = idempotency_keys(&mut owner, LONG_AGO, answer, |_, _| {}).await;
    let Err(RebuildError::Gap { missing }) = refused else { panic!("{refused:?}") };
    assert_eq!(missing.number(), 5);
}

#[tokio::test]
async fn what_cannot_be_answered_blocks_and_what_is_old_is_left_out() {
    let database = TestDatabase::create().await;
    let process = opened(&database).await;
    process.submit_with_key(post("r1", "cash", "sales", 5), "k1").await.expect("posted");
    process.stop().await;
    run(&database, "truncate idempotency_keys").await;
    let mut owner = database.owner().await;
    let future = Timestamp::from_micros(i64::MAX / 2_000_000 * 1_000);
    let made = idempotency_keys(&mut owner, future, answer, |_, _| {}).await.expect("made");
    assert_eq!((made.requests, made.restored), (0, 0), "{KEYS}");
    let made = idempotency_keys(&mut owner, LONG_AGO, |_, _| None, |_, _| {}).await.expect("made");
    assert_eq!((made.requests, made.restored, made.unanswered), (1, 1, 1));
    let row = text(&database, KEYS).await;
    assert!(row.contains("k1") && row.contains(",,,3,"), "claimed, without an answer: {row}");
}

/// An append whose events lie on two pages is one request.
#[tokio::test]
async fn an_append_on_two_pages_is_one_request() {
    let database = left_alone(1).await;
    // As many events as fill a page but one, then three of one request: two pages have a part of it.
    run(
        &database,
        &format!(
            "insert into events
             select log_id, p, stream_id, p, gen_random_uuid(), event_type, schema_version, merchant_id,
                 data, case when p >= {first} then json_build_object('actor', 'a', 'correlation_id', 'c',
                     'idempotency_key', 'k', 'fingerprint', repeat('ab', 32)) else metadata end,
                 recorded_at, leaf_hash
             from events, generate_series(4, {last}) p where position = 3 and log_id = {LOG_ID};
             update log_head set position = {last}",
            first = EVENTS_PAGE_MAX - 1,
            last = EVENTS_PAGE_MAX + 1,
        ),
    )
    .await;
    let mut owner = database.owner().await;
    let made = idempotency_keys(&mut owner, LONG_AGO, answer, |_, _| {}).await.expect("made");
    assert_eq!((made.requests, made.restored), (1, 1));
    let row = text(&database, KEYS).await;
    assert!(row.contains("3 events at"), "{row}");
    assert!(row.contains(&format!(",{},", EVENTS_PAGE_MAX + 1)), "named by its last event: {row}");
}
