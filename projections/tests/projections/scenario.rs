//! A database with a log, a stream that mirrors it, and runners to start and stop.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream;
use domain::accounts::AccountType;
use event_store::log::{Position, RecordedEvent};
use event_store::mirror::{LogStream, encode};
use migrations::Role;
use projections::{
    Access, Feed, Handle, LedgerBalance, NatsOptions, Options, Projection, ProjectionHealth, Retry,
    Runner,
};
use sqlx::PgConnection;
use testkit::{TestDatabase, unique_name};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::events::{Happened, opened, posted};
use super::log::Log;
use super::tables;

/// Whatever a test waits for happens within this, on a busy machine too.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(5);

/// Waits until `level` yields something.
pub(crate) async fn eventually<T>(what: &str, mut level: impl AsyncFnMut() -> Option<T>) -> T {
    let polling = async {
        loop {
            if let Some(found) = level().await {
                return found;
            }
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(PATIENCE, polling)
        .await
        .unwrap_or_else(|_| panic!("not within {PATIENCE:?}: {what}"))
}

/// One test's world.
pub(crate) struct Scenario {
    pub(crate) database: TestDatabase,
    pub(crate) log: Log,
    pub(crate) stream: LogStream,
    jetstream: Option<jetstream::Context>,
}

/// A runner in the background.
pub(crate) struct Running {
    pub(crate) handle: Handle,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Scenario {
    pub(crate) async fn new() -> Self {
        let database = TestDatabase::create().await;
        let log = Log::new(database.owner().await);
        let stream = LogStream::named(&unique_name("log"));
        Self { database, log, stream, jetstream: None }
    }

    /// A ledger with two accounts, `cash` and `sales`.
    pub(crate) async fn with_accounts() -> Self {
        let mut scenario = Self::new().await;
        let accounts = [
            opened("cash", AccountType::Asset, "USD"),
            opened("sales", AccountType::Income, "USD"),
        ];
        scenario.log.append(accounts).await;
        scenario
    }

    /// Appends `count` sales of one minor unit each.
    pub(crate) async fn sell(&mut self, count: usize) -> Vec<RecordedEvent> {
        let from = self.log.position().number();
        let sales = (0..count).map(|index| {
            posted(&format!("sale {} {from}/{index}", self.log.position()), "cash", "sales", 1)
        });
        let sales: Vec<Happened> = sales.collect();
        self.log.append(sales).await
    }

    pub(crate) async fn jetstream(&mut self) -> jetstream::Context {
        if let Some(context) = &self.jetstream {
            return context.clone();
        }
        let client = async_nats::connect(testkit::nats_url()).await.expect("NATS answers");
        self.jetstream.insert(jetstream::new(client)).clone()
    }

    /// Makes the stream, its first sequence being `first`.
    pub(crate) async fn create_stream(&mut self, first: u64) {
        let config = jetstream::stream::Config {
            name: self.stream.name().to_owned(),
            subjects: vec![self.stream.subjects()],
            storage: jetstream::stream::StorageType::Memory,
            first_sequence: Some(first),
            ..jetstream::stream::Config::default()
        };
        self.jetstream().await.create_stream(config).await.expect("a stream");
    }

    pub(crate) async fn delete_stream(&mut self) {
        let name = self.stream.name().to_owned();
        self.jetstream().await.delete_stream(name).await.expect("deletes");
    }

    /// Publishes, each at its own sequence.
    pub(crate) async fn publish(&mut self, events: &[RecordedEvent]) {
        for event in events {
            self.publish_as(event, event.position).await;
        }
    }

    /// Publishes `event` as if it were that of `position`.
    pub(crate) async fn publish_as(&mut self, event: &RecordedEvent, position: Position) {
        let (mut headers, body) = encode(event);
        let expected = (position.sequence() - 1).to_string();
        headers.insert(async_nats::header::NATS_EXPECTED_LAST_SEQUENCE, expected.as_str());
        self.publish_raw(self.stream.subject(event), headers, body.to_vec()).await;
    }

    pub(crate) async fn publish_raw(
        &mut self,
        subject: String,
        headers: async_nats::HeaderMap,
        body: Vec<u8>,
    ) {
        let context = self.jetstream().await;
        let ack = context.publish_with_headers(subject, headers, body.into()).await;
        ack.expect("publishes").await.expect("is stored");
    }

    /// Options of a runner of both projections that asks NATS too.
    pub(crate) fn options(&self) -> Options {
        let nats = NatsOptions { url: testkit::nats_url(), stream: self.stream.clone() };
        Options { feed: Feed::Nats(nats), ..self.options_without_nats() }
    }

    pub(crate) fn options_without_nats(&self) -> Options {
        let url = self.database.url(Role::Projector);
        Options {
            database: event_store::log::connect_options(&url).expect("a URL"),
            projections: vec![Arc::new(LedgerBalance), Arc::new(Access)],
            feed: Feed::Log,
            retry: Retry { first: Duration::from_millis(10), longest: Duration::from_millis(100) },
        }
    }

    /// The read models are those of a fresh fold of the whole log, the positions too.
    pub(crate) async fn assert_exactly_once(&self) {
        let mut db = self.database.owner().await;
        for projection in [&LedgerBalance as &dyn Projection, &Access] {
            let live = tables::dump(&mut db, projection, "read").await;
            tables::same(&live, &tables::expected(&mut db, projection).await);
            let applied = projections::applied(&mut db, projection.name()).await.expect("reads");
            assert_eq!(applied, Some(self.log.position()), "{}", projection.name());
        }
    }

    /// A connection of the query role.
    pub(crate) async fn query(&self) -> PgConnection {
        self.database.connect(Role::Query).await
    }
}

impl Running {
    pub(crate) fn start(options: Options) -> Self {
        let (runner, handle) = Runner::new(options);
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(runner.run(shutdown.clone()));
        Self { handle, shutdown, task }
    }

    /// Waits until both projections have applied `position`.
    pub(crate) async fn reaches(&self, position: Position) {
        for projection in ["ledger_balance", "access"] {
            self.one_reaches(projection, position).await;
        }
    }

    pub(crate) async fn one_reaches(&self, projection: &str, position: Position) {
        let waiting = self.handle.wait_for(projection, position);
        match tokio::time::timeout(PATIENCE, waiting).await {
            Ok(reached) => assert!(reached.expect("it runs") >= position),
            Err(_) => panic!("{projection} is not at {position}: {:?}", self.health(projection)),
        }
    }

    pub(crate) fn health(&self, projection: &str) -> ProjectionHealth {
        let found = self.handle.health().into_iter().find(|health| health.projection == projection);
        found.expect("it runs")
    }

    /// Waits until the health of a projection is as `wanted` says.
    pub(crate) async fn is(
        &self,
        projection: &str,
        what: &str,
        wanted: impl Fn(&ProjectionHealth) -> bool,
    ) -> ProjectionHealth {
        eventually(what, async || Some(self.health(projection)).filter(|health| wanted(health)))
            .await
    }

    /// Ends it as SIGTERM does.
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.expect("ends well");
    }

    /// Ends it as kill -9 does: nothing is finished.
    pub(crate) async fn kill(self) {
        self.task.abort();
        let ended = self.task.await;
        assert!(ended.is_err_and(|error| error.is_cancelled()), "it was killed");
    }
}
