//! The name of a stream, the row's merchant and the data say the same. As an entry's stream is named by
//! its reference, this is also what makes references unique: two entries of one reference would be in one
//! stream, and only one of them can be its first event.

use domain::{Event, MerchantId, StreamId};
use sha2::{Digest, Sha256};

use crate::facts::{EntryFacts, Fact};
use crate::log_rows::Row;
use crate::verify::finding::{Check, Findings};

/// The letters of a merchant's id: `mer_` and 26 more.
const MERCHANT_LETTERS: usize = 30;

pub(crate) fn check(row: &Row<'_>, fact: &Fact<'_>, findings: &mut Findings) {
    match fact {
        Fact::Entry(entry) => check_entry(row, entry, findings),
        Fact::Other(event) => check_other(row, event, findings),
    }
}

fn check_entry(row: &Row<'_>, entry: &EntryFacts<'_>, findings: &mut Findings) {
    if !names_entry(row.stream_id, entry) {
        let ledger = MerchantId::from_uuid(entry.ledger);
        let digest: String = reference_hex(entry).iter().copied().map(char::from).collect();
        let expected = format!("stream {}{ledger}-{digest}", StreamId::ENTRY_PREFIX);
        findings.add(Check::StreamName, row.position, row.stream_id, expected, row.stream_id);
    }
    check_merchant(row, MerchantId::from_uuid(entry.ledger), findings);
}

/// Whether the name is `entry-<ledger>-<sha256(external_ref)>`, without building it.
fn names_entry(stream: &str, entry: &EntryFacts<'_>) -> bool {
    let Some(rest) = stream.strip_prefix(StreamId::ENTRY_PREFIX) else { return false };
    let Some((ledger, rest)) = rest.split_at_checked(MERCHANT_LETTERS) else { return false };
    let Some(digest) = rest.strip_prefix('-') else { return false };
    crate::facts::typed_id("mer_", ledger) == Some(entry.ledger)
        && digest.as_bytes() == reference_hex(entry)
}

fn reference_hex(entry: &EntryFacts<'_>) -> [u8; 64] {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digest: [u8; 32] = Sha256::digest(entry.external_ref.as_bytes()).into();
    let mut hex = [0_u8; 64];
    for (pair, byte) in hex.chunks_exact_mut(2).zip(digest) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 0b1111)];
    }
    hex
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
        Event::AccountFrozen(event) => (StreamId::account(event.account_id), None),
        Event::AccountUnfrozen(event) => (StreamId::account(event.account_id), None),
        Event::AccountClosed(event) => (StreamId::account(event.account_id), None),
        // The first is not made by `Fact::read`; the second is looked up by the check of reversals.
        Event::EntryPosted(_) | Event::EntryReversed(_) => return,
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
