//! The ledger's worker against a real log and its projections, with a clock that tests move.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use domain::accounts::{AccountType, ClearingTerms, OpenAccount};
use domain::books::{BalancesDigest, BooksEvent, CutOffDay, DayBalance, DayBalances, DayClosed};
use domain::holds::{CreateHold, HoldStatus};
use domain::ledger::{
    Details, Direction, ExternalRef, LedgerStep, PostBatch, PostEntry, Posting, Postings,
};
use domain::{AccountId, Amount, Command, Day, Event, HoldId, MerchantId, StreamId, Timestamp};
use event_store::log::{Position, events_after};
use event_store::{Clock, EventStore, Origin, RandomIds, StoreOptions};
use migrations::Role;
use projections::{Feed, Handle, Options, Retry, Runner};
use sqlx::AssertSqlSafe;
use testkit::{TestDatabase, killed_at, killed_at_every_wait};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use workers::{LedgerWorker, LedgerWorkerOptions};

const LEDGER: MerchantId = MerchantId::from_uuid(Uuid::from_u128(0xA));
const OTHER_LEDGER: MerchantId = MerchantId::from_uuid(Uuid::from_u128(0xB));
/// 2026-01-01T12:00:00Z
const NOON: Timestamp = Timestamp::from_micros(1_767_268_800_000_000);
const DAY_MILLIS: i64 = 86_400_000;

#[derive(Debug)]
struct HandClock(AtomicI64);

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

struct Books {
    database: TestDatabase,
    store: EventStore,
    clock: Arc<HandClock>,
    projected: Handle,
    stop: CancellationToken,
    number: AtomicI64,
}

impl Drop for Books {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn usd(minor: i64) -> Amount {
    Amount::from_minor(minor, "USD".parse().expect("a currency")).expect("an amount")
}

fn account(code: &str) -> AccountId {
    AccountId::of(LEDGER, &code.parse().expect("a code"))
}

fn moving(debit: &str, credit: &str, minor: i64) -> Postings {
    let posting =
        |code, direction| Posting { account_id: account(code), direction, amount: usd(minor) };
    let postings = vec![posting(debit, Direction::Debit), posting(credit, Direction::Credit)];
    Postings::new(postings).expect("balanced")
}

impl Books {
    /// With accounts for cash, sales and costs.
    async fn open() -> Self {
        let database = TestDatabase::create().await;
        database.stop_clock_at(NOON.micros()).await;
        let clock = Arc::new(HandClock(AtomicI64::new(NOON.micros())));
        let options = StoreOptions {
            database_url: database.url(Role::Application),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            ids: Arc::new(RandomIds),
        };
        let (store, sequencer) = EventStore::open(options).await.expect("the log opens");
        let stop = CancellationToken::new();
        tokio::spawn(sequencer.run(stop.clone()));
        let url = database.url(Role::Projector);
        let options = Options {
            database: event_store::log::connect_options(&url).expect("a URL"),
            projections: projections::all(),
            feed: Feed::Process(store.recent()),
            retry: Retry::default(),
        };
        let (runner, projected) = Runner::new(options);
        tokio::spawn(runner.run(stop.clone()));
        let number = AtomicI64::new(0);
        let books = Self { database, store, clock, projected, stop, number };
        for (code, kind) in [
            ("cash", AccountType::Asset),
            ("sales", AccountType::Income),
            ("costs", AccountType::Expense),
        ] {
            let (code, currency) = (code.parse().expect("a code"), usd(1).currency());
            let plain = OpenAccount::plain(LEDGER, code, kind, currency);
            let clearing = Some(ClearingTerms::new(0, 24).expect("terms"));
            let clearing = clearing.filter(|_| kind == AccountType::Expense);
            books.give(Command::OpenAccount(OpenAccount { clearing, ..plain })).await;
        }
        books
    }

    fn worker(&self) -> LedgerWorker {
        let database_url = self.database.url(Role::Application);
        let options = LedgerWorkerOptions { database_url, store: self.store.clone() };
        LedgerWorker::new(options).expect("a worker")
    }

