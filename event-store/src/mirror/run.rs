//! The mirror's process: one at a time publishes, at the sequence that is the position.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::jetstream::Context;
use sqlx::PgConnection;
use sqlx::postgres::PgConnectOptions;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::message::LogStream;
use super::nats::{NATS_TIMEOUT, connect_nats};
use super::publish::{PublishFailure, publish};
use super::reconcile::{ReconcileError, Reconciled, reconcile};
use super::status::{MirrorAlarm, MirrorStatus};
use crate::log::{self, ConnectError, Position, RecordedEvent};
use crate::recent::{LoggedEvent, RecentEvents};

/// The most messages in flight: enough to hide the round trip, little to send again.
const IN_FLIGHT_MAX: i64 = 1_000;
/// A burst of messages is followed by the next after so long at the earliest: many small bursts cost the server and this
/// process more than a few large ones.
const BURST_EVERY: Duration = Duration::from_millis(10);
/// How often the head is read while nothing is heard of it: other processes write too.
const HEAD_POLL: Duration = Duration::from_millis(25);
/// How often an idle mirror asks the stream how far it is: JetStream may lose its tail in a power cut.
const STREAM_CHECK: Duration = Duration::from_secs(1);
/// How long between attempts at anything that failed.
const RETRY: Duration = Duration::from_millis(250);
/// The advisory lock that makes one mirror of several.
pub const MIRROR_LOCK: i64 = 0x72_756e_7574_0001;
/// The session that holds it, unless it looks like that of a mirror: the same role and program.
const STRANGER: &str = "
    select format('%s (%s, session %s)', a.usename, a.application_name, a.pid)
    from pg_locks l join pg_stat_activity a on a.pid = l.pid
    where l.locktype = 'advisory' and l.granted and l.objsubid = 1 and a.datname = current_database()
        and l.database = a.datid and (l.classid::bigint << 32) | l.objid::bigint = $1
        and (a.usename, a.application_name)
            is distinct from (current_user, current_setting('application_name'))
    limit 1";

/// What a mirror needs.
#[derive(Debug)]
pub struct MirrorOptions {
    /// The URL of the application's role.
    pub database_url: String,
    /// The URL of the NATS server.
    pub nats_url: String,
    /// Where the mirror goes.
    pub stream: LogStream,
    /// What the sequencer of this process appends, so that nothing waits for the next poll, nor is read again.
    pub recent: Option<RecentEvents>,
}

/// Events to publish.
enum Page {
    /// As they are in memory.
    Kept(Vec<Arc<LoggedEvent>>),
    /// As the log has them.
    Read(Vec<RecordedEvent>),
}

impl Page {
    fn events(&self) -> Vec<&RecordedEvent> {
        match self {
            Self::Kept(kept) => kept.iter().map(|event| &event.recorded).collect(),
            Self::Read(read) => read.iter().collect(),
        }
    }
}

/// Copies the log to JetStream. Made by [`Mirror::new`]; does nothing until it is run.
#[derive(Debug)]
pub struct Mirror {
    database: PgConnectOptions,
    nats_url: String,
    stream: LogStream,
    recent: Option<RecentEvents>,
    status: watch::Sender<MirrorStatus>,
    /// Since when it has not been able to copy, if it is not.
    away: Option<Instant>,
}

impl Mirror {
    /// A mirror, and a view of what it is doing.
    ///
    /// # Errors
    /// [`ConnectError::Url`] when the database URL is none.
    pub fn new(
        options: MirrorOptions,
    ) -> Result<(Self, watch::Receiver<MirrorStatus>), ConnectError> {
        let (status, watched) = watch::channel(MirrorStatus::Starting);
        let mirror = Self {
            database: log::connect_options(&options.database_url)?,
            nats_url: options.nats_url,
            stream: options.stream,
            recent: options.recent,
            status,
            away: None,
        };
        Ok((mirror, watched))
    }

