//! A process on a log, and commands for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use domain::accounts::{AccountType, OpenAccount};
use domain::ledger::{Details, Direction, ExternalRef, PostEntry, Posting, Postings};
use domain::{AccountId, Amount, Command, Currency, Decision, MerchantId};
use event_store::{
    Answer, Clock, EventStore, NewAnswer, Origin, RandomIds, Request, RequestKey, RequestPart,
    StoreOptions, SubmitError, SystemClock,
};
use migrations::Role;
use sqlx::Row;
use testkit::{Proxy, TestDatabase};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

pub(crate) const LEDGER: MerchantId = MerchantId::from_uuid(Uuid::from_u128(7));

/// One process that writes to a log.
pub(crate) struct Process {
    pub(crate) store: EventStore,
    running: JoinHandle<()>,
    shutdown: CancellationToken,
}

impl Process {
    pub(crate) async fn on(database: &TestDatabase) -> Self {
        Self::at(database.url(Role::Application)).await
    }

    pub(crate) async fn at(database_url: String) -> Self {
        Self::with_clock(database_url, Arc::new(SystemClock)).await
    }

    pub(crate) async fn with_clock(database_url: String, clock: Arc<dyn Clock>) -> Self {
        let options = StoreOptions { database_url, clock, ids: Arc::new(RandomIds) };
        let (store, sequencer) = EventStore::open(options).await.expect("the log opens");
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(sequencer.run(shutdown.clone()));
        Self { store, running, shutdown }
    }

    /// Ends it as kill -9 would: at whatever it is doing.
    pub(crate) fn kill(self) {
        self.running.abort();
    }

    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.running.await.expect("the sequencer stops");
    }

    pub(crate) async fn submit(&self, command: Command) -> Result<Answer, SubmitError> {
        self.store.submit(request(command, None)).await
    }

    /// Like [`Process::submit`], to be spawned.
    pub(crate) fn submit_owned(
        &self,
        command: Command,
    ) -> impl Future<Output = Result<Answer, SubmitError>> + Send + 'static {
        let store = self.store.clone();
        async move { store.submit(request(command, None)).await }
    }

    /// Like [`Process::submit_with_key`], to be spawned.
    pub(crate) fn submit_owned_with_key(
        &self,
        command: Command,
        key: &str,
    ) -> impl Future<Output = Result<Answer, SubmitError>> + Send + 'static {
        let (store, key) = (self.store.clone(), whole(key));
        async move { store.submit(request(command, Some(key))).await }
    }

    pub(crate) async fn submit_with_key(
        &self,
        command: Command,
        key: &str,
    ) -> Result<Answer, SubmitError> {
        self.store.submit(request(command, Some(whole(key)))).await
    }
}

pub(crate) fn whole(key: &str) -> RequestKey {
    RequestKey {
        owner: LEDGER,
        key: key.to_owned(),
        fingerprint: [1; 32],
        part: RequestPart::Whole,
    }
}

static ANSWERS: AtomicU64 = AtomicU64::new(0);

/// A request whose answer tells when it was made: no two first answers are alike.
pub(crate) fn request(command: Command, key: Option<RequestKey>) -> Request {
    let nonce = ANSWERS.fetch_add(1, Ordering::Relaxed);
    let answer = move |decided: &Result<Decision, domain::Rejection>, _| {
        let (status, text) = match decided {
            Ok(Decision::Append(events) | Decision::Several { events, .. }) => (
                201,
                events.first().map_or_else(|| "none".to_owned(), |new| new.event_id.to_string()),
            ),
            Ok(Decision::Already(_)) => (200, "already".to_owned()),
            Err(rejection) => (409, rejection.code().to_owned()),
        };
        NewAnswer {
            status,
            resource_id: String::new(),
            body: format!("{text} {nonce}"),
            replay_body: None,
        }
    };
    let origin = Origin { actor: "test".to_owned(), ..Origin::default() };
    Request { command, key, origin, answer: Arc::new(answer), bytes: Request::BYTES_USUAL }
}

pub(crate) fn usd() -> Currency {
    "USD".parse().expect("a currency")
}

pub(crate) fn account(code: &str) -> AccountId {
    AccountId::of(LEDGER, &code.parse().expect("a code"))
}