    /// Moves the time on, the database's and the process'.
    async fn pass(&self, millis: i64) {
        let now = self.clock.now().plus_millis(millis);
        self.database.stop_clock_at(now.micros()).await;
        self.clock.0.store(now.micros(), Ordering::SeqCst);
    }

    async fn give(&self, command: Command) -> Position {
        let given = self.store.give(Origin::default(), command).await.expect("the log is there");
        given.decision.expect("it is carried out");
        given.position
    }

    async fn post(&self, debit: &str, credit: &str, minor: i64, effective_at: Option<Timestamp>) {
        let number = self.number.fetch_add(1, Ordering::SeqCst);
        let command = PostEntry::new(
            LEDGER,
            ExternalRef::parse(&format!("r{number}")).expect("a reference"),
            Details { effective_at, ..Details::default() },
            moving(debit, credit, minor),
        );
        self.give(Command::PostEntry(command)).await;
    }

    async fn hold(&self, name: &str, ends_in_millis: i64) -> HoldId {
        let end = Some(self.clock.now().plus_millis(ends_in_millis));
        let external_ref = ExternalRef::parse(name).expect("a reference");
        let (details, postings) = (Details::default(), moving("costs", "cash", 10));
        let command = CreateHold::new(LEDGER, external_ref, details, postings, end);
        let id = command.hold_id();
        self.give(Command::CreateHold(command)).await;
        id
    }

    /// Waits until the read model is where the log is.
    async fn caught_up(&self) {
        let head = *self.store.head().borrow();
        let waiting = self.projected.wait_for("ledger_balance", head);
        tokio::time::timeout(Duration::from_secs(30), waiting)
            .await
            .expect("in time")
            .expect("the projection runs");
    }

    async fn events(&self) -> Vec<(Timestamp, Event)> {
        let mut owner = self.database.owner().await;
        let rows = events_after(&mut owner, Position::START, 10_000).await.expect("events");
        rows.iter().map(|row| (row.recorded_at, row.decode().expect("an event"))).collect()
    }

    async fn closes(&self) -> Vec<DayClosed> {
        let events = self.events().await.into_iter();
        let closes = events.filter_map(|(_, event)| match event {
            Event::Books(BooksEvent::DayClosed(closed)) => Some(closed),
            _ => None,
        });
        closes.collect()
    }

    async fn cut_off(&self, day: Day) {
        self.give(Command::CutOffDay(CutOffDay { ledger: LEDGER, day })).await;
    }

    /// The balances that take effect up to the end of the day, added up entry by entry.
    async fn balances_by_hand(&self, day: Day, previous: Option<BalancesDigest>) -> DayBalances {
        let mut sums: BTreeMap<AccountId, i64> = BTreeMap::new();
        for (recorded_at, event) in self.events().await {
            let Event::EntryPosted(entry) = event else { continue };
            if Day::of(entry.effective_at.unwrap_or(recorded_at)) > day {
                continue;
            }
            for posting in entry.postings {
                let signed = posting.direction.signed(posting.amount.minor());
                *sums.entry(posting.account_id).or_default() += signed;
            }
        }
        let currency = usd(1).currency();
        let balances = sums.into_iter().filter(|(_, minor)| *minor != 0);
        let balances = balances.map(|(account_id, balance_minor)| DayBalance {
            account_id,
            currency,
            balance_minor: balance_minor.into(),
        });
        DayBalances::add_up(LEDGER, day, previous, balances)
    }
}

#[tokio::test]
async fn a_hold_ends_when_its_time_is_over_and_once_whoever_ends_it() {
    let books = Books::open().await;
    let soon = books.hold("soon", 1_000).await;
    let later = books.hold("later", 60_000).await;
    books.caught_up().await;
    let (one, other) = (books.worker(), books.worker());
    assert_eq!(one.end_holds().await.expect("a pass").done, 0);
    books.pass(1_000).await;
    let (first, second) = tokio::join!(one.end_holds(), other.end_holds());
    assert_eq!(first.expect("a pass").done + second.expect("a pass").done, 1);
    let status = async |id| books.store.hold(id).await.expect("the log").map(|hold| hold.status);
    assert_eq!(status(soon).await, Some(HoldStatus::Expired));
    assert_eq!(status(later).await, Some(HoldStatus::Held));
    let cash = books.store.account(account("cash")).await.expect("the log").expect("it is there");
    assert_eq!(cash.totals.credits_pending, 10, "what the other holds");
}

impl Books {
    /// Makes so many holds in one append, which all end after so long.
    async fn many_holds(&self, many: usize, ends_in_millis: i64) -> Vec<HoldId> {
        let end = Some(self.clock.now().plus_millis(ends_in_millis));
        let made: Vec<CreateHold> = (0..many)
            .map(|n| {
                let external_ref = ExternalRef::parse(&format!("many-{n}")).expect("a reference");
                let postings = moving("costs", "cash", 1);
                CreateHold::new(LEDGER, external_ref, Details::default(), postings, end)
            })
            .collect();
        let ids = made.iter().map(CreateHold::hold_id).collect();
        let steps = made.into_iter().map(LedgerStep::Hold).collect();
        self.give(Command::PostBatch(PostBatch { steps, atomic: true })).await;
        ids
    }

