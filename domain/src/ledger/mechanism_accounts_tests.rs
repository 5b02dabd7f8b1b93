//! Accounts that a mechanism keeps take commands of that mechanism only: nobody else moves money in them, says how
//! they stand, or limits them.

use super::{
    Details, Direction, EntryPosted, ExternalRef, LedgerStep, Part, PostBatch, PostEntry, Posting,
    Postings, ReplaceEntry, ReverseEntry,
};
use crate::accounts::{
    AccountOpened, AmendAccount, Change, ClearingTerms, CloseAccount, FreezeAccount, Mechanism,
    OpenAccount, UnfreezeAccount,
};
use crate::given_when_then::{Given, LEDGER, account_opened_in, given};
use crate::holds::{CreateHold, Hold, HoldCreated, HoldEvent, PostHold, VoidHold};
use crate::text::{Metadata, Name};
use crate::{AccountId, Amount, Command, Event, MerchantId, Rejection, StateKey, States};

const PLATFORM: MerchantId = MerchantId::PLATFORM;
const OF_PAYMENTS: [&str; 4] = [
    "psp_clearing:alpha:USD",
    "merchant_payable:mer_1:USD",
    "fee_income:USD",
    "unexpected_receipts:alpha:USD",
];
const OF_CONVERSIONS: [&str; 2] = ["fx:exchange:USD", "fx:rounding:USD"];

/// Every account that a mechanism alone keeps.
fn kept() -> Vec<(MerchantId, &'static str)> {
    let conversions = |ledger| OF_CONVERSIONS.map(|code| (ledger, code));
    [&OF_PAYMENTS.map(|code| (PLATFORM, code))[..], &conversions(PLATFORM), &conversions(LEDGER)]
        .concat()
}

fn id(ledger: MerchantId, code: &str) -> AccountId {
    AccountId::of(ledger, &code.parse().unwrap())
}

