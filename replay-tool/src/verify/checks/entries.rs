//! Entries balance in every currency, have the id of their reference, move no more than they were to, and
//! are what their stream begins with. That amounts are positive is part of decoding them.

use std::collections::BTreeMap;

use domain::ledger::{POSTINGS_MAX, POSTINGS_MIN};
use domain::{Currency, EntryId, MerchantId};

use crate::facts::{Fact, PostingFacts};
use crate::log_rows::Row;
use crate::verify::finding::{Check, Findings, entry as named};

/// The version of the one posting event of an entry's stream.
const POSTED_VERSION: i64 = 1;

pub(crate) fn check(row: &Row<'_>, fact: &Fact<'_>, findings: &mut Findings) {
    let Fact::Entry(entry) = fact else { return };
    let mut add = |expected: String, found: String| {
        findings.add(Check::Entries, row.position, named(entry.entry_id), expected, found);
    };
    let ledger = MerchantId::from_uuid(entry.ledger);
    let id = EntryId::of_recorded(ledger, &entry.external_ref).uuid();
    if entry.entry_id != id {
        add(format!("{}, as its reference says", named(id)), named(entry.entry_id));
    }
    if row.version != POSTED_VERSION {
        add("the first event of its stream".to_owned(), format!("version {}", row.version));
    }
    if let Some(most) = entry.up_to_minor {
        let moved = entry.postings.iter().map(|posting| posting.minor).max().unwrap_or(0);
        if moved > most || entry.postings.len() != POSTINGS_MIN {
            let expected = format!("up to {most} minor units from one account to another");
            add(expected, format!("{moved} in {} postings", entry.postings.len()));
        }
    }
    check_postings(&entry.postings, add);
}

/// Whether these may be moved, or held, together.
pub(super) fn check_postings(postings: &[PostingFacts], mut add: impl FnMut(String, String)) {
    let count = postings.len();
    if !(POSTINGS_MIN..=POSTINGS_MAX).contains(&count) {
        add(format!("{POSTINGS_MIN} to {POSTINGS_MAX} postings"), count.to_string());
    }
    if !balance(postings) {
        for (currency, sum) in sums(postings).into_iter().filter(|(_, sum)| *sum != 0) {
            let found = format!("debits − credits = {sum} minor units of {currency}");
            add(format!("debits and credits of {currency} to be equal"), found);
        }
    }
}

/// The usual case without a table: every posting is of one currency.
fn balance(postings: &[PostingFacts]) -> bool {
    let Some(first) = postings.first() else { return true };
    if postings.iter().any(|posting| posting.currency != first.currency) {
        return sums(postings).values().all(|sum| *sum == 0);
    }
    postings.iter().map(signed).sum::<i128>() == 0
}

fn sums(postings: &[PostingFacts]) -> BTreeMap<Currency, i128> {
    let mut sums = BTreeMap::new();
    for posting in postings {
        *sums.entry(posting.currency).or_default() += signed(posting);
    }
    sums
}

fn signed(posting: &PostingFacts) -> i128 {
    i128::from(posting.direction.signed(posting.minor))
}
