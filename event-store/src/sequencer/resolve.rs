//! Resolving a batch that was not simply committed: find out what became of it, decide again where
//! nothing did, and so on until everybody can be answered.

use std::time::{Duration, Instant};

use domain::MerchantId;

use super::append::Failure;
use super::cache::Versioned;
use super::catch_up::CatchUpError;
use super::known_answers::KeyName;
use super::load::LoadError;
use super::pending::{Pending, Reply};
use super::plan::{Outcome, Plan};
use super::write::{Answered, Attempt, Batch, attempt};
use super::{RECONNECT_FIRST, RECONNECT_MAX, Sequencer};
use crate::clock_guard::ClockSkew;
use crate::log;
use crate::request::{RequestPart, SubmitError};

/// How often a batch is looked up and decided again before the cache is dropped; each time the log told
/// something new, so more than a few mean that something is wrong.
const LOOK_UPS_MAX: u32 = 5;
/// How often a batch makes the cache be dropped before it is treated as refused.
const CACHE_DROPS_MAX: u32 = 2;
/// How often in a row the database may end the statement of a batch, because it takes too long or somebody ends it,
/// before the batch is halved; one command by itself is refused then.
const CANCELLATIONS_MAX: u32 = 3;
/// How often the keys of a batch are looked up in vain on a connection that works, before it is decided without them.
const LOOK_UP_FAILURES_MAX: u32 = 5;
/// How long other processes count as writing after their last append was seen.
const CONTENTION_MEMORY: Duration = Duration::from_millis(500);
/// The longest pause that lets another process have its turn.
const COURTESY_MAX: Duration = Duration::from_millis(20);
/// How often such a pause is made at the most. Others get in within as long; to make one after every commit would
/// leave the log idle most of the time, even where another process appends but now and then.
const COURTESY_EVERY: Duration = Duration::from_millis(25);

/// Several processes on one log. The one that just won has the next batch ready at once, the others first
/// have to read what it wrote; without a pause it would win for ever. So after a commit now and then, and only if
/// others were seen writing lately, it waits about as long as they need to catch up.
#[derive(Debug, Default)]
pub(super) struct Contention {
    last_seen: Option<Instant>,
    last_pause: Option<Instant>,
    catch_up: Duration,
}

impl Contention {
    fn seen(&mut self, catch_up: Duration) {
        self.last_seen = Some(Instant::now());
        self.catch_up = (self.catch_up * 3 + catch_up) / 4;
    }

    /// The pause that is due now, if one is.
    pub(super) fn courtesy(&mut self) -> Option<Duration> {
        let since = |at: Option<Instant>| at.map_or(Duration::MAX, |at| at.elapsed());
        let due =
            since(self.last_seen) < CONTENTION_MEMORY && since(self.last_pause) >= COURTESY_EVERY;
        if !due {
            return None;
        }
        let pause = (self.catch_up * 2).clamp(Duration::from_millis(1), COURTESY_MAX);
        self.last_pause = Some(Instant::now() + pause);
        Some(pause)
    }
}

/// What sending a plan came to.
enum Sent {
    Committed,
    HeadMoved,
    ClockRefused {
        skew: ClockSkew,
        /// Whether an earlier sending of the same plan may be written still.
        in_doubt: bool,
    },
    Taken,
    CacheWrong,
    Refused,
    /// Again and again the statement was ended before it was done.
    Cancelled {
        /// Whether an earlier sending of the same plan may be written still.
        in_doubt: bool,
    },
}

/// What became of a group of commands.
enum Resolution {
    /// Everybody is answered, but these, which come first in the next batch.
    Settled(Vec<Pending>),
    /// The database refuses something in it.
    Refused(Vec<Pending>),
}

