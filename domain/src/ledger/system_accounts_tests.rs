//! What payments come to is booked by payments alone: nobody else posts to those accounts.

use super::{
    Details, Direction, EntryPosted, ExternalRef, LedgerStep, Part, PostBatch, PostEntry, Posting,
    Postings, ReplaceEntry, ReverseEntry,
};
use crate::given_when_then::{Given, LEDGER, account_opened_in, given};
use crate::holds::CreateHold;
use crate::{AccountId, Amount, Command, Event, MerchantId, Rejection};

const PLATFORM: MerchantId = MerchantId::PLATFORM;
const SYSTEM: [&str; 4] = [
    "psp_clearing:alpha:USD",
    "merchant_payable:mer_1:USD",
    "fee_income:USD",
    "unexpected_receipts:alpha:USD",
];

fn id(ledger: MerchantId, code: &str) -> AccountId {
    AccountId::of(ledger, &code.parse().unwrap())
}

/// From `bank` to the account.
fn moving(ledger: MerchantId, code: &str) -> Vec<Posting> {
    let amount = Amount::from_minor(5, "USD".parse().unwrap()).unwrap();
    let posting = |code, direction| Posting { account_id: id(ledger, code), direction, amount };
    vec![posting(code, Direction::Debit), posting("bank", Direction::Credit)]
}

fn reference(text: &str) -> ExternalRef {
    ExternalRef::parse(text).unwrap()
}

fn entry(ledger: MerchantId, code: &str) -> PostEntry {
    let postings = Postings::new(moving(ledger, code)).unwrap();
    PostEntry::new(ledger, reference("r1"), Details::default(), postings)
}

/// The platform's books, with an entry as payments book it.
fn books(code: &str) -> (Given, EntryPosted) {
    let booked = EntryPosted::plain(PLATFORM, reference("booked"), moving(PLATFORM, code));
    let accounts = ["bank", code].map(|code| account_opened_in(PLATFORM, code, "USD"));
    (given(accounts).and(Event::EntryPosted(booked.clone())), booked)
}

#[test]
fn nothing_but_payments_moves_money_in_a_system_account() {
    for code in SYSTEM {
        let (_, booked) = books(code);
        let (post, details) = (entry(PLATFORM, code), Details::default());
        let postings = Postings::new(moving(PLATFORM, code)).unwrap();
        let hold = CreateHold::new(PLATFORM, reference("h1"), details.clone(), postings, None);
        let up_to = entry(PLATFORM, code).up_to().unwrap();
        let replace = ReplaceEntry::new(booked.entry_id, post.clone(), Some(&booked));
        let (original, part) = (booked.entry_id, Part::Rest);
        let reverse = ReverseEntry::new(PLATFORM, original, None, details, part, Some(&booked));
        let account_id = id(PLATFORM, code);
        let refused = || Rejection::SystemAccount { account_id };
        for command in [
            Command::PostEntry(post.clone()),
            Command::PostEntry(up_to),
            Command::CreateHold(hold),
            Command::ReplaceEntry(replace),
            Command::ReverseEntry(reverse),
        ] {
            books(code).0.when(command).then_rejected(refused());
        }
        let steps = vec![LedgerStep::Post(post)];
        let chain = Command::PostBatch(PostBatch { steps, atomic: true });
        let rejection = refused().into();
        books(code).0.when(chain).then_rejected(Rejection::Step { index: 0, rejection });
    }
}

#[test]
fn the_platforms_other_accounts_are_like_anybodys() {
    let accounts = ["bank", "rent"].map(|code| account_opened_in(PLATFORM, code, "USD"));
    given(accounts).when(Command::PostEntry(entry(PLATFORM, "rent"))).then_accepted();
}

#[test]
fn in_a_merchants_ledger_such_a_code_means_nothing() {
    for code in SYSTEM {
        let accounts = ["bank", code].map(|code| account_opened_in(LEDGER, code, "USD"));
        given(accounts).when(Command::PostEntry(entry(LEDGER, code))).then_accepted();
    }
}

#[test]
fn that_an_account_is_the_systems_is_said_before_what_it_is_else() {
    let account_id = id(PLATFORM, "fee_income:USD");
    given(["bank", "fee_income:USD"].map(|code| account_opened_in(PLATFORM, code, "EUR")))
        .when(Command::PostEntry(entry(PLATFORM, "fee_income:USD")))
        .then_rejected(Rejection::SystemAccount { account_id });
    // Of another ledger it is not there at all.
    let foreign = PostEntry::new(
        LEDGER,
        reference("r1"),
        Details::default(),
        Postings::new(moving(PLATFORM, "fee_income:USD")).unwrap(),
    );
    books("fee_income:USD")
        .0
        .when(Command::PostEntry(foreign))
        .then_rejected(Rejection::AccountNotFound { account_id });
}
