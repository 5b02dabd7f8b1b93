//! What may be asked next: mostly what the ledger will do, often what is near a limit, and now and then what it
//! has to refuse.

use std::collections::BTreeMap;

use domain::accounts::{AccountStatus, AccountType};
use domain::holds::HoldStatus;
use domain::ledger::Direction;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::commands::{
    Asked, DAY, HOUR, HoldPosting, Holding, Leg, NOWHERE, Opening, Posting, Reversing, SECOND,
    Share, Step,
};
use crate::model::{AHEAD, GRACE, Model, day_of, start_of};

/// The fewest accounts with which anything but opening one is asked.
const ACCOUNTS_MIN: u8 = 4;
const ACCOUNTS_MAX: u8 = 8;
/// The most minor units of a leg: a few such reach a limit.
const MINOR_MAX: i64 = 120;
/// The most steps of a chain or a batch.
const BATCH_MAX: usize = 5;

pub(crate) fn step(model: &Model) -> BoxedStrategy<Step> {
    let wait = prop_oneof![
        8 => 0..=SECOND,
        8 => 0..=HOUR,
        2 => HOUR..=30 * HOUR,
        1 => just_when_something_ends(model),
    ];
    (asked(model), wait).prop_map(|(asked, wait)| Step { asked, wait }).boxed()
}

/// Until the end of a hold, or until a day may be cut off, or a microsecond less.
fn just_when_something_ends(model: &Model) -> BoxedStrategy<i64> {
    let cut_off = start_of(day_of(model.now) + 1) + GRACE;
    let held = model.holds.values().filter(|hold| hold.status == HoldStatus::Held);
    let ends: Vec<i64> = held.filter_map(|hold| hold.asked.expires_at).chain([cut_off]).collect();
    let now = model.now;
    (select(ends), 0..=1_i64).prop_map(move |(end, less)| (end - less - now).max(0)).boxed()
}

fn asked(model: &Model) -> BoxedStrategy<Asked> {
    if model.accounts.len() < usize::from(ACCOUNTS_MIN) {
        return opening(model);
    }
    let closing = model.cut_off.is_some() && model.cut_off != model.closed;
    let since_day_may_end = model.now - start_of(day_of(model.now)) - GRACE;
    let day_ends = (-1..=0).contains(&since_day_may_end);
    prop_oneof![
        2 => opening(model),
        4 => amending(model),
        2 => switching(model),
        16 => posting(model).prop_map(Asked::Post),
        8 => repeating(model),
        8 => reversing(model).prop_map(Asked::Reverse),
        4 => replacing(model),
        10 => holding(model).prop_map(Asked::Hold),
        10 => hold_posting(model).prop_map(Asked::PostHold),
        2 => a_hold(model).prop_map(Asked::Void),
        4 => a_hold(model).prop_map(Asked::Expire),
        9 => several(model),
        if day_ends { 40 } else { 4 } => cutting_off(model),
        if closing { 8 } else { 1 } => closing_day(model),
    ]
    .boxed()
}

fn min() -> BoxedStrategy<Option<i64>> {
    prop::option::of(-100..=0_i64).boxed()
}

fn max() -> BoxedStrategy<Option<i64>> {
    prop::option::of(prop_oneof![9 => 20..=300_i64, 1 => -200..=20_i64]).boxed()
}

fn opening(model: &Model) -> BoxedStrategy<Asked> {
    let free = (0..ACCOUNTS_MAX).find(|one| !model.accounts.contains_key(one));
    let account = match free {
        Some(next) => prop_oneof![9 => Just(next), 1 => 0..ACCOUNTS_MAX].boxed(),
        None => (0..ACCOUNTS_MAX).boxed(),
    };
    let kind = select(AccountType::ALL.to_vec());
    let contra_side = prop_oneof![3 => Just(None), 1 => side().prop_map(Some)];
    let currency = prop_oneof![2 => Just(0_u8), 1 => Just(1_u8)];
    (account, kind, contra_side, currency, min(), max())
        .prop_map(|(account, kind, contra_side, currency, min, max)| {
            Asked::Open(Opening { account, kind, contra_side, currency, min, max })
        })
        .boxed()
}

