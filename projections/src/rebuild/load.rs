//! Filling the new generation: one task reads and decodes pages while the other applies them.

use event_store::log::{Position, connect, head};
use metrics::gauge;
use sqlx::PgConnection;
use sqlx::postgres::PgConnectOptions;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::{Progress, RebuildError, SESSION_SQL};
use crate::fold::{Applier, Halt};
use crate::generation;
use crate::page::{PAGE_EVENTS_MAX, Page, PageError, read_page};
use crate::projection::Projection;

/// Pages read ahead of the one being applied: enough to keep both sides busy, few enough (4 MiB each)
/// to stay small in memory.
const PAGES_AHEAD: usize = 2;
/// The indexes that queries need are made when a table has so many bytes, some millions of rows, or at the
/// end where none has: filling bare tables is quicker, but each index is made in one transaction, which on
/// larger tables would outlive the 5 s that one may take on the log's server. So much takes half of that.
const INDEXES_AFTER_BYTES: i64 = 384 * 1024 * 1024;

/// A rebuild under way.
pub(super) struct Load<'p> {
    pub(super) database: &'p PgConnectOptions,
    pub(super) projection: &'p dyn Projection,
    pub(super) applier: Applier<'p>,
    progress: &'p (dyn Fn(Progress) + Send + Sync),
    indexed: bool,
}

impl<'p> Load<'p> {
    pub(super) fn new(
        database: &'p PgConnectOptions,
        projection: &'p dyn Projection,
        applier: Applier<'p>,
        progress: &'p (dyn Fn(Progress) + Send + Sync),
    ) -> Self {
        Self { database, projection, applier, progress, indexed: false }
    }

    /// Applies all that is in the log now, then makes the indexes if that is still to be done.
    pub(super) async fn catch_up(&mut self, db: &mut PgConnection) -> Result<(), RebuildError> {
        let mut beside = self.beside().await?;
        let mut log = connect(self.database).await?;
        let target = head(&mut log).await?.position;
        let (sender, mut pages) = mpsc::channel(PAGES_AHEAD);
        // Dropped with this future, and the task with it.
        let mut reader = JoinSet::new();
        reader.spawn(read_ahead(log, self.applier.position(), target, sender));
        while let Some(page) = pages.recv().await {
            let page = page.map_err(Halt::from)?;
            self.applier.apply_over(db, Some(&mut beside), page).await?;
            self.report(target);
            if !self.indexed && self.largest_table(db).await? >= INDEXES_AFTER_BYTES {
                self.index(db).await?;
            }
        }
        self.index(db).await
    }

    /// One more connection to the new generation: the server writes two tables at the same time.
    async fn beside(&self) -> Result<PgConnection, RebuildError> {
        let schema = generation::rebuild_schema(self.projection);
        let mut beside = generation::connect_to(self.database, &schema).await?;
        generation::execute(&mut beside, SESSION_SQL.to_owned()).await?;
        Ok(beside)
    }

    fn report(&self, head: Position) {
        let position = self.applier.position();
        let name = self.projection.name();
        gauge!("runut_projection_rebuild_position", "projection" => name)
            .set(position.number() as f64);
        (self.progress)(Progress { position, head: head.max(position) });
    }

    /// Its size in bytes.
    async fn largest_table(&self, db: &mut PgConnection) -> Result<i64, sqlx::Error> {
        let names: Vec<&str> = self.projection.tables().iter().map(|table| table.name).collect();
        sqlx::query_scalar(
            "select coalesce(max(pg_relation_size(name::regclass)), 0) from unnest($1::text[]) name",
        )
        .bind(names)
        .fetch_one(db)
        .await
    }

    async fn index(&mut self, db: &mut PgConnection) -> Result<(), RebuildError> {
        if self.indexed {
            return Ok(());
        }
        generation::create_indexes(db, self.projection).await?;
        for table in self.projection.tables() {
            // Queries are planned well from the first on.
            generation::execute(db, format!("analyze {}", table.name)).await?;
        }
        self.indexed = true;
        Ok(())
    }
}

async fn read_ahead(
    mut log: PgConnection,
    mut after: Position,
    target: Position,
    pages: mpsc::Sender<Result<Page, PageError>>,
) {
    while after < target {
        let page = read_page(&mut log, after, PAGE_EVENTS_MAX).await;
        let last = page.as_ref().ok().and_then(|page| page.events.last());
        let next = last.map(|event| event.position);
        let ends = page.as_ref().map_or(true, |page| page.undecodable.is_some());
        if pages.send(page).await.is_err() || ends {
            return;
        }
        match next {
            Some(position) => after = position,
            None => return,
        }
    }
}
