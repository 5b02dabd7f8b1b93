//! Postings go to accounts that were opened before, are open, and are of the entry's ledger and currency;
//! no entry takes an account below its minimum; accounts are frozen, unfrozen and closed in an order that
//! can be.
//!
//! This folds the history of every account. The states of all accounts of a large log do not fit into
//! memory, so they are folded in partitions, one pass over the ledger's events each.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use domain::accounts::{AccountOpened, AccountStatus};
use domain::ledger::Direction;
use domain::{AccountId, Currency, Event, MerchantId, Money};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::connection::LOG;
use crate::courtesy::Courtesy;
use crate::facts::{EntryFacts, Fact, PostingFacts};
use crate::log_rows::Row;
use crate::pace::Pace;
use crate::verify::Scope;
use crate::verify::error::{VerifyError, reading};
use crate::verify::finding::{Check, Findings, account as named};
use crate::verify::report::number;

/// The most accounts whose states are kept in memory at a time: with the free places of their table about
/// 70 MiB.
pub const ACCOUNTS_PER_PASS: u64 = 900_000;
/// The most streams that one statement counts.
const COUNTED_ROWS_MAX: i64 = 200_000;

/// A part of the accounts, by the first bits of their ids, which are those of a hash.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Partition {
    /// Which one, from 0.
    pub(crate) index: u64,
    /// Of how many.
    pub(crate) of: u64,
}

impl Partition {
    /// Whether the account is in it.
    pub(crate) fn holds(&self, account: Uuid) -> bool {
        let scaled = u128::from(self.of) * (account.as_u128() >> 64);
        self.of == 1 || scaled >> 64 == u128::from(self.index)
    }

    /// The first id of partition `index`; beyond all ids for the one after the last.
    pub(crate) fn start(index: u64, of: u64) -> u128 {
        // Rounded up, so that `holds` agrees on every id.
        match ((u128::from(index) << 64).div_ceil(u128::from(of))).checked_shl(64) {
            Some(start) if index < of => start,
            _ => u128::MAX,
        }
    }
}

/// How many partitions the accounts take: counted in the index of streams.
pub(crate) async fn partitions(
    db: &mut PgConnection,
    scope: Scope,
    courtesy: &Courtesy,
) -> Result<u64, VerifyError> {
    let accounts = count(db, courtesy).await.map_err(reading("the number of accounts"))?;
    let at_most = number(scope.to).min(accounts);
    Ok(at_most.div_ceil(scope.accounts_per_pass).max(1))
}

/// Counts the first events of the streams named `account-…`.
async fn count(db: &mut PgConnection, courtesy: &Courtesy) -> Result<u64, sqlx::Error> {
    let (mut after, mut accounts) = ("account-".to_owned(), 0);
    let mut pace = Pace::up_to(COUNTED_ROWS_MAX);
    loop {
        let started = std::time::Instant::now();
        // The character after `-` is `.`, so this is the range of the prefix.
        let counted: Result<(i64, i64, Option<String>), _> = sqlx::query_as(
            "select count(*), count(*) filter (where version = 1), max(stream_id) from ( \
                 select stream_id, version from events \
                 where log_id = $1 and stream_id > $2 and stream_id < 'account.' \
                 order by stream_id, version limit $3) as page",
        )
        .bind(LOG)
        .bind(&after)
        .bind(pace.rows())
        .fetch_one(&mut *db)
        .await;
        match counted {
            Ok((rows, opened, last)) => {
                accounts += number(opened);
                let Some(last) = last.filter(|_| rows == pace.rows()) else { return Ok(accounts) };
                after = last;
                pace.took(started.elapsed(), courtesy.statement_target());
            }
            Err(error) if pace.retry(&error) => {}
            Err(error) => return Err(error),
        }
        courtesy.after(&mut *db, started.elapsed()).await?;
    }
}

/// An account's id is half of a SHA-256 already: hashing it again would tell nothing more.
#[derive(Default)]
pub(crate) struct FirstBytes(u64);

impl Hasher for FirstBytes {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // The last eight bytes: partitions go by the first, and tables have their buckets by the top bits.
        if let Some(last) = bytes.last_chunk() {
            self.0 = u64::from_ne_bytes(*last);
        }
    }
}

/// A table by account.
pub(crate) type ByAccount<T> = HashMap<Uuid, T, BuildHasherDefault<FirstBytes>>;

#[derive(Debug)]
struct State {
    ledger: Uuid,
    minimum: i64,
    debits: i64,
    credits: i64,
    currency: Currency,
    normal: Direction,
    status: AccountStatus,
}

impl State {
    fn balance(&self) -> i64 {
        match self.normal {
            Direction::Debit => self.debits.saturating_sub(self.credits),
            Direction::Credit => self.credits.saturating_sub(self.debits),
        }
    }

    fn post(&mut self, posting: &PostingFacts) {
        let total = match posting.direction {
            Direction::Debit => &mut self.debits,
            Direction::Credit => &mut self.credits,
        };
        *total = total.saturating_add(posting.minor);
    }

    fn money(&self, minor: i64) -> String {
        let money = Money { minor, currency: self.currency };
        format!("{money} {}", self.currency)
    }
}

/// The accounts of one partition as they are at the row that was last applied.
#[derive(Debug)]
pub(crate) struct AccountStates {
    partition: Partition,
    accounts: ByAccount<State>,
}

