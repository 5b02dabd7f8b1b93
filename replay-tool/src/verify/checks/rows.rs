//! All that is checked of each row as it goes by, in the order of the log.

use super::accounts::{AccountStates, Partition};
use super::closes::Closes;
use super::conversions::Conversions;
use super::holds::{Holds, OpenHolds};
use super::payment_entries::PaymentEntries;
use super::payment_outcomes::PaymentOutcomes;
use super::positions::Positions;
use super::recorded_at::RecordedAt;
use super::requests::{Keys, Requests};
use super::reversals::{Replacements, Reversals};
use super::stream_order::{Predecessors, StreamOrder};
use super::{entries, stream_name};
use crate::facts::{Fact, MetadataFacts};
use crate::log_rows::{Chunk, Row, Rows, leaf_hash};
use crate::verify::Scope;
use crate::verify::finding::{Check, Findings};
use crate::verify::report::number_of_bytes;

/// What a chunk leaves open: it takes other rows to tell.
#[derive(Debug, Default)]
pub(crate) struct Open {
    pub(crate) predecessors: Predecessors,
    pub(crate) reversals: Reversals,
    pub(crate) holds: OpenHolds,
    pub(crate) keys: Keys,
}

/// What came of a chunk.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    pub(crate) events: u64,
    pub(crate) bytes: u64,
    pub(crate) findings: Findings,
    pub(crate) open: Open,
}

/// What the checks remember from row to row.
#[derive(Debug)]
pub(crate) struct RowChecks {
    /// Everything; else only the accounts of a further partition.
    all: bool,
    positions: Positions,
    recorded_at: RecordedAt,
    order: StreamOrder,
    requests: Requests,
    payment_entries: PaymentEntries,
    payment_outcomes: PaymentOutcomes,
    replacements: Replacements,
    conversions: Conversions,
    holds: Holds,
    accounts: Option<AccountStates>,
    closes: Option<Closes>,
    hashed: Vec<u8>,
}

impl RowChecks {
    /// Checks everything, and the accounts of a partition.
    pub(crate) fn first(
        scope: Scope,
        partition: Option<Partition>,
        closes: Option<Closes>,
    ) -> Self {
        Self::new(scope, partition, closes, Requests::of(scope))
    }

    /// Only the accounts of another partition.
    pub(crate) fn further(scope: Scope, partition: Partition, closes: Option<Closes>) -> Self {
        let closes = closes.map(|closes| closes.again(partition));
        let checks = Self::new(scope, Some(partition), closes, Requests::none(scope));
        Self { all: false, ..checks }
    }

    fn new(
        scope: Scope,
        partition: Option<Partition>,
        closes: Option<Closes>,
        requests: Requests,
    ) -> Self {
        Self {
            all: true,
            positions: Positions::from(scope.from),
            recorded_at: RecordedAt::default(),
            order: StreamOrder::default(),
            requests,
            payment_entries: PaymentEntries::default(),
            payment_outcomes: PaymentOutcomes::default(),
            replacements: Replacements::from(scope.from),
            conversions: Conversions::of(scope),
            holds: Holds::default(),
            accounts: partition.map(AccountStates::of),
            closes,
            hashed: Vec::new(),
        }
    }

    /// What is still open when the log ends; nothing where only a part of it was read.
    pub(crate) fn end(&mut self, scope: Scope) -> Findings {
        let mut findings = Findings::default();
        if !scope.whole {
            return findings;
        }
        if self.all {
            self.payment_entries.end(&mut findings);
            self.payment_outcomes.end(&mut findings);
            self.holds.end(&mut findings);
            self.conversions.end(&mut findings);
        }
        if let Some(accounts) = &mut self.accounts {
            accounts.end(&mut findings);
        }
        if let Some(closes) = &mut self.closes {
            closes.end(&mut findings);
        }
        findings
    }

