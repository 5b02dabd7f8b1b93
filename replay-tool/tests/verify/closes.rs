//! Books whose cut-offs and closes cannot be: exactly that is named.

use domain::Event;
use domain::books::{BooksEvent, DayBalances, DayClosed, DayCutOff, MonthClosed};
use domain::ledger::EntryPosted;
use replay_tool::verify::{Check, VerifyOptions};

use crate::forged::forged_entry;
use crate::given::{LEDGER, World, pair, post, verified};
use crate::ledger::{books, day, time};

/// The books of 2026-11-18 closed (events 6 and 7), at the end of November.
async fn closed() -> World {
    let (world, clock) = books().await;
    clock.set(&world, "2026-11-19T00:01:00Z").await;
    world.cut_off("2026-11-18").await;
    world.close("2026-11-18").await;
    clock.set(&world, "2026-12-01T06:00:00Z").await;
    world.done(post("later", "cash", "sales", 5)).await;
    world.verified().await.assert_clean();
    world
}

fn cut_off(text: &str) -> Event {
    Event::Books(BooksEvent::DayCutOff(DayCutOff { ledger: LEDGER, day: day(text) }))
}

fn month_closed(text: &str, like: &str) -> Event {
    let digest = DayBalances::add_up(LEDGER, day(like), None, []).digest;
    let month = text.to_owned();
    Event::Books(BooksEvent::MonthClosed(MonthClosed { ledger: LEDGER, month, digest }))
}

/// A close of which nothing is right but its day.
fn day_closed(text: &str) -> Event {
    let DayBalances { accounts, totals, digest } = DayBalances::add_up(LEDGER, day(text), None, []);
    let (ledger, day, previous) = (LEDGER, day(text), None);
    let closed = DayClosed { ledger, day, accounts, totals, previous, digest };
    Event::Books(BooksEvent::DayClosed(closed))
}

fn dated(effective_at: &str, late_for: Option<&str>) -> Event {
    let (effective_at, late_for) = (Some(time(effective_at)), late_for.map(time));
    let plain = forged_entry("dated", pair("cash", "sales", 1));
    Event::EntryPosted(EntryPosted { effective_at, late_for, ..plain })
}

/// What verify finds at the event at that position and nowhere else, in one pass and in several.
async fn check_finds(world: &World, position: i64) -> String {
    let sound = world.verified().await;
    sound.assert_finds([(Check::Closes, Some(position))]);
    let options = VerifyOptions { accounts_per_pass: 1, ..world.options() };
    verified(&options).await.assert_finds([(Check::Closes, Some(position))]);
    sound.only().found.clone()
}

async fn check_forged(events: Vec<Event>, number: i64) -> String {
    let world = closed().await;
    let first = world.forge(events).await;
    check_finds(&world, first + number).await
}

#[tokio::test]
async fn a_close_of_other_balances_is_found() {
    for (from, to) in [
        ("\"accounts\":2", "\"accounts\":3"),
        ("\"debit_minor\":\"100000\"", "\"debit_minor\":\"100001\""),
        (
            "\"digest\":\"sha256:",
            "\"previous\":\"sha256:0123456789012345678901234567890123456789012345678901234567890123\",\"digest\":\"sha256:",
        ),
    ] {
        let world = closed().await;
        world.alter(7, from, to).await;
        check_finds(&world, 7).await;
    }
    let world = closed().await;
    let change = "update events set data = regexp_replace(data::text, '(\"digest\":\"sha256:)....', \
                  '\\10000')::json where position = 7";
    world.tamper_and_rehash(change).await;
    assert!(check_finds(&world, 7).await.contains(" sha256:0000"));
}

/// As when an entry of a closed day was altered together with all balances of today.
#[tokio::test]
async fn an_entry_altered_after_its_day_was_closed_is_found_by_the_close() {
    let world = closed().await;
    for _ in 0..2 {
        world.alter(5, "\"amount_minor\":100000", "\"amount_minor\":90000").await;
    }
    world
        .tamper(
            "update account_balances set debits_posted = debits_posted - 10000 \
                 where debits_posted > 0; \
             update account_balances set credits_posted = credits_posted - 10000 \
                 where credits_posted > 0",
        )
        .await;
    check_finds(&world, 7).await;
}

#[tokio::test]
async fn a_close_that_does_not_build_on_the_one_before_is_found() {
    let found = check_forged(vec![cut_off("2026-11-19"), day_closed("2026-11-19")], 1).await;
    assert!(found.contains(" after none"), "{found}");
}

