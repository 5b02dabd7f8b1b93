//! Writing batches: while Postgres writes one, the next is decided over what there will be then. It is
//! sent only once the one before it is committed, and decided again if that comes to anything else; so
//! nothing is ever written or answered that rests on what is not in the log.

use std::collections::HashSet;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use domain::{StateKey, Timestamp};
use sqlx::postgres::PgConnection;

use super::append::{Failure, Receipt, append};
use super::cache::{CACHED_BYTES_MAX, CACHED_STATES_MAX};
use super::intake::{Intake, NextBatch};
use super::pending::Pending;
use super::plan::{Plan, Planner, missing};
use super::resolve::settle;
use super::{LoadError, Sequencer, Work, Writer};
use crate::clock_guard::{ClockGuard, ClockSkew};

/// How long a statement may take before its connection counts as dead. More than the server's own bound.
const STATEMENT_PATIENCE: Duration = Duration::from_secs(6);
/// How old the time that a batch is recorded at may be when the batch is sent. One that waited longer for
/// the batch before it is decided again, since some of its commands came much later than its time says.
const RECORDED_AGE_MAX_MICROS: i64 = 50_000;

/// A decided batch: commands, and what is to be written for them.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) group: Vec<Pending>,
    pub(super) plan: Plan,
}

impl Batch {
    /// Marks the commands as sent; `false` where the caller of one gave up, which must be left out.
    pub(super) fn claim(&self) -> bool {
        self.group.iter().all(|pending| pending.fate.send())
    }
}

/// What Postgres answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answered {
    /// It is written.
    Committed,
    /// Nothing is written: the head is elsewhere.
    HeadMoved,
    /// Nothing is written: this process' clock disagrees with the database's.
    ClockRefused(ClockSkew),
}

/// What sending a batch once came to.
#[derive(Debug)]
pub(super) enum Attempt {
    /// There is no connection.
    NotTried,
    /// Postgres answered, or the connection broke.
    Answered(Result<Answered, Failure>),
    /// Nothing came back.
    Silent(tokio::time::error::Elapsed),
}

/// Sends it once.
pub(super) async fn attempt(db: &mut PgConnection, plan: &Plan, guard: &ClockGuard) -> Attempt {
    let (started, sent_at) = (Instant::now(), guard.now());
    let sent = tokio::time::timeout(STATEMENT_PATIENCE, append(db, plan, sent_at)).await;
    metrics::histogram!("runut_append_seconds").record(started.elapsed());
    match sent {
        Ok(Ok(receipt)) => Attempt::Answered(Ok(judge(receipt, sent_at, guard))),
        Ok(Err(failure)) => Attempt::Answered(Err(failure)),
        Err(elapsed) => Attempt::Silent(elapsed),
    }
}

fn judge(receipt: Receipt, sent_at: Timestamp, guard: &ClockGuard) -> Answered {
    let Receipt { written, database_time } = receipt;
    guard.observe(sent_at, database_time);
    match ClockSkew::check(sent_at, database_time, guard.now()) {
        _ if written => Answered::Committed,
        Err(skew) => Answered::ClockRefused(skew),
        Ok(()) => Answered::HeadMoved,
    }
}

impl Sequencer {
    /// Writes what waits, and all that comes meanwhile, until nothing does.
    pub(super) async fn work_off(&mut self, first: Work) {
        let (mut next, mut set_aside) = self.take_in(first);
        // In the log, but not yet in memory, nor are its callers answered.
        let mut committed: Option<Batch> = None;
        // Decided just now: however long that took, its time is as recent as it can be.
        let mut just_decided = false;
        loop {
            // Whoever was set aside goes with the next batch, however many more keep coming.
            let ready = if set_aside.is_empty() { next.take() } else { None };
            let Some(batch) = ready else {
                set_aside.extend(self.conclude(committed.take()));
                let mut waiting = std::mem::take(&mut set_aside);
                waiting.extend(next.take().into_iter().flat_map(|batch| batch.group));
                if waiting.is_empty() {
                    return;
                }
                next = self.load_and_decide(waiting).await;
                continue;
            };
            let recent = std::mem::take(&mut just_decided) || self.recent(&batch.plan);
            let sendable = batch.plan.needs_writing() && recent && batch.claim();
            if !sendable {
                // What it rests on comes first.
                set_aside.extend(self.conclude(committed.take()));
                if batch.plan.needs_writing() {
                    next = self.decide(batch.group);
                    just_decided = true;
                } else {
                    set_aside.extend(settle(batch.group, batch.plan.outcomes));
                }
                continue;
            }
            let (attempt, following, more) = self.write(&batch, committed.take()).await;
            set_aside.extend(more);
            if let Attempt::Answered(Ok(Answered::Committed)) = attempt {
                committed = Some(batch);
                next = following;
                if let Some(pause) = self.state.contention.courtesy() {
                    set_aside.extend(self.conclude(committed.take()));
                    tokio::time::sleep(pause).await;
                }
            } else {
                self.resolve(batch, attempt).await;
                next = following.and_then(|discarded| self.decide(discarded.group));
            }
        }
    }

