//! Following the head when another process moved it.

use std::sync::Arc;

use sqlx::postgres::PgConnection;

use super::Sequencer;
use crate::log::{self, Head, RecordedEvent};
use crate::recent::LoggedEvent;

/// The most events followed at a time; beyond that it is quicker to forget and load again.
const CATCH_UP_EVENTS_MAX: i64 = 50_000;

/// Why the head cannot be followed.
#[derive(Debug, thiserror::Error)]
pub(super) enum CatchUpError {
    #[error("the log cannot be read")]
    Read(#[from] sqlx::Error),
    #[error("the log holds an event that this program cannot read, at position {position}")]
    Decode {
        position: i64,
        #[source]
        source: domain::DecodeError,
    },
    #[error(
        "the log ends at {found}, this process has seen {seen}: an older database was restored"
    )]
    HeadFell { seen: i64, found: i64 },
    #[error("the head of the log is at {head}, but its last event is at {last}")]
    EventsMissing { head: i64, last: i64 },
    #[error("the database is away")]
    Disconnected,
}

impl Sequencer {
    /// Looks whether the head moved, and follows it.
    pub(super) async fn follow(&mut self) {
        match self.catch_up().await {
            Ok(()) => self.health.log_readable(),
            Err(error) => self.follow_failed(&error),
        }
    }

    pub(super) fn follow_failed(&mut self, error: &CatchUpError) {
        match error {
            CatchUpError::Read(source) => self.disconnected(source),
            // `connected` has said so already.
            CatchUpError::Disconnected => {}
            CatchUpError::Decode { .. }
            | CatchUpError::HeadFell { .. }
            | CatchUpError::EventsMissing { .. } => {
                self.health.log_unreadable(error);
            }
        }
    }

    /// Folds what others appended into the cached states, up to the head as it is now.
    pub(super) async fn catch_up(&mut self) -> Result<(), CatchUpError> {
        let guard = Arc::clone(&self.guard);
        let db = self.connected().await.ok_or(CatchUpError::Disconnected)?;
        let asked_at = guard.now();
        let (head, database_time) = log::head_and_clock(&mut *db).await?;
        guard.observe(asked_at, database_time);
        guard.observe_head(head.recorded_at, database_time);
        let seen = self.state.head.position;
        if head.position < seen {
            self.forget();
            let (seen, found) = (seen.number(), head.position.number());
            return Err(CatchUpError::HeadFell { seen, found });
        }
        if head.position.since(seen) > CATCH_UP_EVENTS_MAX {
            self.forget();
            let mut db = self.state.db.take().ok_or(CatchUpError::Disconnected)?;
            let moved = self.move_to(&mut db, head).await;
            self.state.db = Some(db);
            return Ok(moved?);
        }
        while self.state.head.position < head.position {
            let after = self.state.head.position;
            let db = self.state.db.as_mut().ok_or(CatchUpError::Disconnected)?;
            let page = log::page_after(db, after, head.position.since(after)).await?;
            if page.is_empty() {
                let (head, last) = (head.position.number(), after.number());
                return Err(CatchUpError::EventsMissing { head, last });
            }
            metrics::counter!("runut_events_followed_total")
                .increment(u64::try_from(page.len()).unwrap_or(0));
            for event in page {
                self.fold_foreign(event)?;
            }
        }
        self.publish_head();
        Ok(())
    }

    fn fold_foreign(&mut self, recorded: RecordedEvent) -> Result<(), CatchUpError> {
        let position = recorded.position;
        let event = recorded
            .decode()
            .map_err(|source| CatchUpError::Decode { position: position.number(), source })?;
        let RecordedEvent { recorded_at, leaf_hash, .. } = recorded;
        let logged = Arc::new(LoggedEvent::new(recorded, event));
        for key in &logged.changes {
            self.cache.advance(key, position, |state| logged.apply(key, state));
            self.watchers.changed(key);
        }
        self.tail.extend([logged]);
        self.state.head = Head { position, recorded_at };
        self.state.head_hash = Some(leaf_hash);
        Ok(())
    }

    /// Goes on from a head whose way there is not known.
    pub(super) async fn move_to(
        &mut self,
        db: &mut PgConnection,
        head: Head,
    ) -> Result<(), sqlx::Error> {
        self.state.head_hash = log::leaf_hash_at(db, head.position).await?;
        self.state.head = head;
        self.publish_head();
        Ok(())
    }
}
