//! Events of the ledger beyond the plain entry: amendments, holds, dated entries, parts reversed, closes.

use domain::accounts::{AccountAmended, ClearingTerms};
use domain::books::{BooksEvent, DayBalances, DayClosed, DayCutOff, MonthClosed};
use domain::holds::{HoldCreated, HoldEvent, HoldExpired, HoldPosted, HoldVoided};
use domain::ledger::{EntryPosted, EntryReversed, ExternalRef, Posting, Postings};
use domain::{
    AccountId, Amount, Day, DisputeId, Event, HoldId, MerchantId, Metadata, Name, PaymentId,
    StreamId, Timestamp,
};
use uuid::Uuid;

use super::events::{Happened, SHOP, account, posted};

fn amount(minor: i64) -> Amount {
    Amount::from_minor(minor, "USD".parse().expect("a currency")).expect("an amount")
}

fn pair(debit: AccountId, credit: AccountId, minor: i64) -> Vec<Posting> {
    use domain::ledger::Direction::{Credit, Debit};
    let posting = |account_id, direction| Posting { account_id, direction, amount: amount(minor) };
    vec![posting(debit, Debit), posting(credit, Credit)]
}

fn of(stream: StreamId, event: Event) -> Happened {
    Happened { stream, merchant: SHOP, event }
}

/// Amended to clear within some hours.
pub(crate) fn amended(code: &str, threshold: i64) -> Happened {
    let account_id = account(code);
    let metadata = [("till".to_owned(), threshold.to_string())].into_iter().collect();
    let event = AccountAmended {
        account_id,
        name: Name::parse("amended").ok(),
        metadata: Metadata::parse(metadata).expect("metadata"),
        min_balance_minor: Some(-threshold),
        max_balance_minor: Some(1_000_000_000_000),
        clearing: ClearingTerms::new(threshold, 24).ok(),
    };
    of(StreamId::account(account_id), Event::AccountAmended(event))
}

/// An entry that takes effect at a time of its own, with everything that an entry may say.
pub(crate) fn dated(
    reference: &str,
    (debit, credit): (&str, &str),
    minor: i64,
    effective_at: Timestamp,
) -> Happened {
    let plain = posted(reference, debit, credit, minor);
    let Event::EntryPosted(entry) = plain.event else { panic!("an entry") };
    let late_for = (minor % 3 == 0).then(|| effective_at.plus_millis(-86_400_000));
    let entry = EntryPosted {
        effective_at: Some(effective_at),
        late_for,
        payment_id: (minor % 2 == 0).then(|| PaymentId::from_uuid(Uuid::from_u128(7))),
        dispute_id: (minor % 5 == 0).then(|| DisputeId::from_uuid(Uuid::from_u128(8))),
        up_to_minor: (minor % 7 == 0).then_some(minor + 1),
        ..entry
    };
    of(plain.stream, Event::EntryPosted(entry))
}

/// A part of an entry reversed; the `part`th of its reversals.
pub(crate) fn partly_reversed(original: &EntryPosted, part: usize, minor: i64) -> [Happened; 2] {
    let name = format!("\"credit note {part} of {}\"", original.entry_id);
    let external_ref: ExternalRef = serde_json::from_str(&name).expect("a reference");
    let taken: Vec<Posting> = original
        .postings
        .iter()
        .map(|posting| Posting { amount: amount(minor), ..*posting })
        .collect();
    let entry = EntryPosted {
        reverses: Some(original.entry_id),
        ..EntryPosted::plain(SHOP, external_ref, Postings::opposite(&taken))
    };
    let reversed_by = entry.entry_id;
    let mark = EntryReversed { entry_id: original.entry_id, reversed_by, reversed: Some(taken) };
    [
        of(StreamId::entry(reversed_by), Event::EntryPosted(entry)),
        of(StreamId::entry(original.entry_id), Event::EntryReversed(mark)),
    ]
}

/// How holds end.
#[derive(Debug, Clone, Copy)]
pub(crate) enum End {
    Posted,
    Voided,
    Expired,
}

/// All that happens to a hold of 100, step by step: made, posted in part, ended.
pub(crate) fn way_of_a_hold(
    number: u8,
    (debit, credit): (&str, &str),
    end: End,
) -> Vec<Vec<Happened>> {
    let name = ExternalRef::parse(&format!("hold {number}")).expect("a reference");
    let hold_id = HoldId::of(SHOP, &name);
    let moving = |minor| pair(account(debit), account(credit), minor);
    let in_stream = |event| of(StreamId::hold(hold_id), Event::Hold(event));
    let posting = |step: u8, minor: i64, left: Vec<Posting>| {
        let name = format!("\"posting {step} of {hold_id}\"");
        let external_ref = serde_json::from_str(&name).expect("a reference");
        let entry = EntryPosted {
            hold_id: Some(hold_id),
            ..EntryPosted::plain(SHOP, external_ref, moving(minor))
        };
        let (entry_id, released) = (entry.entry_id, moving(minor));
        let mark = HoldPosted { hold_id, entry_id, released, left };
        vec![
            of(StreamId::entry(entry_id), Event::EntryPosted(entry)),
            in_stream(HoldEvent::Posted(mark)),
        ]
    };
    let made = HoldCreated {
        hold_id,
        ledger: SHOP,
        external_ref: name,
        description: Name::parse("a table").ok(),
        metadata: Metadata::default(),
        payment_id: None,
        dispute_id: None,
        postings: moving(100),
        expires_at: Some(Timestamp::from_micros(1_800_000_000_000_000)),
    };
    let last = match end {
        End::Posted => posting(2, 60, Vec::new()),
        End::Voided => {
            vec![in_stream(HoldEvent::Voided(HoldVoided { hold_id, released: moving(60) }))]
        }
        End::Expired => {
            vec![in_stream(HoldEvent::Expired(HoldExpired { hold_id, released: moving(60) }))]
        }
    };
    vec![vec![in_stream(HoldEvent::Created(made))], posting(1, 40, moving(60)), last]
}

/// A day cut off, and then closed, with the month where it is the last.
pub(crate) fn closed_day(day: Day) -> Vec<Vec<Happened>> {
    let ledger: MerchantId = SHOP;
    let in_stream = |event| of(StreamId::books(ledger), Event::Books(event));
    let DayBalances { accounts, totals, digest } = DayBalances::add_up(ledger, day, None, []);
    let closed = DayClosed { ledger, day, accounts, totals, previous: None, digest };
    let mut second = vec![in_stream(BooksEvent::DayClosed(closed))];
    if day.ends_month() {
        let month = MonthClosed { ledger, month: day.month(), digest };
        second.push(in_stream(BooksEvent::MonthClosed(month)));
    }
    vec![vec![in_stream(BooksEvent::DayCutOff(DayCutOff { ledger, day }))], second]
}
