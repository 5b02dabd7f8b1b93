//! The handle by which everything else writes to the log and reads states from it.

use std::sync::Arc;
use std::time::Duration;

use domain::accounts::Account;
use domain::api_keys::ApiKey;
use domain::holds::Hold;
use domain::ledger::EntryPosted;
use domain::payments::Payment;
use domain::{
    AccountId, ApiKeyId, EntryId, Event, HoldId, MerchantId, PaymentId, State, StateKey, StreamId,
    StreamVersion, Timestamp,
};
use sqlx::postgres::{PgPool, PgPoolOptions};
use time::OffsetDateTime;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::byte_budget::ByteBudget;
use crate::clock::{Clock, IdSource};
use crate::clock_guard::{ClockGuard, ClockSkew};
use crate::health::Health;
use crate::log::{self, ConnectError, Position};
use crate::recent::{RecentEvents, Tail};
use crate::request::{Answer, Request, SubmitError};
use crate::sequencer::{
    Fate, LoadError, Loaded, Pending, Reply, Sequencer, StateCache, Watchers, Work, Writer, load,
    look_up,
};
use crate::snapshots::{OldSnapshot, SnapshotWatch};
use crate::together::Together;
use crate::webhooks::NewWebhook;
use crate::{QUEUE_BYTES_MAX, QUEUE_COMMANDS_MAX, SUBMIT_TIMEOUT};

/// The most connections for loading states and looking up keys; the sequencer has one of its own.
const LOAD_CONNECTIONS_MAX: u32 = 6;
/// The most statements that load states at the same time, and the most commands that each of them loads for.
const LOADS_AT_ONCE_MAX: usize = 3;
/// See [`LOADS_AT_ONCE_MAX`].
const LOADED_TOGETHER_MAX: usize = 64;
/// The most connections for webhooks, which must not wait for loads, nor loads for them.
const WEBHOOK_CONNECTIONS_MAX: u32 = 4;
/// The most statements that keep webhooks at the same time: the flush of one is that of the next few.
const WEBHOOK_INSERTS_AT_ONCE_MAX: usize = 2;
/// The most webhooks that one of them keeps: some megabytes at the worst.
const WEBHOOKS_TOGETHER_MAX: usize = 64;
/// How many API keys that are not in memory are looked up at once. Anybody can send ids that do not exist;
/// they must leave connections for the commands of those whose keys do.
const KEY_LOOK_UPS_MAX: usize = 2;
/// How long a load waits for a connection.
const LOAD_PATIENCE: Duration = Duration::from_secs(5);
/// How long a replay of a claimed key waits for its answer.
const CLAIMED_KEY_PATIENCE: Duration = Duration::from_secs(10);
/// The pause between two looks: the first, and the longest, since each pause is twice the one before.
const CLAIMED_KEY_POLL: Duration = Duration::from_millis(50);
const CLAIMED_KEY_POLL_MAX: Duration = Duration::from_millis(200);
/// The most replays that wait for one: some hundred look-ups a second.
const CLAIMED_KEY_WAITS_MAX: usize = 128;

/// What opening the log takes.
#[derive(Debug)]
pub struct StoreOptions {
    /// The URL of the application's role.
    pub database_url: String,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Fresh ids.
    pub ids: Arc<dyn IdSource>,
}

/// A handle to the log; cheap to clone.
#[derive(Debug, Clone)]
pub struct EventStore {
    shared: Arc<Shared>,
}

/// By the PSP that sends them.
type WebhooksTogether = Together<Arc<str>, NewWebhook, Result<(), Arc<sqlx::Error>>>;

#[derive(Debug)]
struct Shared {
    queue: mpsc::Sender<Work>,
    /// The memory of what waits in it.
    queue_bytes: Arc<ByteBudget>,
    cache: Arc<StateCache>,
    watchers: Arc<Watchers>,
    pool: PgPool,
    /// By whose request it is.
    loads: Together<Option<MerchantId>, Vec<StateKey>, Result<Vec<Loaded>, LoadError>>,
    webhook_pool: PgPool,
    webhooks: WebhooksTogether,
    key_look_ups: Semaphore,
    claimed_waits: Semaphore,
    guard: Arc<ClockGuard>,
    ids: Arc<dyn IdSource>,
    recent: RecentEvents,
    health: Arc<Health>,
}

