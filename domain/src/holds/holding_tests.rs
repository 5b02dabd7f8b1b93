//! The rules of holding, posting, voiding and expiring.

use super::scenario::{
    END, amount, as_made, create, expire, expired, funded, held, hold_id, post_part, posting_of,
    reference, void, voided, with_hold,
};
use super::{ExpireHold, HOLD_DAYS_MAX, HoldStatus, VoidHold};
use crate::accounts::AccountStatus;
use crate::given_when_then::{
    LEDGER, account_id, account_opened, given, hold, post, posted, status_event,
};
use crate::ledger::Part;
use crate::{Command, Event, MerchantId, Rejection, Timestamp};

#[test]
fn what_is_held_counts_against_the_limit() {
    funded().when(create(500)).then([held(500, None)]);
    let account_id = account_id("cash");
    funded().when(create(501)).then_rejected(Rejection::InsufficientFunds { account_id });
    with_hold()
        .when(post("r2", "sales", "cash", 201))
        .then_rejected(Rejection::InsufficientFunds { account_id });
    with_hold().when(post("r2", "sales", "cash", 200)).then_accepted();
    with_hold().and(voided(300)).when(post("r2", "sales", "cash", 500)).then_accepted();
}

#[test]
fn what_is_promised_to_an_account_counts_against_its_maximum_and_not_for_its_minimum() {
    let opened = match account_opened("cash", Some(0)) {
        Event::AccountOpened(opened) => Event::AccountOpened(crate::accounts::AccountOpened {
            max_balance_minor: Some(100),
            ..opened
        }),
        other => other,
    };
    let account_id = account_id("cash");
    let books = || {
        let incoming = hold("h1", "cash", "sales", 80);
        let books = given([opened.clone(), account_opened("sales", None)]);
        let decided = books.decide(&Command::CreateHold(incoming)).unwrap();
        books.and(decided.events()[0].event.clone())
    };
    books()
        .when(post("r1", "cash", "sales", 21))
        .then_rejected(Rejection::AboveMaximum { account_id });
    books().when(post("r1", "cash", "sales", 20)).then_accepted();
    books()
        .when(post("r1", "sales", "cash", 1))
        .then_rejected(Rejection::InsufficientFunds { account_id });
}

#[test]
fn a_hold_is_posted_in_whole_in_part_and_in_several_steps() {
    with_hold().when(post_part(Part::Rest, false)).then(posting_of(1, 300, 300));
    with_hold().when(post_part(amount(100), false)).then(posting_of(1, 100, 100));
    let after = || with_hold().and_all(posting_of(1, 100, 100));
    after().when(post_part(amount(200), false)).then(posting_of(2, 200, 200));
    after().when(post_part(Part::Rest, false)).then(posting_of(2, 200, 200));
    after().when(post_part(amount(50), true)).then(posting_of(2, 50, 200));
    after()
        .when(post_part(amount(201), false))
        .then_rejected(Rejection::AboveHeld { hold_id: hold_id() });
    after().when(void()).then([voided(200)]);
}

#[test]
fn posting_what_is_held_needs_no_other_room() {
    let spent = posted("r2", "sales", "cash", 200);
    with_hold().and(spent).when(post_part(Part::Rest, false)).then(posting_of(1, 300, 300));
}

#[test]
fn every_status_meets_every_command() {
    let ends = [
        (HoldStatus::Posted, posting_of(1, 300, 300).to_vec()),
        (HoldStatus::Posted, posting_of(1, 1, 300).to_vec()),
        (HoldStatus::Voided, vec![voided(300)]),
        (HoldStatus::Expired, vec![expired(300)]),
    ];
    for (status, events) in ends {
        for command in [post_part(Part::Rest, false), post_part(amount(1), true), void(), expire()]
        {
            let hold_id = hold_id();
            with_hold()
                .and_all(events.clone())
                .at(END)
                .when(command)
                .then_rejected(Rejection::HoldStatus { hold_id, status });
        }
    }
}

