//! Deciding a batch: every command in order, over an overlay, into the rows of one statement.

use std::sync::Arc;

use ahash::HashMap;
use domain::{Context, Decision, MerchantId, NewEvent, Rejection, StateKey, StepDone, Timestamp};
use uuid::Uuid;

use super::cache::StateCache;
use super::known_answers::{KeyName, KnownAnswer, KnownAnswers};
use super::overlay::{Changes, Overlay};
use super::pending::Pending;
use crate::clock_guard::CLOCK_SKEW_MAX_MICROS;
use crate::log::{EventMetadata, Head, Leaf, Position, RecordedEvent, WideMinor, digest_to_hex};
use crate::recent::LoggedEvent;
use crate::request::{Answer, NewAnswer, RequestKey, RequestPart, SubmitError};
use crate::{BATCH_BYTES_MAX, BATCH_COMMANDS_MAX, EVENT_DATA_BYTES_MAX};

/// What becomes of one command of the batch.
#[derive(Debug)]
pub(super) enum Outcome {
    /// Answered once the batch is committed.
    Decided(Answer),
    /// Answered once the batch is committed, since it too rests on the state: the stored answer.
    Replayed(Answer),
    /// Another process or an earlier append claimed the key and has not answered yet.
    InProgress,
    /// No answer; nothing of it is in the batch.
    Failed(SubmitError),
    /// A state it needs is not at hand any more.
    Missing,
    /// The batch is full; it comes first in the next one.
    Postponed,
}

/// The columns of `idempotency_keys`.
#[derive(Debug, Default)]
pub(super) struct KeyRows {
    pub(super) owners: Vec<Uuid>,
    pub(super) keys: Vec<String>,
    pub(super) fingerprints: Vec<[u8; 32]>,
    pub(super) resources: Vec<String>,
    pub(super) statuses: Vec<Option<i16>>,
    pub(super) responses: Vec<Option<String>>,
    pub(super) positions: Vec<i64>,
}

/// The columns of `account_balances`.
#[derive(Debug, Default)]
pub(super) struct BalanceRows {
    pub(super) accounts: Vec<Uuid>,
    pub(super) debits_posted: Vec<WideMinor>,
    pub(super) credits_posted: Vec<WideMinor>,
    pub(super) debits_pending: Vec<WideMinor>,
    pub(super) credits_pending: Vec<WideMinor>,
    pub(super) positions: Vec<i64>,
}

/// A decided batch.
#[derive(Debug)]
pub(super) struct Plan {
    /// Where the head was when this was decided, and must still be.
    pub(super) head: Head,
    /// The time of its events; never before the head's.
    pub(super) recorded_at: Timestamp,
    /// The time that it is decided as of: that one, unless the head's is further ahead of the clock than clocks may be.
    pub(super) decided_at: Timestamp,
    pub(super) claimed: KeyRows,
    pub(super) answered: KeyRows,
    pub(super) balances: BalanceRows,
    pub(super) changes: Changes,
    pub(super) outcomes: Vec<Outcome>,
    pub(super) known: Vec<(KeyName, KnownAnswer)>,
    keys: HashMap<KeyName, SeenKey>,
}

impl Plan {
    /// Whether it has to go to Postgres: something is to be written, or an answer rests on the committed
    /// state, and not on a stored answer alone.
    pub(super) fn needs_writing(&self) -> bool {
        self.writes() || self.rests_on_state()
    }

    /// When it was decided, where its events cannot be recorded at that time.
    fn decided_late(&self) -> Option<Timestamp> {
        (self.decided_at != self.recorded_at).then_some(self.decided_at)
    }

    /// The rows of `events`, ascending.
    pub(super) fn events(&self) -> &[Arc<LoggedEvent>] {
        &self.changes.events
    }

    fn writes(&self) -> bool {
        !self.events().is_empty() || !self.claimed.keys.is_empty() || !self.answered.keys.is_empty()
    }

    fn rests_on_state(&self) -> bool {
        self.outcomes.iter().any(|outcome| matches!(outcome, Outcome::Decided(_)))
    }

