//! A follower: keeps one projection at the head, session after session.

use std::sync::Arc;
use std::time::Duration;

use event_store::log::Position;
use sqlx::PgConnection;
use sqlx::postgres::PgConnectOptions;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::feed::{self, feed};
use super::inbox::Inbox;
use super::session::{End, Session};
use super::source::Source;
use super::wanted::Wanted;
use super::{Feed, Options, ProjectionHealth, Retry};
use crate::checkpoint::{self, Checkpoint, Halted, ProjectionState};
use crate::fold::BatchEvents;
use crate::generation::connect_live;
use crate::page::with_sources;
use crate::projection::Projection;
use crate::rebuild::{Progress, RebuildError, rebuild};

/// How often a rebuild that replaces an older program's tables says how far it is.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// One projection of a runner.
pub(super) struct Follower {
    pub(super) database: PgConnectOptions,
    pub(super) projection: Arc<dyn Projection>,
    feed: Feed,
    retry: Retry,
    applied: watch::Sender<Position>,
    health: watch::Sender<ProjectionHealth>,
    pub(super) wanted: Arc<Wanted>,
    pub(super) batch_events: BatchEvents,
}

impl Follower {
    pub(super) fn new(
        options: &Options,
        projection: Arc<dyn Projection>,
        (applied, health): (watch::Sender<Position>, watch::Sender<ProjectionHealth>),
        wanted: Arc<Wanted>,
    ) -> Self {
        Self {
            database: options.database.clone(),
            projection,
            feed: options.feed.clone(),
            retry: options.retry,
            applied,
            health,
            wanted,
            batch_events: BatchEvents::default(),
        }
    }

