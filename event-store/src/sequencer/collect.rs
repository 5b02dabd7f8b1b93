//! Collecting a batch from the queue.

use std::time::{Duration, Instant};

use super::pending::Reply;
use super::{Pending, Sequencer, Work};
use crate::BATCH_COMMANDS_MAX;

/// After this many failed admissions the sequencer loads the states itself.
const FAILED_ADMISSIONS_MAX: u32 = 3;
/// How long a batch waits for the callers that were just answered to come back, at the most. Their next
/// commands then share a commit instead of making two half-full ones.
const GATHERING_MAX: Duration = Duration::from_micros(400);

impl Sequencer {
    /// All that waits, up to the bounds of a batch, with its states in the cache.
    pub(super) async fn collect(&mut self, first: Work) -> Vec<Pending> {
        let mut batch = Vec::with_capacity(self.state.last_batch.max(1));
        self.accept(first, &mut batch).await;
        self.drain(&mut batch).await;
        // One caller alone never waits here: its last batch was itself.
        let expected = self.state.last_batch.min(BATCH_COMMANDS_MAX) * 3 / 4;
        if batch.len() < expected {
            let start = Instant::now();
            while batch.len() < expected && start.elapsed() < GATHERING_MAX {
                tokio::task::yield_now().await;
                self.drain(&mut batch).await;
            }
        }
        batch
    }

    async fn drain(&mut self, batch: &mut Vec<Pending>) {
        while batch.len() < BATCH_COMMANDS_MAX {
            match self.queue.try_recv() {
                Ok(work) => self.accept(work, batch).await,
                Err(_) => break,
            }
        }
    }

    async fn accept(&mut self, work: Work, batch: &mut Vec<Pending>) {
        match work {
            Work::Command(pending) => {
                if let Some(admitted) = self.admit_all(*pending).await {
                    batch.push(admitted);
                }
            }
            Work::Keep(states, done) => {
                for loaded in states {
                    self.admit(loaded);
                }
                // The reader may have gone; the states are kept all the same.
                let _ = done.send(());
            }
        }
    }

    /// The command with all its states at hand; `None` if it was sent back to load them again.
    async fn admit_all(&mut self, mut pending: Pending) -> Option<Pending> {
        if pending.abandoned() {
            return None;
        }
        for loaded in std::mem::take(&mut pending.loaded) {
            self.admit(loaded);
        }
        let missing = super::plan::missing(&pending, &self.cache);
        if missing.is_empty() {
            return Some(pending);
        }
        if pending.failed_admissions < FAILED_ADMISSIONS_MAX {
            drop(pending.reply.send(Reply::Reload));
            return None;
        }
        metrics::counter!("runut_sequencer_loads_total").increment(1);
        let db = self.connected().await?;
        match super::load(db, missing).await {
            Ok(states) => {
                for loaded in states {
                    self.keep(loaded);
                }
                Some(pending)
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "states cannot be loaded");
                drop(pending.reply.send(Reply::Reload));
                None
            }
        }
    }
}
