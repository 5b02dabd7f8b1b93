//! What the tests of holds have in common: a hold of 300 of the 500 in cash.

use super::{
    ExpireHold, Hold, HoldCreated, HoldEvent, HoldExpired, HoldPosted, HoldVoided, PostHold,
    VoidHold,
};
use crate::given_when_then::{Given, LEDGER, account_opened, given, hold, posted, posting};
use crate::ledger::{Details, Direction, EntryPosted, ExternalRef, Part, Posting};
use crate::{Amount, Command, Event, HoldId, Metadata, StreamVersion, Timestamp};

pub(super) const END: Timestamp = Timestamp::from_micros(1_000);

pub(super) fn reference(text: &str) -> ExternalRef {
    ExternalRef::parse(text).unwrap()
}

pub(super) fn hold_id() -> HoldId {
    HoldId::of(LEDGER, &reference("h1"))
}

/// What leaves cash for sales.
pub(super) fn leaving(minor: i64) -> Vec<Posting> {
    vec![posting("sales", Direction::Debit, minor), posting("cash", Direction::Credit, minor)]
}

pub(super) fn held(minor: i64, expires_at: Option<Timestamp>) -> Event {
    Event::Hold(HoldEvent::Created(HoldCreated {
        hold_id: hold_id(),
        ledger: LEDGER,
        external_ref: reference("h1"),
        description: None,
        metadata: Metadata::default(),
        payment_id: None,
        dispute_id: None,
        postings: leaving(minor),
        expires_at,
    }))
}

pub(super) fn create(minor: i64) -> Command {
    Command::CreateHold(hold("h1", "sales", "cash", minor))
}

/// 500 in cash, which may not fall below zero.
pub(super) fn funded() -> Given {
    given([
        account_opened("cash", Some(0)),
        account_opened("sales", None),
        posted("r1", "cash", "sales", 500),
    ])
}

pub(super) fn with_hold() -> Given {
    funded().and(held(300, Some(END)))
}

pub(super) fn as_made() -> Hold {
    let Event::Hold(made) = held(300, Some(END)) else { panic!("a hold") };
    Hold::after(None, &made, StreamVersion::FIRST, Timestamp::from_micros(0)).unwrap()
}

pub(super) fn post_part(part: Part, last: bool) -> Command {
    let hold = as_made();
    let details = Details::default();
    Command::PostHold(PostHold::new(LEDGER, hold_id(), None, details, part, last, Some(&hold)))
}

pub(super) fn amount(minor: i64) -> Part {
    Part::Amount(Amount::from_minor(minor, "USD".parse().unwrap()).unwrap())
}

pub(super) fn void() -> Command {
    Command::VoidHold(VoidHold::new(LEDGER, hold_id(), Some(&as_made())))
}

pub(super) fn expire() -> Command {
    Command::ExpireHold(ExpireHold::new(hold_id(), Some(&as_made())))
}

pub(super) fn voided(minor: i64) -> Event {
    let released = leaving(minor);
    Event::Hold(HoldEvent::Voided(HoldVoided { hold_id: hold_id(), released }))
}

pub(super) fn expired(minor: i64) -> Event {
    let released = leaving(minor);
    Event::Hold(HoldEvent::Expired(HoldExpired { hold_id: hold_id(), released }))
}

/// The events of the `turn`th posting, which releases more than it posts where it is the last. Before the
/// first 300 are held, before the second 200.
pub(super) fn posting_of(turn: i64, minor: i64, released: i64) -> [Event; 2] {
    posting_from(turn, if turn == 1 { 300 } else { 200 }, minor, released)
}

/// The same where so much is held before.
pub(super) fn posting_from(turn: i64, held: i64, minor: i64, released: i64) -> [Event; 2] {
    let external_ref = ExternalRef::posting_of(hold_id(), StreamVersion::from_number(turn));
    let entry = EntryPosted {
        hold_id: Some(hold_id()),
        ..EntryPosted::plain(LEDGER, external_ref, leaving(minor))
    };
    let still_held = held - released;
    let left = if still_held > 0 { leaving(still_held) } else { Vec::new() };
    let (entry_id, released) = (entry.entry_id, leaving(released));
    let mark = HoldPosted { hold_id: hold_id(), entry_id, released, left };
    [Event::EntryPosted(entry), Event::Hold(HoldEvent::Posted(mark))]
}
