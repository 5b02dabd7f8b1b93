//! Reading the log ahead of the checks: pages by key range, handed over in chunks of bounded size.

use std::sync::Arc;
use std::time::Instant;

use futures::TryStreamExt;
use sqlx::PgConnection;
use tokio::sync::mpsc;

use super::copy::row_in;
use super::row::{COLUMNS, position_of};
use crate::connection::LOG;
use crate::courtesy::Courtesy;
use crate::pace::Pace;

/// The most rows of a statement: at 200,000 a second a quarter of a second's.
const STATEMENT_ROWS_MAX: i64 = 50_000;
/// When a chunk is handed over: some thousand events, so that handing over costs nothing, and small
/// enough that a few of them are little memory. A row may exceed it by its own size.
const CHUNK_BYTES: usize = 2 * 1024 * 1024;
/// How many chunks wait for the checks: one is being checked, one is ready, one is being filled.
const CHUNKS_AHEAD: usize = 2;

/// Rows of the log, ascending by position, in the binary COPY format without its frame.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    pub(crate) bytes: Vec<u8>,
}

/// Which rows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    /// Positions above this one.
    pub(crate) after: i64,
    /// Up to this one.
    pub(crate) to: i64,
    /// Only the ledger's events.
    pub(crate) ledger_only: bool,
}

impl Wanted {
    fn statement(&self, after: i64, rows: i64) -> String {
        let types = if self.ledger_only { "and event_type like 'ledger.%'" } else { "" };
        let to = self.to;
        // Numbers and constants only: COPY takes no bound values.
        format!(
            "copy (select {COLUMNS} from events where log_id = {LOG} and position > {after} \
             and position <= {to} {types} order by position limit {rows}) \
             to stdout (format binary)"
        )
    }
}

/// Reads on a task of its own, as far ahead as [`CHUNKS_AHEAD`]. The channel ends after the last row, or
/// after an error.
///
/// Here is where a pass over the log makes way: between statements, as a reader that rested within one would
/// hold its snapshot. Without new chunks those who check them come to rest too.
pub(crate) fn fetch(
    db: PgConnection,
    wanted: Wanted,
    courtesy: Arc<Courtesy>,
) -> mpsc::Receiver<Result<Chunk, sqlx::Error>> {
    let (chunks, received) = mpsc::channel(CHUNKS_AHEAD);
    tokio::spawn(async move {
        let (at, chunk) = (wanted.after, Chunk::default());
        let mut fetcher = Fetcher { db, wanted, at, chunk, chunks, courtesy };
        if let Err(error) = fetcher.run().await {
            drop(fetcher.chunks.send(Err(error)).await);
        }
    });
    received
}

struct Fetcher {
    db: PgConnection,
    wanted: Wanted,
    at: i64,
    chunk: Chunk,
    chunks: mpsc::Sender<Result<Chunk, sqlx::Error>>,
    courtesy: Arc<Courtesy>,
}

impl Fetcher {
    async fn run(&mut self) -> Result<(), sqlx::Error> {
        let mut pace = Pace::up_to(STATEMENT_ROWS_MAX);
        while self.at < self.wanted.to && !self.chunks.is_closed() {
            let (before, started) = (self.at, Instant::now());
            match self.statement(pace.rows()).await {
                Ok(0) => break,
                Ok(_) => pace.took(started.elapsed(), self.courtesy.statement_target()),
                // What came before the time-out is in the chunk already; go on behind it.
                Err(error) if pace.retry(&error) || self.at > before => {}
                Err(error) => return Err(error),
            }
            tokio::select! {
                rested = self.courtesy.after(&mut self.db, started.elapsed()) => rested?,
                () = self.chunks.closed() => break,
            }
        }
        self.hand_over().await;
        Ok(())
    }

    /// How many rows came.
    async fn statement(&mut self, rows: i64) -> Result<u64, sqlx::Error> {
        let statement = self.wanted.statement(self.at, rows);
        let mut messages = self.db.copy_out_raw(&statement).await?;
        let mut count = 0;
        while let Some(message) = messages.try_next().await? {
            let Some(row) = row_in(&message) else { continue };
            self.chunk.bytes.extend_from_slice(row);
            self.at = position_of(row).unwrap_or(self.at);
            count += 1;
            if self.chunk.bytes.len() >= CHUNK_BYTES {
                let full = std::mem::take(&mut self.chunk);
                self.chunk.bytes.reserve(CHUNK_BYTES + CHUNK_BYTES / 8);
                if self.chunks.send(Ok(full)).await.is_err() {
                    break;
                }
            }
        }
        Ok(count)
    }

    async fn hand_over(&mut self) {
        let last = std::mem::take(&mut self.chunk);
        if !last.bytes.is_empty() {
            drop(self.chunks.send(Ok(last)).await);
        }
    }
}
