//! A session: from connecting to the reason why it cannot go on.

use std::mem;
use std::time::Duration;

use event_store::log::{ConnectError, LOG_ID, Position, UNMEASURED_EVENTS_MAX, connect};
use sqlx::{AssertSqlSafe, PgConnection, Row};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval};

use super::follower::Follower;
use super::inbox::Offer;
use super::source::Source;
use crate::checkpoint::{Checkpoint, ProjectionState, WAITING_MICROS, lag};
use crate::fold::{Applier, Halt};
use crate::generation::{connect_live, execute, prepare_live};
use crate::page::{PAGE_EVENTS_MAX, Page, read_page, with_sources};

/// How often the head is read, whatever NATS says: the most by which a silent NATS delays an event.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How old plans of the statements that write grow: they are for tables of the size of then.
const PLANS_AGE_MAX: Duration = Duration::from_secs(10);
/// How long events that change nothing may wait to be passed over together: the checkpoint of a projection
/// that few events concern would otherwise be written for each of the others.
const PASS_EVERY: Duration = Duration::from_millis(20);
/// Of so many of them none waits.
const PASSED_TOGETHER_MAX: usize = 1_000;
/// A batch is followed by the next after so long at the earliest, unless somebody waits for it. Each costs a dozen statements, however little it holds:
/// at some hundred commands a second the batches of the projections would cost more than the commands.
/// A projection that is far behind works for longer than that on each page anyway.
const BATCH_EVERY: Duration = Duration::from_millis(20);
/// After a batch of so many events even those wait for the next who want it: it is of a decent size soon enough.
const BUSY_EVENTS: usize = 32;
/// A projection further behind than this reads pages from Postgres even where JetStream has the events:
/// large pages are quicker than messages that are confirmed.
const FAR_BEHIND_EVENTS: i64 = 1_000;
/// How long a read of the log may take: pages take some tenths of a second, but a network that loses
/// answers says nothing at all.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// No statement of a batch may take longer; the next batch is half as large.
const STATEMENT_TIMEOUT: &str = "5s";

/// What a crash of the server takes back is applied again, rows and checkpoint alike, and the log is never behind
/// them: a batch need not wait for the disk, nor have the appends wait for it.
const COMMITS: &str = "set synchronous_commit = off";

/// Why a session ended.
#[derive(Debug)]
pub(super) enum End {
    /// The database did not answer, or was not able.
    Interrupted(String),
    /// The checkpoint is another's work; look again at once.
    LookAgain,
    /// An event cannot be applied.
    Stopped { position: Position, reason: String },
    /// What was applied is not what the log has.
    Diverged(String),
    /// The tables are an older program's.
    Outdated { version: i32, head: Position },
    /// The tables are a newer program's.
    Superseded { version: i32 },
}

impl From<sqlx::Error> for End {
    fn from(error: sqlx::Error) -> Self {
        Self::Interrupted(with_sources(&error))
    }
}

impl From<ConnectError> for End {
    fn from(error: ConnectError) -> Self {
        Self::Interrupted(with_sources(&error))
    }
}

impl From<Halt> for End {
    fn from(halt: Halt) -> Self {
        match halt {
            Halt::AtEvent { position, reason } => Self::Stopped { position, reason },
            Halt::CheckpointChanged => Self::LookAgain,
            Halt::Database(error) => error.into(),
        }
    }
}

/// Connections of one session and where it is.
pub(super) struct Session<'f> {
    follower: &'f Follower,
    pub(super) writer: PgConnection,
    log: PgConnection,
    applier: Applier<'f>,
    /// Events that follow those applied and change nothing, and since when they wait.
    unconcerned: Page,
    waiting_since: Instant,
    /// Since when the writer's plans are kept.
    planned: Instant,
    /// The head of the log at least, as told by whoever appended or as last seen.
    head: Position,
    looks: Interval,
    looked: Instant,
}

