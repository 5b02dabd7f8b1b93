//! A platform with two merchants: a log, projections, and the query service on top of them.
//!
//! Time stands still unless a test moves it and ids are counted, so answers are the same each time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use api_conventions::{ApiKeyToken, RateLimitPolicy};
use axum::Router;
use domain::accounts::{AccountType, CloseAccount, FreezeAccount, OpenAccount};
use domain::api_keys::{IssueApiKey, RevokeApiKey, Role};
use domain::ledger::{
    Details, Direction, ExternalRef, Part, PostEntry, Posting, Postings, ReverseEntry,
};
use domain::merchants::{FeeTerms, RegisterMerchant, Rounding};
use domain::payments::*;
use domain::{
    AccountId, Amount, ApiKeyId, Command, Decision, EntryId, Event, MerchantId, Metadata, Name,
    PaymentId, RefundId, StreamVersion, Timestamp,
};
use event_store::{Clock, EventStore, IdSource, NewAnswer, Origin, Request, StoreOptions};
use migrations::Role as Login;
use projections::{Feed, Handle, Options, Retry, Runner};
use query_api::QueryApi;
use testkit::TestDatabase;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::actors::Actor;

/// Whatever a test waits for happens within this, on a busy machine too.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// When every test's platform starts: 2026-01-01T00:00:00Z.
const STARTED_AT_MICROS: i64 = 1_767_225_600_000_000;

pub(crate) const TOKO: MerchantId = MerchantId::from_uuid(Uuid::from_u128(0xA));
pub(crate) const WARUNG: MerchantId = MerchantId::from_uuid(Uuid::from_u128(0xB));

/// A clock that tests move.
#[derive(Debug)]
struct HandClock(AtomicI64);

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::Relaxed))
    }
}

#[derive(Debug)]
struct CountedIds(AtomicU64);

impl IdSource for CountedIds {
    fn next(&self) -> Uuid {
        // Even numbers only: a decision's second event has its first's id with the last bit turned.
        Uuid::from_u128(u128::from(self.0.fetch_add(2, Ordering::Relaxed)))
    }
}

/// Projections that run.
struct Running {
    task: JoinHandle<()>,
    shutdown: CancellationToken,
}

/// Everything.
pub(crate) struct Platform {
    pub(crate) database: TestDatabase,
    pub(crate) router: Router,
    pub(crate) shutdown: CancellationToken,
    pub(crate) store: EventStore,
    clock: Arc<HandClock>,
    running: Option<Running>,
    secrets: AtomicU64,
    position: AtomicI64,
    pub(crate) operator: Actor,
    pub(crate) auditor: Actor,
    pub(crate) analyst: Actor,
    /// Of the merchant Toko.
    pub(crate) merchant: Actor,
    /// Of the merchant Toko too, read only.
    pub(crate) reader: Actor,
    /// Of the merchant Warung.
    pub(crate) other_merchant: Actor,
    pub(crate) anonymous: Actor,
}

/// Where the query side learns how far the projections are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Told {
    /// From the runner in its own process.
    InProcess,
    /// From the checkpoints, as in a process of its own.
    ByCheckpoints,
}

impl Platform {
    /// With both merchants, a key for everybody, and the accounts `cash` and `sales` in each ledger.
    pub(crate) async fn new() -> Self {
        Self::told(Told::ByCheckpoints).await
    }

    pub(crate) async fn told(told: Told) -> Self {
        let mut platform = Self::empty(told, true).await;
        platform.take_on().await;
        platform
    }

    /// On which no projection has ever run.
    pub(crate) async fn without_projections() -> Self {
        let mut platform = Self::empty(Told::ByCheckpoints, false).await;
        platform.take_on().await;
        platform
    }