    /// Whether a command of it claims a stream as new without having read it.
    pub(super) fn claims_streams(&self) -> bool {
        self.events().iter().any(|logged| {
            let LoggedEvent { recorded, event, .. } = &**logged;
            event.claimed(&recorded.stream_id).is_some()
        })
    }

    /// The head once this is committed; it stays as it is where there are no events.
    pub(super) fn new_head(&self) -> Head {
        match self.events().last() {
            Some(last) => Head { position: last.recorded.position, recorded_at: self.recorded_at },
            None => self.head,
        }
    }
}

/// A key that an earlier command of the batch carries.
#[derive(Debug)]
struct SeenKey {
    fingerprint: [u8; 32],
    /// Where its answer is in the plan's `known`; none where the command only claims the key.
    known: Option<usize>,
}

impl SeenKey {
    /// What another command with the key gets, from the `plan` that this is of.
    fn repetition(&self, fingerprint: &[u8; 32], plan: &Plan) -> Outcome {
        if self.fingerprint != *fingerprint {
            return Outcome::Failed(SubmitError::KeyReused);
        }
        match self.known.map(|index| plan.known[index].1.replay(fingerprint)) {
            Some(Ok(Some(answer))) => Outcome::Replayed(answer),
            Some(Ok(None) | Err(_)) | None => Outcome::InProgress,
        }
    }
}

/// Decides commands one by one, in order, into a plan.
#[derive(Debug)]
pub(super) struct Planner<'a> {
    known: &'a KnownAnswers,
    /// The batch before this one, if it is still being written.
    before: Option<&'a Plan>,
    overlay: Overlay<'a>,
    next: Position,
    bytes: usize,
    plan: Plan,
}

impl<'a> Planner<'a> {
    /// Decides over the committed states of `cache` at `head`.
    pub(super) fn over(
        cache: &'a StateCache,
        known: &'a KnownAnswers,
        head: Head,
        now: Timestamp,
    ) -> Self {
        Self::new(Overlay::over(cache, None), known, None, head, now)
    }

    /// Decides over what there will be once `before` is committed; only then may the plan be sent.
    pub(super) fn after(
        before: &'a Plan,
        cache: &'a StateCache,
        known: &'a KnownAnswers,
        now: Timestamp,
    ) -> Self {
        let overlay = Overlay::over(cache, Some(&before.changes));
        Self::new(overlay, known, Some(before), before.new_head(), now)
    }

    fn new(
        overlay: Overlay<'a>,
        known: &'a KnownAnswers,
        before: Option<&'a Plan>,
        head: Head,
        now: Timestamp,
    ) -> Self {
        // Never falls with position, whatever the clocks of several processes say.
        let recorded_at = now.max(head.recorded_at);
        let ahead_micros = recorded_at.micros() - now.micros();
        let plan = Plan {
            head,
            recorded_at,
            decided_at: if ahead_micros > CLOCK_SKEW_MAX_MICROS { now } else { recorded_at },
            claimed: KeyRows::default(),
            answered: KeyRows::default(),
            balances: BalanceRows::default(),
            changes: Changes::default(),
            outcomes: Vec::new(),
            known: Vec::new(),
            keys: HashMap::default(),
        };
        Self { known, before, overlay, next: head.position.next(), bytes: 0, plan }
    }

    /// Whether no more commands belong into this batch.
    pub(super) fn full(&self) -> bool {
        self.plan.outcomes.len() >= BATCH_COMMANDS_MAX || self.bytes >= BATCH_BYTES_MAX
    }

    /// Decides the command, after all that were added before it.
    pub(super) fn add(&mut self, pending: &Pending) {
        let outcome = self.outcome(pending);
        self.plan.outcomes.push(outcome);
    }

