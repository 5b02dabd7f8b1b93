//! What always holds, whatever was asked.

use std::collections::{BTreeMap, BTreeSet};

use domain::accounts::{Account, Totals};
use domain::books::BooksEvent;
use domain::holds::HoldStatus;
use domain::ledger::{Direction, EntryPosted, Posting};
use domain::{AccountId, Currency, Day, EntryId, Event, State, States, StreamId};

use crate::asking::{LEDGER, account_id, entry_id, hold_id, posting};
use crate::commands::Leg;
use crate::model::{Model, Worth};
use crate::running::{Folded, Recorded, Running};

type Place = (AccountId, Direction, Currency);

fn accounts(states: &Folded) -> impl Iterator<Item = &Account> {
    states.0.values().filter_map(State::as_account)
}

fn place(posting: &Posting) -> Place {
    (posting.account_id, posting.direction, posting.amount.currency())
}

fn sums<'a>(postings: impl IntoIterator<Item = &'a Posting>) -> BTreeMap<Place, i128> {
    let mut sums = BTreeMap::new();
    for posting in postings {
        *sums.entry(place(posting)).or_default() += i128::from(posting.amount.minor());
    }
    sums
}

fn worth(totals: Totals) -> Worth {
    Worth {
        debits: totals.debits_posted,
        credits: totals.credits_posted,
        held_debits: totals.debits_pending,
        held_credits: totals.credits_pending,
    }
}

pub(crate) fn check(running: &Running, model: &Model) {
    as_the_model(running, model);
    sums_are_zero(&running.states);
    limits_hold(running);
    holds_are_conserved(&running.states);
    references_are_entries(running);
    no_more_is_reversed_than_was_posted(running);
    nothing_is_reversed_before_it_takes_effect(running);
    cut_off_days_stay(running, model);
    if running.log.len() == running.known {
        assert_eq!(running.states, running.before, "what is refused changes nothing");
    }
}

/// Accounts, entries, holds and books are as the model has them.
fn as_the_model(running: &Running, model: &Model) {
    let states = &running.states;
    assert_eq!(running.log.len(), model.position, "the number of events");
    assert_eq!(accounts(states).count(), model.accounts.len());
    for (number, expected) in &model.accounts {
        let account = states.account(account_id(*number)).unwrap();
        assert_eq!(account.status, expected.status);
        assert_eq!(worth(account.totals), model.worth(*number), "account {number}");
        let limits = (account.profile.min_balance_minor, account.profile.max_balance_minor);
        assert_eq!(limits, (expected.min, expected.max), "limits of account {number}");
        assert_eq!(account.profile.normal_side(), expected.normal());
    }
    let of = |legs: &[Leg]| -> Vec<Posting> { legs.iter().copied().map(posting).collect() };
    for (name, expected) in &model.entries {
        let entry = states.entry(&StreamId::entry(entry_id(*name))).unwrap();
        assert_eq!(entry.postings, of(&expected.legs), "entry {name}");
        assert_eq!(entry.outstanding.postings(), of(&expected.left), "left of entry {name}");
        assert_eq!(entry.reversed_by.is_some(), expected.left.is_empty());
    }
    for (name, expected) in &model.holds {
        let hold = states.hold(hold_id(*name)).unwrap();
        assert_eq!(hold.outstanding.postings(), of(&expected.left), "left of hold {name}");
        assert_eq!(hold.status, expected.status, "hold {name}");
    }
    let books = states.books(LEDGER);
    assert_eq!(books.map(|books| books.cut_off.number()), model.cut_off);
    let closed = books.and_then(|books| books.closed).map(|(day, _)| day.number());
    assert_eq!(closed, model.closed);
}

/// Money is neither made nor lost, posted or held.
fn sums_are_zero(states: &Folded) {
    let mut sums: BTreeMap<Currency, (i128, i128)> = BTreeMap::new();
    for account in accounts(states) {
        let totals = account.totals;
        let (posted, held) = sums.entry(account.profile.currency).or_default();
        *posted += totals.debits_posted - totals.credits_posted;
        *held += totals.debits_pending - totals.credits_pending;
    }
    assert!(sums.values().all(|both| *both == (0, 0)), "the books balance: {sums:?}");
}

/// No account is beyond a limit, but where it was before, and then no further.
fn limits_hold(running: &Running) {
    for account in accounts(&running.states) {
        let normal = account.profile.normal_side();
        let before = running.before.account(account.profile.id);
        let before = worth(before.map(|before| before.totals).unwrap_or_default());
        let after = worth(account.totals);
        let (low, high) = (after.lowest(normal), after.highest(normal));
        let min = account.profile.min_balance_minor.map_or(i128::MIN, i128::from);
        let max = account.profile.max_balance_minor.map_or(i128::MAX, i128::from);
        assert!(low >= min || low >= before.lowest(normal), "below its minimum: {account:?}");
        assert!(high <= max || high <= before.highest(normal), "above its maximum: {account:?}");
    }
}