fn side() -> BoxedStrategy<Direction> {
    prop_oneof![Just(Direction::Debit), Just(Direction::Credit)].boxed()
}

fn an_account(model: &Model) -> BoxedStrategy<u8> {
    let all: Vec<u8> = model.accounts.keys().copied().collect();
    prop_oneof![19 => select(all), 1 => Just(NOWHERE)].boxed()
}

fn amending(model: &Model) -> BoxedStrategy<Asked> {
    (an_account(model), prop::option::of(min()), prop::option::of(max()))
        .prop_map(|(account, min, max)| Asked::Amend { account, min, max })
        .boxed()
}

/// Mostly puts an end to being frozen, or else little could be posted soon. Of what could be closed, something
/// often is.
fn switching(model: &Model) -> BoxedStrategy<Asked> {
    let frozen = |account: &u8| model.accounts[account].status == AccountStatus::Frozen;
    let empty = |account: &u8| model.worth(*account) == Default::default();
    let of = |wanted: &dyn Fn(&u8) -> bool| -> BoxedStrategy<u8> {
        let such: Vec<u8> = model.accounts.keys().copied().filter(|one| wanted(one)).collect();
        if such.is_empty() { an_account(model) } else { select(such).boxed() }
    };
    prop_oneof![
        2 => an_account(model).prop_map(Asked::Freeze),
        4 => of(&frozen).prop_map(Asked::Unfreeze),
        1 => an_account(model).prop_map(Asked::Unfreeze),
        1 => of(&empty).prop_map(Asked::Close),
        2 => an_account(model).prop_map(Asked::Close),
    ]
    .boxed()
}

/// Two to six legs that balance, over one currency or two.
fn legs(model: &Model) -> BoxedStrategy<Vec<Leg>> {
    let all: Vec<u8> = model.accounts.keys().copied().collect();
    let two = (group(model, 2), group(model, 2)).prop_map(|(one, other)| [one, other].concat());
    let balanced = prop_oneof![6 => group(model, 1), 2 => group(model, 5), 2 => two];
    let stray = prop_oneof![
        40 => Just(None),
        1 => Just(Some(NOWHERE)),
        1 => select(all).prop_map(Some),
    ];
    (balanced, stray)
        .prop_map(|(mut legs, stray)| {
            if let Some(account) = stray {
                legs[0].account = account;
            }
            legs
        })
        .boxed()
}

/// Some legs on one side, and one on the other that balances them. Mostly of accounts that are open.
fn group(model: &Model, most: usize) -> BoxedStrategy<Vec<Leg>> {
    let currency = |account: &u8| model.accounts[account].opening.currency;
    let all: Vec<(u8, u8)> = model.accounts.keys().map(|one| (*one, currency(one))).collect();
    let is_open = |one: &&(u8, u8)| model.accounts[&one.0].status == AccountStatus::Open;
    let open: Vec<(u8, u8)> = all.iter().filter(is_open).copied().collect();
    let any_status = prop::bool::weighted(if open.is_empty() { 1.0 } else { 0.05 });
    let parts = vec((any::<Index>(), 1..=MINOR_MAX), 1..=most);
    (any_status, any::<Index>(), side(), parts)
        .prop_map(move |(any_status, index, side, parts)| {
            let accounts = if any_status { &all } else { &open };
            let (account, currency) = *index.get(accounts);
            let others = |one: &&(u8, u8)| one.1 == currency && one.0 != account;
            let others: Vec<u8> = accounts.iter().filter(others).map(|one| one.0).collect();
            let others = if others.is_empty() { vec![account] } else { others };
            let leg = |account, side, minor| Leg { account, side, minor, currency };
            let sum = parts.iter().map(|(_, minor)| minor).sum();
            let part = |(other, minor): (Index, i64)| leg(*other.get(&others), side, minor);
            let mut legs: Vec<Leg> = parts.into_iter().map(part).collect();
            legs.push(leg(account, side.opposite(), sum));
            legs
        })
        .boxed()
}

