//! When what undoes an entry takes effect: never before the entry does.

use super::{
    Details, EntryPosted, EntryReversed, ExternalRef, Part, Postings, ReplaceEntry, ReverseEntry,
};
use crate::books::{BooksEvent, DayCutOff};
use crate::given_when_then::{
    Given, LEDGER, account_opened, entry_id, given, post_entry, posted_event,
};
use crate::{Command, EntryId, Event, Rejection, StateKey, Timestamp};

const BEFORE: Timestamp = Timestamp::from_micros(99);
const ORIGINAL_AT: Timestamp = Timestamp::from_micros(100);
const AFTER: Timestamp = Timestamp::from_micros(101);

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// What [`given`] has posted is recorded at 0.
fn original(effective_at: Option<Timestamp>, late_for: Option<Timestamp>) -> EntryPosted {
    EntryPosted { effective_at, late_for, ..posted_event("r1", "cash", "sales", 500) }
}

fn with(original: EntryPosted) -> Given {
    given([account_opened("cash", Some(0)), account_opened("sales", None)])
        .and(Event::EntryPosted(original))
}

/// With an entry that takes effect at [`ORIGINAL_AT`].
fn dated() -> Given {
    with(original(Some(ORIGINAL_AT), None))
}

/// With an entry of a day in November, of which the 20th is cut off now.
fn cut_off(original: EntryPosted) -> Given {
    let day = "2026-11-20".parse().unwrap();
    with(original)
        .and(Event::Books(BooksEvent::DayCutOff(DayCutOff { ledger: LEDGER, day })))
        .at(time("2026-11-22T12:00:00Z"))
}

fn name() -> ExternalRef {
    ExternalRef::parse("credit-note-1").unwrap()
}

fn command(effective_at: Option<Timestamp>) -> ReverseEntry {
    let details = Details { effective_at, ..Details::default() };
    let original = original(None, None);
    ReverseEntry::new(LEDGER, entry_id("r1"), Some(name()), details, Part::Rest, Some(&original))
}

fn reverse(effective_at: Option<Timestamp>) -> Command {
    Command::ReverseEntry(command(effective_at))
}

fn undone(
    external_ref: ExternalRef,
    effective_at: Option<Timestamp>,
    late_for: Option<Timestamp>,
) -> [Event; 2] {
    let postings = Postings::opposite(&original(None, None).postings);
    let posted = EntryPosted {
        effective_at,
        late_for,
        reverses: Some(entry_id("r1")),
        ..EntryPosted::plain(LEDGER, external_ref, postings)
    };
    let reversed_by = posted.entry_id;
    let mark = EntryReversed { entry_id: entry_id("r1"), reversed_by, reversed: None };
    [Event::EntryPosted(posted), Event::EntryReversed(mark)]
}

fn reversed(effective_at: Option<Timestamp>) -> [Event; 2] {
    undone(name(), effective_at, None)
}

fn too_early(original_at: Timestamp) -> Rejection {
    Rejection::EffectiveBeforeOriginal { entry_id: entry_id("r1"), original_at }
}

#[test]
fn a_reversal_takes_effect_no_earlier_than_its_original() {
    dated().when(reverse(Some(BEFORE))).then_rejected(too_early(ORIGINAL_AT));
    dated().when(reverse(Some(ORIGINAL_AT))).then(reversed(Some(ORIGINAL_AT)));
    dated().when(reverse(Some(AFTER))).then(reversed(Some(AFTER)));
    let recorded_at = Timestamp::from_micros(0);
    let undated = || with(original(None, None));
    undated().when(reverse(Some(Timestamp::from_micros(-1)))).then_rejected(too_early(recorded_at));
    undated().when(reverse(Some(recorded_at))).then(reversed(Some(recorded_at)));
}

#[test]
fn a_reversal_without_a_time_takes_effect_with_an_original_that_is_still_to_come() {
    dated().at(BEFORE).when(reverse(None)).then(reversed(Some(ORIGINAL_AT)));
    dated().at(ORIGINAL_AT).when(reverse(None)).then(reversed(None));
}