    fn outcome(&mut self, pending: &Pending) -> Outcome {
        if self.bytes >= BATCH_BYTES_MAX {
            return Outcome::Postponed;
        }
        let key = pending.request.key.as_ref();
        let key = key.map(|key| (key, KeyName::new((key.owner, key.key.clone()))));
        if let Some((key, name)) = &key
            && key.part != RequestPart::Last
            && let Some(outcome) = self.repetition(key, name)
        {
            return outcome;
        }
        // Its claimant and whoever took that for dead answer in one batch: the second finds the first's answer.
        if let Some((key, name)) = &key
            && key.part == RequestPart::Last
            && self.plan.keys.contains_key(name)
        {
            return Outcome::Postponed;
        }
        if !pending.reads.iter().all(|key| self.overlay.reach(key)) {
            return Outcome::Missing;
        }
        for key in pending.request.command.claims() {
            self.overlay.reach_claim(key);
        }
        if let Some(key) = pending.request.command.creates() {
            self.overlay.reach_new(key);
        }
        self.decide(pending, key)
    }

    /// What a request with a key gets that was seen before, in this batch, the one before it or lately.
    fn repetition(&self, key: &RequestKey, name: &KeyName) -> Option<Outcome> {
        for plan in [Some(&self.plan), self.before].into_iter().flatten() {
            if let Some(seen) = plan.keys.get(name) {
                return Some(seen.repetition(&key.fingerprint, plan));
            }
        }
        Some(match self.known.get(name)?.replay(&key.fingerprint) {
            Ok(Some(answer)) => Outcome::Replayed(answer),
            Ok(None) => Outcome::InProgress,
            Err(error) => Outcome::Failed(error),
        })
    }

    fn decide(&mut self, pending: &Pending, key: Option<(&RequestKey, KeyName)>) -> Outcome {
        let context = self.context(pending);
        let decided = pending.request.command.decide(&self.overlay, &context);
        if refuses(&decided) && !self.knows_claims(pending) {
            return Outcome::Missing;
        }
        let answer = (pending.request.answer)(&decided, self.plan.recorded_at);
        let final_answer = decided.is_err();
        if let Ok(Decision::Append(events) | Decision::Several { events, .. }) = decided {
            let data: Vec<String> = events.iter().map(|new| new.event.to_json()).collect();
            if let Some(large) = data.iter().find(|data| data.len() > EVENT_DATA_BYTES_MAX) {
                return Outcome::Failed(SubmitError::EventTooLarge { bytes: large.len() });
            }
            for (new, data) in events.into_iter().zip(data) {
                self.append(pending, new, data);
            }
        }
        let position = Position::from_number(self.next.number() - 1);
        let known = Answer {
            status: answer.status,
            resource_id: answer.resource_id.clone(),
            body: answer.replay_body.as_deref().unwrap_or(&answer.body).into(),
            position,
            replayed: true,
        };
        if let Some((key, name)) = key {
            let known = self.store_key(key, &name, &answer, known, final_answer);
            self.plan.keys.insert(name, SeenKey { fingerprint: key.fingerprint, known });
        }
        let NewAnswer { status, resource_id, body, .. } = answer;
        Outcome::Decided(Answer {
            status,
            resource_id,
            body: body.into(),
            position,
            replayed: false,
        })
    }

    /// What the decision goes by. A command may have waited: what is decided as of when it came would else be recorded
    /// when it may not be any more, such as the posting of a hold whose time was over meanwhile.
    fn context(&self, pending: &Pending) -> Context {
        Context { now: self.plan.decided_at, event_id: pending.event_id }
    }

    /// Whether what the command claims as new has been looked for. Where it is refused nothing of it reaches
    /// the log's unique index, which else would say that it is there already.
    fn knows_claims(&self, pending: &Pending) -> bool {
        pending.request.command.claims().iter().all(|key| self.overlay.reached(key))
    }

