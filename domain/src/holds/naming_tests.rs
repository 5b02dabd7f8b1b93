//! A posting of a hold under a name of its own is made once: what the same is, whatever happened since.

use super::PostHold;
use super::scenario::{
    END, amount, as_made, expired, hold_id, leaving, posting_from, reference, voided, with_hold,
};
use crate::given_when_then::{Given, LEDGER};
use crate::ledger::{Details, Part, Postings};
use crate::{Command, EntryId, Event, Name, Rejection};

/// What is posted of a hold of 300, and what is let go: what is alike in both is the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Effect {
    posted: i64,
    let_go: i64,
}

const fn effect(posted: i64, let_go: i64) -> Effect {
    Effect { posted, let_go }
}

fn postings(minor: i64) -> Part {
    Part::Postings(Postings::new(leaving(minor)).unwrap())
}

/// Everything that can be asked, with what it comes to.
fn everything() -> Vec<(Part, bool, Effect)> {
    let mut all = vec![(Part::Rest, false, effect(300, 0)), (Part::Rest, true, effect(300, 0))];
    for minor in [99, 100, 300] {
        for part in [amount(minor), postings(minor)] {
            all.push((part.clone(), false, effect(minor, 0)));
            all.push((part, true, effect(minor, 300 - minor)));
        }
    }
    all
}

fn named(part: Part, last: bool, details: Details) -> Command {
    let (name, hold) = (Some(reference("c1")), as_made());
    Command::PostHold(PostHold::new(LEDGER, hold_id(), name, details, part, last, Some(&hold)))
}

fn plain(part: &Part, last: bool) -> Command {
    named(part.clone(), last, Details::default())
}

fn taken() -> Rejection {
    let entry_id = EntryId::of(LEDGER, &reference("c1"));
    Rejection::ExternalRefTaken { external_ref: reference("c1"), entry_id }
}

/// The ledger after the command.
fn after(books: Given, command: &Command) -> Given {
    let decided = books.decide(command).unwrap();
    books.and_all(decided.events().iter().map(|new| new.event.clone()))
}

/// What may become of what is left of a hold of 300, of which so much is posted.
fn afterwards(posted: i64) -> Vec<Vec<Event>> {
    let left = 300 - posted;
    let another = |minor, released| posting_from(2, left, minor, released).to_vec();
    vec![
        vec![],
        another(left, left),
        another(1, left),
        another(1, 1),
        vec![voided(left)],
        vec![expired(left)],
    ]
}

#[test]
fn the_same_is_what_posts_the_same_and_lets_go_of_the_same() {
    for (part, last, first) in everything() {
        let held_still = first.posted + first.let_go < 300;
        let since = if held_still { afterwards(first.posted) } else { vec![vec![]] };
        for events in since {
            for (again, again_last, then) in everything() {
                let asked = plain(&again, again_last);
                let books = after(with_hold(), &plain(&part, last)).and_all(events.clone());
                let decided = books.decide(&asked);
                let already = decided.as_ref().is_ok_and(|decided| decided.events().is_empty());
                let what = format!("{part:?} {last}, {events:?}, {again:?} {again_last}");
                assert_eq!(already, first == then, "{what}");
                assert!(already || decided == Err(taken()), "{what}: {decided:?}");
            }
        }
    }
}

#[test]
fn the_rest_is_what_was_left_then() {
    let part = posting_from(1, 300, 200, 200);
    let books = || with_hold().and_all(part.clone());
    let rest = || after(books(), &plain(&Part::Rest, false));
    for same in [plain(&Part::Rest, true), plain(&amount(100), false), plain(&amount(100), true)] {
        rest().when(same).then_already();
    }
    rest().when(plain(&amount(99), false)).then_rejected(taken());
    // A rest that another posting took is none of this one.
    let first = || after(with_hold(), &plain(&amount(200), false));
    let others = posting_from(2, 100, 100, 100);
    first().and_all(others).when(plain(&Part::Rest, false)).then_rejected(taken());
}

#[test]
fn what_is_said_of_a_posting_is_a_part_of_it() {
    let books = || after(with_hold(), &plain(&amount(100), false));
    let description = Some(Name::parse("another").unwrap());
    let said = Details { description, ..Details::default() };
    books().when(named(amount(100), false, said)).then_rejected(taken());
    books().at(END).when(plain(&amount(100), false)).then_already();
}

#[test]
fn the_name_of_any_other_entry_is_taken() {
    let plain_entry = crate::given_when_then::posted("c1", "sales", "cash", 100);
    with_hold().and(plain_entry).when(plain(&amount(100), false)).then_rejected(taken());
}