    /// All that waits, up to the bounds of a batch.
    fn take_in(&mut self, first: Work) -> (Option<Batch>, Vec<Pending>) {
        let Self { queue, cache, tail, guard, state: Writer { known, head, .. }, .. } = self;
        let next = NextBatch::default();
        let clock = &**guard.clock();
        let mut intake = Intake { cache, tail, known, clock, head: *head, before: None, next };
        intake.take(first);
        while !intake.full() {
            match queue.try_recv() {
                Ok(work) => intake.take(work),
                Err(_) => break,
            }
        }
        intake.finish()
    }

    /// Sends the batch, answers the one before it, and meanwhile takes in the next.
    async fn write(
        &mut self,
        batch: &Batch,
        before: Option<Batch>,
    ) -> (Attempt, Option<Batch>, Vec<Pending>) {
        let mut set_aside = Vec::new();
        let Some(mut db) = self.state.db.take() else {
            set_aside.extend(self.conclude(before));
            return (Attempt::NotTried, None, set_aside);
        };
        let (attempt, next) = {
            let guard = Arc::clone(&self.guard);
            let mut sending = pin!(attempt(&mut db, &batch.plan, &guard));
            // Postgres has work before anything else is done.
            let mut sent = futures::poll!(&mut sending);
            set_aside.extend(self.conclude(before));
            let Self { queue, cache, tail, state: Writer { known, head, .. }, .. } = self;
            let (before, next) = (Some(&batch.plan), NextBatch::default());
            let clock = &**guard.clock();
            let mut intake = Intake { cache, tail, known, clock, head: *head, before, next };
            // Those that had no room have it in the next.
            let mut open = set_aside.is_empty();
            let attempt = loop {
                if let Poll::Ready(attempt) = sent {
                    break attempt;
                }
                tokio::select! {
                    biased;
                    attempt = &mut sending => sent = Poll::Ready(attempt),
                    work = queue.recv(), if open && !intake.full() => match work {
                        Some(work) => intake.take(work),
                        None => open = false,
                    },
                }
            };
            let (next, more) = intake.finish();
            set_aside.extend(more);
            (attempt, next)
        };
        self.state.db = Some(db);
        (attempt, next, set_aside)
    }

    /// Takes a committed batch into memory and answers its callers; what did not fit into it comes back.
    fn conclude(&mut self, done: Option<Batch>) -> Vec<Pending> {
        let Some(done) = done else { return Vec::new() };
        let outcomes = self.commit(done.plan);
        let postponed = settle(done.group, outcomes);
        self.cache.evict_to(CACHED_STATES_MAX, CACHED_BYTES_MAX);
        self.measure_memory();
        postponed
    }

    /// Decides commands over the committed states; `None` if nobody waits for any of them.
    pub(super) fn decide(&self, mut group: Vec<Pending>) -> Option<Batch> {
        group.retain(|pending| !pending.abandoned());
        if group.is_empty() {
            return None;
        }
        let (now, head) = (self.guard.now(), self.state.head);
        let mut planner = Planner::over(&self.cache, &self.state.known, head, now);
        group.iter().for_each(|pending| planner.add(pending));
        Some(Batch { group, plan: planner.finish() })
    }

    /// Decides commands whose states could not be admitted, or that had no room before.
    async fn load_and_decide(&mut self, waiting: Vec<Pending>) -> Option<Batch> {
        let lacking: HashSet<StateKey> =
            waiting.iter().flat_map(|pending| missing(pending, &self.cache)).collect();
        if !lacking.is_empty() {
            metrics::counter!("runut_sequencer_loads_total").increment(1);
            self.load(lacking.into_iter().collect()).await;
        }
        self.decide(waiting)
    }

    /// Loads states into the cache. Whoever still lacks one afterwards is sent back when it is decided.
    pub(super) async fn load(&mut self, mut keys: Vec<StateKey>) {
        let generation = self.cache.generation();
        let Some(db) = self.connected().await else { return };
        match super::load(db, keys.clone(), generation).await {
            Ok(states) => states.into_iter().for_each(|loaded| self.keep(loaded)),
            Err(error) if error.connection_was_dead() => self.disconnected(&error),
            // Of several commands together; by themselves each has few enough.
            Err(LoadError::TooLarge) if keys.len() > 1 => {
                let rest = keys.split_off(keys.len() / 2);
                Box::pin(self.load(keys)).await;
                Box::pin(self.load(rest)).await;
            }
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "states cannot be loaded");
            }
        }
    }

    fn recent(&self, plan: &Plan) -> bool {
        self.guard.now().micros() - plan.decided_at.micros() <= RECORDED_AGE_MAX_MICROS
    }
}
