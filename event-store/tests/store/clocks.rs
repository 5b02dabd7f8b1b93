//! Clocks that leap: of a process, of the database, of both; and a log that a leap left a time in.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use domain::holds::{CreateHold, PostHold};
use domain::ledger::{Details, ExternalRef, Part};
use domain::{Command, HoldId, Timestamp};
use event_store::{Clock, PreparedBatches, RandomIds, SubmitError, SystemClock, log};
use migrations::Role;
use sqlx::Row;
use testkit::TestDatabase;

use crate::given::{LEDGER, Process, check_log, count, moving, open, opened, post, request, until};

const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3_600 * SECOND;
const DAY: i64 = 24 * HOUR;

/// The machine's clock, so many microseconds off.
#[derive(Debug, Default)]
struct Off(AtomicI64);

impl Off {
    fn by(&self, micros: i64) {
        self.0.store(micros, Ordering::SeqCst);
    }
}

impl Clock for Off {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(SystemClock.now().micros() + self.0.load(Ordering::SeqCst))
    }
}

async fn with_clock(database: &TestDatabase, clock: &Arc<Off>) -> Process {
    let url = database.url(Role::Application);
    Process::with_clock(url, Arc::clone(clock) as Arc<dyn Clock>).await
}

fn is_refused(answer: Result<event_store::Answer, SubmitError>) -> bool {
    matches!(answer, Err(SubmitError::ClockSkewed(_)))
}

/// How many events are recorded at a time more than a second ahead of the machine's.
async fn ahead(database: &TestDatabase) -> i64 {
    let events =
        "select count(*) from events where recorded_at > clock_timestamp() + interval '1 s'";
    count(database, events).await
}

#[tokio::test]
async fn a_process_whose_clock_leaps_decides_nothing_and_goes_on_when_it_is_right_again() {
    let database = TestDatabase::create().await;
    let clock = Arc::<Off>::default();
    let process = with_clock(&database, &clock).await;
    for code in ["cash", "sales"] {
        process.submit(open(code, None)).await.expect("opened");
    }
    let leaps = [DAY, HOUR, 2 * SECOND, -12 * SECOND, -HOUR, -7 * DAY];
    for (round, leap) in leaps.into_iter().enumerate() {
        let before = count(&database, "select position from log_head").await;
        clock.by(leap);
        for n in 0..3 {
            // The first finds the leap out, the others know.
            let key = format!("k-{round}");
            let entry = post(&format!("leapt-{round}-{n}"), "cash", "sales", 1);
            let refused = process.submit_with_key(entry, &key).await;
            assert!(is_refused(refused), "{leap} µs off");
        }
        assert!(process.store.trouble().await.is_some_and(|trouble| trouble.contains("clock")));
        assert!(process.store.decidable_now().await.is_err());
        assert_eq!(count(&database, "select position from log_head").await, before);
        clock.by(0);
        let entry = post(&format!("right-{round}"), "cash", "sales", 1);
        let answer = process.submit_with_key(entry, &format!("k-{round}")).await;
        assert_eq!(answer.expect("answered").status, 201, "the key was not used up");
        assert_eq!(process.store.trouble().await, None);
    }
    let keys = "select count(*) from idempotency_keys";
    assert_eq!(count(&database, keys).await, i64::try_from(leaps.len()).expect("few"));
    assert_eq!(ahead(&database).await, 0);
    check_log(&database).await;
}

#[tokio::test]
async fn the_append_itself_refuses_a_clock_that_leapt_since_the_last_look() {
    let database = TestDatabase::create().await;
    opened(&database).await.stop().await;
    let mut db = database.connect(Role::Application).await;
    let at = |micros| Off(AtomicI64::new(micros));
    for (n, (leap, written)) in [
        (DAY, false),
        (SECOND + SECOND / 10, false),
        (SECOND - SECOND / 10, true),
        (-DAY, false),
        (-11 * SECOND, false),
        (-9 * SECOND, true),
    ]
    .into_iter()
    .enumerate()
    {
        // Where it leaps ahead, the batch's own time is good.
        let entry = request(post(&format!("e{n}"), "cash", "sales", 1), None);
        let decided_by = at(leap.min(0));
        let batch = vec![vec![entry]];
        let prepared = PreparedBatches::prepare(&mut db, &decided_by, &RandomIds, batch).await;
        let sent = prepared.expect("prepared").send_next(&mut db, &at(leap)).await;
        assert_eq!(sent.is_ok(), written, "{leap} µs off");
    }
    // The batch's time is a day ahead, and the clock is right again when it is sent.
    let entry = request(post("late", "cash", "sales", 1), None);
    let prepared = PreparedBatches::prepare(&mut db, &at(DAY), &RandomIds, vec![vec![entry]]).await;
    assert!(prepared.expect("prepared").send_next(&mut db, &SystemClock).await.is_err());
    assert_eq!(ahead(&database).await, 0);
    check_log(&database).await;
}