impl Sequencer {
    /// Resolves every command of the batch, which has been sent once and was not simply committed.
    pub(super) async fn resolve(&mut self, batch: Batch, first: Attempt) {
        let mut groups = Vec::new();
        let mut resolution = self.resolve_group(batch.group, Some((batch.plan, first))).await;
        loop {
            match resolution {
                Resolution::Settled(postponed) if postponed.is_empty() => {}
                Resolution::Settled(postponed) => groups.push(postponed),
                Resolution::Refused(group) => split(group, &mut groups),
            }
            let Some(group) = groups.pop() else { return };
            resolution = self.resolve_group(group, None).await;
        }
    }

    async fn resolve_group(
        &mut self,
        mut group: Vec<Pending>,
        mut first: Option<(Plan, Attempt)>,
    ) -> Resolution {
        let mut look_ups = 0;
        let mut drops = 0;
        loop {
            let (plan, attempt) = match first.take() {
                Some((plan, attempt)) => (plan, Some(attempt)),
                None => {
                    let Some(batch) = self.decide(group) else {
                        return Resolution::Settled(Vec::new());
                    };
                    if !batch.plan.needs_writing() {
                        return Resolution::Settled(settle(batch.group, batch.plan.outcomes));
                    }
                    let claimed = batch.claim();
                    group = batch.group;
                    if !claimed {
                        continue;
                    }
                    (batch.plan, None)
                }
            };
            let sent = self.send(&plan, group.len(), attempt).await;
            self.health.append_settled();
            match sent {
                Sent::Committed => {
                    let outcomes = self.commit(plan);
                    let postponed = settle(group, outcomes);
                    self.pause_for_others().await;
                    return Resolution::Settled(postponed);
                }
                Sent::HeadMoved => self.follow_moved_head().await,
                Sent::ClockRefused { skew, in_doubt } => {
                    metrics::counter!("runut_clock_refusals_total").increment(1);
                    let skewed = SubmitError::ClockSkewed(skew);
                    turn_away(group, if in_doubt { SubmitError::OutcomeUnknown } else { skewed });
                    return Resolution::Settled(Vec::new());
                }
                Sent::Cancelled { in_doubt: true } => {
                    turn_away(group, SubmitError::OutcomeUnknown);
                    return Resolution::Settled(Vec::new());
                }
                Sent::Taken if look_ups < LOOK_UPS_MAX => {
                    look_ups += 1;
                    self.look_up_taken(&group).await;
                }
                Sent::Taken | Sent::CacheWrong if drops < CACHE_DROPS_MAX => {
                    drops += 1;
                    tracing::error!(
                        "the log contradicts the cache; it is dropped and loaded again"
                    );
                    metrics::counter!("runut_cache_dropped_total").increment(1);
                    self.forget();
                    self.follow_moved_head().await;
                    look_ups = 0;
                }
                Sent::Taken
                | Sent::CacheWrong
                | Sent::Refused
                | Sent::Cancelled { in_doubt: false } => {
                    return Resolution::Refused(group);
                }
            }
        }
    }

