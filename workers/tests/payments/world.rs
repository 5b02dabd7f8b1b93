//! A log of its own with its projections, three PSPs, and workers to be started.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::Path;
use axum::http::HeaderMap;
use domain::accounts::AccountCode;
use domain::cards::CardLimit;
use domain::merchants::{FeeTerms, RegisterMerchant, Rounding};
use domain::payments::{
    Attempt, CaptureMethod, CreatePayment, MethodKind, Operation, Order, Payment, PaymentIntent,
    PaymentMethod, PaymentPolicy, PspName, RefundPayment,
};
use domain::{AccountId, Amount, Command, MerchantId, Metadata, Name, PaymentId, RefundId};
use event_store::log::Position;
use event_store::{
    Clock, EventStore, IdSource, Origin, RandomIds, Sequencer, StoreOptions, SystemClock,
};
use gateways::{Gateways, PspConfig, PspsConfig, Timeouts};
use migrations::Role;
use projections::{Feed, Handle, Options, Retry, Runner};
use serde_json::Value;
use simulators::psp::{Options as PspOptions, Psp, WebhookTarget};
use testkit::{TestDatabase, killed_at, unique_name};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use url::Url;
use workers::{PaymentWorker, PaymentWorkerOptions, WebhookWorker};

const PSP_KEY: &str = "psp-key";
const WEBHOOK_SECRET: &str = "whsec_test";
const PSPS: [&str; 3] = ["alpha", "beta", "gamma"];
/// How long what takes some seconds at the most may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Times that let every fault play out within seconds.
pub(crate) fn policy() -> PaymentPolicy {
    PaymentPolicy {
        ask_after_ms: 1_500,
        ask_pause_ms: 50,
        ask_pause_max_ms: 500,
        not_found_grace_ms: 600,
        keys_kept_ms: 60_000,
        late_check_pause_ms: 2_000,
        authorization_life_ms: 3_600_000,
        retried_within_ms: 3_600_000,
        card_limits: CardLimit::of_schemes(),
        soft_retry_pauses_ms: vec![100, 100, 100],
        unsent_retry_pause_ms: 50,
        unsent_attempts_max: 20,
        unsent_bound_attempts_max: 100,
    }
}

const TIMEOUTS: Timeouts = Timeouts { connect_ms: 500, request_ms: 250, total_ms: 900 };

pub(crate) struct World {
    pub(crate) database: TestDatabase,
    pub(crate) store: EventStore,
    pub(crate) merchant_id: MerchantId,
    pub(crate) psps: PspsConfig,
    http: reqwest::Client,
    projected: Handle,
    stop: CancellationToken,
    running: Vec<JoinHandle<()>>,
    folder: PathBuf,
}

/// What a process of workers is made of.
pub(crate) struct Process {
    pub(crate) payments: PaymentWorker,
    pub(crate) webhooks: WebhookWorker,
    pub(crate) store: EventStore,
    pub(crate) sequencer: Sequencer,
}

/// A worker that can be killed.
pub(crate) struct RunningWorker {
    stop: CancellationToken,
    running: JoinHandle<()>,
}

