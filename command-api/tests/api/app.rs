//! A service on a log of its own, with an actor of every kind.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use api_conventions::{ApiKeyToken, RateLimitPolicy};
use axum::Router;
use command_api::{CommandApi, SystemRandom};
use domain::accounts::{AccountType, OpenAccount, Totals};
use domain::api_keys::{IssueApiKey, Role};
use domain::holds::Hold;
use domain::{ApiKeyId, Command, MerchantId};
use event_store::mirror::MirrorStatus;
use event_store::{
    Clock, EventStore, IdSource, NewAnswer, Origin, RandomIds, Request, Sequencer, StoreOptions,
    SystemClock,
};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use serde_json::{Value, json};
use sqlx::Row;
use testkit::TestDatabase;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::actors::{Actor, Way};

/// How long a level may take to be reached that is reached in milliseconds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// One process that serves commands.
pub(crate) struct Service {
    pub(crate) store: EventStore,
    pub(crate) router: Router,
    pub(crate) mirror: watch::Sender<MirrorStatus>,
    shutdown: CancellationToken,
    running: JoinHandle<()>,
}

impl Service {
    pub(crate) async fn on(database: &TestDatabase) -> Self {
        let (store, sequencer) = open(database).await;
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(sequencer.run(shutdown.clone()));
        let (mirror, mirrored) = watch::channel(MirrorStatus::Starting);
        let router = routes(&store, Some(mirrored));
        Self { store, router, mirror, shutdown, running }
    }

    /// A caller with this token.
    pub(crate) fn caller(&self, token: Option<String>) -> Actor {
        Actor { way: Way::Router(self.router.clone()), token }
    }

    /// The same caller, calling this service.
    pub(crate) fn called_by(&self, actor: &Actor) -> Actor {
        self.caller(actor.token.clone())
    }

    /// Waits until this process has seen `position`.
    pub(crate) async fn follows_to(&self, position: i64, patience: Duration) {
        let mut head = self.store.head();
        let reached = head.wait_for(|head| head.number() >= position);
        tokio::time::timeout(patience, reached).await.expect("in time").expect("it runs");
    }

    /// Stops the writing; the routes still answer.
    pub(crate) async fn stop_writing(&mut self) {
        self.shutdown.cancel();
        (&mut self.running).await.expect("the sequencer stops");
    }

    /// The first operator's key, given out without the API, as an installation begins.
    async fn first_operator(&self) -> Actor {
        let key_id = ApiKeyId::from_uuid(self.store.ids().next());
        let token = ApiKeyToken::generate(key_id, [7; 32]);
        let command = Command::IssueApiKey(IssueApiKey {
            key_id,
            merchant_id: MerchantId::PLATFORM,
            role: Role::Operator,
            label: None,
            secret: token.secret_digest(),
        });
        let done = || NewAnswer {
            status: 201,
            resource_id: String::new(),
            body: String::new(),
            replay_body: None,
        };
        let answer = Arc::new(move |_: &_, _| done());
        let request = Request {
            command,
            key: None,
            origin: Origin::default(),
            answer,
            bytes: Request::BYTES_USUAL,
        };
        self.store.submit(request).await.expect("a key for the operator");
        self.caller(Some(token.expose()))
    }
}

/// What serves commands on a log, and what writes for it, which is not running yet.
pub(crate) async fn process_on(database: &TestDatabase) -> (Router, EventStore, Sequencer) {
    let (store, sequencer) = open(database).await;
    (routes(&store, None), store, sequencer)
}

async fn open(database: &TestDatabase) -> (EventStore, Sequencer) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let ids: Arc<dyn IdSource> = Arc::new(RandomIds);
    let database_url = database.url(migrations::Role::Application);
    let options = StoreOptions { database_url, clock, ids };
    EventStore::open(options).await.expect("the log opens")
}

fn routes(store: &EventStore, mirror: Option<watch::Receiver<MirrorStatus>>) -> Router {
    let recorder = recorder();
    command_api::router(CommandApi {
        store: store.clone(),
        mirror,
        metrics: Arc::new(|| recorder.render()),
        random: Arc::new(SystemRandom),
        psps: Arc::new(crate::webhooks::OnlyAlpha),
        rate_limit: RateLimitPolicy::default(),
    })
}