#[tokio::test]
async fn a_close_without_a_cut_off_is_found() {
    let nothing = "no day is being closed";
    assert_eq!(check_forged(vec![day_closed("2026-11-19")], 0).await, nothing);
    let other = vec![cut_off("2026-11-19"), day_closed("2026-11-20")];
    assert_eq!(check_forged(other, 1).await, "2026-11-19 is being closed");
    // In a ledger that never cut one off.
    let (world, _) = books().await;
    let first = world.forge([day_closed("2026-11-18")]).await;
    assert_eq!(check_finds(&world, first).await, nothing);
}

#[tokio::test]
async fn cut_offs_out_of_order_are_found() {
    assert_eq!(check_forged(vec![cut_off("2026-11-18")], 0).await, "2026-11-18");
    let twice = vec![cut_off("2026-11-19"), cut_off("2026-11-20")];
    assert_eq!(check_forged(twice, 1).await, "it is not");
    // The clock says 2026-12-01T06:00.
    let world = closed().await;
    let first = world.forge([cut_off("2026-12-01")]).await;
    let both = [(Check::Closes, Some(first)), (Check::Closes, Some(first))];
    let verified = world.verified().await;
    verified.assert_finds(both);
    let found: Vec<&str> = verified.findings.iter().map(|one| one.found.as_str()).collect();
    assert_eq!(found, ["2026-12-01T06:00:00.000000Z", "2026-12-01"]);
}

#[tokio::test]
async fn an_entry_that_takes_effect_on_a_day_that_is_cut_off_is_found() {
    let found = check_forged(vec![dated("2026-11-18T23:59:59.999999Z", None)], 0).await;
    assert_eq!(found, "on 2026-11-18");
    let world = closed().await;
    world.forge([dated("2026-11-19T00:00:00Z", None)]).await;
    world.verified().await.assert_clean();
}

#[tokio::test]
async fn a_late_entry_takes_effect_at_the_start_of_the_next_open_day() {
    let world = closed().await;
    world.forge([dated("2026-11-19T00:00:00Z", Some("2026-11-18T05:00:00Z"))]).await;
    world.verified().await.assert_clean();
    for (effective_at, late_for, found) in [
        ("2026-11-20T00:00:00Z", "2026-11-18T05:00:00Z", "2026-11-20T00:00:00.000000Z"),
        ("2026-11-19T00:00:00Z", "2026-11-19T05:00:00Z", "meant for 2026-11-19T05:00:00.000000Z"),
    ] {
        assert_eq!(check_forged(vec![dated(effective_at, Some(late_for))], 0).await, found);
    }
    let (world, _) = books().await;
    let late = dated("2026-11-18T00:00:00Z", Some("2026-11-17T05:00:00Z"));
    let first = world.forge([late]).await;
    check_finds(&world, first).await;
}

/// The month closed with its last day: events 9 to 11.
async fn month() -> World {
    let world = closed().await;
    world.cut_off("2026-11-30").await;
    world.close("2026-11-30").await;
    world.verified().await.assert_clean();
    world
}

#[tokio::test]
async fn a_month_that_is_not_closed_with_its_last_day_is_found() {
    let world = month().await;
    world.tamper("delete from events where position = 11; update log_head set position = 10").await;
    check_finds(&world, 10).await;
    let first =
        world.forge([Event::EntryPosted(forged_entry("e", pair("cash", "sales", 1)))]).await;
    assert_eq!(first, 11);
    check_finds(&world, 10).await;
}

#[tokio::test]
async fn a_month_closed_with_another_digest_or_by_itself_is_found() {
    let world = month().await;
    let change = "update events set data = regexp_replace(data::text, '(\"digest\":\"sha256:)....', \
                  '\\10000')::json where position = 11";
    world.tamper_and_rehash(change).await;
    assert!(check_finds(&world, 11).await.starts_with("2026-11 sha256:0000"));
    let found = check_forged(vec![month_closed("2026-11", "2026-11-30")], 0).await;
    assert_eq!(found, "another event");
}

#[tokio::test]
async fn books_in_the_stream_of_another_ledger_are_found() {
    let world = closed().await;
    let stream = domain::StreamId::books(domain::MerchantId::PLATFORM);
    world
        .tamper_and_rehash(&format!(
            "update events set stream_id = '{stream}' where position in (6, 7)"
        ))
        .await;
    world
        .verified()
        .await
        .assert_finds([(Check::StreamName, Some(6)), (Check::StreamName, Some(7))]);
}