pub(crate) fn open(code: &str, min_balance_minor: Option<i64>) -> Command {
    let (code, currency) = (code.parse().expect("a code"), usd());
    let plain = OpenAccount::plain(LEDGER, code, AccountType::Asset, currency);
    Command::OpenAccount(OpenAccount { min_balance_minor, ..plain })
}

/// One amount from one account's credit to another's debit.
pub(crate) fn moving(debit: &str, credit: &str, minor: i64) -> Postings {
    let posting = |code: &str, direction| Posting {
        account_id: account(code),
        direction,
        amount: Amount::from_minor(minor, usd()).expect("an amount"),
    };
    let postings = vec![posting(debit, Direction::Debit), posting(credit, Direction::Credit)];
    Postings::new(postings).expect("balanced")
}

pub(crate) fn post(reference: &str, debit: &str, credit: &str, minor: i64) -> Command {
    Command::PostEntry(PostEntry::new(
        LEDGER,
        ExternalRef::parse(reference).expect("a reference"),
        Details::default(),
        moving(debit, credit, minor),
    ))
}

/// What must hold of any log at any time.
pub(crate) async fn check_log(database: &TestDatabase) {
    let mut owner = database.owner().await;
    let row = sqlx::query(
        "select (select position from log_head), count(*), coalesce(min(position), 1),
                coalesce(max(position), 0), count(distinct stream_id),
                count(*) filter (where version = 1)
         from events",
    )
    .fetch_one(&mut owner)
    .await
    .expect("counts");
    let [head, count, first, last, streams, firsts] =
        [0, 1, 2, 3, 4, 5].map(|i| row.get::<i64, _>(i));
    assert_eq!((head, first, last), (count, 1, count), "positions are gapless up to the head");
    assert_eq!(streams, firsts, "every stream starts at version 1");
    let events = event_store::log::events_after(
        &mut owner,
        event_store::log::Position::START,
        event_store::log::EVENTS_PAGE_MAX,
    );
    for event in events.await.expect("events") {
        assert_eq!(event.leaf_hash, event.computed_hash(), "at {}", event.position);
    }
    let drift: i64 = sqlx::query_scalar(
        "with posted as (
             select (p->>'account_id') as account,
                    sum((p->>'amount_minor')::bigint) filter (where p->>'direction' = 'debit') as debits,
                    sum((p->>'amount_minor')::bigint) filter (where p->>'direction' = 'credit') as credits
             from events, json_array_elements(data->'postings') p
             where event_type = 'ledger.entry_posted' group by 1)
         select coalesce(abs((select sum(coalesce(debits, 0)) from posted)
                  - (select sum(debits_posted) from account_balances))
              + abs((select sum(coalesce(credits, 0)) from posted)
                  - (select sum(credits_posted) from account_balances)), 0)::bigint",
    )
    .fetch_one(&mut owner)
    .await
    .expect("sums");
    assert_eq!(drift, 0, "balances are the sum of the postings");
}

pub(crate) async fn count(database: &TestDatabase, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(&mut database.owner().await).await.expect("a number")
}

pub(crate) async fn opened(database: &TestDatabase) -> Process {
    let process = Process::on(database).await;
    for code in ["cash", "sales"] {
        process.submit(open(code, None)).await.expect("opened");
    }
    process
}

/// A process whose connection to the database goes through a proxy.
pub(crate) async fn through_proxy(database: &TestDatabase) -> (Process, Proxy) {
    opened(database).await.stop().await;
    let url = database.url(Role::Application);
    let address =
        url.split('@').nth(1).and_then(|rest| rest.split('/').next()).expect("an address");
    let proxy = Proxy::to(address.to_owned()).await;
    let process = Process::at(url.replace(address, &proxy.address().to_string())).await;
    // Its states are in memory before anything breaks.
    process.submit(post("warm", "cash", "sales", 1)).await.expect("posted");
    (process, proxy)
}

/// Looks until it is so.
pub(crate) async fn until(what: &str, mut reached: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !reached().await {
        assert!(Instant::now() < deadline, "never: {what}");
        tokio::task::yield_now().await;
    }
}

/// Until so many appends wait for the head, which somebody holds.
pub(crate) async fn appends_wait(database: &TestDatabase, wanted: i64) {
    const WAITING: &str = "select count(*) from pg_stat_activity where datname = current_database()
        and wait_event_type = 'Lock' and query like '%update log_head%'";
    until("appends wait", async || count(database, WAITING).await == wanted).await;
}
