//! Holds of which something cannot be: exactly that is named.

use domain::holds::{HoldCreated, HoldEvent, HoldExpired, HoldPosted, HoldVoided};
use domain::ledger::{EntryPosted, Posting};
use domain::{Command, Event};
use replay_tool::verify::Check;

use crate::forged::{forged_entry, forged_hold};
use crate::given::{World, pair, reference};
use crate::ledger::{amount, books, hold, hold_id, time};

/// A hold of 300 that moves cash to bank, and a larger one, so that accounts have what is released too much.
async fn held() -> World {
    let (world, clock) = books().await;
    let mut small = hold("small", "bank", "cash", 300);
    small.expires_at = Some(time("2026-11-18T13:00:00Z"));
    world.done(Command::CreateHold(small)).await;
    world.done(Command::CreateHold(hold("large", "bank", "cash", 5_000))).await;
    world.verified().await.assert_clean();
    clock.set(&world, "2026-11-18T14:00:00Z").await;
    world
}

fn voided(minor: i64) -> Event {
    let released = pair("bank", "cash", minor);
    Event::Hold(HoldEvent::Voided(HoldVoided { hold_id: hold_id("small"), released }))
}

fn expired(text: &str, minor: i64) -> Event {
    let (hold_id, released) = (hold_id(text), pair("bank", "cash", minor));
    Event::Hold(HoldEvent::Expired(HoldExpired { hold_id, released }))
}

/// What is held of the hold of that name once so much of it is released.
fn held_after(text: &str, released: &[Posting]) -> Vec<Posting> {
    let held = if text == "small" { 300 } else { 5_000 };
    let left = held - released.first().map_or(0, |posting| posting.amount.minor());
    if left > 0 { pair("bank", "cash", left) } else { Vec::new() }
}

fn posting_of(text: &str, postings: Vec<Posting>, released: Vec<Posting>) -> [Event; 2] {
    let hold_id = hold_id(text);
    let entry = EntryPosted { hold_id: Some(hold_id), ..forged_entry("posted", postings) };
    let entry_id = entry.entry_id;
    let left = held_after(text, &released);
    let mark = HoldPosted { hold_id, entry_id, released, left };
    [Event::EntryPosted(entry), Event::Hold(HoldEvent::Posted(mark))]
}

/// What verify finds after the events: something about the event of that number, or nothing.
async fn check_finds(events: impl IntoIterator<Item = Event>, expected: Option<(i64, &str)>) {
    let world = held().await;
    let first = world.forge(events).await;
    let verified = world.verified().await;
    let found: Vec<_> = verified
        .findings
        .iter()
        .map(|finding| (finding.check, finding.position, finding.found.as_str()))
        .collect();
    let expected = expected.map(|(at, found)| (Check::Holds, Some(first + at), found));
    assert_eq!(found, Vec::from_iter(expected), "{:#?}", verified.findings);
}

#[tokio::test]
async fn what_is_forged_right_is_in_order() {
    check_finds([voided(300)], None).await;
    check_finds(posting_of("small", pair("bank", "cash", 100), pair("bank", "cash", 300)), None)
        .await;
}

#[tokio::test]
async fn more_released_than_is_held_is_found() {
    let more = "more on a side of an account";
    check_finds([voided(301)], Some((0, more))).await;
    let posted = posting_of("small", pair("bank", "cash", 301), pair("bank", "cash", 301));
    check_finds(posted, Some((1, more))).await;
}

#[tokio::test]
async fn an_end_that_leaves_something_is_found() {
    check_finds([voided(299)], Some((0, "a part of it"))).await;
}

#[tokio::test]
async fn what_comes_after_the_end_is_found() {
    let over = Some((1, "its end came before"));
    check_finds([voided(300), voided(300)], over).await;
    check_finds([voided(300), expired("small", 300)], over).await;
    let [entry, posted] = posting_of("small", pair("bank", "cash", 1), pair("bank", "cash", 1));
    check_finds([voided(300), entry, posted], Some((2, "its end came before"))).await;
}

#[tokio::test]
async fn what_comes_after_the_end_of_a_hold_in_the_log_before_is_found_in_a_range_too() {
    let world = held().await;
    let first = world.forge([voided(300), voided(300)]).await;
    let options = replay_tool::verify::VerifyOptions { from: Some(first + 1), ..world.options() };
    crate::given::verified(&options).await.assert_finds([(Check::Holds, Some(first + 1))]);
}

#[tokio::test]
async fn a_hold_that_was_never_made_is_found() {
    let world = held().await;
    let (hold_id, released) = (hold_id("nobody"), pair("bank", "cash", 1));
    let first =
        world.forge([Event::Hold(HoldEvent::Voided(HoldVoided { hold_id, released }))]).await;
    world.verified().await.assert_finds([(Check::Holds, Some(first))]);
}