fn note() -> BoxedStrategy<Option<u8>> {
    prop_oneof![3 => Just(None), 1 => (0..2_u8).prop_map(Some)].boxed()
}

fn effective_at(model: &Model) -> BoxedStrategy<Option<i64>> {
    let now = model.now;
    let open = start_of(model.cut_off.unwrap_or(day_of(now)) + 1);
    prop_oneof![
        10 => Just(None),
        1 => select(vec![open, open - 1]).prop_map(Some),
        6 => (-4 * DAY..=DAY).prop_map(move |from_now| Some(now + from_now)),
        1 => select(vec![-1, 0, now + AHEAD, now + AHEAD + 1]).prop_map(Some),
    ]
    .boxed()
}

/// The next name that no entry has, or one a little further.
fn new_entry(model: &Model) -> BoxedStrategy<u8> {
    let next = model.entries.keys().last().map_or(0, |last| last + 1);
    (0..=2_u8).prop_map(move |further| next + further).boxed()
}

fn new_hold(model: &Model) -> BoxedStrategy<u8> {
    let next = model.holds.keys().last().map_or(0, |last| last + 1);
    (0..=1_u8).prop_map(move |further| next + further).boxed()
}

/// No name, a new one, or one that is in use.
fn maybe_named(model: &Model) -> BoxedStrategy<Option<u8>> {
    let used: Vec<u8> = model.entries.keys().copied().collect();
    let used = if used.is_empty() { vec![0] } else { used };
    prop_oneof![
        4 => Just(None),
        6 => new_entry(model).prop_map(Some),
        1 => select(used).prop_map(Some),
    ]
    .boxed()
}

fn posting(model: &Model) -> BoxedStrategy<Posting> {
    let up_to = prop::bool::weighted(0.3);
    (new_entry(model), legs(model), note(), effective_at(model), up_to)
        .prop_map(|(name, legs, note, effective_at, up_to)| {
            // Only one amount from one account to another can be cut.
            let pair = legs.len() == 2 && legs[0].account != legs[1].account;
            Posting { name, legs, note, effective_at, up_to: up_to && pair }
        })
        .boxed()
}

fn an_entry(model: &Model) -> BoxedStrategy<u8> {
    let all: Vec<u8> = model.entries.keys().copied().collect();
    let with_something_left = |one: &u8| !model.entries[one].left.is_empty();
    let left: Vec<u8> = all.iter().copied().filter(with_something_left).collect();
    let or_nowhere = |numbers: Vec<u8>| if numbers.is_empty() { vec![NOWHERE] } else { numbers };
    prop_oneof![
        16 => select(or_nowhere(left)),
        3 => select(or_nowhere(all)),
        1 => Just(NOWHERE),
    ]
    .boxed()
}

/// A share of something, before it is known of what.
#[derive(Debug, Clone)]
struct Wanted {
    way: u8,
    pair: Index,
    minor: i64,
    too_much: bool,
    other_currency: bool,
}

fn wanted() -> BoxedStrategy<Wanted> {
    let too_much = prop::bool::weighted(0.1);
    let other_currency = prop::bool::weighted(0.05);
    (0..=3_u8, any::<Index>(), 1..=MINOR_MAX, too_much, other_currency)
        .prop_map(|(way, pair, minor, too_much, other_currency)| Wanted {
            way,
            pair,
            minor,
            too_much,
            other_currency,
        })
        .boxed()
}

impl Wanted {
    /// All, an amount, or a debit and a credit of what is left; now and then more than that.
    fn share(&self, left: &[Leg]) -> Share {
        let of = |side| left.iter().copied().filter(move |leg: &Leg| leg.side == side);
        let pairs: Vec<(Leg, Leg)> = of(Direction::Debit)
            .flat_map(|debit| of(Direction::Credit).map(move |credit| (debit, credit)))
            .filter(|(debit, credit)| debit.currency == credit.currency)
            .collect();
        if pairs.is_empty() {
            return Share::Rest;
        }
        let (debit, credit) = *self.pair.get(&pairs);
        let most = debit.minor.min(credit.minor);
        let minor = if self.too_much { most + 1 } else { self.minor.min(most) };
        let currency = debit.currency ^ u8::from(self.other_currency);
        match self.way {
            0 => Share::Rest,
            1 | 2 => Share::Amount { minor, currency },
            _ => Share::Legs(vec![Leg { minor, ..debit }, Leg { minor, ..credit }]),
        }
    }
}