    async fn empty(told: Told, projecting: bool) -> Self {
        let database = TestDatabase::create().await;
        database.stop_clock_at(STARTED_AT_MICROS).await;
        let clock = Arc::new(HandClock(AtomicI64::new(STARTED_AT_MICROS)));
        let ids = |from| Arc::new(CountedIds(AtomicU64::new(from)));
        let options = StoreOptions {
            database_url: database.url(Login::Application),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            ids: ids(0x100),
        };
        let (store, sequencer) = EventStore::open(options).await.expect("the log opens");
        let shutdown = CancellationToken::new();
        tokio::spawn(sequencer.run(shutdown.clone()));
        let (running, handle) = if projecting {
            let (running, handle) = Running::start(&database, &store);
            (Some(running), Some(handle))
        } else {
            (None, None)
        };
        let query_api = QueryApi {
            database_url: database.url(Login::Query),
            progress: handle.filter(|_| told == Told::InProcess),
            ids: ids(0x1000),
            metrics: Arc::new(|| "metrics_total 1\n".to_owned()),
            rate_limit: RateLimitPolicy::default(),
            shutdown: shutdown.clone(),
        };
        let router = query_api::router(query_api).await.expect("the service starts");
        let nobody = Actor::new(router.clone(), None);
        Self {
            database,
            router,
            shutdown,
            store,
            clock,
            running,
            secrets: AtomicU64::new(1),
            position: AtomicI64::new(0),
            operator: nobody.clone(),
            auditor: nobody.clone(),
            analyst: nobody.clone(),
            merchant: nobody.clone(),
            reader: nobody.clone(),
            other_merchant: nobody.clone(),
            anonymous: nobody,
        }
    }

    async fn take_on(&mut self) {
        self.operator = self.issue(MerchantId::PLATFORM, Role::Operator).await.1;
        self.auditor = self.issue(MerchantId::PLATFORM, Role::Auditor).await.1;
        self.analyst = self.issue(MerchantId::PLATFORM, Role::Analyst).await.1;
        let usd = "USD".parse().expect("a currency");
        let fixed = [Amount::from_minor(30, usd).expect("an amount")];
        let fees = FeeTerms::new("2.9", &fixed, Rounding::HalfEven).expect("terms");
        for (merchant_id, name) in [(TOKO, "Toko"), (WARUNG, "Warung")] {
            let name = Name::parse(name).expect("a name");
            let command = RegisterMerchant { merchant_id, name, fees: fees.clone() };
            self.submit(Command::RegisterMerchant(command)).await;
        }
        self.merchant = self.issue(TOKO, Role::Merchant).await.1;
        self.reader = self.issue(TOKO, Role::MerchantRead).await.1;
        self.other_merchant = self.issue(WARUNG, Role::Merchant).await.1;
        for ledger in [TOKO, WARUNG] {
            self.open(ledger, "cash", AccountType::Asset, "USD").await;
            self.open(ledger, "sales", AccountType::Income, "USD").await;
        }
    }

    /// The position of the last command.
    pub(crate) fn position(&self) -> i64 {
        self.position.load(Ordering::Relaxed)
    }