    /// Mirrors until `shutdown`. What was not published is published by the next one.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut away: Option<async_nats::Client> = None;
        while !shutdown.is_cancelled() {
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = self.lead(&mut away) => {}
            }
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = tokio::time::sleep(RETRY) => {}
            }
        }
    }

    /// Takes the lock and mirrors until something fails.
    async fn lead(&mut self, client: &mut Option<async_nats::Client>) {
        let mut db = match log::connect(&self.database).await {
            Ok(db) => db,
            Err(error) => return self.report(MirrorStatus::LogAway(error.to_string())),
        };
        match lock(&mut db).await {
            Ok(true) => {}
            Ok(false) => return self.report(held_by_another(&mut db).await),
            Err(error) => return self.report(MirrorStatus::LogAway(error.to_string())),
        }
        if client.is_none() {
            match connect_nats(&self.nats_url, "runut mirror").await {
                Ok(connected) => *client = Some(connected),
                Err(error) => return self.report(MirrorStatus::NatsAway(error.to_string())),
            }
        }
        let Some(client) = client.clone() else { return };
        let mut jetstream = async_nats::jetstream::new(client);
        jetstream.set_timeout(NATS_TIMEOUT);
        loop {
            match reconcile(&jetstream, &self.stream, &mut db).await {
                Ok(Reconciled::At(position)) => {
                    if let Err(status) = self.publish_from(&jetstream, &mut db, position).await {
                        return self.report(status);
                    }
                }
                Ok(Reconciled::Alarm(alarm)) => return self.report(MirrorStatus::Alarm(alarm)),
                Err(ReconcileError::Nats(error)) => {
                    return self.report(MirrorStatus::NatsAway(error));
                }
                Err(ReconcileError::Log(error)) => {
                    return self.report(MirrorStatus::LogAway(error.to_string()));
                }
            }
        }
    }

    /// Publishes all after `position`, until the stream is not where it should be (`Ok`), or worse.
    async fn publish_from(
        &mut self,
        jetstream: &Context,
        db: &mut PgConnection,
        mut position: Position,
    ) -> Result<(), MirrorStatus> {
        let mut checked = tokio::time::Instant::now();
        // When the log was read last.
        let mut looked: Option<tokio::time::Instant> = None;
        loop {
            let just_looked = looked.is_some_and(|at| at.elapsed() < HEAD_POLL);
            if just_looked && self.nothing_known_after(position) {
                self.wait_for_more(position).await;
            }
            let began = tokio::time::Instant::now();
            let page = self.page(db, position).await;
            let page = page.map_err(|error| MirrorStatus::LogAway(error.to_string()))?;
            let Some(page) = page else {
                // The sequencer will find out too; until then there is nothing to publish.
                tokio::time::sleep(HEAD_POLL).await;
                return Ok(());
            };
            if matches!(page, Page::Read(_)) {
                looked = Some(began);
            }
            let events = page.events();
            if events.is_empty() {
                self.report(MirrorStatus::Mirrored(position));
                if checked.elapsed() > STREAM_CHECK {
                    return Ok(());
                }
                self.wait_for_more(position).await;
                continue;
            }
            match publish(jetstream, &self.stream, &events).await {
                Ok(last) => position = last,
                Err(PublishFailure::Displaced) => return Ok(()),
                Err(PublishFailure::Nats(error)) => return Err(MirrorStatus::NatsAway(error)),
            }
            checked = tokio::time::Instant::now();
            metrics::gauge!("runut_mirror_position").set(position_gauge(position));
            tokio::time::sleep_until(began + BURST_EVERY).await;
        }
    }

    /// What follows `position`: as this process has it in memory, or from the log. `None` where the log, over
    /// the connection that holds the lock, has not what memory has: an older database was restored, or took over.
    async fn page(
        &self,
        db: &mut PgConnection,
        position: Position,
    ) -> Result<Option<Page>, sqlx::Error> {
        let kept = self.recent.as_ref().and_then(|recent| recent.after(position, IN_FLIGHT_MAX));
        let kept = kept.unwrap_or_default();
        let Some(last) = kept.last() else {
            return Ok(Some(Page::Read(log::page_after(db, position, IN_FLIGHT_MAX).await?)));
        };
        let stands = last.recorded.stands_in(db).await?;
        Ok(stands.then_some(Page::Kept(kept)))
    }

    /// Whether memory reaches to `position` and no further, so that only other processes can have written more.
    fn nothing_known_after(&self, position: Position) -> bool {
        let kept = self.recent.as_ref().and_then(|recent| recent.after(position, 1));
        kept.is_some_and(|kept| kept.is_empty())
    }

    /// Until the head is said to have moved, or it is time to look.
    async fn wait_for_more(&mut self, position: Position) {
        let moved = async {
            match &mut self.recent {
                Some(recent) => recent.beyond(position).await,
                None => std::future::pending().await,
            }
        };
        drop(tokio::time::timeout(HEAD_POLL, moved).await);
    }

    fn report(&mut self, status: MirrorStatus) {
        let away = match status {
            MirrorStatus::Starting | MirrorStatus::Standby | MirrorStatus::Mirrored(_) => None,
            MirrorStatus::NatsAway(_) | MirrorStatus::LogAway(_) | MirrorStatus::Alarm(_) => {
                Some(self.away.unwrap_or_else(Instant::now))
            }
        };
        self.away = away;
        metrics::gauge!("runut_mirror_away_seconds")
            .set(away.map_or(0.0, |since| since.elapsed().as_secs_f64()));
        metrics::gauge!("runut_mirror_alarm").set(if status.alarm().is_some() { 1.0 } else { 0.0 });
        let before = self.status.send_replace(status.clone());
        if std::mem::discriminant(&before) != std::mem::discriminant(&status) {
            match status {
                MirrorStatus::Alarm(_) => tracing::error!(%status, "the mirror stopped"),
                MirrorStatus::NatsAway(_) | MirrorStatus::LogAway(_) => {
                    tracing::warn!(%status, "the mirror waits");
                }
                MirrorStatus::Starting | MirrorStatus::Standby | MirrorStatus::Mirrored(_) => {
                    tracing::info!(%status, "the mirror goes on");
                }
            }
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "metrics are doubles; exact to 2^53 events")]
fn position_gauge(position: Position) -> f64 {
    position.number() as f64
}

/// What keeping away from the stream means: that another mirrors, or that nobody can.
async fn held_by_another(db: &mut PgConnection) -> MirrorStatus {
    match sqlx::query_scalar(STRANGER).bind(MIRROR_LOCK).fetch_optional(db).await {
        Ok(Some(holder)) => MirrorStatus::Alarm(MirrorAlarm::LockTaken { holder }),
        Ok(None) => MirrorStatus::Standby,
        Err(error) => MirrorStatus::LogAway(error.to_string()),
    }
}

async fn lock(db: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("select pg_try_advisory_lock($1)").bind(MIRROR_LOCK).fetch_one(db).await
}
