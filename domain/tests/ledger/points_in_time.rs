//! Balances at points in time: by position, by when something was recorded and by when it takes effect.

use std::collections::BTreeMap;

use domain::States;
use domain::ledger::Posting;

use crate::asking::account_id;
use crate::commands::{DAY, Leg, SECOND};
use crate::model::{Booked, Model, start_of};
use crate::running::{Folded, Recorded, Running};

/// What was posted to each account, in debits and credits.
type Posted = BTreeMap<u8, (i128, i128)>;
/// The same at each point at which it changed.
type OverTime = BTreeMap<i64, Posted>;

pub(crate) fn check(running: &Running, model: &Model) {
    positions(running, model);
    recorded_times(running, model);
    effective_times(running, model);
}

/// What was posted in the end, as of each of the points of what was booked.
fn over_time<'a>(booked: impl Iterator<Item = (i64, &'a [Leg])>) -> OverTime {
    let mut booked: Vec<(i64, &[Leg])> = booked.collect();
    booked.sort_by_key(|(at, _)| *at);
    let mut posted = Posted::new();
    let mut times = OverTime::new();
    for (at, legs) in booked {
        for leg in legs {
            let (debits, credits) = posted.entry(leg.account).or_default();
            match leg.side.signed(1) {
                1 => *debits += i128::from(leg.minor),
                _ => *credits += i128::from(leg.minor),
            }
        }
        times.insert(at, posted.clone());
    }
    times
}

fn expected(model: &Model, point: impl Fn(&Booked) -> i64) -> OverTime {
    over_time(model.booked.iter().map(|booked| (point(booked), booked.legs.as_slice())))
}

fn as_of(times: &OverTime, at: i64) -> Posted {
    times.range(..=at).next_back().map(|(_, posted)| posted.clone()).unwrap_or_default()
}

/// What the states say of the model's accounts that something was posted to.
fn folded(states: &Folded, model: &Model) -> Posted {
    let posted = |number: &u8| {
        let totals = states.account(account_id(*number))?.totals;
        Some((*number, (totals.debits_posted, totals.credits_posted)))
    };
    model.accounts.keys().filter_map(posted).filter(|(_, both)| *both != (0, 0)).collect()
}

fn number(position: usize) -> i64 {
    i64::try_from(position).unwrap()
}

/// The fold of the events up to each position is the sum of the entries up to there; of all, it is the state.
fn positions(running: &Running, model: &Model) {
    let expected = expected(model, |booked| number(booked.position));
    let mut states = Folded::default();
    for recorded in &running.log {
        states.fold(recorded);
        let position = recorded.position;
        assert_eq!(folded(&states, model), as_of(&expected, number(position)), "at {position}");
    }
    assert_eq!(states, running.states, "folded from scratch");
}

/// The fold of the events recorded up to a time is the sum of the entries recorded until then.
fn recorded_times(running: &Running, model: &Model) {
    assert!(running.log.is_sorted_by_key(|recorded| recorded.at));
    let expected = expected(model, |booked| booked.recorded_at);
    let (middle, last) = (running.log.get(running.log.len() / 2), running.log.last());
    for at in [middle, last].into_iter().flatten().map(|recorded| recorded.at) {
        let mut states = Folded::default();
        running.log.iter().filter(|recorded| recorded.at <= at).for_each(|one| states.fold(one));
        assert_eq!(folded(&states, model), as_of(&expected, at.micros()), "recorded until {at}");
    }
}

/// The sum of what takes effect up to a time, at every time at which something does, at the end of the day that
/// was cut off last, and now.
fn effective_times(running: &Running, model: &Model) {
    let numbers: BTreeMap<_, _> =
        model.accounts.keys().map(|number| (account_id(*number), *number)).collect();
    let leg = |posting: &Posting| Leg {
        account: numbers[&posting.account_id],
        side: posting.direction,
        minor: posting.amount.minor(),
        currency: 0,
    };
    let legs = |recorded: &Recorded| -> Option<(i64, Vec<Leg>)> {
        let posted = recorded.posted()?;
        Some((recorded.effective_at().micros(), posted.postings.iter().map(leg).collect()))
    };
    let found: Vec<(i64, Vec<Leg>)> = running.log.iter().filter_map(legs).collect();
    let found = over_time(found.iter().map(|(at, legs)| (*at, legs.as_slice())));
    let expected = expected(model, |booked| booked.effective_at);
    let cut_off = model.cut_off.map(|day| start_of(day) + DAY - 1);
    for at in expected.keys().copied().chain(cut_off).chain([model.now]) {
        let seconds = at / SECOND;
        assert_eq!(as_of(&found, at), as_of(&expected, at), "effective until {seconds} s");
    }
}
