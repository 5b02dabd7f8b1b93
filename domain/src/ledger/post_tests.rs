//! The rules of posting an entry.

use super::{Details, Direction, EntryPosted, ExternalRef, PostEntry, Posting, Postings};
use crate::accounts::AccountStatus;
use crate::given_when_then::{
    Given, LEDGER, account_id, account_opened, account_opened_in, entry_id, given, hold, post,
    post_entry, posted, posted_event, posting, status_event, then_posted,
};
use crate::{AMOUNT_MINOR_MAX, AccountId, Amount, Command, Event, MerchantId, Rejection, States};

fn ledger_with(extra: impl IntoIterator<Item = Event>) -> Vec<Event> {
    let mut history = vec![account_opened("cash", Some(0)), account_opened("sales", None)];
    history.extend(extra);
    history
}

#[test]
fn a_balanced_entry_is_posted() {
    given(ledger_with([]))
        .when(post("r1", "cash", "sales", 500))
        .then([then_posted("r1", "cash", "sales", 500)]);
}

#[test]
fn an_entry_may_not_take_an_account_below_its_minimum() {
    given(ledger_with([posted("r1", "cash", "sales", 500)]))
        .when(post("r2", "sales", "cash", 501))
        .then_rejected(Rejection::InsufficientFunds { account_id: account_id("cash") });
    given(ledger_with([posted("r1", "cash", "sales", 500)]))
        .when(post("r2", "sales", "cash", 500))
        .then([then_posted("r2", "sales", "cash", 500)]);
}

#[test]
fn the_minimum_is_kept_by_the_entry_as_a_whole() {
    let postings = Postings::new(vec![
        posting("cash", Direction::Credit, 10),
        posting("sales", Direction::Debit, 10),
        posting("cash", Direction::Debit, 10),
        posting("sales", Direction::Credit, 10),
    ]);
    let command = PostEntry::new(
        LEDGER,
        ExternalRef::parse("r1").unwrap(),
        Details::default(),
        postings.unwrap(),
    );
    given(ledger_with([])).when(Command::PostEntry(command)).then_accepted();
}

#[test]
fn an_account_below_its_minimum_may_still_rise() {
    let mut opened = vec![account_opened("cash", Some(1_000)), account_opened("sales", None)];
    given(opened.clone()).when(post("r1", "cash", "sales", 5)).then_accepted();
    opened.push(posted("r1", "cash", "sales", 5));
    given(opened)
        .when(post("r2", "sales", "cash", 5))
        .then_rejected(Rejection::InsufficientFunds { account_id: account_id("cash") });
}

#[test]
fn the_same_reference_with_the_same_content_is_the_same_entry() {
    given(ledger_with([posted("r1", "cash", "sales", 500)]))
        .when(post("r1", "cash", "sales", 500))
        .then_already();
}

#[test]
fn the_same_reference_with_other_content_is_refused() {
    let external_ref = ExternalRef::parse("r1").unwrap();
    given(ledger_with([posted("r1", "cash", "sales", 500)]))
        .when(post("r1", "cash", "sales", 501))
        .then_rejected(Rejection::ExternalRefTaken { external_ref, entry_id: entry_id("r1") });
}

#[test]
fn accounts_of_other_ledgers_and_unknown_ones_are_not_found() {
    let foreign = account_opened_in(MerchantId::PLATFORM, "fees", "USD");
    let account_id = AccountId::of(MerchantId::PLATFORM, &"fees".parse().unwrap());
    let to_foreign = |history: Vec<Event>| {
        let postings = Postings::new(vec![
            posting("cash", Direction::Debit, 1),
            Posting { account_id, ..posting("sales", Direction::Credit, 1) },
        ]);
        let command = PostEntry::new(
            LEDGER,
            ExternalRef::parse("r1").unwrap(),
            Details::default(),
            postings.unwrap(),
        );
        given(history)
            .when(Command::PostEntry(command))
            .then_rejected(Rejection::AccountNotFound { account_id });
    };
    to_foreign(ledger_with([foreign]));
    to_foreign(ledger_with([]));
}

/// `cash` after as many entries of the largest amount as make its debits exceed 64 bits.
fn beyond_64_bits() -> Given {
    let entries = (0..1_025).map(|n| posted(&format!("r{n}"), "cash", "sales", AMOUNT_MINOR_MAX));
    let state = given(ledger_with(entries));
    let totals = state.states().account(account_id("cash")).unwrap().totals;
    assert!(totals.debits_posted > i128::from(i64::MAX));
    state
}

#[test]
fn no_sequence_of_entries_fills_an_account() {
    let most = AMOUNT_MINOR_MAX;
    let expected = [then_posted("last", "cash", "sales", most)];
    beyond_64_bits().when(post("last", "cash", "sales", most)).then(expected);
    let command = Command::CreateHold(hold("h1", "cash", "sales", most));
    beyond_64_bits().when(command).then_accepted();
}

