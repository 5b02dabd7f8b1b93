//! Examples of what happens to accounts, entries, holds, books and pairs of currencies.

use domain::accounts::{
    AccountAmended, AccountClosed, AccountFrozen, AccountOpened, AccountType, AccountUnfrozen,
    ClearingTerms,
};
use domain::books::{BooksEvent, DayBalance, DayBalances, DayClosed, DayCutOff, MonthClosed};
use domain::fx::{Converted, Exchange, FxEvent, Rate, RateRecorded, Rounding};
use domain::holds::{HoldCreated, HoldEvent, HoldExpired, HoldPosted, HoldVoided};
use domain::ledger::{Direction, EntryPosted, EntryReversed, ExternalRef, Posting};
use domain::{DisputeId, Event, Metadata, StreamVersion};
use uuid::Uuid;

use crate::{AT, ENTRY, HOLD, MERCHANT, PAYMENT, REVERSAL, account, amount, name, order};

/// All of them.
pub(crate) fn examples() -> Vec<(&'static str, Event)> {
    [accounts(), entries(), holds(), closes(), exchanges()].concat()
}

fn accounts() -> Vec<(&'static str, Event)> {
    let account_id = account("cash");
    let (code, currency) = ("cash".parse().unwrap(), "USD".parse().unwrap());
    let opened = AccountOpened::plain(MERCHANT, code, AccountType::Asset, currency);
    let full = AccountOpened {
        name: Some(name("Cash in the till")),
        normal_side: Some(Direction::Credit),
        parent: Some(account("assets")),
        depth: 1,
        metadata: order(),
        min_balance_minor: Some(-5_000),
        max_balance_minor: Some(1_000_000),
        clearing: Some(ClearingTerms::new(100, 48).unwrap()),
        ..opened.clone()
    };
    let amended = AccountAmended {
        account_id,
        name: None,
        metadata: Metadata::default(),
        min_balance_minor: None,
        max_balance_minor: None,
        clearing: None,
    };
    let amended_fully = AccountAmended {
        name: Some(name("Till 1")),
        metadata: order(),
        min_balance_minor: Some(0),
        max_balance_minor: Some(5_000),
        clearing: Some(ClearingTerms::new(0, 1).unwrap()),
        ..amended.clone()
    };
    vec![
        ("account", Event::AccountOpened(opened)),
        ("account with all", Event::AccountOpened(full)),
        ("amended to nothing", Event::AccountAmended(amended)),
        ("amended", Event::AccountAmended(amended_fully)),
        ("frozen", Event::AccountFrozen(AccountFrozen { account_id })),
        ("unfrozen", Event::AccountUnfrozen(AccountUnfrozen { account_id })),
        ("closed", Event::AccountClosed(AccountClosed { account_id })),
    ]
}

fn entries() -> Vec<(&'static str, Event)> {
    let external_ref = ExternalRef::parse("order 4711").unwrap();
    let plain = EntryPosted::plain(MERCHANT, external_ref, sale());
    let posted = EntryPosted { entry_id: ENTRY, ..plain };
    let full = EntryPosted {
        entry_id: REVERSAL,
        description: Some(name("Refund of order 4711")),
        metadata: order(),
        effective_at: Some("2026-11-21T00:00:00Z".parse().unwrap()),
        late_for: Some("2026-11-20T12:00:00.000001Z".parse().unwrap()),
        payment_id: Some(PAYMENT),
        dispute_id: Some(DisputeId::from_uuid(Uuid::from_u128(7))),
        up_to_minor: Some(2_000),
        reverses: Some(ENTRY),
        replaces: Some(ENTRY),
        hold_id: Some(HOLD),
        ..posted.clone()
    };
    let reversed = EntryReversed { entry_id: ENTRY, reversed_by: REVERSAL, reversed: None };
    vec![
        ("entry", Event::EntryPosted(posted)),
        ("entry with all", Event::EntryPosted(full)),
        ("reversed", Event::EntryReversed(reversed.clone())),
        (
            "reversed in part",
            Event::EntryReversed(EntryReversed { reversed: Some(sale()), ..reversed }),
        ),
    ]
}

