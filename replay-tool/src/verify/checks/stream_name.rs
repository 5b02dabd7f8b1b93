//! The name of a stream, the row's merchant and the data say the same. As an entry's stream is named by
//! its id, and that comes of its reference, this is also what makes references unique: two entries of one
//! reference would be in one stream, and only one of them can be its first event.

use domain::cards::CardEvent;
use domain::holds::HoldEvent;
use domain::payments::PaymentEvent;
use domain::{EntryId, Event, MerchantId, StreamId};

use crate::facts::{EntryFacts, Fact};
use crate::log_rows::Row;
use crate::verify::finding::{Check, Findings};

pub(crate) fn check(row: &Row<'_>, fact: &Fact<'_>, findings: &mut Findings) {
    match fact {
        Fact::Entry(entry) => check_entry(row, entry, findings),
        Fact::Other(event) => check_other(row, event, findings),
    }
}

fn check_entry(row: &Row<'_>, entry: &EntryFacts<'_>, findings: &mut Findings) {
    let stream = StreamId::entry(EntryId::from_uuid(entry.entry_id));
    if row.stream_id != stream.as_str() {
        let expected = format!("stream {stream}");
        findings.add(Check::StreamName, row.position, row.stream_id, expected, row.stream_id);
    }
    check_merchant(row, MerchantId::from_uuid(entry.ledger), findings);
}

fn check_other(row: &Row<'_>, event: &Event, findings: &mut Findings) {
    // The stream that the data leads to, and the merchant, where the data names one.
    let (stream, merchant) = match event {
        Event::MerchantRegistered(event) => {
            (StreamId::merchant(event.merchant_id), Some(event.merchant_id))
        }
        Event::ApiKeyIssued(event) => (StreamId::api_key(event.key_id), Some(event.merchant_id)),
        Event::ApiKeyRevoked(event) => (StreamId::api_key(event.key_id), None),
        Event::AccountOpened(event) => {
            let derived = domain::AccountId::of(event.ledger, &event.code);
            if derived != event.account_id {
                let expected = format!("account {derived}, as its code says");
                let found = format!("account {}", event.account_id);
                findings.add(Check::StreamName, row.position, row.stream_id, expected, found);
            }
            (StreamId::account(event.account_id), Some(event.ledger))
        }
        Event::AccountAmended(event) => (StreamId::account(event.account_id), None),
        Event::AccountFrozen(event) => (StreamId::account(event.account_id), None),
        Event::AccountUnfrozen(event) => (StreamId::account(event.account_id), None),
        Event::AccountClosed(event) => (StreamId::account(event.account_id), None),
        // The first is not made by `Fact::read`; the second is looked up by the check of reversals.
        Event::EntryPosted(_) | Event::EntryReversed(_) => return,
        Event::Hold(HoldEvent::Created(event)) => {
            (StreamId::hold(event.hold_id), Some(event.ledger))
        }
        Event::Hold(event) => (StreamId::hold(event.hold_id()), None),
        Event::Books(event) => (StreamId::books(event.ledger()), Some(event.ledger())),
        Event::Fx(event) => (StreamId::pair(event.pair()), Some(event.pair().ledger())),
        Event::Payment(PaymentEvent::Created(event)) => {
            (StreamId::payment(event.payment_id), Some(event.merchant_id))
        }
        Event::Payment(event) => (StreamId::payment(event.payment_id()), None),
        Event::Card(event) => {
            let CardEvent::Declined(declined) = event;
            (StreamId::card(event.card_id()), Some(declined.merchant_id))
        }
        Event::Psp(event) => (StreamId::psp(event.psp()), Some(MerchantId::PLATFORM)),
    };
    if stream.as_str() != row.stream_id {
        let expected = format!("stream {stream}");
        findings.add(Check::StreamName, row.position, row.stream_id, expected, row.stream_id);
    }
    if let Some(merchant) = merchant {
        check_merchant(row, merchant, findings);
    }
}

fn check_merchant(row: &Row<'_>, expected: MerchantId, findings: &mut Findings) {
    let found = row.merchant();
    if found != expected {
        let (expected, found) = (format!("merchant {expected}"), format!("merchant {found}"));
        findings.add(Check::Merchant, row.position, row.stream_id, expected, found);
    }
}
