//! The ledger as others read it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::charges::{Book, Charge, Totals};
use super::operation::{Kind, Operation, Status};

/// A charge with its operations as they stand now.
#[derive(Debug, Serialize)]
pub(super) struct ChargeView<'a> {
    id: &'a str,
    reference: &'a str,
    currency: &'a str,
    token: &'a str,
    declined: bool,
    voided: bool,
    #[serde(flatten)]
    totals: Totals,
    operations: Vec<Operation>,
}

/// A page of the ledger.
#[derive(Debug, Serialize)]
pub(super) struct Page<'a> {
    charges: Vec<ChargeView<'a>>,
    /// What to ask for `after` to get the next page.
    next: Option<&'a str>,
    clearing: &'a BTreeMap<String, i128>,
}

/// The ledger in numbers.
#[derive(Debug, Serialize)]
pub(super) struct Summary<'a> {
    charges: usize,
    operations: BTreeMap<Kind, BTreeMap<Status, u64>>,
    /// How many operations will settle or fail yet without being asked.
    changing: usize,
    clearing: &'a BTreeMap<String, i128>,
}

pub(super) fn charge<'a>(book: &'a Book, charge: &'a Charge) -> ChargeView<'a> {
    let operations = charge.operations.iter().map(|place| book.entries()[*place].now());
    ChargeView {
        id: &charge.id,
        reference: &charge.reference,
        currency: &charge.currency,
        token: charge.token.text(),
        declined: charge.declined,
        voided: charge.voided,
        totals: charge.totals,
        operations: operations.collect(),
    }
}

/// The charges that follow `after`, or the first; `None` if there is no such charge.
pub(super) fn page<'a>(book: &'a Book, after: Option<&str>, limit: usize) -> Option<Page<'a>> {
    let start = match after {
        Some(id) => book.charge_place(id)? + 1,
        None => 0,
    };
    let rest = &book.charges()[start..];
    let charges = &rest[..limit.min(rest.len())];
    let more = charges.len() < rest.len();
    Some(Page {
        charges: charges.iter().map(|shown| charge(book, shown)).collect(),
        next: charges.last().filter(|_| more).map(|last| last.id.as_str()),
        clearing: book.clearing(),
    })
}

pub(super) fn summary(book: &Book) -> Summary<'_> {
    let mut operations: BTreeMap<Kind, BTreeMap<Status, u64>> = BTreeMap::new();
    for entry in book.entries() {
        let status = entry.change.map_or(entry.operation.status, |(status, _)| status);
        *operations.entry(entry.operation.kind).or_default().entry(status).or_default() += 1;
    }
    Summary {
        charges: book.charges().len(),
        operations,
        changing: book.changing(),
        clearing: book.clearing(),
    }
}