/// Takes effect at any time, or as long after the entry.
fn reversing(model: &Model) -> BoxedStrategy<Reversing> {
    let originals: BTreeMap<u8, (Vec<Leg>, i64)> = model
        .entries
        .iter()
        .map(|(name, entry)| (*name, (entry.left.clone(), entry.effective_at)))
        .collect();
    let after_it = prop_oneof![
        4 => Just(None),
        1 => select(vec![-1, 0]).prop_map(Some),
        2 => (0..=DAY).prop_map(Some),
    ];
    (an_entry(model), wanted(), maybe_named(model), note(), effective_at(model), after_it)
        .prop_map(move |(entry, wanted, name, note, any_time, after_it)| {
            let original = originals.get(&entry);
            let share = wanted.share(original.map_or(&[], |(left, _)| left.as_slice()));
            let after_it = after_it.zip(original).map(|(after, (_, at))| at + after);
            let effective_at = after_it.or(any_time);
            Reversing { entry, name, share, note, effective_at }
        })
        .boxed()
}

fn replacing(model: &Model) -> BoxedStrategy<Asked> {
    (an_entry(model), posting(model)).prop_map(|(entry, by)| Asked::Replace { entry, by }).boxed()
}

fn holding(model: &Model) -> BoxedStrategy<Holding> {
    let now = model.now;
    let expires_at = prop_oneof![
        4 => Just(None),
        8 => (1..=2 * DAY).prop_map(move |from_now| Some(now + 20 * HOUR + from_now)),
        4 => (0..=2 * HOUR).prop_map(move |from_now| Some(now + from_now)),
        1 => select(vec![now - DAY, now, now + AHEAD, now + AHEAD + 1]).prop_map(Some),
    ];
    (new_hold(model), legs(model), note(), expires_at)
        .prop_map(|(name, legs, note, expires_at)| Holding { name, legs, note, expires_at })
        .boxed()
}

fn a_hold(model: &Model) -> BoxedStrategy<u8> {
    let all: Vec<u8> = model.holds.keys().copied().collect();
    let held = |one: &u8| model.holds[one].status == HoldStatus::Held;
    let held: Vec<u8> = all.iter().copied().filter(held).collect();
    let or_nowhere = |numbers: Vec<u8>| if numbers.is_empty() { vec![NOWHERE] } else { numbers };
    prop_oneof![
        16 => select(or_nowhere(held)),
        3 => select(or_nowhere(all)),
        1 => Just(NOWHERE),
    ]
    .boxed()
}

fn hold_posting(model: &Model) -> BoxedStrategy<HoldPosting> {
    posting_of(model, a_hold(model))
}

fn posting_of(model: &Model, hold: BoxedStrategy<u8>) -> BoxedStrategy<HoldPosting> {
    let lefts: BTreeMap<u8, Vec<Leg>> =
        model.holds.iter().map(|(name, hold)| (*name, hold.left.clone())).collect();
    let last = prop::bool::weighted(0.25);
    (hold, wanted(), maybe_named(model), last, note(), effective_at(model))
        .prop_map(move |(hold, wanted, name, last, note, effective_at)| {
            let share = wanted.share(lefts.get(&hold).map_or(&[], Vec::as_slice));
            HoldPosting { hold, name, share, last, note, effective_at }
        })
        .boxed()
}