/// What accounts have pending is what is left of the holds that are open.
fn holds_are_conserved(states: &Folded) {
    let holds: Vec<_> = states.0.values().filter_map(State::as_hold).collect();
    for hold in &holds {
        let open = hold.status == HoldStatus::Held;
        assert_eq!(open, !hold.outstanding.is_empty(), "hold {} holds what it says", hold.id);
    }
    let held = sums(holds.iter().flat_map(|hold| hold.outstanding.postings()));
    let mut pending = BTreeMap::new();
    for account in accounts(states) {
        let profile = &account.profile;
        let sides = [
            (Direction::Debit, account.totals.debits_pending),
            (Direction::Credit, account.totals.credits_pending),
        ];
        for (side, minor) in sides.into_iter().filter(|(_, minor)| *minor != 0) {
            pending.insert((profile.id, side, profile.currency), minor);
        }
    }
    assert_eq!(pending, held, "what is pending is what is held");
}

/// A reference is one entry, for ever as it was posted.
fn references_are_entries(running: &Running) {
    let mut seen = BTreeSet::new();
    for posted in running.log.iter().filter_map(Recorded::posted) {
        assert!(seen.insert(posted.external_ref.as_str()), "{} twice", posted.external_ref);
        let entry = running.states.entry(&StreamId::entry(posted.entry_id)).unwrap();
        assert_eq!(entry.postings, posted.postings);
        assert_eq!(entry.external_ref, posted.external_ref);
    }
    for posted in running.log[running.known..].iter().filter_map(Recorded::posted) {
        assert_eq!(posted.entry_id, EntryId::of(LEDGER, &posted.external_ref));
    }
}

/// All reversals of an entry together take no more than it moved, and what they leave is what is left.
fn no_more_is_reversed_than_was_posted(running: &Running) {
    let mut left: BTreeMap<EntryId, BTreeMap<Place, i128>> = BTreeMap::new();
    for posted in running.log.iter().filter_map(Recorded::posted) {
        left.insert(posted.entry_id, sums(&posted.postings));
    }
    let reversals: Vec<&EntryPosted> = running.log.iter().filter_map(Recorded::posted).collect();
    for reversal in reversals {
        let Some(original) = reversal.reverses else { continue };
        for taken in &reversal.postings {
            let there = left.get_mut(&original).unwrap().entry(place(&taken.opposite()));
            let there = there.or_default();
            *there -= i128::from(taken.amount.minor());
            assert!(*there >= 0, "{original} is reversed by more than it moved");
        }
    }
    for (id, mut places) in left {
        places.retain(|_, minor| *minor != 0);
        let entry = running.states.entry(&StreamId::entry(id)).unwrap();
        assert_eq!(sums(entry.outstanding.postings()), places, "left of {id}");
    }
}

/// A reversal takes effect no earlier than what it reverses.
fn nothing_is_reversed_before_it_takes_effect(running: &Running) {
    let mut times = BTreeMap::new();
    for recorded in &running.log {
        let Some(posted) = recorded.posted() else { continue };
        times.insert(posted.entry_id, recorded.effective_at());
        let original = posted.reverses.map(|original| times[&original]);
        assert!(original.is_none_or(|at| at <= recorded.effective_at()), "too early: {posted:?}");
    }
}

/// Nothing takes effect on a day that was cut off, so its balances are what they were when it was closed.
fn cut_off_days_stay(running: &Running, model: &Model) {
    let mut cut_off: Option<Day> = None;
    for recorded in &running.log {
        match &recorded.new.event {
            Event::EntryPosted(posted) => {
                let day = Day::of(recorded.effective_at());
                assert!(cut_off.is_none_or(|last| day > last), "{day} is cut off: {posted:?}");
                let late = posted.late_for.map(Day::of);
                assert!(late.is_none_or(|late| cut_off.is_some_and(|last| late <= last)));
                let first_open = cut_off.map(|last| last.next().start());
                assert!(late.is_none() || posted.effective_at == first_open);
            }
            Event::Books(BooksEvent::DayCutOff(event)) => cut_off = Some(event.day),
            Event::Books(BooksEvent::DayClosed(event)) => {
                let now = running.day_balances(event.day, event.previous);
                let then = (event.accounts, &event.totals, event.digest);
                assert_eq!(then, (now.accounts, &now.totals, now.digest), "of {}", event.day);
            }
            _ => {}
        }
    }
    assert_eq!(cut_off.map(Day::number), model.cut_off);
}