#[test]
fn a_hold_whose_time_is_over_can_only_expire() {
    let status = HoldStatus::Expired;
    for command in [post_part(Part::Rest, false), void()] {
        let before = Timestamp::from_micros(END.micros() - 1);
        with_hold().at(before).when(command.clone()).then_accepted();
        let hold_id = hold_id();
        with_hold().at(END).when(command).then_rejected(Rejection::HoldStatus { hold_id, status });
    }
    with_hold().when(expire()).then_rejected(Rejection::HoldNotOver { hold_id: hold_id() });
    with_hold().at(END).when(expire()).then([expired(300)]);
    let partly = posting_of(1, 100, 100);
    with_hold().and_all(partly).at(END).when(expire()).then([expired(200)]);
}

#[test]
fn a_hold_ends_within_a_year_or_never() {
    let ending = |at| {
        let mut hold = hold("h1", "sales", "cash", 1);
        hold.expires_at = Some(at);
        Command::CreateHold(hold)
    };
    let now = Timestamp::from_micros(1);
    let latest = now.plus_millis(HOLD_DAYS_MAX * 86_400_000);
    funded().when(ending(latest)).then_accepted();
    for at in [now, latest.plus_millis(1)] {
        funded().when(ending(at)).then_rejected(Rejection::HoldEndOutOfRange { now, latest });
    }
}

#[test]
fn a_reference_is_one_hold_and_an_entry_may_have_the_same() {
    with_hold().and(held(300, Some(END))).when(void()).then_accepted();
    let mut again = hold("h1", "sales", "cash", 300);
    again.expires_at = Some(END);
    with_hold().when(Command::CreateHold(again)).then_already();
    with_hold().when(create(300)).then_rejected(Rejection::HoldRefTaken {
        external_ref: reference("h1"),
        hold_id: hold_id(),
    });
    with_hold().when(post("h1", "sales", "cash", 1)).then_accepted();
}

#[test]
fn a_frozen_account_keeps_what_it_holds_and_can_let_it_go() {
    let account_id = account_id("cash");
    let frozen = || with_hold().and(status_event("cash", AccountStatus::Frozen));
    let status = AccountStatus::Frozen;
    frozen()
        .when(post_part(Part::Rest, false))
        .then_rejected(Rejection::AccountStatus { account_id, status });
    frozen().when(void()).then([voided(300)]);
    frozen().at(END).when(expire()).then([expired(300)]);
}

#[test]
fn an_account_with_something_held_stays() {
    let account_id = account_id("cash");
    let emptied = posted("r2", "sales", "cash", 500);
    let books = given([account_opened("cash", None), account_opened("sales", None)]);
    let close =
        crate::accounts::CloseAccount { ledger: LEDGER, account_id, expected_versions: None };
    books
        .and(posted("r1", "cash", "sales", 500))
        .and(emptied)
        .and(held(1, None))
        .when(Command::CloseAccount(close))
        .then_rejected(Rejection::BalanceNotZero { account_id });
}

#[test]
fn another_ledgers_hold_does_not_exist() {
    let other = MerchantId::from_uuid(uuid::Uuid::from_u128(99));
    let hold_id = hold_id();
    let command = Command::VoidHold(VoidHold::new(other, hold_id, Some(&as_made())));
    with_hold().when(command).then_rejected(Rejection::HoldNotFound { hold_id });
    funded().when(void()).then_rejected(Rejection::HoldNotFound { hold_id });
}

#[test]
fn a_hold_of_which_the_accounts_are_not_at_hand_does_not_exist() {
    let hold_id = hold_id();
    let made = || given([account_opened("cash", None), held(300, Some(END))]).at(END);
    let commands = [
        Command::ExpireHold(ExpireHold::new(hold_id, None)),
        Command::VoidHold(VoidHold::new(LEDGER, hold_id, None)),
    ];
    for command in commands {
        made().when(command).then_rejected(Rejection::HoldNotFound { hold_id });
    }
    with_hold().at(END).when(expire()).then([expired(300)]);
}
