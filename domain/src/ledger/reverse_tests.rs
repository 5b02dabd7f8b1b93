//! The rules of reversing and replacing entries.

use super::{
    Details, Direction, EntryPosted, EntryReversed, ExternalRef, Part, Postings, ReplaceEntry,
    ReverseEntry,
};
use crate::given_when_then::{
    LEDGER, account_id, account_opened, entry_id, given, post_entry, posted, posted_event, posting,
};
use crate::{Amount, Command, EntryId, Event, Rejection};

fn reverse(reference: &str, of: Option<&str>) -> Command {
    let original = of.map(|text| posted_event(text, "cash", "sales", 500));
    Command::ReverseEntry(ReverseEntry::new(
        LEDGER,
        entry_id(reference),
        None,
        Details::default(),
        Part::Rest,
        original.as_ref(),
    ))
}

fn reverse_part(name: Option<&str>, minor: i64) -> Command {
    let original = posted_event("r1", "cash", "sales", 500);
    let amount = Amount::from_minor(minor, "USD".parse().unwrap()).unwrap();
    Command::ReverseEntry(ReverseEntry::new(
        LEDGER,
        entry_id("r1"),
        name.map(|name| ExternalRef::parse(name).unwrap()),
        Details::default(),
        Part::Amount(amount),
        Some(&original),
    ))
}

/// A reversal of all that is left, under a name.
fn reverse_rest(name: &str) -> ReverseEntry {
    let original = posted_event("r1", "cash", "sales", 500);
    let name = Some(ExternalRef::parse(name).unwrap());
    let details = Details::default();
    ReverseEntry::new(LEDGER, entry_id("r1"), name, details, Part::Rest, Some(&original))
}

fn replace(by: &str, minor: i64) -> Command {
    let original = posted_event("r1", "cash", "sales", 500);
    let by = post_entry(by, "cash", "sales", minor);
    Command::ReplaceEntry(ReplaceEntry::new(entry_id("r1"), by, Some(&original)))
}

fn history() -> Vec<Event> {
    vec![
        account_opened("cash", Some(0)),
        account_opened("sales", None),
        posted("r1", "cash", "sales", 500),
    ]
}

fn reversed_by() -> EntryId {
    EntryId::of(LEDGER, &ExternalRef::reversal_of(entry_id("r1")))
}

fn reversal() -> [Event; 2] {
    let original = posted_event("r1", "cash", "sales", 500);
    [
        Event::EntryPosted(EntryPosted {
            entry_id: reversed_by(),
            external_ref: ExternalRef::reversal_of(original.entry_id),
            postings: Postings::opposite(&original.postings),
            reverses: Some(original.entry_id),
            ..original.clone()
        }),
        Event::EntryReversed(EntryReversed {
            entry_id: original.entry_id,
            reversed_by: reversed_by(),
            reversed: None,
        }),
    ]
}

#[test]
fn a_reversal_posts_the_opposite_and_marks_the_original() {
    given(history()).when(reverse("r1", Some("r1"))).then(reversal());
}

#[test]
fn an_entry_is_reversed_once() {
    given(history().into_iter().chain(reversal())).when(reverse("r1", Some("r1"))).then_rejected(
        Rejection::EntryAlreadyReversed { entry_id: entry_id("r1"), reversed_by: reversed_by() },
    );
}

#[test]
fn an_unknown_entry_is_not_found() {
    given(history())
        .when(reverse("r2", None))
        .then_rejected(Rejection::EntryNotFound { entry_id: entry_id("r2") });
}

#[test]
fn a_reversal_keeps_the_limits_too() {
    let spent = posted("r2", "sales", "cash", 400);
    given(history().into_iter().chain([spent]))
        .when(reverse("r1", Some("r1")))
        .then_rejected(Rejection::InsufficientFunds { account_id: account_id("cash") });
}

/// A reversal of a part, under the name that it has as the entry's first or a later one.
fn partly_reversed(external_ref: ExternalRef, minor: i64, rest: bool) -> [Event; 2] {
    let taken =
        [posting("cash", Direction::Debit, minor), posting("sales", Direction::Credit, minor)];
    let posted = EntryPosted {
        reverses: Some(entry_id("r1")),
        ..EntryPosted::plain(LEDGER, external_ref, Postings::opposite(&taken))
    };
    let reversed_by = posted.entry_id;
    let reversed = (!rest).then(|| taken.to_vec());
    let entry_id = entry_id("r1");
    [
        Event::EntryPosted(posted),
        Event::EntryReversed(EntryReversed { entry_id, reversed_by, reversed }),
    ]
}

fn first_part(minor: i64) -> [Event; 2] {
    partly_reversed(ExternalRef::reversal_of(entry_id("r1")), minor, false)
}