impl<'f> Session<'f> {
    /// Connects, makes the tables where there are none, and compares the checkpoint with the log.
    pub(super) async fn open(follower: &'f Follower) -> Result<Self, End> {
        let bounded = follower.database.clone().options([("statement_timeout", STATEMENT_TIMEOUT)]);
        let mut writer = connect_live(&bounded).await?;
        execute(&mut writer, COMMITS.to_owned()).await?;
        let mut log = connect(&follower.database).await?;
        let projection = &*follower.projection;
        let checkpoint = prepare_live(&mut writer, projection).await?;
        follower.found(&checkpoint);
        if checkpoint.version > projection.version() {
            return Err(End::Superseded { version: checkpoint.version });
        }
        if checkpoint.version < projection.version() {
            let head = event_store::log::head(&mut log).await?.position;
            return Err(End::Outdated { version: checkpoint.version, head });
        }
        follower.at(&checkpoint);
        if checkpoint.state == ProjectionState::Diverged {
            let reason = checkpoint.detail.unwrap_or_default();
            return Err(End::Diverged(reason));
        }
        if let Some(reason) = divergence(&mut log, &checkpoint).await? {
            return Err(End::Diverged(reason));
        }
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let batch_events = follower.batch_events.clone();
        let applier = Applier::new(projection, checkpoint, ProjectionState::Running, batch_events);
        let head = applier.position();
        let now = Instant::now();
        let unconcerned = Page::default();
        Ok(Self {
            follower,
            writer,
            log,
            applier,
            unconcerned,
            waiting_since: now,
            planned: now,
            head,
            looks,
            looked: now,
        })
    }

    pub(super) fn position(&self) -> Position {
        self.applier.position()
    }

    /// Applies what is there, waits for more, and so on.
    pub(super) async fn run(&mut self, source: &mut Source) -> End {
        loop {
            if let Err(end) = self.wait(source).await {
                return end;
            }
            if let Err(end) = self.catch_up(source).await {
                return end;
            }
        }
    }

    async fn wait(&mut self, source: &mut Source) -> Result<(), End> {
        let more = source.more(self.read_to().max(self.head));
        let patience = async {
            if self.unconcerned.nothing() {
                std::future::pending().await
            } else {
                tokio::time::sleep_until(self.waiting_since + PASS_EVERY).await;
            }
        };
        tokio::select! {
            head = more => self.head = head.map_or(self.head, |head| self.head.max(head)),
            () = patience => {}
            _ = self.looks.tick() => self.look().await?,
        }
        Ok(())
    }

    /// Reads where the head is, and for how long the next event has been waiting.
    async fn look(&mut self) -> Result<(), End> {
        let applied = self.applier.position();
        let statement = format!(
            "select position, (select {WAITING_MICROS} from events as next \
                 where log_id = $1 and position = $2 + 1) \
             from log_head where log_id = $1"
        );
        let looking = sqlx::query(AssertSqlSafe(statement))
            .bind(LOG_ID)
            .bind(applied.number())
            .fetch_one(&mut self.log);
        let row = answered(looking).await??;
        let head = Position::from_number(row.try_get(0)?);
        let lag = lag(row.try_get(1)?);
        if head < applied {
            return Err(End::Diverged(beyond_head(applied, head)));
        }
        self.head = head;
        self.looked = Instant::now();
        self.follower.looked(head, lag);
        Ok(())
    }

    /// Applies all that is known to be there.
    async fn catch_up(&mut self, source: &mut Source) -> Result<(), End> {
        loop {
            let began = Instant::now();
            let page = self.next_page(source).await?;
            let nothing = page.nothing();
            let busy = page.events.len() >= BUSY_EVENTS;
            let applied = self.apply(page).await?;
            if nothing {
                return Ok(());
            }
            if busy {
                tokio::time::sleep_until(began + BATCH_EVERY).await;
            } else if applied {
                let wanted = self.follower.wanted.by_anybody();
                drop(tokio::time::timeout_at(began + BATCH_EVERY, wanted).await);
            }
            if self.looked.elapsed() > LOOK_EVERY {
                self.look().await?;
            }
        }
    }