#[test]
fn of_what_is_available_beyond_64_bits_as_much_is_moved_as_is_asked_for() {
    let most = AMOUNT_MINOR_MAX;
    let up_to = post_entry("last", "sales", "cash", most).up_to().unwrap();
    let moved =
        EntryPosted { up_to_minor: Some(most), ..posted_event("last", "sales", "cash", most) };
    beyond_64_bits().when(Command::PostEntry(up_to)).then([Event::EntryPosted(moved)]);
}

/// One command that breaks every rule; as each is mended, the next one wins.
#[test]
fn when_several_rules_are_broken_the_first_of_the_list_wins() {
    let euros = account_opened_in(LEDGER, "sales", "EUR");
    let frozen = status_event("sales", AccountStatus::Frozen);
    let command = || post("r1", "sales", "cash", 1);
    let cash = account_id("cash");
    let sales = account_id("sales");
    given([frozen.clone()])
        .when(command())
        .then_rejected(Rejection::AccountNotFound { account_id: sales });
    given([account_opened("cash", Some(0)), euros.clone(), frozen]).when(command()).then_rejected(
        Rejection::AccountStatus { account_id: sales, status: AccountStatus::Frozen },
    );
    given([account_opened("cash", Some(0)), euros]).when(command()).then_rejected(
        Rejection::CurrencyMismatch { account_id: sales, currency: "EUR".parse().unwrap() },
    );
    given(ledger_with([]))
        .when(command())
        .then_rejected(Rejection::InsufficientFunds { account_id: cash });
}

fn up_to(reference: &str, debit: &str, credit: &str, minor: i64) -> Command {
    let entry = crate::given_when_then::post_entry(reference, debit, credit, minor);
    Command::PostEntry(entry.up_to().unwrap())
}

fn cut(reference: &str, debit: &str, credit: &str, asked: i64, moved: i64) -> Event {
    Event::EntryPosted(crate::ledger::EntryPosted {
        up_to_minor: Some(asked),
        ..crate::given_when_then::posted_event(reference, debit, credit, moved)
    })
}

#[test]
fn an_entry_may_move_what_is_available() {
    let with = |minor| given(ledger_with([posted("r1", "cash", "sales", minor)]));
    with(500).when(up_to("r2", "sales", "cash", 700)).then([cut("r2", "sales", "cash", 700, 500)]);
    with(500).when(up_to("r2", "sales", "cash", 400)).then([cut("r2", "sales", "cash", 400, 400)]);
    given(ledger_with([]))
        .when(up_to("r2", "sales", "cash", 700))
        .then_rejected(Rejection::InsufficientFunds { account_id: account_id("cash") });
}

#[test]
fn what_was_cut_is_the_answer_to_who_asks_for_it_again() {
    let history = || {
        given(ledger_with([
            posted("r1", "cash", "sales", 500),
            cut("r2", "sales", "cash", 700, 500),
        ]))
    };
    history().when(up_to("r2", "sales", "cash", 700)).then_already();
    let taken = Rejection::ExternalRefTaken {
        external_ref: ExternalRef::parse("r2").unwrap(),
        entry_id: entry_id("r2"),
    };
    history().when(up_to("r2", "sales", "cash", 500)).then_rejected(taken.clone());
    history().when(post("r2", "sales", "cash", 500)).then_rejected(taken.clone());
    let euros = |posting: Posting| {
        let amount = Amount::from_minor(700, "EUR".parse().unwrap()).unwrap();
        Posting { amount, ..posting }
    };
    let Command::PostEntry(dollars) = post("r2", "sales", "cash", 700) else { panic!("an entry") };
    let postings = dollars.postings.as_slice().iter().copied().map(euros).collect();
    let postings = Postings::new(postings).unwrap();
    let entry = PostEntry::new(LEDGER, dollars.external_ref, Details::default(), postings);
    history().when(Command::PostEntry(entry.up_to().unwrap())).then_rejected(taken);
}

#[test]
fn only_one_amount_between_two_accounts_can_be_cut() {
    let postings = Postings::new(vec![
        posting("cash", Direction::Debit, 2),
        posting("sales", Direction::Credit, 1),
        posting("sales", Direction::Credit, 1),
    ]);
    let entry = PostEntry::new(
        LEDGER,
        ExternalRef::parse("r1").unwrap(),
        Details::default(),
        postings.unwrap(),
    );
    assert_eq!(entry.up_to().unwrap_err(), super::PostingsError::NotOnePair);
    let within = crate::given_when_then::post_entry("r1", "cash", "cash", 1);
    assert_eq!(within.up_to().unwrap_err(), super::PostingsError::NotOnePair);
}

#[test]
fn a_link_is_to_a_payment_of_the_ledgers_own() {
    let payment_id = crate::PaymentId::from_uuid(uuid::Uuid::from_u128(5));
    let mut entry = crate::given_when_then::post_entry("r1", "cash", "sales", 5);
    entry.details.payment_id = Some(payment_id);
    given(ledger_with([]))
        .when(Command::PostEntry(entry))
        .then_rejected(Rejection::PaymentNotFound { payment_id });
}