#[tokio::test]
async fn a_slewing_clock_is_followed_until_it_is_too_far_off() {
    let database = TestDatabase::create().await;
    let clock = Arc::<Off>::default();
    let process = with_clock(&database, &clock).await;
    for code in ["cash", "sales"] {
        process.submit(open(code, None)).await.expect("opened");
    }
    for (n, tenths) in (0..20).chain((0..20).rev()).enumerate() {
        clock.by(tenths * SECOND / 10);
        let answer = process.submit(post(&format!("slewed-{n}"), "cash", "sales", 1)).await;
        match tenths {
            ..10 => assert_eq!(answer.expect("answered").status, 201, "{tenths} tenths"),
            // What the database takes to answer is on either side of the bound.
            10 => {}
            11.. => assert!(is_refused(answer), "{tenths} tenths"),
        }
    }
    assert_eq!(ahead(&database).await, 0);
    check_log(&database).await;
}

#[tokio::test]
async fn of_two_processes_an_hour_apart_the_one_with_the_databases_time_writes() {
    let database = TestDatabase::create().await;
    let right = opened(&database).await;
    for leap in [HOUR, -HOUR] {
        let clock = Arc::new(Off(AtomicI64::new(leap)));
        let wrong = with_clock(&database, &clock).await;
        for n in 0..10 {
            let name = |who: &str| format!("{who}-{leap}-{n}");
            let (good, refused) = tokio::join!(
                right.submit(post(&name("right"), "cash", "sales", 1)),
                wrong.submit(post(&name("wrong"), "cash", "sales", 1)),
            );
            assert_eq!(good.expect("answered").status, 201);
            assert!(is_refused(refused), "{leap} µs off");
        }
        wrong.stop().await;
    }
    assert_eq!(count(&database, "select count(*) from events").await, 22);
    assert_eq!(ahead(&database).await, 0);
    check_log(&database).await;
}

#[tokio::test]
async fn while_the_databases_own_clock_is_elsewhere_nothing_is_written() {
    let database = TestDatabase::create().await;
    let process = opened(&database).await;
    for (n, leap) in [HOUR, -HOUR, 90 * DAY].into_iter().enumerate() {
        database.skew_clock(leap).await;
        assert!(is_refused(process.submit(post(&format!("w{n}"), "cash", "sales", 1)).await));
        database.skew_clock(0).await;
        let answer = process.submit(post(&format!("r{n}"), "cash", "sales", 1)).await;
        assert_eq!(answer.expect("answered").status, 201);
    }
    check_log(&database).await;
}

/// A log whose head is a day ahead of every clock: both leapt together once.
async fn poisoned(database: &TestDatabase) {
    let clock = Arc::new(Off(AtomicI64::new(DAY)));
    database.skew_clock(DAY).await;
    let process = with_clock(database, &clock).await;
    for code in ["cash", "sales"] {
        process.submit(open(code, None)).await.expect("opened");
    }
    process.stop().await;
    database.skew_clock(0).await;
}

#[tokio::test]
async fn a_head_ahead_of_the_clock_is_an_alarm_and_decisions_go_by_the_clock() {
    let database = TestDatabase::create().await;
    poisoned(&database).await;
    let process = Process::on(&database).await;
    until("the alarm is raised", async || process.store.head_is_ahead()).await;
    assert_eq!(process.store.trouble().await, None, "commands go on");

    let reference = ExternalRef::parse("h1").expect("a reference");
    let id = HoldId::of(LEDGER, &reference);
    let ends_at = SystemClock.now().plus_millis(3_600_000);
    let postings = moving("sales", "cash", 5);
    let hold = CreateHold::new(LEDGER, reference, Details::default(), postings, Some(ends_at));
    let before = SystemClock.now();
    process.submit_with_key(Command::CreateHold(hold), "hold").await.expect("held");
    let held = process.store.hold(id).await.expect("the log");
    let details = Details::default();
    let rest = PostHold::new(LEDGER, id, None, details, Part::Rest, false, held.as_deref());
    let posted = process.submit(Command::PostHold(rest)).await.expect("answered");
    assert_eq!(posted.status, 201, "its end is an hour away, by the clock: {}", posted.body);

    let mut owner = database.owner().await;
    let events = log::events_after(&mut owner, log::Position::from_number(2), 10).await;
    let events = events.expect("events");
    let mut last = before;
    for event in &events {
        let time = event.time();
        assert!(time.recorded_at.micros() > before.micros() + DAY - HOUR, "it never falls");
        assert!(time.decided_at >= last && time.decided_at <= SystemClock.now());
        last = time.decided_at;
    }
    // The key is as old as the request is, so nobody waits a day longer for what is under way.
    let row = sqlx::query(
        "select max(recorded_at) < clock_timestamp() + interval '2 s' from idempotency_keys",
    );
    assert!(row.fetch_one(&mut owner).await.expect("keys").get::<bool, _>(0));

    // Loaded anew, a state is the same.
    let known = process.store.hold(id).await.expect("the log");
    process.stop().await;
    let other = Process::on(&database).await;
    assert_eq!(other.store.hold(id).await.expect("the log"), known);
    other.stop().await;
    check_log(&database).await;
}

#[tokio::test]
async fn a_head_ahead_of_the_clock_gives_no_room_to_a_process_between_the_two() {
    let database = TestDatabase::create().await;
    poisoned(&database).await;
    let clock = Arc::new(Off(AtomicI64::new(HOUR)));
    let wrong = with_clock(&database, &clock).await;
    assert!(is_refused(wrong.submit(post("wrong", "cash", "sales", 1)).await));
    wrong.stop().await;
    assert_eq!(count(&database, "select count(*) from events").await, 2);
}