    /// Sends the plan until it is known what became of it, over as many connections as it takes.
    async fn send(&mut self, plan: &Plan, commands: usize, mut first: Option<Attempt>) -> Sent {
        let mut in_doubt = false;
        let mut cancellations = 0;
        let mut pause = RECONNECT_FIRST;
        let exchanged = self.state.exchanged;
        loop {
            let sent = match first.take() {
                Some(sent) => sent,
                None => {
                    self.connected().await;
                    if self.state.exchanged != exchanged {
                        // Its head may be where this was decided, but it is not that head.
                        return Sent::HeadMoved;
                    }
                    match self.state.db.as_mut() {
                        Some(db) => attempt(db, plan, &self.guard).await,
                        None => Attempt::NotTried,
                    }
                }
            };
            match sent {
                Attempt::NotTried => {
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(RECONNECT_MAX);
                }
                Attempt::Answered(Ok(Answered::Committed)) => return Sent::Committed,
                Attempt::Answered(Ok(answered)) if in_doubt => {
                    match (self.is_ours(plan).await, answered) {
                        (Some(true), _) => return Sent::Committed,
                        (Some(false), Answered::ClockRefused(skew)) => {
                            return Sent::ClockRefused { skew, in_doubt };
                        }
                        (Some(false), _) => return Sent::HeadMoved,
                        (None, _) => {}
                    }
                }
                Attempt::Answered(Ok(Answered::HeadMoved)) => return Sent::HeadMoved,
                Attempt::Answered(Ok(Answered::ClockRefused(skew))) => {
                    return Sent::ClockRefused { skew, in_doubt };
                }
                Attempt::Answered(Err(Failure::Taken)) => return Sent::Taken,
                Attempt::Answered(Err(Failure::CacheWrong(error))) => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        "unexpected conflict"
                    );
                    return Sent::CacheWrong;
                }
                Attempt::Answered(Err(Failure::Refused(error))) => {
                    tracing::error!(
                        error = &error as &dyn std::error::Error,
                        commands,
                        "the log refuses a batch"
                    );
                    return Sent::Refused;
                }
                Attempt::Answered(Err(Failure::Passing(error))) => {
                    tracing::debug!(
                        error = &error as &dyn std::error::Error,
                        "an append is repeated"
                    );
                    metrics::counter!("runut_appends_repeated_total").increment(1);
                    if !is_conflict(&error) {
                        self.health.append_refused(&error);
                    }
                    if is_read_only(&error) {
                        // Another server may be the one that takes writes now.
                        self.disconnected(&error);
                    }
                    cancellations += u32::from(is_cancellation(&error));
                    if cancellations >= CANCELLATIONS_MAX {
                        return Sent::Cancelled { in_doubt };
                    }
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(RECONNECT_MAX);
                }
                Attempt::Answered(Err(Failure::Unknown(error))) => {
                    in_doubt = true;
                    self.disconnected(&error);
                }
                Attempt::Silent(elapsed) => {
                    in_doubt = true;
                    self.disconnected(&elapsed);
                }
            }
        }
    }

    /// Whether what stands where the plan would have put its first event is that event: then an earlier
    /// sending of it was committed after all. `None` if the log cannot be asked.
    async fn is_ours(&mut self, plan: &Plan) -> Option<bool> {
        // A plan without events moves no position; whether its keys are there is found by looking them up.
        let Some(first) = plan.events().first() else { return Some(false) };
        let db = self.connected().await?;
        match log::leaf_hash_at(db, plan.head.position.next()).await {
            Ok(found) => Some(found == Some(first.recorded.leaf_hash)),
            Err(error) => {
                self.disconnected(&error);
                None
            }
        }
    }

    /// Makes the batch part of what is known.
    pub(super) fn commit(&mut self, plan: Plan) -> Vec<Outcome> {
        let head = plan.new_head();
        if let Some(last) = plan.events().last() {
            self.state.head_hash = Some(last.recorded.leaf_hash);
        }
        let Plan { changes, known, outcomes, .. } = plan;
        metrics::counter!("runut_events_appended_total")
            .increment(u64::try_from(changes.events.len()).unwrap_or(0));
        metrics::counter!("runut_batches_total").increment(1);
        for (key, state) in changes.states {
            self.cache.insert(key.clone(), Versioned { state, at: head.position });
            self.watchers.changed(&key);
        }
        self.tail.extend(changes.events);
        for (name, answer) in known {
            self.state.known.insert(name, answer);
        }
        self.state.head = head;
        self.publish_head();
        outcomes
    }

    /// Reads what others appended; tries until the log can be read.
    async fn follow_moved_head(&mut self) {
        let started = Instant::now();
        let mut pause = RECONNECT_FIRST;
        while let Err(error) = self.catch_up().await {
            self.follow_failed(&error);
            if !matches!(error, CatchUpError::Read(_) | CatchUpError::Disconnected) {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the head cannot be followed"
                );
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RECONNECT_MAX);
        }
        self.health.log_readable();
        metrics::counter!("runut_heads_lost_total").increment(1);
        self.state.contention.seen(started.elapsed());
    }

    async fn pause_for_others(&mut self) {
        if let Some(pause) = self.state.contention.courtesy() {
            tokio::time::sleep(pause).await;
        }
    }

    /// Reads all keys and all claimed states of the group: whichever was taken is known afterwards.
    async fn look_up_taken(&mut self, group: &[Pending]) {
        let keys: Vec<(MerchantId, String)> = group
            .iter()
            .filter_map(|pending| pending.request.key.as_ref())
            .filter(|key| key.part != RequestPart::Last)
            .map(|key| (key.owner, key.key.clone()))
            .collect();
        let claimed = group.iter().flat_map(|pending| pending.request.command.claims()).collect();
        // The taker may be another process whose events were not seen yet.
        self.follow_moved_head().await;
        let mut pause = RECONNECT_FIRST;
        let mut failures = 0;
        while failures < LOOK_UP_FAILURES_MAX {
            if let Some(db) = self.connected().await {
                match super::look_up(db, &keys).await {
                    Ok(answers) => {
                        for (owner, key, answer) in answers {
                            self.state.known.insert(KeyName::new((owner, key)), answer);
                        }
                        break;
                    }
                    Err(error) => {
                        let error = LoadError::Read(error);
                        failures += u32::from(!error.connection_was_dead());
                        self.disconnected(&error);
                    }
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RECONNECT_MAX);
        }
        // As far as they can be loaded: whoever lacks one is sent back, and told why.
        self.load(claimed).await;
    }
}

