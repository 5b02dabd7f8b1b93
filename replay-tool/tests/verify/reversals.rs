//! Reversals of parts and replacements of which something cannot be: exactly that is named.

use domain::Event;
use domain::ledger::{EntryPosted, Posting, Postings};
use replay_tool::verify::{Check, VerifyOptions};

use crate::forged::{forged_entry, forged_mark, replacing};
use crate::given::{LEDGER, World, pair, post, verified};
use crate::ledger::{amount, books};

/// A sale of 500, of which 200 are reversed: events 6 to 8.
async fn partly_reversed() -> World {
    let (world, _) = books().await;
    world.done(post("sale", "cash", "sales", 500)).await;
    world.reverse_part("sale", amount(200)).await;
    world.verified().await.assert_clean();
    world
}

fn sale() -> EntryPosted {
    forged_entry("sale", pair("cash", "sales", 500))
}

/// The events that reverse `minor` of an entry, marked as such a part.
fn reversing(original: &EntryPosted, minor: i64, part: Option<i64>) -> [Event; 2] {
    let taken = |minor| -> Vec<Posting> { pair("cash", "sales", minor) };
    let entry = EntryPosted {
        reverses: Some(original.entry_id),
        ..forged_entry(&format!("back {minor}"), Postings::opposite(&taken(minor)))
    };
    let mark = forged_mark(original, &entry, part.map(taken));
    [Event::EntryPosted(entry), mark]
}

/// What verify finds after the events: something about the event of that number, or nothing; the same from
/// there on alone.
async fn check_finds(events: impl IntoIterator<Item = Event>, expected: Option<(i64, &str)>) {
    let world = partly_reversed().await;
    let first = world.forge(events).await;
    for options in [world.options(), VerifyOptions { from: Some(first), ..world.options() }] {
        let verified = verified(&options).await;
        let found: Vec<_> = verified
            .findings
            .iter()
            .map(|finding| (finding.check, finding.position, finding.found.as_str()))
            .collect();
        let expected = expected.map(|(at, found)| (Check::Reversals, Some(first + at), found));
        assert_eq!(found, Vec::from_iter(expected), "{:#?}", verified.findings);
    }
}

#[tokio::test]
async fn parts_up_to_the_whole_are_in_order() {
    check_finds(reversing(&sale(), 300, None), None).await;
    check_finds(reversing(&sale(), 299, Some(299)), None).await;
}

#[tokio::test]
async fn more_reversed_than_is_left_is_found() {
    let found = "more on a side of an account";
    check_finds(reversing(&sale(), 301, Some(301)), Some((1, found))).await;
}

#[tokio::test]
async fn a_part_that_is_all_that_was_left_is_found() {
    let found = "a part that is all that was left";
    check_finds(reversing(&sale(), 300, Some(300)), Some((1, found))).await;
}

#[tokio::test]
async fn postings_that_are_not_those_marked_are_found() {
    check_finds(reversing(&sale(), 299, None), Some((0, "other postings"))).await;
    check_finds(reversing(&sale(), 100, Some(99)), Some((0, "other postings"))).await;
}

#[tokio::test]
async fn what_is_reversed_after_the_last_of_an_entry_is_found() {
    let last = reversing(&sale(), 300, None);
    let more = reversing(&sale(), 1, Some(1));
    check_finds(last.into_iter().chain(more), Some((3, "all of it was reversed before"))).await;
}

#[tokio::test]
async fn the_reversal_of_a_reversal_is_found() {
    let world = partly_reversed().await;
    let back = Postings::opposite(&pair("cash", "sales", 200));
    let events = world.events().await;
    let Ok(Event::EntryPosted(reversal)) = events[6].decode() else { panic!("a reversal") };
    assert_eq!((&reversal.postings, reversal.ledger), (&back, LEDGER));
    let again = EntryPosted {
        reverses: Some(reversal.entry_id),
        ..forged_entry("again", Postings::opposite(&back))
    };
    let mark = forged_mark(&reversal, &again, None);
    let first = world.forge([Event::EntryPosted(again), mark]).await;
    let verified = world.verified().await;
    verified.assert_finds([(Check::Reversals, Some(first))]);
    assert!(verified.only().found.ends_with("is a reversal itself"));
}

#[tokio::test]
async fn a_mark_that_does_not_come_right_after_its_reversal_is_found() {
    let [reversal, mark] = reversing(&sale(), 300, None);
    let between = Event::EntryPosted(forged_entry("between", pair("bank", "cash", 1)));
    check_finds([reversal, between, mark], Some((0, "the mark is at 11"))).await;
}

#[tokio::test]
async fn a_replacement_of_what_was_never_reversed_is_found() {
    let world = partly_reversed().await;
    let by =
        EntryPosted { replaces: Some(sale().entry_id), ..forged_entry("anew", sale().postings) };
    let first = world.forge([Event::EntryPosted(by)]).await;
    world.verified().await.assert_finds([(Check::Reversals, Some(first))]);
}

#[tokio::test]
async fn what_is_replaced_is_reversed_right_before_and_as_a_whole() {
    let original = forged_entry("start", pair("cash", "sales", 100_000));
    let by = || forged_entry("anew", pair("cash", "sales", 90_000));
    let whole = || replacing(&original, by());
    check_finds(whole(), None).await;

    let between = || Event::EntryPosted(forged_entry("between", pair("bank", "cash", 1)));
    let mut events = whole();
    events.insert(2, between());
    check_finds(events, Some((3, "another event"))).await;

    let [reversal, mark] = reversing(&original, 1_000, Some(1_000));
    let partly = [reversal, mark, whole().swap_remove(2)];
    check_finds(partly, Some((2, "another event"))).await;

    let [reversal, mark] = reversing(&sale(), 300, None);
    let another = [reversal, mark, whole().swap_remove(2)];
    check_finds(another, Some((2, "another event"))).await;

    // Twice in the place of one entry.
    let again =
        EntryPosted { replaces: Some(original.entry_id), ..forged_entry("more", by().postings) };
    let twice = whole().into_iter().chain([Event::EntryPosted(again)]);
    check_finds(twice, Some((3, "another event"))).await;
}
