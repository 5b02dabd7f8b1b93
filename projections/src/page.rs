//! Pages of the log, decoded: what a projection is given, cut so that memory and transactions stay small.

use std::sync::Arc;

use event_store::LoggedEvent;
use event_store::log::{LOG_ID, LeafHash, Position, RecordedEvent, page_after};
use sqlx::{PgConnection, PgExecutor, Row};

use crate::projection::AppliedEvent;

/// The most events of a page: some tenths of a second of work in one transaction.
pub(crate) const PAGE_EVENTS_MAX: i64 = 5_000;

/// Why a page could not be read.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// The database refused or went away.
    #[error("the log could not be read")]
    Database(#[from] sqlx::Error),
    /// Positions are gapless; here one is missing, so the log is damaged.
    #[error("the log has no event at position {missing}, yet it has later ones")]
    Gap {
        /// The position.
        missing: Position,
    },
}

/// Consecutive events, and the one after them where it cannot be decoded.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) events: Vec<AppliedEvent>,
    pub(crate) undecodable: Option<Undecodable>,
    /// The last events of each part that was read by itself from elsewhere than the log: only what was read together is of
    /// one history for certain.
    pub(crate) parts: Vec<(Position, LeafHash)>,
}

/// An event that this program cannot read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Undecodable {
    pub(crate) position: Position,
    pub(crate) reason: String,
}

impl Page {
    /// Decodes rows up to the first that cannot be.
    pub(crate) fn decode(rows: impl IntoIterator<Item = RecordedEvent>) -> Self {
        let mut page = Self::default();
        for recorded in rows {
            match recorded.decode() {
                Ok(event) => page.events.push(AppliedEvent::new(&recorded, Arc::new(event))),
                Err(error) => {
                    let reason = with_sources(&error);
                    page.undecodable = Some(Undecodable { position: recorded.position, reason });
                    break;
                }
            }
        }
        page
    }

    /// Events as the process that appended them has them in memory.
    pub(crate) fn of(kept: &[Arc<LoggedEvent>]) -> Self {
        let applied =
            |event: &Arc<LoggedEvent>| AppliedEvent::new(&event.recorded, Arc::clone(&event.event));
        let parts = kept.last().map(|last| (last.recorded.position, last.recorded.leaf_hash));
        let events = kept.iter().map(applied).collect();
        Self { events, undecodable: None, parts: parts.into_iter().collect() }
    }

    /// This page and the one that follows it.
    pub(crate) fn and(mut self, next: Self) -> Self {
        self.events.extend(next.events);
        self.parts.extend(next.parts);
        Self { undecodable: next.undecodable, ..self }
    }

    pub(crate) fn nothing(&self) -> bool {
        self.events.is_empty() && self.undecodable.is_none()
    }
}

/// An error and all that led to it, as one line.
pub(crate) fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}

/// Reads the events after `after`: at most `limit`, at most [`PAGE_EVENTS_MAX`], in at most the bytes of
/// [`page_after`].
pub(crate) async fn read_page(
    log: &mut PgConnection,
    after: Position,
    limit: i64,
) -> Result<Page, PageError> {
    let rows = page_after(log, after, limit.clamp(1, PAGE_EVENTS_MAX)).await?;
    let mut expected = after.next();
    for row in &rows {
        if row.position != expected {
            return Err(PageError::Gap { missing: expected });
        }
        expected = expected.next();
    }
    Ok(Page::decode(rows))
}

/// The hashes that Postgres has after `after`, up to `last`, ascending from `after + 1` without a gap.
pub(crate) async fn hashes(
    log: impl PgExecutor<'_>,
    after: Position,
    last: Position,
) -> Result<Vec<LeafHash>, sqlx::Error> {
    let rows = sqlx::query(
        "select position, leaf_hash from events \
         where log_id = $1 and position > $2 and position <= $3 order by position",
    )
    .bind(LOG_ID)
    .bind(after.number())
    .bind(last.number())
    .fetch_all(log)
    .await?;
    let mut expected = after.next();
    let mut hashes = Vec::with_capacity(rows.len());
    for row in rows {
        let position = Position::from_number(row.try_get(0)?);
        let hash = LeafHash::from_bytes(row.try_get(1)?);
        match hash {
            Some(hash) if position == expected => hashes.push(hash),
            Some(_) | None => break,
        }
        expected = expected.next();
    }
    Ok(hashes)
}