impl EventStore {
    /// Connects to the log. The handle works once the sequencer is run.
    ///
    /// # Errors
    /// [`ConnectError`]: not there, not durable, or of an older schema.
    pub async fn open(options: StoreOptions) -> Result<(Self, Sequencer), ConnectError> {
        let connect = log::connect_options(&options.database_url)?;
        let append = log::append_options(connect.clone());
        let db = log::connect(&append).await?;
        let state = Writer::at_head(db).await.map_err(ConnectError::Settings)?;
        let look_up = log::look_up_options(connect);
        let pool = PgPoolOptions::new()
            .max_connections(LOAD_CONNECTIONS_MAX)
            .acquire_timeout(LOAD_PATIENCE)
            .test_before_acquire(false)
            .connect_lazy_with(look_up.clone());
        let webhook_pool = PgPoolOptions::new()
            .max_connections(WEBHOOK_CONNECTIONS_MAX)
            .acquire_timeout(LOAD_PATIENCE)
            .test_before_acquire(false)
            .connect_lazy_with(look_up);
        let (queue, waiting) = mpsc::channel(QUEUE_COMMANDS_MAX);
        let queue_bytes = ByteBudget::of(QUEUE_BYTES_MAX);
        let (head_sender, head_receiver) = watch::channel(state.position());
        let cache = Arc::new(StateCache::default());
        let tail = Arc::new(Tail::default());
        let watchers = Arc::new(Watchers::default());
        let health = Arc::new(Health::default());
        let guard = Arc::new(ClockGuard::new(options.clock));
        let sequencer = Sequencer {
            options: append,
            queue: waiting,
            cache: Arc::clone(&cache),
            tail: Arc::clone(&tail),
            watchers: Arc::clone(&watchers),
            queue_bytes: Arc::clone(&queue_bytes),
            guard: Arc::clone(&guard),
            head_sender,
            health: Arc::clone(&health),
            state,
        };
        let shared = Shared {
            queue,
            queue_bytes: Arc::clone(&queue_bytes),
            cache,
            watchers,
            pool,
            loads: Together::new(LOADS_AT_ONCE_MAX, LOADED_TOGETHER_MAX),
            webhook_pool,
            webhooks: Together::new(WEBHOOK_INSERTS_AT_ONCE_MAX, WEBHOOKS_TOGETHER_MAX),
            key_look_ups: Semaphore::new(KEY_LOOK_UPS_MAX),
            claimed_waits: Semaphore::new(CLAIMED_KEY_WAITS_MAX),
            guard,
            ids: options.ids,
            recent: RecentEvents::new(tail, head_receiver),
            health,
        };
        Ok((Self { shared: Arc::new(shared) }, sequencer))
    }

    /// Decides the command and appends what it decides. When this returns an answer, everything that the
    /// answer says is durable: fsynced in Postgres, with the answer itself under its key.
    ///
    /// # Errors
    /// [`SubmitError`]; each says whether something may have been written.
    pub async fn submit(&self, mut request: Request) -> Result<Answer, SubmitError> {
        let event_id = self.shared.ids.next();
        let deadline = Instant::now() + SUBMIT_TIMEOUT;
        let mut failed_admissions = 0;
        loop {
            self.shared.guard.check_again().await.map_err(|skew| {
                metrics::counter!("runut_clock_refusals_total").increment(1);
                SubmitError::ClockSkewed(skew)
            })?;
            let mut reads = request.command.reads();
            if failed_admissions > 0 {
                // It may be refused only where what it claims as new is not there already.
                reads.extend(request.command.claims());
            }
            let owner = request.key.as_ref().map(|key| key.owner);
            let loaded = self.load_missing(owner, &reads, deadline).await?;
            let memory =
                request.memory() + loaded.iter().map(|one| one.versioned.bytes()).sum::<usize>();
            let taken = self.shared.queue_bytes.take(memory).ok_or_else(overloaded)?;
            let fate = Arc::<Fate>::default();
            let (reply, answered) = oneshot::channel();
            let pending = Pending {
                request,
                event_id,
                reads,
                loaded,
                failed_admissions,
                fate: Arc::clone(&fate),
                reply,
                taken: Some(taken),
            };
            self.enqueue(Work::Command(Box::new(pending)))?;
            let given_up = || {
                if fate.give_up() { SubmitError::Unavailable } else { SubmitError::OutcomeUnknown }
            };
            match tokio::time::timeout_at(deadline, answered).await {
                Ok(Ok(Reply::Done(result))) => return result,
                Ok(Ok(Reply::Reload(unchanged))) => {
                    request = *unchanged;
                    failed_admissions += 1;
                }
                Ok(Ok(Reply::InProgress(request))) => return self.await_claimed(&request).await,
                Ok(Err(_)) | Err(_) => return Err(given_up()),
            }
        }
    }

