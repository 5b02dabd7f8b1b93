//! Sends requests at their pace and counts what comes of them, all on one thread: nothing is locked, and
//! nothing is moved from one processor to another.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use hyper::StatusCode;
use tokio::task::{JoinSet, LocalSet};

use super::connections::{Answer, Connection, Outgoing, Target};
use super::schedule::{Pace, Schedule, Turn};
use crate::figures::Latencies;

/// How many of the bad answers are told.
const PROBLEMS_MAX: usize = 3;
/// How many characters of each.
const PROBLEM_CHARACTERS_MAX: usize = 500;

/// What is sent, by numbers from 0.
pub(super) trait Source: Send + 'static {
    /// Request `n`.
    fn request(&self, n: u64) -> anyhow::Result<Outgoing>;

    /// What request `n` moves if it is carried out, in cents.
    fn minor(&self, n: u64) -> u64;

    /// Whether the body of an answer with this status is looked at.
    fn keeps(&self, status: StatusCode) -> bool;

    /// What an answer says.
    fn outcome(&self, answer: &Answer) -> Outcome;
}

/// What came of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// All of it was carried out.
    Done,
    /// Nothing of it was.
    Refused,
    /// All, nothing or a part of it was.
    Unclear,
}

impl Outcome {
    /// That of a request that does one thing and is answered 201 for it.
    pub(super) fn of_one(status: StatusCode) -> Self {
        if status == StatusCode::CREATED {
            Self::Done
        } else if status.is_client_error() {
            Self::Refused
        } else {
            Self::Unclear
        }
    }
}

/// What came of all of them.
#[derive(Debug)]
pub(super) struct Counts {
    /// Requests that were carried out.
    pub(super) done: u64,
    /// Those of them that were answered in the measured time.
    pub(super) in_time: u64,
    /// Requests that were answered otherwise, or not at all.
    pub(super) errors: u64,
    /// Requests that found no connection until it was too late.
    pub(super) unsent: u64,
    /// What was moved for certain, in cents.
    pub(super) moved_minor: i128,
    /// What may have been moved besides, in cents.
    pub(super) unclear_minor: i128,
    /// Of what was carried out, from when it was due to the end of its answer; and how long what was never
    /// sent had waited.
    pub(super) latencies: Latencies,
    /// The first answers that were errors.
    pub(super) problems: Vec<String>,
    /// From the start to the last answer.
    pub(super) took: Duration,
}

impl Counts {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            done: 0,
            in_time: 0,
            errors: 0,
            unsent: 0,
            moved_minor: 0,
            unclear_minor: 0,
            latencies: Latencies::new()?,
            problems: Vec::new(),
            took: Duration::ZERO,
        })
    }

    fn problem(&mut self, text: impl FnOnce() -> String) {
        self.errors += 1;
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(text().chars().take(PROBLEM_CHARACTERS_MAX).collect());
        }
    }
}

/// Sends what `source` has over so many connections; on a thread of its own.
pub(super) async fn generate(
    source: impl Source,
    target: Arc<Target>,
    connections: usize,
    pace: Pace,
) -> anyhow::Result<Counts> {
    let generating = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let generating = on_this_thread(source, target, connections, pace);
        LocalSet::new().block_on(&runtime, generating)
    });
    generating.await.context("the generator")?
}

async fn on_this_thread(
    source: impl Source,
    target: Arc<Target>,
    connections: usize,
    pace: Pace,
) -> anyhow::Result<Counts> {
    let mut opened = Vec::with_capacity(connections);
    for _ in 0..connections {
        opened.push(Connection::open(Arc::clone(&target)).await?);
    }
    let schedule = Schedule::start(pace, connections);
    let generator = Rc::new(Generator { source, schedule, counts: RefCell::new(Counts::new()?) });
    let mut callers = JoinSet::new();
    for connection in opened {
        callers.spawn_local(Rc::clone(&generator).call(connection));
    }
    while let Some(ended) = callers.join_next().await {
        ended.context("a caller")??;
    }
    let generator = Rc::into_inner(generator).context("every caller has ended")?;
    let took = generator.schedule.started().elapsed();
    Ok(Counts { took, ..generator.counts.into_inner() })
}

struct Generator<S> {
    source: S,
    schedule: Schedule,
    counts: RefCell<Counts>,
}

impl<S: Source> Generator<S> {
    /// Sends whatever is due next, as long as there is anything.
    async fn call(self: Rc<Self>, mut connection: Connection) -> anyhow::Result<()> {
        while let Some(turn) = self.schedule.next().await {
            if self.schedule.given_up(Instant::now()) {
                let mut counts = self.counts.borrow_mut();
                counts.unsent += 1;
                counts.latencies.record(turn.due.elapsed());
                continue;
            }
            let outgoing = self.source.request(turn.n)?;
            let answered = connection.exchange(outgoing, |status| self.source.keeps(status)).await;
            self.count(turn, &answered);
        }
        Ok(())
    }

    fn count(&self, turn: Turn, answered: &anyhow::Result<Answer>) {
        let now = Instant::now();
        let mut counts = self.counts.borrow_mut();
        let outcome = match answered {
            Ok(answer) => self.source.outcome(answer),
            Err(_) => Outcome::Unclear,
        };
        let minor = i128::from(self.source.minor(turn.n));
        match outcome {
            Outcome::Done => {
                counts.done += 1;
                counts.in_time += u64::from(self.schedule.ends().is_none_or(|ends| now <= ends));
                counts.moved_minor += minor;
                counts.latencies.record(now.saturating_duration_since(turn.due));
                return;
            }
            Outcome::Refused => {}
            Outcome::Unclear => counts.unclear_minor += minor,
        }
        counts.problem(|| match answered {
            Ok(answer) => format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body)),
            Err(error) => format!("{error:#}"),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_refusal_says_for_certain_that_nothing_was_moved() {
        let of = |status| Outcome::of_one(StatusCode::from_u16(status).unwrap());
        assert_eq!(of(201), Outcome::Done);
        for status in [400, 404, 409, 422, 429] {
            assert_eq!(of(status), Outcome::Refused);
        }
        for status in [200, 202, 500, 503] {
            assert_eq!(of(status), Outcome::Unclear);
        }
    }
}
