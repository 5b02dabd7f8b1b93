//! Days are cut off when they are over and in order; after a cut-off nothing takes effect on that day or before
//! it; a day is closed with the balances that all events before its cut-off add up to, chained to the close
//! before; and a month with its last day.
//!
//! This adds up all accounts of every ledger that closes its books, in the same partitions as their states. The
//! sums of a day go on from partition to partition, as these are in the order of the accounts' ids.

mod books;
mod cut_offs;
mod digest;

use std::collections::HashMap;
use std::fmt;

use domain::books::{
    BalancesDigest, BooksEvent, CurrencyTotals, DayClosed, DayCutOff, MonthClosed,
};
use domain::{Day, Event, MerchantId};
use sqlx::PgConnection;
use uuid::Uuid;

use self::books::Books;
use self::digest::DaySums;
use super::accounts::Partition;
use crate::courtesy::Courtesy;
use crate::facts::{EntryFacts, Fact};
use crate::log_rows::Row;
use crate::verify::Scope;
use crate::verify::error::VerifyError;
use crate::verify::finding::{Check, Findings, entry as named_entry};

/// The books of all ledgers, as they are at the row that was last applied.
#[derive(Debug)]
pub(crate) struct Closes {
    partition: Partition,
    books: HashMap<Uuid, Books>,
    /// What the accounts of the partitions so far add up to, by the position of the cut-off.
    days: HashMap<i64, DaySums>,
    /// The month whose close has to come next.
    month: Option<ExpectedMonth>,
}

#[derive(Debug)]
struct ExpectedMonth {
    position: i64,
    event: MonthClosed,
}

impl Closes {
    /// Of the first of so many partitions; `None` where there are more cut-offs than are checked.
    pub(crate) async fn read(
        db: &mut PgConnection,
        scope: Scope,
        partitions: u64,
        courtesy: &Courtesy,
    ) -> Result<Option<Self>, VerifyError> {
        let Some(cut_offs) = cut_offs::read(db, scope, courtesy).await? else { return Ok(None) };
        let books = cut_offs.into_iter().map(|(ledger, of)| (ledger, Books::of(of))).collect();
        let partition = Partition { index: 0, of: partitions };
        Ok(Some(Self { partition, books, days: HashMap::new(), month: None }))
    }

    /// The same for another partition, from the beginning of the log.
    pub(crate) fn again(mut self, partition: Partition) -> Self {
        self.books.values_mut().for_each(Books::start_again);
        Self { partition, month: None, ..self }
    }

    /// Whether this says what does not depend on the accounts: once is enough.
    fn first(&self) -> bool {
        self.partition.index == 0
    }

    /// Whether all accounts are added up at a close.
    fn last(&self) -> bool {
        self.partition.index + 1 == self.partition.of
    }

    /// Checks the event against the books before it, and folds it.
    pub(crate) fn apply(&mut self, row: &Row<'_>, fact: &Fact<'_>, findings: &mut Findings) {
        let expected = self.month.take();
        if let Fact::Other(Event::Books(BooksEvent::MonthClosed(event))) = fact {
            return self.month_closed(row, event, expected, findings);
        }
        missing_month(expected, findings);
        match fact {
            Fact::Entry(entry) => self.entry(row, entry, findings),
            Fact::Other(Event::Books(BooksEvent::DayCutOff(event))) => {
                self.cut_off(row, event, findings);
            }
            Fact::Other(Event::Books(BooksEvent::DayClosed(event))) => {
                self.day_closed(row, event, findings);
            }
            Fact::Other(_) => {}
        }
    }

    /// What is still expected when the log ends.
    pub(crate) fn end(&mut self, findings: &mut Findings) {
        missing_month(self.month.take(), findings);
    }

    fn entry(&mut self, row: &Row<'_>, entry: &EntryFacts<'_>, findings: &mut Findings) {
        // Most ledgers close no books.
        let books = self.books.get_mut(&entry.ledger);
        let day = Day::of(entry.effective_at.unwrap_or_else(|| row.recorded_at()));
        if self.partition.index == 0 {
            let cut_off = books.as_ref().and_then(|books| books.cut_off);
            check_day(row, entry, day, cut_off, findings);
        }
        if let Some(books) = books {
            books.count(day, &entry.postings, self.partition);
        }
    }

    fn cut_off(&mut self, row: &Row<'_>, event: &DayCutOff, findings: &mut Findings) {
        let first = self.first();
        let Some(books) = self.books.get_mut(&event.ledger.uuid()) else { return };
        if first {
            check_cut_off(books, row, event, findings);
        }
        let (position, before) = (row.position, books.closed);
        // Where it is in no stream of books, that is found by the stream's name.
        if let Some(balances) = books.cut(position, event.day) {
            let empty = || DaySums::of(event.ledger, event.day, before);
            let sums = self.days.entry(position).or_insert_with(empty);
            for (account, (currency, minor)) in balances {
                sums.add(account, currency, minor);
            }
        }
    }