#[test]
fn a_reversal_with_a_time_that_was_given_to_it_is_there_when_it_is_asked_for_again() {
    let after = || dated().and_all(reversed(Some(ORIGINAL_AT)));
    for now in [BEFORE, AFTER] {
        after().at(now).when(reverse(None)).then_already();
        after().at(now).when(reverse(Some(ORIGINAL_AT))).then_already();
    }
    let taken = || Rejection::ExternalRefTaken {
        external_ref: name(),
        entry_id: EntryId::of(LEDGER, &name()),
    };
    after().when(reverse(Some(AFTER))).then_rejected(taken());
    after().when(reverse(Some(BEFORE))).then_rejected(taken());
    dated().and_all(reversed(Some(AFTER))).when(reverse(None)).then_rejected(taken());
}

#[test]
fn a_reversal_of_a_day_that_is_cut_off_takes_effect_on_the_next_open_day() {
    let (posted_at, first_open) = (time("2026-11-10T12:00:00Z"), time("2026-11-21T00:00:00Z"));
    let asked = time("2026-11-15T12:00:00Z");
    let late = || undone(name(), Some(first_open), Some(asked));
    let books = || cut_off(original(Some(posted_at), None));
    books().when(reverse(Some(asked))).then(late());
    books().and_all(late()).when(reverse(Some(asked))).then_already();
    // What was late itself takes effect when it does, not when it was meant to.
    cut_off(original(Some(first_open), Some(posted_at)))
        .when(reverse(Some(asked)))
        .then_rejected(too_early(first_open));
}

#[test]
fn a_reversal_reads_the_books_whether_or_not_it_has_a_time() {
    for effective_at in [None, Some(AFTER)] {
        let books = |key: &&StateKey| **key == StateKey::Books(LEDGER);
        assert_eq!(command(effective_at).reads().iter().filter(books).count(), 1);
    }
}

fn replace(effective_at: Option<Timestamp>) -> Command {
    let mut by = post_entry("r2", "cash", "sales", 700);
    by.details.effective_at = effective_at;
    Command::ReplaceEntry(ReplaceEntry::new(entry_id("r1"), by, Some(&original(None, None))))
}

/// What a replacement undoes, and the replacement: when each takes effect, and what it was meant for.
fn replaced(
    replacing: (Option<Timestamp>, Option<Timestamp>),
    reversing: (Option<Timestamp>, Option<Timestamp>),
) -> [Event; 3] {
    let (effective_at, late_for) = replacing;
    let replacement = EntryPosted {
        effective_at,
        late_for,
        replaces: Some(entry_id("r1")),
        ..posted_event("r2", "cash", "sales", 700)
    };
    let external_ref = ExternalRef::reversal_of(entry_id("r1"));
    let [reversal, mark] = undone(external_ref, reversing.0, reversing.1);
    [reversal, mark, Event::EntryPosted(replacement)]
}

#[test]
fn what_a_replacement_undoes_takes_effect_with_the_later_of_both() {
    let at = |time| (Some(time), None);
    dated().when(replace(Some(BEFORE))).then(replaced(at(BEFORE), at(ORIGINAL_AT)));
    dated().when(replace(Some(AFTER))).then(replaced(at(AFTER), at(AFTER)));
    dated().at(BEFORE).when(replace(None)).then(replaced((None, None), at(ORIGINAL_AT)));
    dated().at(ORIGINAL_AT).when(replace(None)).then(replaced((None, None), (None, None)));
}

#[test]
fn what_a_replacement_undoes_on_a_day_that_is_cut_off_takes_effect_on_the_next_open_day() {
    let (posted_at, first_open) = (time("2026-11-10T12:00:00Z"), time("2026-11-21T00:00:00Z"));
    let (earlier, later) = (time("2026-11-05T12:00:00Z"), time("2026-11-15T12:00:00Z"));
    let late = |asked| (Some(first_open), Some(asked));
    let books = || cut_off(original(Some(posted_at), None));
    books().when(replace(Some(earlier))).then(replaced(late(earlier), late(posted_at)));
    books().when(replace(Some(later))).then(replaced(late(later), late(later)));
}