    /// Spoils the event that made the hold, past every guard, so that nobody can read it.
    async fn spoil(&self, hold: HoldId) {
        let spoil = format!(
            "alter table events disable trigger all; \
             update events set data = '{{}}' where stream_id = '{}'; \
             alter table events enable always trigger events_append_only; \
             alter table events enable always trigger events_no_truncate",
            StreamId::hold(hold)
        );
        let mut owner = self.database.owner().await;
        sqlx::raw_sql(AssertSqlSafe(spoil)).execute(&mut owner).await.expect("spoilt");
    }

    /// A worker of another process, which has nothing in memory.
    async fn another_worker(&self) -> (EventStore, LedgerWorker) {
        let options = StoreOptions {
            database_url: self.database.url(Role::Application),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            ids: Arc::new(RandomIds),
        };
        let (store, sequencer) = EventStore::open(options).await.expect("the log opens");
        tokio::spawn(sequencer.run(self.stop.clone()));
        let database_url = self.database.url(Role::Application);
        let options = LedgerWorkerOptions { database_url, store: store.clone() };
        (store, LedgerWorker::new(options).expect("a worker"))
    }
}

#[tokio::test]
async fn holds_that_end_at_once_share_appends_and_one_that_cannot_end_keeps_none_waiting() {
    const MANY: usize = 600;
    let books = Books::open().await;
    // Due longest, so that it is the first of every pass.
    let spoilt = books.hold("spoilt", 500).await;
    let holds = books.many_holds(MANY, 1_000).await;
    books.caught_up().await;
    books.spoil(spoilt).await;
    books.pass(1_000).await;
    let (store, worker) = books.another_worker().await;
    let mut ended = 0;
    for _ in 0..2 {
        ended += worker.end_holds().await.expect("a pass").done;
        let projected = books.projected.wait_for("ledger_balance", *store.head().borrow());
        tokio::time::timeout(Duration::from_secs(30), projected)
            .await
            .expect("in time")
            .expect("the projection runs");
    }
    assert_eq!(ended, MANY, "in two passes");
    for id in holds {
        let hold = store.hold(id).await.expect("the log").expect("it is there");
        assert_eq!(hold.status, HoldStatus::Expired);
    }
    let appends: i64 = sqlx::query_scalar(
        "select count(distinct xmin::text) from events where event_type = 'ledger.hold_expired'",
    )
    .fetch_one(&mut books.database.owner().await)
    .await
    .expect("a number");
    assert!(appends <= 150, "{appends} appends");
}

#[tokio::test]
async fn a_day_is_closed_with_the_balances_that_take_effect_on_it() {
    let books = Books::open().await;
    let today = Day::of(NOON);
    for n in 1..60 {
        let dated =
            [None, Some(-1), Some(1), Some(-30), Some(2)][usize::try_from(n).expect("few") % 5];
        let at = dated.map(|days| books.clock.now().plus_millis(days * DAY_MILLIS));
        let (debit, credit) = if n % 7 == 0 { ("costs", "cash") } else { ("cash", "sales") };
        books.post(debit, credit, n, at).await;
        books.pass(3_600_000).await;
    }
    books.cut_off(today).await;
    let late = today.start();
    books.post("cash", "sales", 1_000_000, Some(late)).await;
    books.caught_up().await;
    let worker = books.worker();
    assert_eq!(worker.close_days().await.expect("a pass").done, 1);
    assert_eq!(worker.close_days().await.expect("a pass").done, 0);
    books.cut_off(today.next()).await;
    books.caught_up().await;
    assert_eq!(worker.close_days().await.expect("a pass").done, 1);
    let closes = books.closes().await;
    let [first, second] = &closes[..] else { panic!("two closes: {closes:?}") };
    assert!(first.accounts >= 2);
    for (closed, day, previous) in
        [(first, today, None), (second, today.next(), Some(first.digest))]
    {
        let expected = books.balances_by_hand(day, previous).await;
        let found = DayBalances {
            accounts: closed.accounts,
            totals: closed.totals.clone(),
            digest: closed.digest,
        };
        assert_eq!((closed.day, closed.previous, found), (day, previous, expected));
    }
}

/// Where the read model makes no sense of one ledger, or the log refuses its close, that one waits until it does.
#[tokio::test]
async fn a_close_that_fails_on_one_ledger_holds_up_no_other() {
    let books = Books::open().await;
    books.post("cash", "sales", 500, None).await;
    let mut day = Day::of(NOON);
    let [broken, other] = [LEDGER, OTHER_LEDGER].map(|ledger| format!("'{}'", ledger.uuid()));
    let open_in_other = OpenAccount::plain(
        OTHER_LEDGER,
        "cash".parse().expect("a code"),
        AccountType::Asset,
        usd(1).currency(),
    );
    books.give(Command::OpenAccount(open_in_other)).await;
    books.pass(3 * DAY_MILLIS).await;
    let worker = books.worker();
    for (break_it, mend_it) in [
        (
            format!("update read.accounts set currency = '???' where ledger = {broken}"),
            format!("update read.accounts set currency = 'USD' where ledger = {broken}"),
        ),
        (
            format!("update read.day_closes set digest = '?' || digest where ledger = {broken}"),
            format!(
                "update read.day_closes set digest = substr(digest, 2) where ledger = {broken}"
            ),
        ),
        (
            format!(
                "alter table events add constraint no_close
                 check (event_type <> 'ledger.day_closed' or data ->> 'ledger' <> '{LEDGER}') not valid"
            ),
            "alter table events drop constraint no_close".to_owned(),
        ),
    ] {
        // The one that fails is looked at first.
        for ledger in [LEDGER, OTHER_LEDGER] {
            books.give(Command::CutOffDay(CutOffDay { ledger, day })).await;
        }
        books.caught_up().await;
        let mut owner = books.database.owner().await;
        sqlx::raw_sql(AssertSqlSafe(break_it)).execute(&mut owner).await.expect("broken");
        assert_eq!(worker.close_days().await.expect("a pass").done, 1);
        books.caught_up().await;
        let open = "select ledger from read.day_closes where closed_position is null";
        let open: Vec<Uuid> = sqlx::query_scalar(open).fetch_all(&mut owner).await.expect("rows");
        assert_eq!(open, [LEDGER.uuid()], "{other} is closed");
        sqlx::raw_sql(AssertSqlSafe(mend_it)).execute(&mut owner).await.expect("mended");
        assert_eq!(worker.close_days().await.expect("a pass").done, 1);
        books.caught_up().await;
        day = day.next();
    }
    assert_eq!(books.closes().await.len(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_may_die_at_every_step_of_ending_and_closing() {
    let books = Books::open().await;
    books.post("cash", "sales", 5_000_000, None).await;
    let mut day = Day::of(NOON);
    let mut holds = Vec::new();
    let steps = killed_at_every_wait(async |waits| {
        holds.push(books.hold(&format!("h{}", holds.len()), 1).await);
        books.pass(DAY_MILLIS).await;
        // A day that a dead one left open is closed before the next is cut off.
        let command = Command::CutOffDay(CutOffDay { ledger: LEDGER, day });
        let given = books.store.give(Origin::default(), command).await.expect("the log");
        if given.decision.is_ok() {
            day = day.next();
        }
        books.caught_up().await;
        let worker = books.worker();
        let life = async {
            worker.end_holds().await.expect("a pass");
            worker.close_days().await.expect("a pass");
        };
        killed_at(waits, life).is_some()
    })
    .await;
    assert!(steps > 5, "{steps} steps");
    books.caught_up().await;
    let worker = books.worker();
    worker.end_holds().await.expect("a pass");
    worker.close_days().await.expect("a pass");
    for hold in holds {
        let ended = books.store.hold(hold).await.expect("the log").expect("it is there");
        assert_eq!(ended.status, HoldStatus::Expired);
    }
    let cash = books.store.account(account("cash")).await.expect("the log").expect("it is there");
    assert!(cash.totals.nothing_held());
    let closed: Vec<Day> = books.closes().await.iter().map(|closed| closed.day).collect();
    let mut once = closed.clone();
    once.dedup();
    assert_eq!(closed, once, "each day once");
    let last = closed.last().copied();
    assert_eq!(last.map(Day::next), Some(day), "none is left open");
}

#[tokio::test]
async fn what_has_not_cleared_for_too_long_is_counted() {
    let books = Books::open().await;
    books.post("costs", "cash", 5, None).await;
    books.caught_up().await;
    let worker = books.worker();
    books.pass(DAY_MILLIS - 1).await;
    assert_eq!(worker.watch_clearing().await.expect("a pass").done, 0);
    books.pass(1).await;
    assert_eq!(worker.watch_clearing().await.expect("a pass").done, 1);
    books.post("cash", "costs", 5, None).await;
    books.caught_up().await;
    assert_eq!(worker.watch_clearing().await.expect("a pass").done, 0);
}

/// What goes out of an account and comes back within one entry leaves it as it was: as old, or as clear.
#[tokio::test]
async fn a_wash_within_an_entry_leaves_the_age_of_a_balance_alone() {
    let books = Books::open().await;
    let worker = books.worker();
    let wash = async |name: &str, first: Direction| {
        let posting = |code, direction, minor| Posting {
            account_id: account(code),
            direction,
            amount: usd(minor),
        };
        let second = first.opposite();
        let postings = vec![
            posting("costs", first, 5),
            posting("cash", Direction::Debit, 1),
            posting("sales", Direction::Credit, 1),
            posting("costs", second, 5),
        ];
        let command = PostEntry::new(
            LEDGER,
            ExternalRef::parse(name).expect("a reference"),
            Details::default(),
            Postings::new(postings).expect("balanced"),
        );
        books.give(Command::PostEntry(command)).await;
        books.caught_up().await;
    };
    wash("clear", Direction::Debit).await;
    books.pass(DAY_MILLIS).await;
    assert_eq!(worker.watch_clearing().await.expect("a pass").done, 0, "it was never uncleared");
    books.post("costs", "cash", 5, None).await;
    books.pass(DAY_MILLIS - 1).await;
    wash("uncleared", Direction::Credit).await;
    assert_eq!(worker.watch_clearing().await.expect("a pass").done, 0);
    books.pass(1).await;
    assert_eq!(worker.watch_clearing().await.expect("a pass").done, 1, "as old as before");
}