    /// Runs until `shutdown`. What is under way then is dropped: an open transaction is undone.
    pub(super) async fn run(self, shutdown: CancellationToken) {
        let mut feeds = JoinSet::new();
        let mut source = match self.feed.clone() {
            Feed::Log => Source::Log,
            Feed::Process(recent) => Source::Process(recent),
            Feed::Nats(nats) => {
                let (sender, arrivals) = feed::channel();
                let name = self.projection.name();
                feeds.spawn(feed(nats, name, self.applied.subscribe(), sender));
                Source::Nats(Inbox::new(arrivals))
            }
        };
        let follow = async {
            let mut pause = self.retry.first;
            loop {
                let moved = self.follow(&mut source).await;
                pause = if moved { self.retry.first } else { pause };
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(self.retry.longest);
            }
        };
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = follow => {}
        }
        feeds.shutdown().await;
    }

    /// One session and what follows from its end; tells whether it got the projection any further.
    async fn follow(&self, source: &mut Source) -> bool {
        let mut session = match Session::open(self).await {
            Ok(session) => session,
            Err(end) => return self.settle(end, None).await,
        };
        let before = session.position();
        let end = session.run(source).await;
        let moved = session.position() > before;
        self.settle(end, Some(&mut session.writer)).await || moved
    }

    /// Makes known why a session ended, and rebuilds where that is the way out.
    async fn settle(&self, end: End, writer: Option<&mut PgConnection>) -> bool {
        match end {
            End::LookAgain => true,
            End::Interrupted(error) => {
                self.interrupted(error);
                false
            }
            End::Stopped { position, reason } => {
                self.halt(stopped(position, reason), writer).await;
                false
            }
            End::Diverged(detail) => {
                let state = ProjectionState::Diverged;
                self.halt(Halted { state, detail, failed_position: None }, writer).await;
                false
            }
            End::Superseded { version } => {
                // The checkpoint is the newer program's to write.
                self.note(Halted {
                    state: ProjectionState::Stopped,
                    detail: format!("version {version} of a newer program has taken over"),
                    failed_position: None,
                });
                false
            }
            End::Outdated { version, head } => self.renew(version, head).await,
        }
    }

    fn interrupted(&self, error: String) {
        let news = self.health.borrow().interruption.as_ref() != Some(&error);
        if news {
            tracing::warn!(
                projection = self.projection.name(),
                error,
                "a projection is interrupted"
            );
        }
        self.health.send_modify(|health| health.interrupted(error));
    }

    /// Says in this process why the projection does not move; logs it when it is news.
    fn note(&self, halted: Halted) {
        let news = {
            let health = self.health.borrow();
            health.state != halted.state || health.failed_position != halted.failed_position
        };
        if news && halted.state != ProjectionState::Rebuilding {
            let Halted { state, detail, failed_position } = &halted;
            let failed_position = failed_position.map(Position::number);
            let projection = self.projection.name();
            tracing::error!(projection, %state, detail, failed_position, "a projection does not move");
        }
        self.health.send_modify(|health| health.halted(halted));
    }

    /// Says so in the checkpoint first, for everybody.
    async fn halt(&self, halted: Halted, writer: Option<&mut PgConnection>) {
        if let Err(error) = self.explain(&halted, writer).await {
            // The next attempt says it again.
            let projection = self.projection.name();
            tracing::warn!(projection, error, "a projection could not write why it does not move");
        }
        self.note(halted);
    }

    async fn explain(
        &self,
        halted: &Halted,
        writer: Option<&mut PgConnection>,
    ) -> Result<(), String> {
        let judged = {
            let health = self.health.borrow();
            (health.generation, health.position)
        };
        let name = self.projection.name();
        let explained = match writer {
            Some(db) => checkpoint::explain(db, name, judged, halted).await,
            None => {
                let connected = connect_live(&self.database).await;
                let mut db = connected.map_err(|error| with_sources(&error))?;
                checkpoint::explain(&mut db, name, judged, halted).await
            }
        };
        explained.map_err(|error| with_sources(&error))
    }

    /// Replaces an older program's tables.
    async fn renew(&self, version: i32, head: Position) -> bool {
        let name = self.projection.name();
        let (progress, seen) = watch::channel(Progress { position: Position::START, head });
        let report = |now: Progress| {
            progress.send_replace(now);
        };
        let rebuilding = rebuild(&self.database, &*self.projection, &report);
        tokio::pin!(rebuilding);
        let mut ticks = tokio::time::interval(PROGRESS_EVERY);
        let outcome = loop {
            tokio::select! {
                outcome = &mut rebuilding => break outcome,
                _ = ticks.tick() => {
                    let Progress { position, head } = *seen.borrow();
                    let detail = format!(
                        "from version {version} to {}: {position} of {head} events",
                        self.projection.version()
                    );
                    let state = ProjectionState::Rebuilding;
                    self.halt(Halted { state, detail, failed_position: None }, None).await;
                }
            }
        };
        match outcome {
            Ok(rebuilt) => {
                let position = rebuilt.position.number();
                tracing::info!(projection = name, position, "a projection was rebuilt");
                true
            }
            Err(RebuildError::Event { position, reason }) => {
                self.halt(stopped(position, reason), None).await;
                false
            }
            Err(error) => {
                let error = with_sources(&error);
                tracing::warn!(projection = name, error, "a projection is not rebuilt yet");
                false
            }
        }
    }

    /// That checkpoint was found, whatever will be made of it.
    pub(super) fn found(&self, checkpoint: &Checkpoint) {
        self.health.send_modify(|health| health.at(checkpoint));
    }

    /// The live read model is at that checkpoint, committed, and queries may rely on it.
    pub(super) fn at(&self, checkpoint: &Checkpoint) {
        self.found(checkpoint);
        self.applied.send_replace(checkpoint.position);
    }

    /// The head is there, and the first event not applied has been waiting for so long.
    pub(super) fn looked(&self, head: Position, lag: Duration) {
        self.health.send_modify(|health| health.looked(head, lag));
    }
}

fn stopped(position: Position, reason: String) -> Halted {
    Halted { state: ProjectionState::Stopped, detail: reason, failed_position: Some(position) }
}