    /// Moves the time on, the database's and the processes'.
    pub(crate) async fn pass(&self, time: Duration) {
        let micros = i64::try_from(time.as_micros()).expect("a reasonable time");
        let now = self.now().micros() + micros;
        self.database.stop_clock_at(now).await;
        self.clock.0.store(now, Ordering::Relaxed);
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Carries a command out; returns what it appended.
    pub(crate) async fn submit(&self, command: Command) -> Vec<Event> {
        let decided: Arc<std::sync::Mutex<Vec<Event>>> = Arc::default();
        let seen = Arc::clone(&decided);
        let answer = move |outcome: &Result<Decision, domain::Rejection>, _| {
            let decision = outcome.as_ref().expect("the command is carried out");
            let events = decision.events().iter().map(|event| event.event.clone()).collect();
            *seen.lock().expect("no panic") = events;
            NewAnswer {
                status: 200,
                resource_id: String::new(),
                body: String::new(),
                replay_body: None,
            }
        };
        let origin = Origin { actor: "test".to_owned(), ..Origin::default() };
        let request = Request {
            command,
            key: None,
            origin,
            answer: Arc::new(answer),
            bytes: Request::BYTES_USUAL,
        };
        let answer = self.store.submit(request).await.expect("it is durable");
        self.position.store(answer.position.number(), Ordering::Relaxed);
        decided.lock().expect("no panic").clone()
    }

    /// Gives a key out: its id, and whoever has it.
    pub(crate) async fn issue(&self, merchant_id: MerchantId, role: Role) -> (ApiKeyId, Actor) {
        let number = self.secrets.fetch_add(1, Ordering::Relaxed);
        let key_id = ApiKeyId::from_uuid(Uuid::from_u128(u128::from(number)));
        let token = ApiKeyToken::generate(key_id, [u8::try_from(number).expect("few keys"); 32]);
        let label = Name::parse(role.name()).ok();
        let secret = token.secret_digest();
        let command = IssueApiKey { key_id, merchant_id, role, label, secret };
        self.submit(Command::IssueApiKey(command)).await;
        let authorization = format!("Bearer {}", token.expose());
        (key_id, Actor::new(self.router.clone(), Some(authorization)))
    }

    pub(crate) async fn revoke(&self, key_id: ApiKeyId) {
        self.submit(Command::RevokeApiKey(RevokeApiKey { key_id })).await;
    }

    pub(crate) async fn open(
        &self,
        ledger: MerchantId,
        code: &str,
        kind: AccountType,
        currency: &str,
    ) -> AccountId {
        let (text, currency) =
            (code.parse().expect("a code"), currency.parse().expect("a currency"));
        let command = OpenAccount {
            name: Name::parse(&format!("The {code}")).ok(),
            min_balance_minor: (code == "cash").then_some(-50_000),
            ..OpenAccount::plain(ledger, text, kind, currency)
        };
        let account_id = command.account_id();
        self.submit(Command::OpenAccount(command)).await;
        account_id
    }

    pub(crate) async fn freeze(&self, ledger: MerchantId, code: &str) {
        let account_id = account(ledger, code);
        let command = FreezeAccount { ledger, account_id, expected_versions: None };
        self.submit(Command::FreezeAccount(command)).await;
    }

    pub(crate) async fn close(&self, ledger: MerchantId, code: &str) {
        let account_id = account(ledger, code);
        let command = CloseAccount { ledger, account_id, expected_versions: None };
        self.submit(Command::CloseAccount(command)).await;
    }

    /// Moves `minor` units of `currency` from `credit` to `debit`.
    pub(crate) async fn post_in(
        &self,
        ledger: MerchantId,
        reference: &str,
        (debit, credit): (&str, &str),
        minor: i64,
        currency: &str,
    ) -> EntryId {
        let metadata = [("order".to_owned(), reference.to_owned())].into();
        let metadata = Metadata::parse(metadata).expect("metadata");
        self.post_with(ledger, reference, (debit, credit), minor, currency, metadata).await
    }

    /// A sale with as much metadata as there may be.
    pub(crate) async fn sell_with_largest_metadata(
        &self,
        ledger: MerchantId,
        reference: &str,
        cents: i64,
    ) -> EntryId {
        let pair =
            |n: usize| (format!("key-{n}"), "\u{1F4B3}".repeat(Metadata::VALUE_CHARACTERS_MAX));
        let metadata = Metadata::parse((0..Metadata::KEYS_MAX).map(pair).collect());
        let metadata = metadata.expect("metadata");
        self.post_with(ledger, reference, ("cash", "sales"), cents, "USD", metadata).await
    }

    async fn post_with(
        &self,
        ledger: MerchantId,
        reference: &str,
        (debit, credit): (&str, &str),
        minor: i64,
        currency: &str,
        metadata: Metadata,
    ) -> EntryId {
        let amount = Amount::from_minor(minor, currency.parse().expect("a currency"));
        let amount = amount.expect("an amount");
        let posting = |code: &str, direction| Posting {
            account_id: account(ledger, code),
            direction,
            amount,
        };
        let postings = vec![posting(debit, Direction::Debit), posting(credit, Direction::Credit)];
        let details = Details {
            description: Name::parse(&format!("Order {reference}")).ok(),
            metadata,
            ..Details::default()
        };
        let command = PostEntry::new(
            ledger,
            ExternalRef::parse(reference).expect("a reference"),
            details,
            Postings::new(postings).expect("balanced"),
        );
        entry_id(&self.submit(Command::PostEntry(command)).await)
    }

    /// A sale of so many cents.
    pub(crate) async fn sell(&self, ledger: MerchantId, reference: &str, cents: i64) -> EntryId {
        self.post_in(ledger, reference, ("cash", "sales"), cents, "USD").await
    }

    pub(crate) async fn reverse(&self, ledger: MerchantId, entry: EntryId) -> EntryId {
        let original = self.store.entry_posted(entry).await.expect("the log is there");
        let (details, part) = (Details::default(), Part::Rest);
        let command = ReverseEntry::new(ledger, entry, None, details, part, original.as_ref());
        entry_id(&self.submit(Command::ReverseEntry(command)).await)
    }

    /// A payment of 100.00 USD of which the PSP says this, by a decline's code or `ok`.
    pub(crate) async fn pay(&self, merchant_id: MerchantId, what: &str) -> PaymentId {
        let payment_id = PaymentId::from_uuid(self.store.ids().next());
        let amount = Amount::parse("100.00", "USD".parse().expect("a currency"));
        let intent = PaymentIntent {
            amount: amount.expect("an amount"),
            capture_method: CaptureMethod::Automatic,
            psp: None,
            customer: Some(Name::parse("customer 7").expect("a name")),
            reference: Some(Name::parse(what).expect("a name")),
            description: None,
            metadata: Metadata::default(),
            order: Order::default(),
        };
        // One card may not be declined and be tried again.
        let method = match what {
            "ok" => method(),
            _ => method().with_fingerprint(&payment_id.to_string()).expect("a text"),
        };
        let method = Some(method);
        let create = CreatePayment { payment_id, merchant_id, intent, method };
        self.submit(Command::CreatePayment(create)).await;
        self.attempt(merchant_id, payment_id, Operation::Sale).await;
        let outcome = match what {
            "ok" => {
                let psp_reference = "ch_1".to_owned();
                PspOutcome::Succeeded { psp_reference, amount_minor: 10_000 }
            }
            code => PspOutcome::Declined(Decline::of(code)),
        };
        self.record(merchant_id, payment_id, 1, outcome).await;
        payment_id
    }

    /// Gives money of it back.
    pub(crate) async fn refund(&self, merchant_id: MerchantId, payment_id: PaymentId, cents: i64) {
        let refund_id = RefundId::from_uuid(self.store.ids().next());
        let amount = Amount::from_minor(cents, "USD".parse().expect("a currency")).expect("some");
        let refund = RefundPayment {
            merchant_id,
            payment_id,
            refund_id,
            amount: Some(amount),
            reason: None,
            expected_versions: None,
        };
        self.submit(Command::RefundPayment(refund)).await;
        let operation = Operation::Refund { refund_id };
        let attempt = self.attempt(merchant_id, payment_id, operation).await;
        let psp_reference = "op_1".to_owned();
        let outcome = PspOutcome::Succeeded { psp_reference, amount_minor: cents };
        self.record(merchant_id, payment_id, attempt, outcome).await;
    }

    async fn method_of(&self, payment_id: PaymentId) -> Option<PaymentMethod> {
        let payment = self.store.payment(payment_id).await.expect("the log is there");
        payment.expect("it was created").method.clone()
    }

    async fn attempt(
        &self,
        merchant_id: MerchantId,
        payment_id: PaymentId,
        operation: Operation,
    ) -> u32 {
        let (psp, policy) = ("alpha".parse().expect("a name"), PaymentPolicy::default());
        let method = self.method_of(payment_id).await;
        let start = StartAttempt { merchant_id, payment_id, operation, psp, method, policy };
        let events = self.submit(Command::StartAttempt(start)).await;
        let Some(Event::Payment(PaymentEvent::AttemptStarted(started))) = events.first() else {
            panic!("no attempt: {events:?}");
        };
        started.attempt
    }

    async fn record(
        &self,
        merchant_id: MerchantId,
        payment_id: PaymentId,
        attempt: u32,
        outcome: PspOutcome,
    ) {
        let record = RecordOutcome {
            merchant_id,
            payment_id,
            currency: "USD".parse().expect("a currency"),
            attempt,
            psp: "alpha".parse().expect("a name"),
            card: self.method_of(payment_id).await.and_then(|method| method.card(merchant_id)),
            outcome,
            elsewhere: false,
            seen: StreamVersion::from_number(i64::MAX),
            policy: PaymentPolicy::default(),
        };
        self.submit(Command::RecordOutcome(record)).await;
    }

    /// A worker says how a PSP does: 20 calls in the last minute.
    pub(crate) async fn psp_does(&self, worker: u128, psp: &str, breaker: &str, errors: i64) {
        let mut owner = self.database.owner().await;
        sqlx::query("insert into psp_health values ($1, $2, $3, 20, $4, 1, clock_timestamp())")
            .bind(Uuid::from_u128(worker))
            .bind(psp)
            .bind(breaker)
            .bind(errors)
            .execute(&mut owner)
            .await
            .expect("it is said");
    }

    /// A webhook that named a payment and was worked off.
    pub(crate) async fn webhook_of(&self, payment: PaymentId) {
        let mut owner = self.database.owner().await;
        sqlx::query(
            "insert into webhooks \
                 (digest, psp, received_at, body, state, payment_id, deliveries) \
             values (sha256('w'), 'alpha', clock_timestamp(), 'w', 'processed', $1, 1)",
        )
        .bind(payment.uuid())
        .execute(&mut owner)
        .await
        .expect("it is there");
    }

    /// A webhook that could not be worked off.
    pub(crate) async fn dead_letter(&self, body: &str) {
        let mut owner = self.database.owner().await;
        sqlx::query(
            "insert into webhooks (digest, psp, received_at, body, state, reason, deliveries) \
             values (sha256($1), 'alpha', clock_timestamp(), $1, 'dead', 'it makes no sense', 1)",
        )
        .bind(body.as_bytes())
        .execute(&mut owner)
        .await
        .expect("it is there");
    }

    /// Ends the projections; what is appended from now on is not applied.
    pub(crate) async fn stop_projecting(&mut self) {
        if let Some(running) = self.running.take() {
            running.shutdown.cancel();
            running.task.await.expect("the projections end");
        }
    }

    pub(crate) fn project_again(&mut self) {
        let (running, _) = Running::start(&self.database, &self.store);
        self.running = Some(running);
    }

    /// Runs a statement as an operator of the database would.
    pub(crate) async fn repair(&self, statement: &'static str) {
        let mut owner = self.database.owner().await;
        sqlx::query(statement).execute(&mut owner).await.expect(statement);
    }
}

impl Running {
    fn start(database: &TestDatabase, store: &EventStore) -> (Self, Handle) {
        let url = database.url(Login::Projector);
        let options = Options {
            database: event_store::log::connect_options(&url).expect("a URL"),
            projections: projections::all(),
            feed: Feed::Process(store.recent()),
            retry: Retry { first: Duration::from_millis(10), longest: Duration::from_millis(100) },
        };
        let (runner, handle) = Runner::new(options);
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(runner.run(shutdown.clone()));
        (Self { task, shutdown }, handle)
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// How everything is paid here.
fn method() -> PaymentMethod {
    PaymentMethod::new(MethodKind::Card, "tok_1").expect("a token")
}

fn entry_id(events: &[Event]) -> EntryId {
    let posted = events.iter().find_map(|event| match event {
        Event::EntryPosted(posted) => Some(posted.entry_id),
        _ => None,
    });
    posted.expect("an entry was posted")
}

pub(crate) fn account(ledger: MerchantId, code: &str) -> AccountId {
    AccountId::of(ledger, &code.parse().expect("a code"))
}
