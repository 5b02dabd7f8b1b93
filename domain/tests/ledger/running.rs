//! The ledger as it runs: events in their order, the states folded from them, and decisions made from those.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use domain::books::{BalancesDigest, DayBalance, DayBalances};
use domain::ledger::EntryPosted;
use domain::{
    AccountId, Command, Context, Currency, Day, Decision, EntryId, Event, NewEvent, Rejection,
    State, StateKey, States, StepDone, StreamId, StreamVersion, Timestamp,
};
use uuid::Uuid;

use crate::asking::LEDGER;
use crate::model::Outcome;

/// Ids of decisions are as far apart as those that are drawn.
const DECISIONS_APART: u128 = 1 << 64;

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Folded(pub(crate) HashMap<StateKey, State>);

impl States for Folded {
    fn state(&self, key: &StateKey) -> Option<&State> {
        self.0.get(key)
    }
}

impl Folded {
    pub(crate) fn fold(&mut self, recorded: &Recorded) {
        let NewEvent { stream, version, event, .. } = &recorded.new;
        for key in event.changes(stream) {
            let before = self.0.remove(&key);
            if let Some(after) = State::evolve(&key, before, event, *version, recorded.at) {
                self.0.insert(key, after);
            }
        }
    }
}

/// No states but those that a command names.
struct Named<'a> {
    all: &'a Folded,
    keys: HashSet<StateKey>,
}

impl States for Named<'_> {
    fn state(&self, key: &StateKey) -> Option<&State> {
        self.all.state(key).filter(|_| self.keys.contains(key))
    }
}

/// An event in the log.
#[derive(Debug)]
pub(crate) struct Recorded {
    pub(crate) position: usize,
    pub(crate) at: Timestamp,
    pub(crate) new: NewEvent,
}

#[derive(Debug, Default)]
pub(crate) struct Running {
    pub(crate) states: Folded,
    /// The states before what was asked last.
    pub(crate) before: Folded,
    pub(crate) log: Vec<Recorded>,
    /// How many events there were before what was asked last.
    pub(crate) known: usize,
    versions: BTreeMap<StreamId, StreamVersion>,
    ids: BTreeSet<Uuid>,
    decisions: u128,
}

impl Recorded {
    pub(crate) fn posted(&self) -> Option<&EntryPosted> {
        match &self.new.event {
            Event::EntryPosted(posted) => Some(posted),
            _ => None,
        }
    }

    /// When the entry, if it is one, takes effect.
    pub(crate) fn effective_at(&self) -> Timestamp {
        self.posted().and_then(|posted| posted.effective_at).unwrap_or(self.at)
    }
}

impl Running {
    /// The event of an entry as the log has it.
    pub(crate) fn posted(&self, entry: EntryId) -> Option<&EntryPosted> {
        self.log.iter().filter_map(Recorded::posted).find(|posted| posted.entry_id == entry)
    }

    /// Asks, and appends what is decided.
    pub(crate) fn ask(&mut self, command: &Command, now: Timestamp) -> Outcome {
        self.before = self.states.clone();
        self.known = self.log.len();
        self.decisions += 1;
        let first = 0x0190_0000_0000_7000_8000_0000_0000_0000;
        let event_id = Uuid::from_u128(first + self.decisions * DECISIONS_APART);
        let context = Context { now, event_id };
        let decided = command.decide(&self.states, &context);
        let again = command.decide(&self.states, &context);
        assert_eq!(decided, again, "a decision made twice is the same");
        let keys = command.reads().into_iter().chain(command.claims()).collect();
        let named = command.decide(&Named { all: &self.states, keys }, &context);
        assert_eq!(decided, named, "a decision needs no states but those that it names");
        let outcome = outcome_of(&decided);
        for new in decided.iter().flat_map(|decision| decision.events()) {
            self.append(new.clone(), now);
        }
        outcome
    }

    fn append(&mut self, new: NewEvent, at: Timestamp) {
        let last = self.versions.insert(new.stream.clone(), new.version);
        let next = last.map_or(StreamVersion::FIRST, |last| last.next());
        assert_eq!(new.version, next, "versions of {} rise by one", new.stream);
        assert!(self.ids.insert(new.event_id), "each event has an id of its own");
        assert_eq!(new.merchant_id, LEDGER);
        let event = &new.event;
        let read = Event::decode(event.event_type(), event.schema_version(), &event.to_json());
        assert_eq!(read.unwrap(), *event, "an event survives its JSON");
        let recorded = Recorded { position: self.log.len() + 1, at, new };
        self.states.fold(&recorded);
        self.log.push(recorded);
    }

    /// The balances of a day, of the entries that the log has now.
    pub(crate) fn day_balances(&self, day: Day, previous: Option<BalancesDigest>) -> DayBalances {
        let mut sums: BTreeMap<AccountId, (Currency, i128)> = BTreeMap::new();
        let until = self.log.iter().filter(|recorded| Day::of(recorded.effective_at()) <= day);
        for posting in until.filter_map(Recorded::posted).flat_map(|posted| &posted.postings) {
            let currency = posting.amount.currency();
            let (_, sum) = sums.entry(posting.account_id).or_insert((currency, 0));
            *sum += i128::from(posting.direction.signed(posting.amount.minor()));
        }
        let balances = sums.into_iter().filter(|(_, (_, sum))| *sum != 0).map(
            |(account_id, (currency, balance_minor))| DayBalance {
                account_id,
                currency,
                balance_minor,
            },
        );
        DayBalances::add_up(LEDGER, day, previous, balances)
    }
}

/// What the decision says, in the model's words.
fn outcome_of(decided: &Result<Decision, Rejection>) -> Outcome {
    match decided {
        Ok(Decision::Append(events)) => {
            assert!(!events.is_empty(), "what is done leaves an event");
            Outcome::Done
        }
        Ok(Decision::Already(_)) => Outcome::Already,
        Ok(Decision::Several { events, steps }) => {
            let mut firsts = Vec::new();
            let outcomes = steps.iter().map(|step| match step {
                StepDone::Appended { first } => {
                    firsts.push(*first);
                    Outcome::Done
                }
                StepDone::Already(_) => Outcome::Already,
                StepDone::Refused(rejection) => Outcome::Refused(rejection.code()),
            });
            let outcomes = Outcome::Several(outcomes.collect());
            assert_eq!(firsts.first().copied(), (!events.is_empty()).then_some(0));
            assert!(firsts.is_sorted_by(|one, next| one < next), "each step has events");
            assert!(firsts.iter().all(|first| *first < events.len()));
            outcomes
        }
        Err(rejection) => Outcome::Refused(rejection.code()),
    }
}