    /// What could not be checked of all that was read.
    pub(crate) fn left_out(&self) -> impl Iterator<Item = &'static str> {
        let conversions = "conversions of some pairs: there are more than fit into memory";
        let outcomes = "outcomes of some payments: more are awaited than fit into memory";
        let forgot =
            [(self.conversions.forgot(), conversions), (self.payment_outcomes.forgot(), outcomes)];
        forgot.into_iter().filter_map(|(forgot, what)| forgot.then_some(what))
    }

    /// After the last chunk: the requests that the events came from, and the closes, for the next pass.
    pub(crate) fn into_rest(self) -> (Requests, Option<Closes>) {
        (self.requests, self.closes)
    }

    /// Checks a chunk.
    pub(crate) fn check(&mut self, chunk: &Chunk) -> Checked {
        let mut checked = Checked { bytes: number_of_bytes(&chunk.bytes), ..Checked::default() };
        for row in Rows::of(&chunk.bytes) {
            checked.events += 1;
            match row {
                Ok(row) if self.all => self.row(&row, &mut checked),
                Ok(row) => self.accounts_only(&row, &mut checked),
                Err(unreadable) => {
                    if let Some(position) = unreadable.position {
                        self.positions.check(position, &mut checked.findings);
                    }
                    let found = "bytes that are not what the columns' types promise";
                    let findings = &mut checked.findings;
                    findings.add(Check::Decoding, unreadable.position, "", "a row", found);
                }
            }
        }
        checked
    }

    fn row(&mut self, row: &Row<'_>, checked: &mut Checked) {
        let Checked { findings, open, .. } = checked;
        self.positions.check(row.position, findings);
        self.recorded_at.check(row, findings);
        self.hash(row, findings);
        self.order.check(row, &mut open.predecessors);
        match MetadataFacts::read(row.metadata) {
            Ok(metadata) => self.requests.collect(row, &metadata, &mut open.keys),
            Err(error) => {
                let expected = "actor, correlation id, and key and fingerprint together";
                findings.add(Check::Metadata, row.position, row.stream_id, expected, error);
            }
        }
        match Fact::read(row.event_type, row.schema_version, row.data) {
            Ok(fact) => {
                stream_name::check(row, &fact, findings);
                entries::check(row, &fact, findings);
                self.payment_entries.check(row, &fact, findings);
                self.payment_outcomes.check(row, &fact);
                self.replacements.check(row, &fact, findings);
                self.holds.check(row, &fact, &mut open.holds, findings);
                self.conversions.check(row, &fact, findings);
                self.fold(row, &fact, findings);
                open.collect(row, fact, findings);
            }
            Err(error) => {
                let found = with_sources(&error);
                findings.add(Check::Decoding, row.position, row.stream_id, "an event", found);
            }
        }
    }

    /// A row of a further pass: everything else about it was said in the first one.
    fn accounts_only(&mut self, row: &Row<'_>, checked: &mut Checked) {
        if let Ok(fact) = Fact::read(row.event_type, row.schema_version, row.data) {
            self.fold(row, &fact, &mut checked.findings);
        }
    }

    fn fold(&mut self, row: &Row<'_>, fact: &Fact<'_>, findings: &mut Findings) {
        if let Some(accounts) = &mut self.accounts {
            accounts.apply(row, fact, findings);
        }
        if let Some(closes) = &mut self.closes {
            closes.apply(row, fact, findings);
        }
    }

    fn hash(&mut self, row: &Row<'_>, findings: &mut Findings) {
        let computed = leaf_hash(row, &mut self.hashed);
        if row.leaf_hash != computed {
            let (expected, found) = (hex(&computed), hex(row.leaf_hash));
            findings.add(Check::LeafHash, row.position, row.stream_id, expected, found);
        }
    }
}

impl Open {
    fn collect(&mut self, row: &Row<'_>, fact: Fact<'_>, findings: &mut Findings) {
        match fact {
            Fact::Entry(entry) => self.reversals.entry(row, entry),
            Fact::Other(event) => self.reversals.mark(row, &event, findings),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An error and all that led to it, as one line.
fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        source = inner.source();
    }
    text
}