/// Answers everybody; what did not fit into the batch is returned.
pub(super) fn settle(group: Vec<Pending>, outcomes: Vec<Outcome>) -> Vec<Pending> {
    let mut postponed = Vec::new();
    for (pending, outcome) in group.into_iter().zip(outcomes) {
        if matches!(outcome, Outcome::Postponed) {
            postponed.push(pending);
            continue;
        }
        let Pending { request, reply, .. } = pending;
        // A caller that went away asks again with its key, if it wants to know.
        drop(reply.send(match outcome {
            Outcome::Decided(answer) | Outcome::Replayed(answer) => Reply::Done(Ok(answer)),
            Outcome::InProgress => Reply::InProgress(Box::new(request)),
            Outcome::Failed(error) => Reply::Done(Err(error)),
            Outcome::Missing | Outcome::Postponed => Reply::Reload(Box::new(request)),
        }));
    }
    postponed
}

/// Answers everybody with the same error.
fn turn_away(group: Vec<Pending>, error: SubmitError) {
    for pending in group {
        // A caller that went away asks again with its key, if it wants to know.
        drop(pending.reply.send(Reply::Done(Err(error.clone()))));
    }
}

/// Whether the server ended a statement that was at work: past its time, or because somebody said so.
fn is_cancellation(error: &sqlx::Error) -> bool {
    has_code(error, &["57014"])
}

/// Whether another transaction was in the way: serialization failure, deadlock, lock time-out.
fn is_conflict(error: &sqlx::Error) -> bool {
    has_code(error, &["40001", "40P01", "55P03"])
}

/// Whether the server takes no writes: a standby, or a primary that is one no more.
fn is_read_only(error: &sqlx::Error) -> bool {
    has_code(error, &["25006"])
}

fn has_code(error: &sqlx::Error, codes: &[&str]) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| codes.contains(&code.as_ref()))
}

/// Halves a refused group, so that what is wrong in it ends up alone; the first half is next.
fn split(mut group: Vec<Pending>, groups: &mut Vec<Vec<Pending>>) {
    if group.len() > 1 {
        let second = group.split_off(group.len() / 2);
        groups.push(second);
        groups.push(group);
    } else if let Some(poison) = group.pop() {
        metrics::counter!("runut_commands_refused_total").increment(1);
        drop(poison.reply.send(Reply::Done(Err(SubmitError::Refused))));
    }
}