fn sale() -> Vec<Posting> {
    let posting = |code: &str, direction| Posting {
        account_id: account(code),
        direction,
        amount: amount("10.00", "USD"),
    };
    vec![posting("cash", Direction::Debit), posting("sales", Direction::Credit)]
}

fn holds() -> Vec<(&'static str, Event)> {
    let created = HoldCreated {
        hold_id: HOLD,
        ledger: MERCHANT,
        external_ref: ExternalRef::parse("table 7").unwrap(),
        description: None,
        metadata: Metadata::default(),
        payment_id: None,
        dispute_id: None,
        postings: sale(),
        expires_at: None,
    };
    let full = HoldCreated {
        description: Some(name("Table 7")),
        metadata: order(),
        payment_id: Some(PAYMENT),
        dispute_id: Some(DisputeId::from_uuid(Uuid::from_u128(7))),
        expires_at: Some("2026-11-28T00:00:00Z".parse().unwrap()),
        ..created.clone()
    };
    let (hold_id, released) = (HOLD, sale());
    let posted =
        HoldPosted { hold_id, entry_id: ENTRY, released: released.clone(), left: Vec::new() };
    let in_part = HoldPosted { left: sale(), ..posted.clone() };
    let voided = HoldVoided { hold_id, released: released.clone() };
    let expired = HoldExpired { hold_id, released };
    [
        ("hold", HoldEvent::Created(created)),
        ("hold with all", HoldEvent::Created(full)),
        ("hold posted", HoldEvent::Posted(posted)),
        ("hold posted in part", HoldEvent::Posted(in_part)),
        ("hold voided", HoldEvent::Voided(voided)),
        ("hold expired", HoldEvent::Expired(expired)),
    ]
    .map(|(what, event)| (what, Event::Hold(event)))
    .to_vec()
}

fn closes() -> Vec<(&'static str, Event)> {
    let (ledger, day) = (MERCHANT, "2026-11-30".parse().unwrap());
    let balance = |code: &str, balance_minor| DayBalance {
        account_id: account(code),
        currency: "USD".parse().unwrap(),
        balance_minor,
    };
    let both = [balance("cash", 1_000), balance("sales", -1_000)];
    let DayBalances { accounts, totals, digest } = DayBalances::add_up(ledger, day, None, both);
    let first = DayClosed { ledger, day, accounts, totals, previous: None, digest };
    let next = DayClosed { previous: Some(digest), ..first.clone() };
    let month = MonthClosed { ledger, month: day.month(), digest };
    [
        ("day cut off", BooksEvent::DayCutOff(DayCutOff { ledger, day })),
        ("first day closed", BooksEvent::DayClosed(first)),
        ("day closed", BooksEvent::DayClosed(next)),
        ("month closed", BooksEvent::MonthClosed(month)),
    ]
    .map(|(what, event)| (what, Event::Books(event)))
    .to_vec()
}

fn exchanges() -> Vec<(&'static str, Event)> {
    let (ledger, base) = (MERCHANT, "USD".parse().unwrap());
    let quote = "EUR".parse().unwrap();
    let (rate, rate_version) = (Rate::parse("0.9251").unwrap(), StreamVersion::FIRST);
    let (rounding, source) = (Rounding::HalfEven, name("the bank"));
    let recorded = RateRecorded { ledger, base, quote, rate, as_of: AT, source };
    let converted = Converted {
        ledger,
        base,
        quote,
        entry_id: ENTRY,
        rate,
        rate_version,
        rounding,
        grows: Direction::Credit,
        sold_minor: 300,
        bought_minor: 278,
        paid_minor: 277,
        exact_minor: "277.53".parse().unwrap(),
        carried_minor: "0.53".parse().unwrap(),
    };
    let external_ref = ExternalRef::parse("order 4711").unwrap();
    let plain = EntryPosted::plain(MERCHANT, external_ref, sale());
    let exchange = Exchange { rate, rate_version, rounding, rounding_difference_minor: -1 };
    let entry = EntryPosted { entry_id: ENTRY, exchange: Some(exchange), ..plain };
    vec![
        ("rate recorded", Event::Fx(FxEvent::RateRecorded(recorded))),
        ("converted", Event::Fx(FxEvent::Converted(converted))),
        ("entry of a conversion", Event::EntryPosted(entry)),
    ]
}