impl AccountStates {
    pub(crate) fn of(partition: Partition) -> Self {
        Self { partition, accounts: HashMap::default() }
    }

    /// Checks the event against the states before it, and folds it.
    pub(crate) fn apply(&mut self, row: &Row<'_>, fact: &Fact<'_>, findings: &mut Findings) {
        let status = match fact {
            Fact::Entry(entry) => return self.entry(row, entry, findings),
            Fact::Other(Event::AccountOpened(event)) => return self.opened(event),
            Fact::Other(Event::AccountFrozen(event)) => (event.account_id, AccountStatus::Frozen),
            Fact::Other(Event::AccountUnfrozen(event)) => (event.account_id, AccountStatus::Open),
            Fact::Other(Event::AccountClosed(event)) => (event.account_id, AccountStatus::Closed),
            Fact::Other(
                Event::MerchantRegistered(_)
                | Event::ApiKeyIssued(_)
                | Event::ApiKeyRevoked(_)
                | Event::EntryPosted(_)
                | Event::EntryReversed(_)
                | Event::Payment(_)
                | Event::Card(_)
                | Event::Psp(_),
            ) => return,
        };
        self.moved(row, status, findings);
    }

    fn opened(&mut self, event: &AccountOpened) {
        let id = event.account_id.uuid();
        if !self.partition.holds(id) {
            return;
        }
        // A second opening would be a second first version of the stream, which is found elsewhere.
        self.accounts.entry(id).or_insert_with(|| State {
            ledger: event.ledger.uuid(),
            minimum: event.min_balance_minor.unwrap_or(i64::MIN),
            debits: 0,
            credits: 0,
            currency: event.currency,
            normal: event.kind.normal_side(),
            status: AccountStatus::Open,
        });
    }

    fn moved(
        &mut self,
        row: &Row<'_>,
        (id, to): (AccountId, AccountStatus),
        findings: &mut Findings,
    ) {
        if !self.partition.holds(id.uuid()) {
            return;
        }
        let mut add = |expected: &str, found: String| {
            findings.add(Check::Accounts, row.position, named(id.uuid()), expected, found);
        };
        let Some(state) = self.accounts.get_mut(&id.uuid()) else {
            add("an account opened before", "none".to_owned());
            return;
        };
        let from = match to {
            AccountStatus::Frozen => &[AccountStatus::Open][..],
            AccountStatus::Open => &[AccountStatus::Frozen],
            AccountStatus::Closed => &[AccountStatus::Open, AccountStatus::Frozen],
        };
        if !from.contains(&state.status) {
            add(&format!("a status from which it becomes {to}"), state.status.to_string());
        }
        if to == AccountStatus::Closed && state.balance() != 0 {
            add("a balance of zero when it is closed", state.money(state.balance()));
        }
        state.status = to;
    }

    fn entry(&mut self, row: &Row<'_>, entry: &EntryFacts<'_>, findings: &mut Findings) {
        for (index, posting) in entry.postings.iter().enumerate() {
            let first =
                entry.postings[..index].iter().all(|other| other.account != posting.account);
            if !first || !self.partition.holds(posting.account) {
                continue;
            }
            match self.accounts.get_mut(&posting.account) {
                Some(state) => check_postings(state, posting.account, row, entry, findings),
                None => findings.add(
                    Check::Accounts,
                    row.position,
                    named(posting.account),
                    "an account opened before",
                    "none",
                ),
            }
        }
    }
}

/// All postings of `entry` to one account: they count together, as they were decided together.
fn check_postings(
    state: &mut State,
    id: Uuid,
    row: &Row<'_>,
    entry: &EntryFacts<'_>,
    findings: &mut Findings,
) {
    let mut add = |check, expected: String, found: String| {
        findings.add(check, row.position, named(id), expected, found);
    };
    if state.ledger != entry.ledger {
        let ledger = |id| format!("ledger {}", MerchantId::from_uuid(id));
        add(Check::Accounts, ledger(entry.ledger), ledger(state.ledger));
    }
    if state.status != AccountStatus::Open {
        add(Check::Accounts, "an open account".to_owned(), state.status.to_string());
    }
    let before = state.balance();
    for posting in entry.postings.iter().filter(|posting| posting.account == id) {
        if posting.currency != state.currency {
            let found = format!("a posting of {}", posting.currency);
            add(Check::Accounts, format!("a posting of {}", state.currency), found);
        }
        state.post(posting);
    }
    let after = state.balance();
    if after < state.minimum && after < before {
        let expected = format!("a balance of at least {}", state.money(state.minimum));
        let found = format!("{} (before: {})", state.money(after), state.money(before));
        add(Check::MinimumBalance, expected, found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_hold_every_account_once_and_start_where_they_say() {
        let ids = [0, 1, 1 << 64, u128::MAX / 3, u128::MAX / 3 + 1, u128::MAX - 1, u128::MAX];
        for of in [1, 2, 3, 7] {
            for id in ids {
                let holders: Vec<u64> = (0..of)
                    .filter(|index| Partition { index: *index, of }.holds(Uuid::from_u128(id)))
                    .collect();
                let [index] = holders[..] else { panic!("{id} of {of}: {holders:?}") };
                assert!(Partition::start(index, of) <= id, "{id} of {of}");
                let end = Partition::start(index + 1, of);
                assert!(id < end || end == u128::MAX, "{id} of {of}");
            }
        }
    }
}