    /// Applies a page and what waits before it, unless that can wait a little longer; whether it did.
    async fn apply(&mut self, next: Page) -> Result<bool, End> {
        if self.unconcerned.nothing() {
            self.waiting_since = Instant::now();
        }
        let page = mem::take(&mut self.unconcerned).and(next);
        let waits = self.waiting_since.elapsed() < PASS_EVERY
            && page.events.len() < PASSED_TOGETHER_MAX
            && page.undecodable.is_none()
            && !self.applier.concerned(&page.events);
        if waits {
            self.unconcerned = page;
            return Ok(false);
        }
        if self.planned.elapsed() > PLANS_AGE_MAX {
            answered(execute(&mut self.writer, "discard plans".to_owned())).await??;
            self.planned = Instant::now();
        }
        let applied = self.applier.apply(&mut self.writer, page).await;
        self.follower.at(&self.applier.checkpoint);
        applied?;
        Ok(true)
    }

    /// Up to where events were read, be it that the last of them wait.
    fn read_to(&self) -> Position {
        self.unconcerned.events.last().map_or(self.applier.position(), |last| last.position)
    }

    /// The next events, from memory or JetStream where they have them, and from Postgres whatever they have not.
    async fn next_page(&mut self, source: &mut Source) -> Result<Page, End> {
        let applied = self.read_to();
        let behind = self.head.since(applied);
        match source {
            Source::Log => {}
            Source::Process(recent) => {
                // The transaction that applies them compares them with the log: the database may be an older one by
                // now, and this session may know before the sequencer does.
                if let Some(kept) = recent.after(applied, PAGE_EVENTS_MAX)
                    && !kept.is_empty()
                {
                    return Ok(Page::of(&kept));
                }
            }
            Source::Nats(inbox) => match inbox.offer(applied) {
                Offer::Next(count) if behind <= FAR_BEHIND_EVENTS => {
                    let name = self.follower.projection.name();
                    let confirming = inbox.confirmed(&mut self.log, applied, count, name);
                    let page = answered(confirming).await??;
                    if !page.nothing() {
                        return Ok(page);
                    }
                }
                Offer::Hole(missing) => {
                    let page = self.read(missing.max(behind)).await?;
                    if page.nothing() {
                        inbox.drop_first();
                    } else {
                        return Ok(page);
                    }
                }
                Offer::Next(_) | Offer::Nothing => {}
            },
        }
        if behind == 0 {
            return Ok(Page::default());
        }
        self.read(behind).await
    }

    async fn read(&mut self, events: i64) -> Result<Page, End> {
        let limit = events.max(UNMEASURED_EVENTS_MAX);
        let from = self.read_to();
        let reading = read_page(&mut self.log, from, limit);
        let page = answered(reading).await?.map_err(Halt::from)?;
        if page.nothing() {
            // Whoever said that there is more was wrong, or has not committed.
            self.head = self.read_to();
            // It may be said again at once.
            tokio::time::sleep(PASS_EVERY).await;
        }
        Ok(page)
    }
}

/// What the server answers; one that does not is as good as gone.
async fn answered<T>(asking: impl Future<Output = T>) -> Result<T, End> {
    tokio::time::timeout(ANSWER_TIMEOUT, asking)
        .await
        .map_err(|_| End::Interrupted(format!("no answer within {} s", ANSWER_TIMEOUT.as_secs())))
}

/// Why the checkpoint is not one of this log, if it is not.
async fn divergence(
    log: &mut PgConnection,
    checkpoint: &Checkpoint,
) -> Result<Option<String>, sqlx::Error> {
    let position = checkpoint.position;
    if position == Position::START {
        return Ok(None);
    }
    let found = event_store::log::leaf_hash_at(&mut *log, position).await?;
    Ok(match found {
        Some(hash) if Some(hash) == checkpoint.leaf_hash => None,
        Some(_) => {
            Some(format!("the log has another event at position {position} than was applied"))
        }
        None => {
            let head = event_store::log::head(log).await?.position;
            Some(beyond_head(position, head))
        }
    })
}

fn beyond_head(applied: Position, head: Position) -> String {
    format!("applied up to position {applied}, but the log ends at {head}")
}
