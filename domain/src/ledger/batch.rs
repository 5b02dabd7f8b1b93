//! Several commands to a ledger in one: each on its own, or all or none.

use std::collections::HashSet;

use super::{PostEntry, ReverseEntry};
use crate::Context;
use crate::command::{Decision, StepDone};
use crate::event::NewEvent;
use crate::holds::{CreateHold, PostHold, VoidHold};
use crate::rejection::Rejection;
use crate::staged::Staged;
use crate::state::{StateKey, States};

/// The most steps of one command: as many as a caller can wait for without others waiting for them too.
pub const BATCH_STEPS_MAX: usize = 1_000;

/// One of several commands to a ledger.
#[derive(Debug, Clone)]
pub enum LedgerStep {
    /// Posts an entry.
    Post(PostEntry),
    /// Reverses one, or a part of it.
    Reverse(ReverseEntry),
    /// Holds money.
    Hold(CreateHold),
    /// Posts what is held, or a part of it.
    PostHold(PostHold),
    /// Lets go of what is held.
    VoidHold(VoidHold),
}

/// Carries out steps in their order; each sees what those before it did.
#[derive(Debug, Clone)]
pub struct PostBatch {
    /// The steps.
    pub steps: Vec<LedgerStep>,
    /// Whether one that is refused refuses all of them: a chain.
    pub atomic: bool,
}

impl LedgerStep {
    pub(crate) fn reads(&self) -> Vec<StateKey> {
        match self {
            Self::Post(command) => command.reads(),
            Self::Reverse(command) => command.reads(),
            Self::Hold(command) => command.reads(),
            Self::PostHold(command) => command.reads(),
            Self::VoidHold(command) => command.reads(),
        }
    }

    /// What this claims as new without having read it.
    pub(crate) fn claim(&self) -> Option<StateKey> {
        match self {
            Self::Post(command) => Some(StateKey::Entry(command.stream().clone())),
            Self::Hold(command) => Some(StateKey::Hold(command.hold_id())),
            Self::Reverse(_) | Self::PostHold(_) | Self::VoidHold(_) => None,
        }
    }

    fn decide(&self, states: &impl States, context: &Context) -> Result<Decision, Rejection> {
        match self {
            Self::Post(command) => command.decide(states, context),
            Self::Reverse(command) => command.decide(states, context),
            Self::Hold(command) => command.decide(states, context),
            Self::PostHold(command) => command.decide(states, context),
            Self::VoidHold(command) => command.decide(states, context),
        }
    }
}

impl PostBatch {
    /// What every step reads, each once.
    pub(crate) fn reads(&self) -> Vec<StateKey> {
        let mut seen = HashSet::new();
        let all = self.steps.iter().flat_map(LedgerStep::reads);
        all.filter(|key| seen.insert(key.clone())).collect()
    }

    /// What the steps claim as new without having read it.
    pub(crate) fn claims(&self) -> Vec<StateKey> {
        self.steps.iter().filter_map(LedgerStep::claim).collect()
    }

    pub(crate) fn decide(
        &self,
        states: &impl States,
        context: &Context,
    ) -> Result<Decision, Rejection> {
        let mut staged = Staged::over(states, context.now);
        let mut events: Vec<NewEvent> = Vec::with_capacity(self.steps.len());
        let mut steps = Vec::with_capacity(self.steps.len());
        for (index, step) in self.steps.iter().enumerate() {
            let done = match step.decide(&staged, context) {
                Ok(Decision::Append(appended)) => {
                    let first = events.len();
                    for mut event in appended {
                        event.event_id = context.event_id_of(events.len());
                        staged.fold(&event);
                        events.push(event);
                    }
                    StepDone::Appended { first }
                }
                Ok(Decision::Already(state)) => StepDone::Already(state),
                Ok(Decision::Several { .. }) => unreachable!("a step is one command"),
                Err(rejection) if self.atomic => {
                    return Err(Rejection::Step { index, rejection: rejection.into() });
                }
                Err(rejection) => StepDone::Refused(rejection),
            };
            steps.push(done);
        }
        Ok(Decision::Several { events, steps })
    }
}