impl RunningWorker {
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.running.await.expect("the worker stops");
    }

    /// Ends it wherever it is, as kill -9 does.
    pub(crate) async fn kill(self) {
        self.running.abort();
        assert!(self.running.await.is_err_and(|error| error.is_cancelled()));
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with_clock(Arc::new(SystemClock)).await
    }

    /// The log's process and workers have this clock.
    pub(crate) async fn with_clock(clock: Arc<dyn Clock>) -> Self {
        let database = TestDatabase::create().await;
        let stop = CancellationToken::new();
        let (store, sequencer) = open(&database, clock).await;
        let mut running = vec![tokio::spawn(sequencer.run(stop.clone()))];
        let (runner, projected) = projections_of(&database, &store);
        running.push(tokio::spawn(runner.run(stop.clone())));
        let hooks = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let hooks_url = format!("http://{}", hooks.local_addr().expect("an address"));
        let folder = std::env::temp_dir().join(unique_name("psps"));
        std::fs::create_dir_all(&folder).expect("a folder");
        let mut psps = Vec::new();
        for name in PSPS {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
            let url = format!("http://{}", listener.local_addr().expect("an address"));
            let options = PspOptions {
                name: name.to_owned(),
                listener,
                ledger: folder.join(name),
                api_key: PSP_KEY.to_owned(),
                webhook: Some(WebhookTarget {
                    url: format!("{hooks_url}/{name}"),
                    secret: WEBHOOK_SECRET.to_owned(),
                }),
            };
            let psp = Psp::open(options).expect("a PSP");
            running.push(tokio::spawn(psp.run(stop.clone())));
            psps.push(PspConfig {
                name: name.parse().expect("a name"),
                url: Url::parse(&url).expect("a URL"),
                api_key: PSP_KEY.to_owned(),
                webhook_secret: Some(WEBHOOK_SECRET.to_owned()),
                webhook_sources: Vec::new(),
                sale: true,
                timeouts: TIMEOUTS,
            });
        }
        let merchant_id = MerchantId::from_uuid(store.ids().next());
        let fees = FeeTerms::new("2.9", &[amount("0.30")], Rounding::HalfEven).expect("terms");
        let name = Name::parse("Toko Runut").expect("a name");
        let register = RegisterMerchant { merchant_id, name, fees };
        let psps = PspsConfig { psps, routing: Vec::new(), policy: policy() };
        let gateways = Gateways::to(&psps).expect("gateways");
        running.push(receive_webhooks(hooks, store.clone(), gateways, stop.clone()));
        let world = Self {
            database,
            store,
            merchant_id,
            psps,
            http: reqwest::Client::builder().no_proxy().build().expect("a client"),
            projected,
            stop,
            running,
            folder,
        };
        world.give(Command::RegisterMerchant(register)).await;
        world
    }

    /// A worker that shares the process' sequencer.
    pub(crate) fn worker(&self) -> RunningWorker {
        self.worker_on(self.store.clone())
    }

    /// A worker as in a process of its own.
    pub(crate) async fn worker_apart(&self) -> RunningWorker {
        self.worker_apart_with(Arc::new(SystemClock)).await
    }

    /// The same with this clock.
    pub(crate) async fn worker_apart_with(&self, clock: Arc<dyn Clock>) -> RunningWorker {
        let (store, sequencer) = open(&self.database, clock).await;
        tokio::spawn(sequencer.run(self.stop.clone()));
        self.worker_on(store)
    }

    /// Workers as in a process of its own, not running yet, once the queue holds all that is in the log.
    pub(crate) async fn process(&self) -> Process {
        let (store, sequencer) = open(&self.database, Arc::new(SystemClock)).await;
        let (payments, webhooks) = self.workers_on(store.clone());
        let mut owner = self.database.owner().await;
        let head = event_store::log::head(&mut owner).await.expect("a head").position;
        self.queue_follows(head).await;
        Process { payments, webhooks, store, sequencer }
    }

    /// Waits until the queue holds what is due as of `position`.
    pub(crate) async fn queue_follows(&self, position: Position) {
        let reached = self.projected.wait_for("payments", position);
        let reached = tokio::time::timeout(PATIENCE, reached).await;
        reached.expect("in time").expect("the projections run");
    }

    fn workers_on(&self, store: EventStore) -> (PaymentWorker, WebhookWorker) {
        let gateways = Gateways::to(&self.psps).expect("gateways");
        let webhooks = WebhookWorker::new(store.clone(), gateways.clone());
        let payments = PaymentWorker::new(PaymentWorkerOptions {
            database_url: self.database.url(Role::Application),
            store,
            gateways,
            policy: self.psps.policy.clone(),
        });
        (payments.expect("a worker"), webhooks)
    }

    /// How many payments have been due for more than a minute.
    pub(crate) async fn overdue(&self) -> i64 {
        self.workers_on(self.store.clone()).0.overdue().await.expect("counted")
    }

    fn worker_on(&self, store: EventStore) -> RunningWorker {
        let (worker, webhooks) = self.workers_on(store);
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let running = tokio::spawn(async move {
            tokio::join!(worker.run(stopped.clone()), webhooks.run(stopped.clone()));
        });
        RunningWorker { stop, running }
    }

    /// Gives a command that is accepted.
    pub(crate) async fn give(&self, command: Command) {
        let given = self.store.give(Origin::default(), command).await.expect("the log is there");
        given.decision.expect("accepted");
    }

    /// Creates a payment of 100.00 USD with this token.
    pub(crate) async fn create(&self, token: &str, capture_method: CaptureMethod) -> PaymentId {
        self.create_with(self.merchant_id, token, intent(amount("100.00"), capture_method)).await
    }

    /// Creates a payment that is taken at once, at this PSP.
    pub(crate) async fn create_at(&self, psp: &str, token: &str, amount: Amount) -> PaymentId {
        self.create_for(self.merchant_id, psp, token, amount).await
    }

    /// The same of another merchant.
    pub(crate) async fn create_for(
        &self,
        merchant_id: MerchantId,
        psp: &str,
        token: &str,
        amount: Amount,
    ) -> PaymentId {
        let psp = Some(psp.parse().expect("a name"));
        let intent = PaymentIntent { psp, ..intent(amount, CaptureMethod::Automatic) };
        self.create_with(merchant_id, token, intent).await
    }

    async fn create_with(
        &self,
        merchant_id: MerchantId,
        token: &str,
        intent: PaymentIntent,
    ) -> PaymentId {
        let payment_id = PaymentId::from_uuid(self.store.ids().next());
        // Schemes let nobody try one card that often.
        let method = PaymentMethod::new(MethodKind::Card, token).expect("a token");
        let method = Some(method.with_fingerprint(&payment_id.to_string()).expect("a text"));
        let create = CreatePayment { payment_id, merchant_id, intent, method };
        self.give(Command::CreatePayment(create)).await;
        payment_id
    }

    /// A merchant without fees.
    pub(crate) async fn another_merchant(&self) -> MerchantId {
        let merchant_id = MerchantId::from_uuid(self.store.ids().next());
        let name = Name::parse("Warung Runut").expect("a name");
        let fees = FeeTerms::free();
        self.give(Command::RegisterMerchant(RegisterMerchant { merchant_id, name, fees })).await;
        merchant_id
    }

    /// Asks for all of it to be refunded.
    pub(crate) async fn refund(&self, payment_id: PaymentId) -> RefundId {
        let refund_id = self.new_refund_id();
        let refund = RefundPayment {
            merchant_id: self.merchant_id,
            payment_id,
            refund_id,
            amount: None,
            reason: None,
            expected_versions: None,
        };
        self.give(Command::RefundPayment(refund)).await;
        refund_id
    }

    pub(crate) fn new_refund_id(&self) -> RefundId {
        RefundId::from_uuid(self.store.ids().next())
    }

    /// The payment as soon as it is so.
    pub(crate) async fn payment_when(
        &self,
        id: PaymentId,
        what: &str,
        so: impl Fn(&Payment) -> bool,
    ) -> Payment {
        let deadline = Instant::now() + PATIENCE;
        let payment = self.store.await_payment(id, &so, deadline).await.expect("the log is there");
        let payment = payment.expect("the payment is there");
        assert!(so(&payment), "{what}: {payment:#?}");
        Payment::clone(&payment)
    }

    /// The payment when nothing is under way.
    pub(crate) async fn settled(&self, id: PaymentId) -> Payment {
        self.payment_when(id, "settled", Payment::at_rest).await
    }

    /// What the PSPs say of a payment: every operation that any of them carried out for it.
    pub(crate) async fn operations(&self, id: PaymentId) -> Vec<Value> {
        let mut operations = Vec::new();
        for psp in &self.psps.psps {
            for charge in self.charges(psp).await {
                if charge["reference"] == id.to_string() {
                    operations.extend(charge["operations"].as_array().expect("a list").clone());
                }
            }
        }
        operations
    }

    async fn charges(&self, psp: &PspConfig) -> Vec<Value> {
        let ledger = self.get(psp, "ledger?limit=10000").await;
        ledger["charges"].as_array().expect("a list").clone()
    }

    /// What a PSP says that it owes, in minor units of USD.
    pub(crate) async fn owed_by(&self, psp: &PspConfig) -> i64 {
        let summary = self.get(psp, "ledger/summary").await;
        summary["clearing"]["USD"].as_i64().unwrap_or(0)
    }

    async fn get(&self, psp: &PspConfig, path: &str) -> Value {
        let url = psp.url.join(path).expect("a URL");
        let answer = self.http.get(url).bearer_auth(PSP_KEY).send().await.expect("the PSP answers");
        answer.json().await.expect("JSON")
    }

    /// The balance of an account of the platform, in minor units.
    pub(crate) async fn balance_minor(&self, code: &str) -> i128 {
        let code: AccountCode = code.parse().expect("a code");
        let id = AccountId::of(MerchantId::PLATFORM, &code);
        let account = self.store.account(id).await.expect("the log is there");
        account.map_or(0, |account| account.balance())
    }

    /// The same as the read model has it, as text, once that has all that is in the log.
    pub(crate) async fn shown_balance(&self, code: &str) -> String {
        let mut owner = self.database.owner().await;
        let head = event_store::log::head(&mut owner).await.expect("a head").position;
        let reached = self.projected.wait_for("ledger_balance", head);
        let reached = tokio::time::timeout(PATIENCE, reached).await;
        reached.expect("in time").expect("the projections run");
        let shown = "select balance_minor::text from read.accounts where code = $1";
        sqlx::query_scalar(shown).bind(code).fetch_one(&mut owner).await.expect("it is there")
    }

    /// The books of the platform and those of the PSPs say the same.
    pub(crate) async fn check_books(&self) {
        let mut owner = self.database.owner().await;
        let end = event_store::log::head(&mut owner).await.expect("a head").position;
        let mut head = self.store.head();
        let followed = tokio::time::timeout(PATIENCE, head.wait_for(|head| *head >= end));
        followed.await.expect("in time").expect("it runs");
        let mut cleared = 0;
        for psp in &self.psps.psps {
            let booked = self.balance_minor(&format!("psp_clearing:{}:USD", psp.name)).await;
            assert_eq!(booked, self.owed_by(psp).await.into(), "clearing of {}", psp.name);
            cleared += booked;
        }
        let payable = format!("merchant_payable:{}:USD", self.merchant_id);
        let owed = self.balance_minor(&payable).await + self.balance_minor("fee_income:USD").await;
        assert_eq!(cleared, owed, "what PSPs owe is owed to the merchant or earned");
    }

    /// How many webhooks are in this state.
    pub(crate) async fn webhooks_in(&self, state: &str) -> i64 {
        let mut owner = self.database.owner().await;
        let count = sqlx::query_scalar("select count(*) from webhooks where state = $1");
        count.bind(state).fetch_one(&mut owner).await.expect("counts")
    }

    /// Waits until that many webhooks are in this state.
    pub(crate) async fn webhooks_reach(&self, state: &str, many: i64) {
        let deadline = Instant::now() + PATIENCE;
        while self.webhooks_in(state).await != many {
            assert!(Instant::now() < deadline, "not {many} webhooks are {state}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until a lease ends hours from now, as the machine's clock says.
    pub(crate) async fn leased_for_hours(&self) {
        let mut owner = self.database.owner().await;
        let hours = "select coalesce(max(until) > clock_timestamp() + interval '2 hours', false) from payment_leases";
        let deadline = Instant::now() + PATIENCE;
        while !sqlx::query_scalar::<_, bool>(hours).fetch_one(&mut owner).await.expect("says") {
            assert!(Instant::now() < deadline, "no lease lasts for hours");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Works off what PSPs sent of their own accord.
    pub(crate) async fn webhooks_settle(&self) {
        let (_, webhooks) = self.workers_on(self.store.clone());
        while webhooks.pass().await.expect("the webhooks are there") > 0 {}
    }

    /// A webhook that says that the attempt failed, whatever its PSP has.
    pub(crate) async fn claim_failure(&self, attempt: &Attempt, id: PaymentId) {
        let body = serde_json::json!({"operation": {
            "reference": id, "idempotency_key": attempt.key.as_str(), "status": "failed",
        }});
        let (psp, body) = (attempt.psp.as_str(), body.to_string());
        self.store.keep_webhook(psp, body).await.expect("kept");
    }

    /// How often a PSP was found to have said something of its own accord that is to be looked into.
    pub(crate) async fn notified(&self) -> i64 {
        let mut owner = self.database.owner().await;
        let count = "select count(*) from events where event_type = 'payment.psp_notified'";
        sqlx::query_scalar(count).fetch_one(&mut owner).await.expect("counts")
    }

    /// A process that works off webhooks until none waits, or dies at its wait number `waits`.
    pub(crate) async fn webhooks_worked_off(&self, waits: usize) -> bool {
        let Process { webhooks, sequencer, .. } = self.process().await;
        let work = async { while webhooks.pass().await.expect("the webhooks are there") > 0 {} };
        let process = async {
            tokio::select! {
                () = sequencer.run(CancellationToken::new()) => {}
                () = work => {}
            }
        };
        killed_at(waits, process).is_some()
    }

    /// What dead workers held is free, as it is after a while.
    pub(crate) async fn release_leases(&self) {
        let mut owner = self.database.owner().await;
        for expire in [
            "update payment_leases set until = '1970-01-01T00:00:00Z'",
            "update webhooks set claimed_until = null",
        ] {
            sqlx::query(expire).execute(&mut owner).await.expect("expired");
        }
    }

    pub(crate) async fn end(self) {
        self.stop.cancel();
        for task in self.running {
            task.await.expect("it stops");
        }
        std::fs::remove_dir_all(&self.folder).expect("the folder can be removed");
    }
}

fn intent(amount: Amount, capture_method: CaptureMethod) -> PaymentIntent {
    PaymentIntent {
        amount,
        capture_method,
        psp: None,
        customer: None,
        reference: None,
        description: None,
        metadata: Metadata::default(),
        order: Order::default(),
    }
}

pub(crate) fn amount(text: &str) -> Amount {
    Amount::parse(text, "USD".parse().expect("a currency")).expect("an amount")
}

/// How many operations of this kind were carried out.
pub(crate) fn carried_out(operations: &[Value], kind: &str) -> usize {
    let done = |one: &&Value| one["kind"] == kind && one["status"] == "succeeded";
    operations.iter().filter(done).count()
}

pub(crate) fn psp_of(payment: &Payment) -> PspName {
    payment.attempts.last().expect("an attempt").psp.clone()
}

pub(crate) fn operations_of(payment: &Payment) -> Vec<Operation> {
    payment.attempts.iter().map(|attempt| attempt.operation).collect()
}

async fn open(database: &TestDatabase, clock: Arc<dyn Clock>) -> (EventStore, Sequencer) {
    let ids: Arc<dyn IdSource> = Arc::new(RandomIds);
    let database_url = database.url(Role::Application);
    EventStore::open(StoreOptions { database_url, clock, ids }).await.expect("the log opens")
}

fn projections_of(database: &TestDatabase, store: &EventStore) -> (Runner, Handle) {
    let url = database.url(Role::Projector);
    Runner::new(Options {
        database: event_store::log::connect_options(&url).expect("a URL"),
        projections: projections::all(),
        feed: Feed::Process(store.recent()),
        retry: Retry::default(),
    })
}

/// The door for webhooks, as the command API has it.
fn receive_webhooks(
    listener: TcpListener,
    store: EventStore,
    gateways: Gateways,
    stop: CancellationToken,
) -> JoinHandle<()> {
    let receive = move |Path(psp): Path<String>, headers: HeaderMap, body: Bytes| {
        let (store, gateways) = (store.clone(), gateways.clone());
        async move {
            let name = psp.parse().expect("a PSP");
            let header = |name: &str| headers.get(name)?.to_str().ok().map(str::to_owned);
            let now = store.clock().now();
            let gateway = gateways.named(&name).expect("configured");
            let signed = gateway.signed_webhook(&header, now).expect("signed by its PSP");
            signed.check(&body).expect("of this body");
            store.keep_webhook(&psp, body).await.expect("kept");
        }
    };
    let router = axum::Router::new().route("/{psp}", axum::routing::post(receive));
    let serving = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned());
    tokio::spawn(async move { serving.await.expect("it serves") })
}