    fn append(&mut self, pending: &Pending, new: NewEvent, data: String) {
        let position = self.next;
        self.next = position.next();
        let NewEvent { stream, version, event_id, merchant_id, event } = new;
        let metadata = metadata(pending, merchant_id, self.plan.decided_late());
        self.bytes += data.len() + metadata.len();
        let (event_type, schema_version) = (event.event_type(), event.schema_version());
        let recorded_at = self.plan.recorded_at;
        let leaf = Leaf {
            position,
            stream_id: stream.as_str(),
            version: version.number(),
            event_id,
            event_type,
            schema_version,
            merchant_id,
            data: &data,
            metadata: &metadata,
            recorded_at,
        };
        let leaf_hash = leaf.hash();
        let recorded = RecordedEvent {
            position,
            stream_id: stream,
            version,
            event_id,
            event_type: event_type.to_owned(),
            schema_version,
            merchant_id,
            data,
            metadata,
            recorded_at,
            leaf_hash,
        };
        self.overlay.fold(LoggedEvent::new(recorded, event));
    }

    /// Adds the key's row; where its answer is in `known`, if it has one already.
    fn store_key(
        &mut self,
        key: &RequestKey,
        name: &KeyName,
        answer: &NewAnswer,
        known: Answer,
        rejected: bool,
    ) -> Option<usize> {
        let answers = rejected || key.part != RequestPart::First;
        let rows = match key.part {
            RequestPart::Whole | RequestPart::First => &mut self.plan.claimed,
            RequestPart::Last => &mut self.plan.answered,
        };
        rows.owners.push(key.owner.uuid());
        rows.keys.push(key.key.clone());
        rows.fingerprints.push(key.fingerprint);
        rows.resources.push(answer.resource_id.clone());
        rows.statuses.push(answers.then(|| i16::try_from(answer.status).unwrap_or(500)));
        rows.responses.push(answers.then(|| known.body.to_string()));
        rows.positions.push(known.position.number());
        self.bytes += known.body.len() + key.key.len();
        // A claim is not remembered: its row is the only place where the answer will appear.
        answers.then(|| {
            let known = KnownAnswer::new(key.fingerprint, Some(known));
            self.plan.known.push((KeyName::clone(name), known));
            self.plan.known.len() - 1
        })
    }

    /// The rows of the batch.
    pub(super) fn finish(mut self) -> Plan {
        let rows = &mut self.plan.balances;
        for (account, position) in self.overlay.touched() {
            rows.accounts.push(account.profile.id.uuid());
            rows.debits_posted.push(WideMinor(account.totals.debits_posted));
            rows.credits_posted.push(WideMinor(account.totals.credits_posted));
            rows.debits_pending.push(WideMinor(account.totals.debits_pending));
            rows.credits_pending.push(WideMinor(account.totals.credits_pending));
            rows.positions.push(position.number());
        }
        self.plan.changes = self.overlay.into_changes();
        self.plan
    }
}

/// Whether a command, or one of several in one, is not carried out.
fn refuses(decided: &Result<Decision, Rejection>) -> bool {
    match decided {
        Err(_) => true,
        Ok(Decision::Several { steps, .. }) => {
            steps.iter().any(|step| matches!(step, StepDone::Refused(_)))
        }
        Ok(Decision::Append(_) | Decision::Already(_)) => false,
    }
}

fn metadata(pending: &Pending, merchant: MerchantId, decided_at: Option<Timestamp>) -> String {
    let origin = &pending.request.origin;
    let key = pending.request.key.as_ref();
    let metadata = EventMetadata {
        actor: origin.actor.clone(),
        correlation_id: origin.correlation_id.clone(),
        traceparent: origin.traceparent.clone(),
        idempotency_key: key.map(|key| key.key.clone()),
        idempotency_owner: key.map(|key| key.owner).filter(|owner| *owner != merchant),
        fingerprint: key.map(|key| digest_to_hex(&key.fingerprint)),
        decided_at,
    };
    // A struct of texts, for which this cannot fail.
    serde_json::to_string(&metadata)
        .unwrap_or_else(|error| unreachable!("metadata is JSON: {error}"))
}

/// The keys that `pending` needs and that are not in `cache`.
pub(super) fn missing(pending: &Pending, cache: &StateCache) -> Vec<StateKey> {
    pending.reads.iter().filter(|key| !cache.contains(key)).cloned().collect()
}