pub(crate) struct App {
    pub(crate) database: TestDatabase,
    pub(crate) service: Service,
    pub(crate) operator: Actor,
    pub(crate) merchant: Actor,
    pub(crate) merchant_read: Actor,
    pub(crate) other_merchant: Actor,
    pub(crate) anonymous: Actor,
    /// The id of `merchant`.
    pub(crate) merchant_id: String,
}

impl App {
    pub(crate) async fn new() -> Self {
        let database = TestDatabase::create().await;
        let service = Service::on(&database).await;
        let operator = service.first_operator().await;
        let merchant_id = register(&operator, "Toko Runut").await;
        let other_id = register(&operator, "Warung Bu Sri").await;
        let merchant = issue(&operator, "merchant", &merchant_id).await;
        let merchant_read = issue(&operator, "merchant_read", &merchant_id).await;
        let other_merchant = issue(&operator, "merchant", &other_id).await;
        let anonymous = service.caller(None);
        Self {
            database,
            service,
            operator,
            merchant,
            merchant_read,
            other_merchant,
            anonymous,
            merchant_id,
        }
    }

    /// How many events and remembered requests there are.
    pub(crate) async fn written(&self) -> (i64, i64) {
        let sql = "select (select count(*) from events), (select count(*) from idempotency_keys)";
        let mut owner = self.database.owner().await;
        let row = sqlx::query(sql).fetch_one(&mut owner).await.expect("counts");
        (row.get(0), row.get(1))
    }

    /// Every row of the log as text, and every stored answer.
    pub(crate) async fn everything_stored(&self) -> String {
        let sql = "select string_agg(t, ' ') from (select e::text as t from events e
                   union all select k::text from idempotency_keys k) all_rows";
        let mut owner = self.database.owner().await;
        sqlx::query_scalar(sql).fetch_one(&mut owner).await.expect("texts")
    }

    /// The event at a position: its type and its metadata.
    pub(crate) async fn event_at(&self, position: i64) -> (String, Value) {
        let sql = "select event_type, metadata::text from events where position = $1";
        let mut owner = self.database.owner().await;
        let row = sqlx::query(sql).bind(position).fetch_one(&mut owner).await.expect("an event");
        (row.get(0), serde_json::from_str(row.get(1)).expect("JSON"))
    }

    /// Opens an account of the platform's ledger as payments do; its id.
    pub(crate) async fn open_system_account(&self, code: &str) -> String {
        let (code, currency) = (code.parse().expect("a code"), "USD".parse().expect("a currency"));
        let open = OpenAccount::plain(MerchantId::PLATFORM, code, AccountType::Asset, currency);
        let id = open.account_id().to_string();
        let opening = self.service.store.give(Origin::default(), Command::OpenAccount(open));
        opening.await.expect("the log is there").decision.expect("opened");
        id
    }

    /// What was posted to an account and what is held, as its service knows it.
    pub(crate) async fn totals(&self, account: &str) -> Totals {
        let id = account.parse().expect("an account's id");
        let account = self.service.store.account(id).await.expect("the log is read");
        account.expect("an account").totals
    }

    /// A hold, as its service knows it.
    pub(crate) async fn hold(&self, hold: &str) -> Arc<Hold> {
        let id = hold.parse().expect("a hold's id");
        self.service.store.hold(id).await.expect("the log is read").expect("a hold")
    }

    /// The posted balance of an asset account, in minor units.
    pub(crate) async fn balance_minor(&self, account: &str) -> i64 {
        let id: domain::AccountId = account.parse().expect("an account's id");
        let sql = "select (debits_posted - credits_posted)::bigint from account_balances where account_id = $1";
        let mut owner = self.database.owner().await;
        sqlx::query_scalar(sql).bind(id.uuid()).fetch_one(&mut owner).await.expect("a balance")
    }
}

async fn register(operator: &Actor, name: &str) -> String {
    operator.post("/v1/merchants", &json!({"name": name})).await.expect(201).text("id")
}

async fn issue(operator: &Actor, role: &str, merchant: &str) -> Actor {
    let key = json!({"role": role, "merchant": merchant});
    let token = operator.post("/v1/api-keys", &key).await.expect(201).text("token");
    Actor { token: Some(token), ..operator.clone() }
}

/// One recorder for all tests of this program, as for all routers of a process.
fn recorder() -> &'static PrometheusHandle {
    static RECORDER: OnceLock<PrometheusHandle> = OnceLock::new();
    RECORDER.get_or_init(|| PrometheusBuilder::new().install_recorder().expect("a recorder"))
}