/// A chain or a batch, some of whose steps may build on those before them.
fn several(model: &Model) -> BoxedStrategy<Asked> {
    let of_a_new_hold = prop_oneof![
        2 => posting_of(model, new_hold(model)).prop_map(Asked::PostHold),
        1 => new_hold(model).prop_map(Asked::Void),
    ];
    let of_a_new_entry = (reversing(model), new_entry(model));
    let of_a_new_entry = of_a_new_entry.prop_map(|(reversing, entry)| {
        Asked::Reverse(Reversing { entry, share: Share::Rest, ..reversing })
    });
    let one = prop_oneof![
        6 => posting(model).prop_map(Asked::Post),
        3 => reversing(model).prop_map(Asked::Reverse),
        2 => of_a_new_entry,
        4 => holding(model).prop_map(Asked::Hold),
        3 => hold_posting(model).prop_map(Asked::PostHold),
        1 => a_hold(model).prop_map(Asked::Void),
        4 => of_a_new_hold,
    ];
    (vec(one, 1..=BATCH_MAX), any::<bool>())
        .prop_map(|(steps, atomic)| Asked::Several { steps, atomic })
        .boxed()
}

/// What was asked before, once more, or nearly.
fn repeating(model: &Model) -> BoxedStrategy<Asked> {
    let entries = model.entries.values().map(|entry| entry.asked.clone());
    let holds = model.holds.values().map(|hold| Asked::Hold(hold.asked.clone()));
    let before: Vec<Asked> = entries.chain(holds).collect();
    if before.is_empty() {
        return posting(model).prop_map(Asked::Post).boxed();
    }
    (select(before), 0..=8_u8).prop_map(|(asked, way)| altered(asked, way)).boxed()
}

/// The same with something else in it; in some of the ways, with nothing.
fn altered(asked: Asked, way: u8) -> Asked {
    let note = |note: Option<u8>| if way == 1 { Some(note.unwrap_or(0) + 1) } else { note };
    let time = |at: Option<i64>| if way == 2 { Some(at.unwrap_or(0) + DAY) } else { at };
    let legs = |legs: Vec<Leg>| -> Vec<Leg> {
        let leg = |leg: Leg| match way {
            3 => Leg { minor: leg.minor * 2, ..leg },
            4 => Leg { currency: 1 - leg.currency, ..leg },
            5 => leg.opposite(),
            _ => leg,
        };
        legs.into_iter().map(leg).collect()
    };
    let posting = |posting: Posting| Posting {
        legs: legs(posting.legs),
        note: note(posting.note),
        effective_at: time(posting.effective_at),
        up_to: posting.up_to && way != 6,
        ..posting
    };
    let share = |share: Share| match share {
        _ if way == 3 => Share::Rest,
        Share::Amount { minor, currency } if way == 4 => {
            Share::Amount { minor: minor + 1, currency }
        }
        Share::Legs(of) => Share::Legs(legs(of)),
        same => same,
    };
    match asked {
        Asked::Post(by) => Asked::Post(posting(by)),
        Asked::Replace { entry, by } => Asked::Replace { entry, by: posting(by) },
        Asked::Reverse(one) => Asked::Reverse(Reversing {
            share: share(one.share),
            note: note(one.note),
            effective_at: time(one.effective_at),
            ..one
        }),
        Asked::PostHold(one) => Asked::PostHold(HoldPosting {
            share: share(one.share),
            last: one.last != (way == 7),
            note: note(one.note),
            effective_at: time(one.effective_at),
            ..one
        }),
        Asked::Hold(one) => Asked::Hold(Holding {
            legs: legs(one.legs),
            note: note(one.note),
            expires_at: time(one.expires_at),
            ..one
        }),
        other => other,
    }
}

/// Mostly yesterday, or one of the days before.
fn cutting_off(model: &Model) -> BoxedStrategy<Asked> {
    let today = day_of(model.now);
    prop_oneof![
        6 => Just(today - 1),
        2 => today - 3..=today,
        1 => Just(today + 40),
        1 => Just(-1),
    ]
    .prop_map(Asked::CutOff)
    .boxed()
}

fn closing_day(model: &Model) -> BoxedStrategy<Asked> {
    let today = day_of(model.now);
    let day = model.cut_off.unwrap_or(today - 1);
    (prop_oneof![9 => Just(day), 1 => today - 3..=today], prop::bool::weighted(0.9))
        .prop_map(|(day, chained)| Asked::CloseDay { day, chained })
        .boxed()
}
