//! Random sequences of commands to a ledger, against a naive model of it.
//!
//! The model (`model`) says of each step whether it is done, and what the accounts have then; the domain
//! (`running`) has to say the same. After each step everything that always holds is looked at (`invariants`), and
//! the balances at points in time (`points_in_time`). What fails is made shorter: steps are taken out as long as
//! those that stay are about accounts, entries and holds that are there.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod asking;
mod commands;
mod invariants;
mod model;
mod points_in_time;
mod running;
mod sequences;

use std::collections::BTreeSet;

use domain::Timestamp;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};

use commands::Step;
use model::{Model, Outcome};
use running::Running;

/// How many sequences are run.
const CASES: u32 = 256;
/// The most steps of a sequence.
const STEPS_MAX: usize = 60;
/// How many sequences of the most steps reach every rule; the model alone runs them.
const CASES_FOR_EVERY_RULE: usize = 200;

struct Ledger;

impl ReferenceStateMachine for Ledger {
    type State = Model;
    type Transition = Step;

    fn init_state() -> BoxedStrategy<Model> {
        Just(Model::new()).boxed()
    }

    fn transitions(state: &Model) -> BoxedStrategy<Step> {
        sequences::step(state)
    }

    fn apply(state: Model, transition: &Step) -> Model {
        state.after(transition)
    }

    fn preconditions(state: &Model, transition: &Step) -> bool {
        state.makes_sense_of(transition)
    }
}

impl StateMachineTest for Ledger {
    type SystemUnderTest = Running;
    type Reference = Self;

    fn init_test(_: &Model) -> Running {
        Running::default()
    }

    fn apply(mut state: Running, ref_state: &Model, transition: Step) -> Running {
        let command = state.command(&transition.asked);
        let outcome = state.ask(&command, Timestamp::from_micros(ref_state.asked_at));
        assert_eq!(outcome, ref_state.outcome, "what becomes of {:?}", transition.asked);
        state
    }

    fn check_invariants(state: &Running, ref_state: &Model) {
        invariants::check(state, ref_state);
        points_in_time::check(state, ref_state);
    }
}

prop_state_machine! {
    #![proptest_config(ProptestConfig {
        cases: CASES,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn the_ledger_does_what_the_model_says(sequential 1..=STEPS_MAX => Ledger);
}

/// A test that never meets a rule says nothing of it.
#[test]
fn the_sequences_meet_every_rule() {
    let mut met = BTreeSet::new();
    let mut runner = TestRunner::deterministic();
    for _ in 0..CASES_FOR_EVERY_RULE {
        let sequence = Ledger::sequential_strategy(STEPS_MAX).new_tree(&mut runner).unwrap();
        let (start, steps, _) = sequence.current();
        steps.iter().fold(start, |model, step| {
            let model = model.after(step);
            note(&model.outcome, &mut met);
            model
        });
    }
    let never: Vec<&str> = RULES.into_iter().filter(|rule| !met.contains(rule)).collect();
    assert!(never.is_empty(), "never met: {never:?}; met: {met:?}");
}

fn note(outcome: &Outcome, met: &mut BTreeSet<&'static str>) {
    match outcome {
        Outcome::Done => {
            met.insert("done");
        }
        Outcome::Already => {
            met.insert("already");
        }
        Outcome::Refused(code) => {
            met.insert(code);
        }
        Outcome::Several(outcomes) => outcomes.iter().for_each(|outcome| note(outcome, met)),
    }
}

const RULES: [&str; 34] = [
    "done",
    "already",
    "account-code-taken",
    "account-not-found",
    "account-open",
    "account-frozen",
    "account-closed",
    "balance-not-zero",
    "limits-cross",
    "currency-mismatch",
    "insufficient-funds",
    "balance-above-maximum",
    "external-ref-taken",
    "entry-not-found",
    "entry-already-reversed",
    "reversal-is-final",
    "effective-time-out-of-range",
    "effective-before-original",
    "amount-above-reversible",
    "amount-ambiguous",
    "hold-not-found",
    "hold-ref-taken",
    "hold-posted",
    "hold-voided",
    "hold-expired",
    "amount-above-held",
    "hold-end-out-of-range",
    "hold-not-over",
    "day-before-books",
    "day-not-over",
    "day-cut-off",
    "day-being-closed",
    "month-not-closed",
    "day-not-cut-off",
];
