//! The watcher: the one task of a process that follows the head and the checkpoints in Postgres.

use std::sync::Arc;
use std::time::Duration;

use event_store::log::{LOG_ID, Position, connect};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{Connection, Row};
use tokio_util::sync::CancellationToken;

use super::positions::Positions;
use crate::database::not_there;

/// How long a look may take before the connection is given up.
const LOOK_MAX: Duration = Duration::from_secs(2);
/// The pause before a connection that was lost is made anew.
const RECONNECT_PAUSE: Duration = Duration::from_millis(250);

/// Looks at the positions, as often as somebody wants to know, on a connection of its own.
#[derive(Debug)]
pub(crate) struct Watcher {
    options: PgConnectOptions,
    connection: Option<PgConnection>,
    positions: Arc<Positions>,
}

impl Watcher {
    pub(super) fn new(
        options: PgConnectOptions,
        connection: PgConnection,
        positions: Arc<Positions>,
    ) -> Self {
        Self { options, connection: Some(connection), positions }
    }

    /// Runs until `shutdown`.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = self.watch() => {}
        }
        if let Some(connection) = self.connection.take()
            && let Err(error) = connection.close().await
        {
            tracing::debug!(%error, "the watcher's connection did not close");
        }
    }

    async fn watch(&mut self) {
        loop {
            match tokio::time::timeout(LOOK_MAX, self.look()).await {
                Ok(Ok(())) => self.positions.demand.next_look().await,
                Ok(Err(error)) => self.lost(&error).await,
                Err(timed_out) => self.lost(&timed_out).await,
            }
        }
    }

    async fn lost(&mut self, error: &(dyn std::fmt::Display + Send + Sync)) {
        // Once for each connection; while there is none, readiness says so.
        if self.connection.take().is_some() {
            tracing::warn!(%error, "positions cannot be followed; connecting again");
        }
        tokio::time::sleep(RECONNECT_PAUSE).await;
    }

    async fn look(&mut self) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let db = match &mut self.connection {
            Some(connection) => connection,
            none => none.insert(connect(&self.options).await?),
        };
        let found = sqlx::query(
            "select log_head.position, checkpoint.projection, checkpoint.position \
             from log_head left join read.checkpoint on true where log_id = $1",
        )
        .bind(LOG_ID)
        .fetch_all(&mut *db)
        .await;
        let rows = match found {
            // No projection has ever run: there is a log, and nothing that follows it.
            Err(error) if not_there(&error) => {
                self.positions.saw_head(event_store::log::head(db).await?.position);
                return Ok(());
            }
            found => found?,
        };
        for row in &rows {
            self.positions.saw_head(Position::from_number(row.try_get(0)?));
            if let Some(projection) = row.try_get::<Option<&str>, _>(1)? {
                let position = Position::from_number(row.try_get(2)?);
                self.positions.saw_applied(projection, position);
            }
        }
        Ok(())
    }
}
