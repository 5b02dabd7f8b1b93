//! What arrived over NATS and is still to be applied, in the order of positions.

use std::collections::VecDeque;

use event_store::log::{Position, RecordedEvent};
use metrics::counter;
use sqlx::PgConnection;
use tokio::sync::mpsc;

use super::feed::Arrival;
use crate::page::{self, Page};

/// Arrivals of one projection. Bounded by what the feed lets through.
#[derive(Debug)]
pub(super) struct Inbox {
    arrivals: mpsc::Receiver<Arrival>,
    waiting: VecDeque<Arrival>,
}

/// What the inbox offers to a projection that is at some position.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Offer {
    /// Nothing beyond that position.
    Nothing,
    /// The very next events, so many.
    Next(usize),
    /// Later events; those in between, so many, did not arrive.
    Hole(i64),
}

impl Inbox {
    pub(super) fn new(arrivals: mpsc::Receiver<Arrival>) -> Self {
        Self { arrivals, waiting: VecDeque::new() }
    }

    /// Waits for something to arrive; for ever once the feed has ended.
    pub(super) async fn arrival(&mut self) {
        match self.arrivals.recv().await {
            Some(arrival) => self.waiting.push_back(arrival),
            None => std::future::pending().await,
        }
    }

    /// Takes in what is there, and says what it has after `applied`. Repeated and reordered messages
    /// are dropped: what they leave out is a hole.
    pub(super) fn offer(&mut self, applied: Position) -> Offer {
        while let Ok(arrival) = self.arrivals.try_recv() {
            self.waiting.push_back(arrival);
        }
        self.waiting.retain(|arrival| arrival.event.position > applied);
        let Some(first) = self.waiting.front() else { return Offer::Nothing };
        let missing = first.event.position.since(applied) - 1;
        if missing > 0 {
            return Offer::Hole(missing);
        }
        let mut next = applied;
        let consecutive = self.waiting.iter().take_while(|arrival| {
            next = next.next();
            arrival.event.position == next
        });
        Offer::Next(consecutive.count())
    }

    /// Takes the first `count` out, and keeps of them those that Postgres has too, at that position and
    /// with that hash, up to the first that it has not: the content of a message whose hash is
    /// Postgres' is Postgres' content.
    pub(super) async fn confirmed(
        &mut self,
        log: &mut PgConnection,
        applied: Position,
        count: usize,
        projection: &'static str,
    ) -> Result<Page, sqlx::Error> {
        let candidates: Vec<RecordedEvent> =
            self.waiting.drain(..count).map(|arrival| arrival.event).collect();
        let Some(last) = candidates.last() else { return Ok(Page::default()) };
        let hashes = page::hashes(log, applied, last.position).await?;
        let confirmed = candidates
            .iter()
            .zip(&hashes)
            .take_while(|(candidate, hash)| candidate.leaf_hash == **hash)
            .count();
        if let Some(refused) = candidates.get(confirmed) {
            counter!("runut_projection_messages_refused_total",
                "projection" => projection, "reason" => "not in Postgres")
            .increment(1);
            tracing::warn!(
                projection,
                position = refused.position.number(),
                "a message of the mirror is not what Postgres has; Postgres is read instead"
            );
        }
        Ok(Page::decode(candidates.into_iter().take(confirmed)))
    }

    /// Drops the first: Postgres has nothing there.
    pub(super) fn drop_first(&mut self) {
        self.waiting.pop_front();
    }
}