fn refused(ledger: MerchantId, code: &str) -> Rejection {
    let account_id = id(ledger, code);
    match Mechanism::of(ledger, &code.parse().unwrap()) {
        Some(Mechanism::Payments) => Rejection::SystemAccount { account_id },
        Some(mechanism) => Rejection::MechanismAccount { account_id, mechanism },
        None => panic!("{code} is anybody's"),
    }
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

/// Books with an entry as the mechanism books it.
fn books(ledger: MerchantId, code: &str) -> (Given, EntryPosted) {
    let booked = EntryPosted::plain(ledger, reference("booked"), moving(ledger, code));
    let accounts = ["bank", code].map(|code| account_opened_in(ledger, code, "USD"));
    (given(accounts).and(Event::EntryPosted(booked.clone())), booked)
}

fn amend(ledger: MerchantId, code: &str) -> AmendAccount {
    AmendAccount {
        ledger,
        account_id: id(ledger, code),
        name: Change::Keep,
        metadata: Change::Keep,
        min_balance_minor: Change::Keep,
        max_balance_minor: Change::Keep,
        clearing: Change::Keep,
        expected_versions: None,
    }
}

#[test]
fn nobody_opens_an_account_below_one_of_a_mechanism() {
    for (ledger, code) in kept() {
        let Event::AccountOpened(above) = account_opened_in(ledger, code, "USD") else {
            panic!("it is opened")
        };
        let plain = OpenAccount::plain(ledger, "mine".parse().unwrap(), above.kind, above.currency);
        let below = OpenAccount { parent: Some(id(ledger, code)), ..plain };
        given([Event::AccountOpened(above)])
            .when(Command::OpenAccount(below))
            .then_rejected(refused(ledger, code));
    }
}

#[test]
fn nothing_but_its_mechanism_moves_money_in_an_account() {
    for (ledger, code) in kept() {
        let (_, booked) = books(ledger, code);
        let (post, details) = (entry(ledger, code), Details::default());
        let postings = Postings::new(moving(ledger, code)).unwrap();
        let hold = CreateHold::new(ledger, reference("h1"), details.clone(), postings, None);
        let up_to = entry(ledger, code).up_to().unwrap();
        let replace = ReplaceEntry::new(booked.entry_id, post.clone(), Some(&booked));
        let (original, part) = (booked.entry_id, Part::Rest);
        let reverse = ReverseEntry::new(ledger, original, None, details, part, Some(&booked));
        for command in [
            Command::PostEntry(post.clone()),
            Command::PostEntry(up_to),
            Command::CreateHold(hold.clone()),
            Command::ReplaceEntry(replace),
            Command::ReverseEntry(reverse.clone()),
        ] {
            books(ledger, code).0.when(command).then_rejected(refused(ledger, code));
        }
        for step in [LedgerStep::Post(post), LedgerStep::Hold(hold), LedgerStep::Reverse(reverse)] {
            let chain = Command::PostBatch(PostBatch { steps: vec![step], atomic: true });
            let rejection = refused(ledger, code).into();
            books(ledger, code)
                .0
                .when(chain)
                .then_rejected(Rejection::Step { index: 0, rejection });
        }
    }
}

#[test]
fn nobody_says_how_an_account_of_a_mechanism_stands_or_limits_it() {
    for (ledger, code) in kept() {
        let (account_id, expected_versions) = (id(ledger, code), None);
        let words: Metadata = serde_json::from_str(r#"{"a":"b"}"#).unwrap();
        for command in [
            Command::FreezeAccount(FreezeAccount { ledger, account_id, expected_versions: None }),
            Command::UnfreezeAccount(UnfreezeAccount {
                ledger,
                account_id,
                expected_versions: None,
            }),
            Command::CloseAccount(CloseAccount { ledger, account_id, expected_versions }),
            Command::AmendAccount(AmendAccount {
                min_balance_minor: Change::Set(Some(0)),
                ..amend(ledger, code)
            }),
            Command::AmendAccount(AmendAccount {
                max_balance_minor: Change::Set(Some(0)),
                ..amend(ledger, code)
            }),
            Command::AmendAccount(AmendAccount {
                name: Change::Set(Some(Name::parse("mine").unwrap())),
                ..amend(ledger, code)
            }),
            Command::AmendAccount(AmendAccount {
                metadata: Change::Set(Some(words)),
                ..amend(ledger, code)
            }),
        ] {
            books(ledger, code).0.when(command).then_rejected(refused(ledger, code));
        }
        let clearing = Change::Set(Some(ClearingTerms::new(1, 1).unwrap()));
        let watched = AmendAccount { clearing, ..amend(ledger, code) };
        books(ledger, code).0.when(Command::AmendAccount(watched)).then_accepted();
    }
}

/// As ledgers could make before the accounts were kept by conversions alone.
#[test]
fn what_is_held_on_an_account_of_a_mechanism_is_let_go() {
    let (ledger, code) = (LEDGER, "fx:rounding:USD");
    let created = HoldCreated {
        hold_id: crate::HoldId::of(ledger, &reference("h1")),
        ledger,
        external_ref: reference("h1"),
        description: None,
        metadata: Metadata::default(),
        payment_id: None,
        dispute_id: None,
        postings: moving(ledger, code),
        expires_at: None,
    };
    let held = || books(ledger, code).0.and(Event::Hold(HoldEvent::Created(created.clone())));
    let hold: Hold = held().states().hold(created.hold_id).unwrap().clone();
    let details = Details::default();
    let post = PostHold::new(ledger, hold.id, None, details, Part::Rest, false, Some(&hold));
    held().when(Command::PostHold(post)).then_rejected(refused(ledger, code));
    let void = VoidHold::new(ledger, hold.id, Some(&hold));
    held().when(Command::VoidHold(void)).then_accepted();
}

#[test]
fn a_wallet_cannot_be_made_to_fall_below_zero_and_is_its_owners_else() {
    let code = "wallet:customer-42";
    let opened = |min_balance_minor| match account_opened_in(LEDGER, code, "USD") {
        Event::AccountOpened(opened) => {
            Event::AccountOpened(AccountOpened { min_balance_minor, ..opened })
        }
        other => panic!("{other:?}"),
    };
    let minimum = |min_balance_minor| {
        let amend = AmendAccount { min_balance_minor, ..amend(LEDGER, code) };
        Command::AmendAccount(amend)
    };
    for below in [None, Some(-1)] {
        given([opened(Some(0))])
            .when(minimum(Change::Set(below)))
            .then_rejected(refused(LEDGER, code));
    }
    given([opened(Some(0))]).when(minimum(Change::Set(Some(5)))).then_accepted();
    // One that could fall below zero already may be mended.
    given([opened(None)]).when(minimum(Change::Set(Some(0)))).then_accepted();
    let wallet = || given([opened(None), account_opened_in(LEDGER, "bank", "USD")]);
    wallet().when(Command::PostEntry(entry(LEDGER, code))).then_accepted();
    let freeze =
        FreezeAccount { ledger: LEDGER, account_id: id(LEDGER, code), expected_versions: None };
    wallet().when(Command::FreezeAccount(freeze)).then_accepted();
    let account = wallet().states().state(&StateKey::Account(id(LEDGER, code))).cloned();
    let profile = account.unwrap().as_account().unwrap().profile.clone();
    assert_eq!(profile.mechanism, Some(Mechanism::Wallets));
}

#[test]
fn other_accounts_are_their_owners() {
    for (ledger, code) in [(PLATFORM, "rent"), (LEDGER, "wallets:cash:USD"), (LEDGER, "fx")] {
        let accounts = ["bank", code].map(|code| account_opened_in(ledger, code, "USD"));
        given(accounts).when(Command::PostEntry(entry(ledger, code))).then_accepted();
    }
}

#[test]
fn in_a_merchants_ledger_a_code_of_payments_means_nothing() {
    for code in OF_PAYMENTS {
        let accounts = ["bank", code].map(|code| account_opened_in(LEDGER, code, "USD"));
        given(accounts).when(Command::PostEntry(entry(LEDGER, code))).then_accepted();
    }
}

#[test]
fn that_an_account_is_a_mechanisms_is_said_before_what_it_is_else() {
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
    books(PLATFORM, "fee_income:USD")
        .0
        .when(Command::PostEntry(foreign))
        .then_rejected(Rejection::AccountNotFound { account_id });
}