    fn day_closed(&mut self, row: &Row<'_>, event: &DayClosed, findings: &mut Findings) {
        let (first, last) = (self.first(), self.last());
        let mut add = |expected: String, found: String| {
            findings.add(
                Check::Closes,
                row.position,
                named(event.ledger, event.day),
                expected,
                found,
            );
        };
        if first && event.day.ends_month() {
            let (ledger, month, digest) = (event.ledger, event.day.month(), event.digest);
            let event = MonthClosed { ledger, month, digest };
            self.month = Some(ExpectedMonth { position: row.position, event });
        }
        let books = self.books.get_mut(&event.ledger.uuid());
        let closing = books.as_ref().and_then(|books| books.closing);
        let Some((books, (cut_off, _))) = books.zip(closing.filter(|(_, day)| *day == event.day))
        else {
            if first {
                let found = closing.map(|(_, day)| format!("{day} is being closed"));
                let found = found.unwrap_or("no day is being closed".to_owned());
                add("a day that was cut off and is not closed".to_owned(), found);
            }
            return;
        };
        books.closing = None;
        let previous = books.closed.replace(event.digest);
        if !last {
            return;
        }
        let Some(sums) = self.days.remove(&cut_off) else { return };
        let (accounts, totals, digest) = (sums.accounts(), &sums.totals(), &sums.digest());
        let expected = Told { accounts, totals, previous, digest }.to_string();
        let DayClosed { accounts, ref totals, previous, .. } = *event;
        let found = Told { accounts, totals, previous, digest: &event.digest.to_string() };
        let found = found.to_string();
        if expected != found {
            add(expected, found);
        }
    }

    fn month_closed(
        &self,
        row: &Row<'_>,
        event: &MonthClosed,
        expected: Option<ExpectedMonth>,
        findings: &mut Findings,
    ) {
        if !self.first() {
            return;
        }
        let subject = format!("books of {}, {}", event.ledger, event.month);
        let told = |event: &MonthClosed| format!("{} {}", event.month, event.digest);
        match expected {
            Some(expected) if expected.event == *event => {}
            Some(expected) if expected.event.ledger == event.ledger => {
                let (expected, found) = (told(&expected.event), told(event));
                findings.add(Check::Closes, row.position, subject, expected, found);
            }
            expected => {
                missing_month(expected, findings);
                let expected = "the close of the month's last day right before it";
                findings.add(Check::Closes, row.position, subject, expected, "another event");
            }
        }
    }
}

/// What a close says, in one line.
struct Told<'a> {
    accounts: u64,
    totals: &'a [CurrencyTotals],
    previous: Option<BalancesDigest>,
    digest: &'a str,
}

impl fmt::Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} accounts", self.accounts)?;
        for CurrencyTotals { currency, debit_minor, credit_minor } in self.totals {
            write!(f, ", {currency} debits {debit_minor} and credits {credit_minor}")?;
        }
        match self.previous {
            Some(previous) => write!(f, ", {} after {previous}", self.digest),
            None => write!(f, ", {} after none", self.digest),
        }
    }
}

/// The books of a ledger, as findings name them.
fn named(ledger: MerchantId, day: Day) -> String {
    format!("books of {ledger}, {day}")
}

fn missing_month(expected: Option<ExpectedMonth>, findings: &mut Findings) {
    if let Some(ExpectedMonth { position, event }) = expected {
        let subject = format!("books of {}, {}", event.ledger, event.month);
        let expected = "the close of the month right after that of its last day";
        findings.add(Check::Closes, position, subject, expected, "another event");
    }
}

/// Whether the entry takes effect on a day that is open, and is moved there only where it has to be.
fn check_day(
    row: &Row<'_>,
    entry: &EntryFacts<'_>,
    day: Day,
    cut_off: Option<Day>,
    findings: &mut Findings,
) {
    let mut add = |expected: String, found: String| {
        findings.add(Check::Closes, row.position, named_entry(entry.entry_id), expected, found);
    };
    if let Some(last) = cut_off.filter(|last| day <= *last) {
        add(format!("to take effect after {last}, which is cut off"), format!("on {day}"));
    }
    let Some(late_for) = entry.late_for else { return };
    match cut_off {
        Some(last) if Day::of(late_for) <= last => {
            let start = last.next().start();
            if entry.effective_at != Some(start) {
                let found = entry.effective_at.map_or("then".to_owned(), |at| at.to_string());
                add(format!("to take effect at {start}, as it is late"), found);
            }
        }
        Some(_) | None => {
            let found = format!("meant for {late_for}");
            add("to be late only for a day that is cut off".to_owned(), found);
        }
    }
}

/// Whether the day may be cut off.
fn check_cut_off(books: &Books, row: &Row<'_>, event: &DayCutOff, findings: &mut Findings) {
    let day = event.day;
    let mut add = |expected: String, found: String| {
        findings.add(Check::Closes, row.position, named(event.ledger, day), expected, found);
    };
    let end = day.next().start();
    if row.recorded_at() < end {
        add(format!("to be cut off at {end} or later"), row.recorded_at().to_string());
    }
    if let Some((_, closing)) = books.closing {
        add(format!("{closing} to be closed before"), "it is not".to_owned());
    }
    let Some(last) = books.cut_off else { return };
    let month_end = last.next().month_end();
    if !(last.next()..=month_end).contains(&day) {
        add(format!("a day after {last}, up to {month_end}"), day.to_string());
    }
}