#[test]
fn parts_are_reversed_until_nothing_is_left() {
    let second = ExternalRef::reversal_at(entry_id("r1"), crate::StreamVersion::from_number(2));
    given(history()).when(reverse_part(None, 200)).then(first_part(200));
    let after = || given(history()).and_all(first_part(200));
    after()
        .when(reverse_part(None, 301))
        .then_rejected(Rejection::AboveReversible { entry_id: entry_id("r1") });
    after().when(reverse_part(None, 300)).then(partly_reversed(second.clone(), 300, true));
    after().when(reverse("r1", Some("r1"))).then(partly_reversed(second.clone(), 300, true));
    let reversed_by = EntryId::of(LEDGER, &second);
    after()
        .and_all(partly_reversed(second, 300, true))
        .when(reverse_part(None, 1))
        .then_rejected(Rejection::EntryAlreadyReversed { entry_id: entry_id("r1"), reversed_by });
}

#[test]
fn a_part_with_a_name_is_reversed_once() {
    let name = || ExternalRef::parse("credit-note-1").unwrap();
    let after = || given(history()).and_all(partly_reversed(name(), 200, false));
    after().when(reverse_part(Some("credit-note-1"), 200)).then_already();
    after().when(reverse_part(Some("credit-note-1"), 100)).then_rejected(
        Rejection::ExternalRefTaken {
            external_ref: name(),
            entry_id: EntryId::of(LEDGER, &name()),
        },
    );
}

#[test]
fn a_rest_with_a_name_is_what_took_the_last() {
    let name = || ExternalRef::parse("credit-note-1").unwrap();
    let taken = || Rejection::ExternalRefTaken {
        external_ref: name(),
        entry_id: EntryId::of(LEDGER, &name()),
    };
    let rest = || Command::ReverseEntry(reverse_rest("credit-note-1"));
    given(history())
        .and_all(partly_reversed(name(), 200, false))
        .when(rest())
        .then_rejected(taken());
    let after = || given(history()).and_all(partly_reversed(name(), 500, true));
    after().when(rest()).then_already();
    let effective_at = Some(crate::Timestamp::from_micros(5));
    let mut dated = reverse_rest("credit-note-1");
    dated.details = Details { effective_at, ..Details::default() };
    after().when(Command::ReverseEntry(dated)).then_rejected(taken());
}

#[test]
fn an_amount_alone_is_no_part_of_several_debits() {
    let postings = vec![
        posting("cash", Direction::Debit, 300),
        posting("bank", Direction::Debit, 200),
        posting("sales", Direction::Credit, 500),
    ];
    let plain =
        EntryPosted { postings: postings.clone(), ..posted_event("r1", "cash", "sales", 1) };
    let reverse = |part| {
        let id = entry_id("r1");
        Command::ReverseEntry(ReverseEntry::new(
            LEDGER,
            id,
            None,
            Details::default(),
            part,
            Some(&plain),
        ))
    };
    let three = || {
        given(["cash", "bank", "sales"].map(|code| account_opened(code, None)))
            .and(Event::EntryPosted(plain.clone()))
    };
    let amount = Amount::from_minor(100, "USD".parse().unwrap()).unwrap();
    three().when(reverse(Part::Amount(amount))).then_rejected(Rejection::AmountAmbiguous);
    let part = vec![posting("bank", Direction::Debit, 5), posting("sales", Direction::Credit, 5)];
    three().when(reverse(Part::Postings(Postings::new(part).unwrap()))).then_accepted();
}

#[test]
fn a_replacement_undoes_and_posts_in_one_append() {
    let [reversal, _] = reversal();
    let replacing =
        EntryPosted { replaces: Some(entry_id("r1")), ..posted_event("r2", "cash", "sales", 700) };
    let mark = Event::EntryReversed(EntryReversed {
        entry_id: entry_id("r1"),
        reversed_by: reversed_by(),
        reversed: None,
    });
    // The reversal first: at no position are both in the balances.
    let events = || [reversal.clone(), mark.clone(), Event::EntryPosted(replacing.clone())];
    given(history()).when(replace("r2", 700)).then(events());
    given(history()).and_all(events()).when(replace("r2", 700)).then_already();
    given(history()).and_all(events()).when(replace("r3", 700)).then_rejected(
        Rejection::EntryAlreadyReversed { entry_id: entry_id("r1"), reversed_by: reversed_by() },
    );
}

#[test]
fn a_replacement_keeps_the_limits_as_a_whole() {
    let spent = posted("r0", "sales", "cash", 450);
    given(history().into_iter().chain([spent.clone()])).when(replace("r2", 450)).then_accepted();
    given(history().into_iter().chain([spent]))
        .when(replace("r2", 449))
        .then_rejected(Rejection::InsufficientFunds { account_id: account_id("cash") });
}

#[test]
fn a_replacement_may_move_what_is_available_once_the_other_is_undone() {
    let original = posted_event("r1", "cash", "sales", 500);
    let by = post_entry("r2", "sales", "cash", 700).up_to().unwrap();
    let command = ReplaceEntry::new(entry_id("r1"), by, Some(&original));
    let books = given(history()).and(posted("r0", "cash", "sales", 300));
    let decided = books.decide(&Command::ReplaceEntry(command)).unwrap();
    let replacing = EntryPosted {
        replaces: Some(entry_id("r1")),
        up_to_minor: Some(700),
        ..posted_event("r2", "sales", "cash", 300)
    };
    assert_eq!(decided.events()[2].event, Event::EntryPosted(replacing));
}