    fn enqueue(&self, work: Work) -> Result<(), SubmitError> {
        self.shared.queue.try_send(work).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => overloaded(),
            mpsc::error::TrySendError::Closed(_) => SubmitError::Unavailable,
        })
    }

    async fn load_missing(
        &self,
        owner: Option<MerchantId>,
        reads: &[StateKey],
        deadline: Instant,
    ) -> Result<Vec<Loaded>, SubmitError> {
        let missing: Vec<StateKey> =
            reads.iter().filter(|key| !self.shared.cache.contains(key)).cloned().collect();
        if missing.is_empty() {
            return Ok(Vec::new());
        }
        let loading = self.load(owner, missing);
        match tokio::time::timeout_at(deadline, loading).await {
            Ok(Ok(loaded)) => Ok(loaded),
            Ok(Err(LoadError::TooLarge)) => Err(SubmitError::StatesTooLarge),
            Ok(Err(error)) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "states cannot be loaded");
                Err(SubmitError::Unavailable)
            }
            Err(_) => Err(SubmitError::Unavailable),
        }
    }

    /// Loads states in one statement with what others need just now.
    async fn load(
        &self,
        owner: Option<MerchantId>,
        keys: Vec<StateKey>,
    ) -> Result<Vec<Loaded>, LoadError> {
        self.shared.loads.one(owner, keys, |wanted| self.clone().load_each(wanted)).await
    }

    /// Where that cannot be read, each by itself: one stream that cannot be is nobody else's.
    async fn load_each(self, wanted: Vec<Vec<StateKey>>) -> Vec<Result<Vec<Loaded>, LoadError>> {
        let counts: Vec<usize> = wanted.iter().map(Vec::len).collect();
        match self.load_all(wanted.iter().flatten().cloned().collect()).await {
            Ok(loaded) => {
                let mut loaded = loaded.into_iter();
                counts.into_iter().map(|many| Ok(loaded.by_ref().take(many).collect())).collect()
            }
            Err(error) if counts.len() == 1 => vec![Err(error)],
            Err(_) => {
                let mut each = Vec::with_capacity(wanted.len());
                for keys in wanted {
                    each.push(self.load_all(keys).await);
                }
                each
            }
        }
    }

    /// After the database was away every connection of the pool may be dead.
    async fn load_all(&self, keys: Vec<StateKey>) -> Result<Vec<Loaded>, LoadError> {
        let generation = self.shared.cache.generation();
        for _ in 0..LOAD_CONNECTIONS_MAX {
            match load(&self.shared.pool, keys.clone(), generation).await {
                Err(error) if error.connection_was_dead() => {}
                loaded => return loaded,
            }
        }
        load(&self.shared.pool, keys, generation).await
    }

    /// Waits for the answer of a key that an earlier append claimed, whichever process has it.
    async fn await_claimed(&self, request: &Request) -> Result<Answer, SubmitError> {
        let Some(key) = &request.key else { return Err(SubmitError::KeyInUse) };
        // Those beyond are told at once what the others are told in the end.
        let Ok(_waiting) = self.shared.claimed_waits.try_acquire() else {
            return Err(SubmitError::KeyInUse);
        };
        let deadline = Instant::now() + CLAIMED_KEY_PATIENCE;
        let mut pause = CLAIMED_KEY_POLL;
        let keys = [(key.owner, key.key.clone())];
        while Instant::now() < deadline {
            let found = look_up(&self.shared.pool, &keys).await.map_err(|error| {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a key cannot be looked up"
                );
                SubmitError::Unavailable
            })?;
            if let Some((_, _, known)) = found.into_iter().next()
                && let Some(answer) = known.replay(&key.fingerprint)?
            {
                return Ok(answer);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(CLAIMED_KEY_POLL_MAX);
        }
        Err(SubmitError::KeyInUse)
    }

    /// An API key, if it is in the memory of this process: at most 250 ms behind the log.
    pub fn known_api_key(&self, id: ApiKeyId) -> Option<ApiKey> {
        let known = self.shared.cache.get(&StateKey::ApiKey(id))?;
        known.state.as_ref().and_then(State::as_api_key).cloned()
    }

    /// An API key as this process knows it: at most 250 ms behind the log.
    ///
    /// # Errors
    /// [`SubmitError::Unavailable`] when it is not in memory and the log cannot be read.
    pub async fn api_key(&self, id: ApiKeyId) -> Result<Option<ApiKey>, SubmitError> {
        let state = StateKey::ApiKey(id);
        let state = match self.shared.cache.get(&state) {
            Some(versioned) => versioned.state,
            None => {
                let turn = self.shared.key_look_ups.acquire();
                let turn = tokio::time::timeout(SUBMIT_TIMEOUT, turn).await;
                let _turn = turn.map_err(|_| SubmitError::Unavailable)?;
                self.state(state).await?
            }
        };
        Ok(state.as_ref().and_then(State::as_api_key).cloned())
    }

    /// A payment, if it is in the memory of this process: at most 250 ms behind the log.
    pub fn known_payment(&self, id: PaymentId) -> Option<Arc<Payment>> {
        match self.shared.cache.get(&StateKey::Payment(id))?.state {
            Some(State::Payment(payment)) => Some(payment),
            Some(_) | None => None,
        }
    }

    /// An account as this process knows it: at most 250 ms behind the log.
    ///
    /// # Errors
    /// [`SubmitError::Unavailable`] when it is not in memory and the log cannot be read.
    pub async fn account(&self, id: AccountId) -> Result<Option<Account>, SubmitError> {
        Ok(self.state(StateKey::Account(id)).await?.as_ref().and_then(State::as_account).cloned())
    }

    /// A hold as this process knows it: at most 250 ms behind the log.
    ///
    /// # Errors
    /// [`SubmitError::Unavailable`] when it is not in memory and the log cannot be read.
    pub async fn hold(&self, id: HoldId) -> Result<Option<Arc<Hold>>, SubmitError> {
        match self.state(StateKey::Hold(id)).await? {
            Some(State::Hold(hold)) => Ok(Some(hold)),
            Some(_) | None => Ok(None),
        }
    }

    /// A payment as this process knows it: at most 250 ms behind the log.
    ///
    /// # Errors
    /// [`SubmitError::Unavailable`] when it is not in memory and the log cannot be read.
    pub async fn payment(&self, id: PaymentId) -> Result<Option<Arc<Payment>>, SubmitError> {
        match self.state(StateKey::Payment(id)).await? {
            Some(State::Payment(payment)) => Ok(Some(payment)),
            Some(_) | None => Ok(None),
        }
    }

    /// The payment as soon as it is `as_wanted`, and at `deadline` as it is then.
    ///
    /// # Errors
    /// [`SubmitError::Unavailable`] when it is not in memory and the log cannot be read.
    pub async fn await_payment(
        &self,
        id: PaymentId,
        as_wanted: impl Fn(&Payment) -> bool,
        deadline: Instant,
    ) -> Result<Option<Arc<Payment>>, SubmitError> {
        let mut watching = self.shared.watchers.watch(StateKey::Payment(id));
        loop {
            let payment = self.payment(id).await?;
            let arrived = payment.as_ref().is_none_or(|payment| as_wanted(payment));
            if arrived || tokio::time::timeout_at(deadline, watching.changed()).await.is_err() {
                return Ok(payment);
            }
        }
    }

    async fn state(&self, key: StateKey) -> Result<Option<State>, SubmitError> {
        if let Some(versioned) = self.shared.cache.get(&key) {
            return Ok(versioned.state);
        }
        let deadline = Instant::now() + SUBMIT_TIMEOUT;
        let loaded = self.load_missing(None, std::slice::from_ref(&key), deadline).await?;
        // What does not exist is not kept: nobody who asks for it may take a place in the cache.
        let Some(state) = loaded.first().and_then(|one| one.versioned.state.clone()) else {
            return Ok(None);
        };
        let (done, kept) = oneshot::channel();
        // Only the sequencer inserts; if its queue is full the state is simply not kept.
        if self.enqueue(Work::Keep(loaded, done)).is_ok() {
            drop(tokio::time::timeout_at(deadline, kept).await);
        }
        Ok(Some(state))
    }

    /// The posting event of an entry, by its id.
    ///
    /// # Errors
    /// [`SubmitError::Unavailable`] when the log cannot be read.
    pub async fn entry_posted(&self, id: EntryId) -> Result<Option<EntryPosted>, SubmitError> {
        let stream = StreamId::entry(id);
        let found = log::stream_page(&self.shared.pool, &stream, StreamVersion::from_number(0), 1);
        let page = found.await.map_err(|error| {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "an entry cannot be looked up"
            );
            SubmitError::Unavailable
        })?;
        let Some(recorded) = page.events.first() else { return Ok(None) };
        match recorded.decode() {
            Ok(Event::EntryPosted(posted)) => Ok(Some(posted)),
            Ok(_) => Ok(None),
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "an entry cannot be read"
                );
                Err(SubmitError::Unavailable)
            }
        }
    }

    pub(crate) fn webhooks_together(&self) -> &WebhooksTogether {
        &self.shared.webhooks
    }

    pub(crate) fn webhook_pool(&self) -> &PgPool {
        &self.shared.webhook_pool
    }

    pub(crate) fn pool(&self) -> &PgPool {
        &self.shared.pool
    }

    /// The position of the last event that this process wrote or saw; changes as the log grows.
    pub fn head(&self) -> watch::Receiver<Position> {
        self.shared.recent.watch()
    }

    /// The last events that this process wrote or saw, as the log grows.
    pub fn recent(&self) -> RecentEvents {
        self.shared.recent.clone()
    }

    /// The time and ids that this store was opened with.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        self.shared.guard.clock()
    }

    /// Fresh ids.
    pub fn ids(&self) -> &Arc<dyn IdSource> {
        &self.shared.ids
    }

    /// How many commands may still queue before callers are turned away.
    pub fn free_places(&self) -> usize {
        self.shared.queue.capacity()
    }

    /// Why commands should not be sent here now; `None` when they may.
    pub async fn trouble(&self) -> Option<String> {
        if self.shared.queue.is_closed() {
            return Some("the sequencer has stopped".to_owned());
        }
        match self.measured_skew().await {
            Ok(Some(skew)) => Some(skew.to_string()),
            Ok(None) => self.shared.health.trouble(),
            Err(error) => Some(error.to_string()),
        }
    }

    /// Now, for deciding what is due.
    ///
    /// # Errors
    /// [`SubmitError::ClockSkewed`]: the process' clock disagrees with the database's, so nothing is.
    pub async fn decidable_now(&self) -> Result<Timestamp, SubmitError> {
        self.shared.guard.check_again().await.map_err(SubmitError::ClockSkewed)?;
        Ok(self.shared.guard.now())
    }

    /// Whether the time of the log's head is ahead of the database's clock by more than clocks may be: an alarm.
    pub fn head_is_ahead(&self) -> bool {
        self.shared.guard.head_is_ahead()
    }

    /// Watches for old snapshots on the log's server; to be run beside the sequencer.
    pub fn snapshot_watch(&self) -> SnapshotWatch {
        SnapshotWatch::new(self.shared.pool.clone(), Arc::clone(&self.shared.health))
    }

    /// Who slows appends down by an old snapshot, as the [`SnapshotWatch`] of this process sees it.
    pub fn old_snapshot(&self) -> watch::Receiver<Option<OldSnapshot>> {
        self.shared.health.watch_old_snapshot()
    }

    /// How far this process' clock is from the database's just now, if that is too far.
    async fn measured_skew(&self) -> Result<Option<ClockSkew>, sqlx::Error> {
        let before = self.shared.guard.now();
        let asked = sqlx::query_scalar::<_, OffsetDateTime>("select log_clock()");
        let database = Timestamp::from_datetime(asked.fetch_one(&self.shared.pool).await?);
        Ok(ClockSkew::check(before, database, self.shared.guard.now()).err())
    }
}

/// Says that too much waits.
fn overloaded() -> SubmitError {
    metrics::counter!("runut_commands_overloaded_total").increment(1);
    SubmitError::Overloaded
}

#[cfg(test)]
mod tests;