#[tokio::test]
async fn a_hold_that_expires_before_its_time_or_without_one_is_found() {
    check_finds([expired("large", 5_000)], Some((0, "one that does not"))).await;
    let world = held().await;
    world.alter(6, "2026-11-18T13:00:00", "2026-11-18T15:00:00").await;
    // Recorded at noon: the head's time.
    let first = world.forge([expired("small", 300)]).await;
    let verified = world.verified().await;
    verified.assert_finds([(Check::Holds, Some(first))]);
    assert_eq!(verified.only().found, "its time is over at 2026-11-18T15:00:00.000000Z");
}

#[tokio::test]
async fn a_hold_that_is_posted_or_voided_after_its_time_is_found() {
    let posted = posting_of("small", pair("bank", "cash", 300), pair("bank", "cash", 300));
    for (events, at) in [(vec![voided(300)], 0), (posted.to_vec(), 1)] {
        let world = held().await;
        // What is forged is recorded at noon: the head's time.
        world.alter(6, "2026-11-18T13:00:00", "2026-11-18T12:00:00").await;
        let first = world.forge(events).await;
        let verified = world.verified().await;
        verified.assert_finds([(Check::Holds, Some(first + at))]);
        assert_eq!(verified.only().found, "its time was over at 2026-11-18T12:00:00.000000Z");
    }
}

#[tokio::test]
async fn an_entry_of_a_hold_without_its_posting_is_found() {
    let [entry, posted] = posting_of("small", pair("bank", "cash", 9), pair("bank", "cash", 9));
    check_finds([entry.clone()], Some((0, "another event"))).await;
    check_finds([posted.clone()], Some((0, "another event"))).await;
    check_finds([entry, voided(300)], Some((0, "another event"))).await;
}

#[tokio::test]
async fn a_posting_that_names_another_entry_is_found_from_both_sides() {
    let world = held().await;
    let [entry, _] = posting_of("small", pair("bank", "cash", 9), pair("bank", "cash", 9));
    let (hold_id, released) = (hold_id("small"), pair("bank", "cash", 9));
    let entry_id = forged_entry("start", Vec::new()).entry_id;
    let left = held_after("small", &released);
    let posted = Event::Hold(HoldEvent::Posted(HoldPosted { hold_id, entry_id, released, left }));
    let first = world.forge([entry, posted]).await;
    world
        .verified()
        .await
        .assert_finds([(Check::Holds, Some(first)), (Check::Holds, Some(first + 1))]);
}

#[tokio::test]
async fn an_entry_that_moves_more_or_else_than_is_released_is_found() {
    let more = Some((1, "more on a side of an account"));
    check_finds(posting_of("small", pair("bank", "cash", 9), pair("bank", "cash", 8)), more).await;
    check_finds(posting_of("small", pair("cash", "bank", 9), pair("bank", "cash", 9)), more).await;
    let less = Some((1, "more, and something is left"));
    check_finds(posting_of("small", pair("bank", "cash", 8), pair("bank", "cash", 9)), less).await;
}

#[tokio::test]
async fn a_hold_whose_id_is_not_its_references_or_that_does_not_balance_is_found() {
    let Event::Hold(HoldEvent::Created(made)) = forged_hold("other", pair("bank", "cash", 1))
    else {
        panic!("a hold")
    };
    let other = HoldCreated { external_ref: reference("another"), ..made };
    let named = format!("hold {}", other.hold_id);
    check_finds([Event::Hold(HoldEvent::Created(other))], Some((0, &named))).await;
    let one_side = forged_hold("one", pair("bank", "cash", 1)[..1].to_vec());
    let world = held().await;
    let first = world.forge([one_side]).await;
    let both = [(Check::Holds, Some(first)), (Check::Holds, Some(first))];
    world.verified().await.assert_finds(both);
}

#[tokio::test]
async fn a_hold_in_the_stream_of_another_is_found() {
    let (world, _) = books().await;
    world.done(Command::CreateHold(hold("small", "bank", "cash", 300))).await;
    let stream = domain::StreamId::hold(hold_id("other"));
    world
        .tamper_and_rehash(&format!("update events set stream_id = '{stream}' where position = 6"))
        .await;
    world.verified().await.assert_finds([(Check::StreamName, Some(6))]);
}

#[tokio::test]
async fn a_posting_that_says_otherwise_what_is_held_still_is_found() {
    let [entry, posted] = posting_of("small", pair("bank", "cash", 9), pair("bank", "cash", 9));
    let Event::Hold(HoldEvent::Posted(mark)) = posted else { panic!("a posting") };
    let wrong = HoldPosted { left: pair("bank", "cash", 290), ..mark };
    let events = [entry, Event::Hold(HoldEvent::Posted(wrong))];
    check_finds(events, Some((1, "something else"))).await;
}

#[tokio::test]
async fn many_holds_keep_apart() {
    let (world, _) = books().await;
    for number in 0..20 {
        let text = format!("h{number}");
        world.done(Command::CreateHold(hold(&text, "bank", "cash", 10))).await;
        world.post_hold(&text, amount(4), number % 2 == 0).await;
    }
    for number in (1..20).step_by(2) {
        world.void_hold(&format!("h{number}")).await;
    }
    world.verified().await.assert_clean();
}
