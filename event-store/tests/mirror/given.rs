//! A log with events in it, a stream of its own, and a mirror between them.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::stream::{Config, Stream};
use domain::merchants::{FeeTerms, RegisterMerchant};
use domain::{Command, Decision, MerchantId, Name, Rejection};
use event_store::log::{Position, RecordedEvent, events_after};
use event_store::mirror::{
    LEAF_HASH_HEADER, LogStream, Mirror, MirrorOptions, MirrorStatus, decode,
};
use event_store::{
    EventStore, IdSource, NewAnswer, Origin, RandomIds, Request, StoreOptions, SystemClock,
};
use migrations::Role;
use testkit::{TestDatabase, nats_url, unique_name};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

/// How long a level may take to be reached before the test fails.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct World {
    pub(crate) database: TestDatabase,
    pub(crate) stream: LogStream,
    pub(crate) jetstream: jetstream::Context,
    pub(crate) store: EventStore,
    _stops: DropGuard,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::on(TestDatabase::create().await, LogStream::named(&unique_name("log"))).await
    }

    pub(crate) async fn on(database: TestDatabase, stream: LogStream) -> Self {
        let client = async_nats::connect(nats_url()).await.expect("NATS");
        let options = StoreOptions {
            database_url: database.url(Role::Application),
            clock: Arc::new(SystemClock),
            ids: Arc::new(RandomIds),
        };
        let (store, sequencer) = EventStore::open(options).await.expect("the log opens");
        let stop = CancellationToken::new();
        tokio::spawn(sequencer.run(stop.clone()));
        let jetstream = jetstream::new(client);
        Self { database, stream, jetstream, store, _stops: stop.drop_guard() }
    }

    /// Appends `count` events.
    pub(crate) async fn append(&self, count: usize) {
        let requests = (0..count).map(|_| self.store.submit(register_merchant()));
        for answer in futures::future::join_all(requests).await {
            assert_eq!(answer.expect("registered").status, 201);
        }
    }

    pub(crate) fn mirror(&self) -> RunningMirror {
        self.mirror_by(nats_url())
    }

    pub(crate) fn mirror_by(&self, nats_url: String) -> RunningMirror {
        let (mirror, status) = self.new_mirror(nats_url);
        let stop = CancellationToken::new();
        tokio::spawn(mirror.run(stop.clone()));
        RunningMirror { status, _stops: stop.drop_guard() }
    }

    /// A mirror that is not running yet.
    pub(crate) fn new_mirror(&self, nats_url: String) -> (Mirror, watch::Receiver<MirrorStatus>) {
        let options = MirrorOptions {
            database_url: self.database.url(Role::Application),
            nats_url,
            stream: self.stream.clone(),
            recent: Some(self.store.recent()),
        };
        Mirror::new(options).expect("a mirror")
    }

    pub(crate) async fn head(&self) -> Position {
        event_store::log::head(&mut self.database.owner().await).await.expect("a head").position
    }

    pub(crate) async fn events(&self) -> Vec<RecordedEvent> {
        let mut owner = self.database.owner().await;
        events_after(&mut owner, Position::START, 10_000).await.expect("events")
    }

    pub(crate) async fn js_stream(&self) -> Stream {
        self.jetstream.get_stream(self.stream.name()).await.expect("a stream")
    }

    /// Makes the stream beforehand, without the refusal to delete messages, so that a test can.
    pub(crate) async fn make_deletable_stream(&self) -> Stream {
        let config = Config {
            name: self.stream.name().to_owned(),
            subjects: vec![self.stream.subjects()],
            ..Config::default()
        };
        self.jetstream.create_stream(config).await.expect("a stream")
    }

    /// Every message that is there equals its event; how many there are.
    pub(crate) async fn check_stream(&self) -> usize {
        let stream = self.js_stream().await;
        let state = stream.cached_info().state.clone();
        let mut found = 0;
        for event in self.events().await {
            if event.position.sequence() < state.first_sequence {
                continue;
            }
            let Ok(message) = stream.get_raw_message(event.position.sequence()).await else {
                continue;
            };
            let copy = decode(&message.headers, &message.payload).expect("an event");
            assert_eq!(copy, event);
            assert_eq!(copy.computed_hash(), copy.leaf_hash);
            let hash = message.headers.get(LEAF_HASH_HEADER).expect("a hash").to_string();
            assert_eq!(hash, event.leaf_hash.to_string());
            found += 1;
        }
        found
    }
}

pub(crate) struct RunningMirror {
    status: watch::Receiver<MirrorStatus>,
    _stops: DropGuard,
}

impl RunningMirror {
    /// Waits until the status is as wanted.
    pub(crate) async fn reaches(&mut self, wanted: impl Fn(&MirrorStatus) -> bool) -> MirrorStatus {
        let waiting = self.status.wait_for(|status| wanted(status));
        let reached = match tokio::time::timeout(PATIENCE, waiting).await {
            Ok(Ok(status)) => Some(status.clone()),
            Ok(Err(_)) | Err(_) => None,
        };
        reached.unwrap_or_else(|| panic!("the mirror stays {:?}", self.status()))
    }

    pub(crate) async fn reaches_position(&mut self, position: Position) {
        self.reaches(|status| matches!(status, MirrorStatus::Mirrored(at) if *at >= position))
            .await;
    }

    pub(crate) fn status(&self) -> MirrorStatus {
        self.status.borrow().clone()
    }
}

fn register_merchant() -> Request {
    let command = Command::RegisterMerchant(RegisterMerchant {
        merchant_id: MerchantId::from_uuid(RandomIds.next()),
        name: Name::parse("Toko ☕").expect("a name"),
        fees: FeeTerms::free(),
    });
    let answer = |decided: &Result<Decision, Rejection>, _| NewAnswer {
        status: if decided.is_ok() { 201 } else { 409 },
        resource_id: String::new(),
        body: String::new(),
        replay_body: None,
    };
    let traceparent = Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned());
    let origin = Origin { actor: "test".to_owned(), traceparent, ..Origin::default() };
    Request { command, key: None, origin, answer: Arc::new(answer), bytes: Request::BYTES_USUAL }
}
