//! The rules of cutting off and closing days.

use super::{BooksEvent, CloseDay, CutOffDay, DayBalances, DayClosed, DayCutOff, MonthClosed};
use crate::given_when_then::{Given, LEDGER, account_opened, given, post_dated, posted_dated};
use crate::{Command, Day, Event, Rejection, Timestamp};

fn day(text: &str) -> Day {
    text.parse().unwrap()
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn cut_off(text: &str) -> Command {
    Command::CutOffDay(CutOffDay { ledger: LEDGER, day: day(text) })
}

fn was_cut_off(text: &str) -> Event {
    Event::Books(BooksEvent::DayCutOff(DayCutOff { ledger: LEDGER, day: day(text) }))
}

fn balances(text: &str) -> DayBalances {
    DayBalances::add_up(LEDGER, day(text), None, [])
}

fn was_closed(text: &str) -> Event {
    let DayBalances { accounts, totals, digest } = balances(text);
    let (ledger, day, previous) = (LEDGER, day(text), None);
    let closed = DayClosed { ledger, day, accounts, totals, previous, digest };
    Event::Books(BooksEvent::DayClosed(closed))
}

fn close(text: &str) -> Command {
    let (ledger, day, previous) = (LEDGER, day(text), None);
    Command::CloseDay(CloseDay { ledger, day, previous, balances: balances(text) })
}

fn later(history: impl IntoIterator<Item = Event>) -> Given {
    given(history).at(time("2027-01-01T00:00:00Z"))
}

#[test]
fn a_day_is_cut_off_a_minute_after_its_end() {
    given([])
        .at(time("2026-11-21T00:01:00Z"))
        .when(cut_off("2026-11-20"))
        .then([was_cut_off("2026-11-20")]);
    given([])
        .at(time("2026-11-21T00:00:59.999999Z"))
        .when(cut_off("2026-11-20"))
        .then_rejected(Rejection::DayNotOver { day: day("2026-11-20") });
}

#[test]
fn the_first_day_is_that_on_which_something_can_first_take_effect() {
    later([]).when(cut_off("1970-01-01")).then([was_cut_off("1970-01-01")]);
    let refused = Rejection::DayBeforeBooks { first: day("1970-01-01") };
    later([]).when(cut_off("1969-12-31")).then_rejected(refused.clone());
    later([was_cut_off("2026-11-20")]).when(cut_off("0001-01-01")).then_rejected(refused);
}

#[test]
fn days_are_cut_off_in_order_and_months_one_by_one() {
    let closed = || later([was_cut_off("2026-11-20"), was_closed("2026-11-20")]);
    closed()
        .when(cut_off("2026-11-20"))
        .then_rejected(Rejection::DayCutOffAlready { day: day("2026-11-20") });
    closed().when(cut_off("2026-11-23")).then([was_cut_off("2026-11-23")]);
    closed()
        .when(cut_off("2026-12-01"))
        .then_rejected(Rejection::MonthNotClosed { last_day: day("2026-11-30") });
    later([was_cut_off("2026-11-20")])
        .when(cut_off("2026-11-21"))
        .then_rejected(Rejection::DayBeingClosed { day: day("2026-11-20") });
}

#[test]
fn a_day_is_closed_once_and_after_it_was_cut_off() {
    let refused = Rejection::DayNotCutOff { day: day("2026-11-20") };
    later([]).when(close("2026-11-20")).then_rejected(refused.clone());
    later([was_cut_off("2026-11-20")]).when(close("2026-11-20")).then([was_closed("2026-11-20")]);
    later([was_cut_off("2026-11-20"), was_closed("2026-11-20")])
        .when(close("2026-11-20"))
        .then_rejected(refused);
}

#[test]
fn a_close_builds_on_the_one_before() {
    later([was_cut_off("2026-11-20"), was_closed("2026-11-20"), was_cut_off("2026-11-21")])
        .when(close("2026-11-21"))
        .then_rejected(Rejection::DayNotCutOff { day: day("2026-11-21") });
}

#[test]
fn a_month_is_closed_with_its_last_day() {
    let month = MonthClosed {
        ledger: LEDGER,
        month: "2026-11".to_owned(),
        digest: balances("2026-11-30").digest,
    };
    later([was_cut_off("2026-11-30")])
        .when(close("2026-11-30"))
        .then([was_closed("2026-11-30"), Event::Books(BooksEvent::MonthClosed(month))]);
}

#[test]
fn what_is_dated_before_the_cut_off_takes_effect_on_the_next_open_day() {
    let books = || {
        let accounts = [account_opened("cash", None), account_opened("sales", None)];
        given(accounts).and(was_cut_off("2026-11-20")).at(time("2026-11-22T12:00:00Z"))
    };
    let late = time("2026-11-20T23:59:59.999999Z");
    books().when(post_dated("r1", late)).then([posted_dated(
        "r1",
        time("2026-11-21T00:00:00Z"),
        Some(late),
    )]);
    let in_time = time("2026-11-21T00:00:00Z");
    books().when(post_dated("r1", in_time)).then([posted_dated("r1", in_time, None)]);
}

#[test]
fn an_effective_time_is_after_1970_and_at_most_a_year_ahead() {
    let books = || {
        let accounts = [account_opened("cash", None), account_opened("sales", None)];
        given(accounts).at(time("2026-11-22T12:00:00Z"))
    };
    let refused = Rejection::EffectiveTimeOutOfRange {
        earliest: time("1970-01-01T00:00:00Z"),
        latest: time("2027-11-23T12:00:00Z"),
    };
    books().when(post_dated("r1", time("2027-11-23T12:00:00Z"))).then_accepted();
    books().when(post_dated("r1", time("2027-11-23T12:00:01Z"))).then_rejected(refused.clone());
    books().when(post_dated("r1", time("1969-12-31T23:59:59Z"))).then_rejected(refused);
}
