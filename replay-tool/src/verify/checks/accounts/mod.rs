//! Postings go to accounts that were opened before, are open, and are of the entry's ledger and currency;
//! with all that is held no request takes an account below its minimum or above its maximum; accounts are
//! opened below others, amended, frozen, unfrozen and closed in an order that can be.
//!
//! This folds the history of every account. The states of all accounts of a large log do not fit into
//! memory, so they are folded in partitions, one pass over the ledger's events each.

mod group;
mod partition;
mod state;

use domain::accounts::{AccountAmended, AccountOpened, AccountStatus, DEPTH_MAX, Mechanism};
use domain::books::BooksEvent;
use domain::holds::HoldEvent;
use domain::ledger::EntryReversed;
use domain::{AccountId, Event};

use self::group::Group;
pub use self::partition::ACCOUNTS_PER_PASS;
pub(crate) use self::partition::{ByAccount, Partition, partitions};
use self::state::{Kind, Moved, State};
use super::payment_entries::PAYMENT_REFERENCE;
use crate::facts::{EntryFacts, Fact, PostingFacts};
use crate::log_rows::Row;
use crate::verify::finding::{Check, Findings, account as named};

/// The accounts of one partition as they are at the row that was last applied.
#[derive(Debug)]
pub(crate) struct AccountStates {
    partition: Partition,
    accounts: ByAccount<State>,
    /// What a request moved so far, where it takes more than one event.
    group: Option<Group>,
}

impl AccountStates {
    pub(crate) fn of(partition: Partition) -> Self {
        Self { partition, accounts: ByAccount::default(), group: None }
    }

    /// Checks the event against the states before it, and folds it.
    pub(crate) fn apply(&mut self, row: &Row<'_>, fact: &Fact<'_>, findings: &mut Findings) {
        let event = match fact {
            Fact::Entry(entry) => return self.entry(row, entry, findings),
            Fact::Other(Event::Hold(event)) => return self.hold(row, event, findings),
            Fact::Other(Event::EntryReversed(mark)) => return self.mark(row, mark, findings),
            Fact::Other(event) => event,
        };
        self.settle(findings);
        let status = match event {
            Event::AccountOpened(event) => return self.opened(row, event, findings),
            Event::AccountAmended(event) => return self.amended(row, event, findings),
            Event::AccountFrozen(event) => (event.account_id, AccountStatus::Frozen),
            Event::AccountUnfrozen(event) => (event.account_id, AccountStatus::Open),
            Event::AccountClosed(event) => (event.account_id, AccountStatus::Closed),
            // Nothing of it is about accounts; that books are closed right is another check's.
            Event::Books(
                BooksEvent::DayCutOff(_) | BooksEvent::DayClosed(_) | BooksEvent::MonthClosed(_),
            )
            | Event::Fx(_)
            | Event::MerchantRegistered(_)
            | Event::ApiKeyIssued(_)
            | Event::ApiKeyRevoked(_)
            | Event::EntryPosted(_)
            | Event::EntryReversed(_)
            | Event::Hold(_)
            | Event::Payment(_)
            | Event::Card(_)
            | Event::Psp(_) => return,
        };
        self.becomes(row, status, findings);
    }

    /// Checks what the end of the log finishes.
    pub(crate) fn end(&mut self, findings: &mut Findings) {
        self.settle(findings);
    }

    fn opened(&mut self, row: &Row<'_>, event: &AccountOpened, findings: &mut Findings) {
        let id = event.account_id.uuid();
        let mut add = |expected: String, found: String| {
            findings.add(Check::Accounts, row.position, named(id), expected, found);
        };
        // What an account has to do with the one above it is told where that one is.
        if let Some(parent) = event.parent
            && self.partition.holds(parent.uuid())
        {
            match self.accounts.get(&parent.uuid()) {
                Some(above) => above.check_below(parent, event, &mut add),
                None => add(format!("{} opened before", named(parent.uuid())), "none".to_owned()),
            }
        }
        if !self.partition.holds(id) {
            return;
        }
        let depths = if event.parent.is_some() { 1..=DEPTH_MAX } else { 0..=0 };
        if !depths.contains(&event.depth) {
            let expected = format!("{} to {} accounts above it", depths.start(), depths.end());
            add(expected, event.depth.to_string());
        }
        let state = State::opened(event);
        state.check_limits_cross(&mut add);
        // A second opening would be a second first version of the stream, which is found elsewhere.
        self.accounts.entry(id).or_insert(state);
    }

    fn amended(&mut self, row: &Row<'_>, event: &AccountAmended, findings: &mut Findings) {
        let id = event.account_id.uuid();
        if !self.partition.holds(id) {
            return;
        }
        let mut add = |expected: String, found: String| {
            findings.add(Check::Accounts, row.position, named(id), expected, found);
        };
        let Some(state) = self.accounts.get_mut(&id) else {
            add("an account opened before".to_owned(), "none".to_owned());
            return;
        };
        if state.status == AccountStatus::Closed {
            add("an account that is not closed".to_owned(), state.status.to_string());
        }
        state.limit(event.min_balance_minor, event.max_balance_minor);
        state.check_limits_cross(&mut add);
    }

    fn becomes(
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
        if to == AccountStatus::Closed
            && let Some(held) = state.held()
        {
            add("nothing held when it is closed", held);
        }
        state.status = to;
    }

    fn mark(&mut self, row: &Row<'_>, mark: &EntryReversed, findings: &mut Findings) {
        let belongs = self.group.as_mut().is_some_and(|group| group.takes_mark(row, mark));
        if !belongs {
            self.settle(findings);
        }
    }

    fn entry(&mut self, row: &Row<'_>, entry: &EntryFacts<'_>, findings: &mut Findings) {
        let finishes = self.group.as_ref().is_some_and(|group| group.goes_on_with(row, entry));
        if !finishes {
            self.settle(findings);
            self.group = Group::begun_by(row, entry);
        }
        let (kind, ledger) = (Kind::Posted, entry.ledger);
        let by = if entry.external_ref.starts_with(PAYMENT_REFERENCE) {
            Some(Mechanism::Payments)
        } else {
            entry.exchange.map(|_| Mechanism::Conversions)
        };
        let moved = Moved { position: row.position, kind, ledger, by, postings: &entry.postings };
        self.moved(&moved, findings);
        if finishes {
            self.settle(findings);
        }
    }

    fn hold(&mut self, row: &Row<'_>, event: &HoldEvent, findings: &mut Findings) {
        let (kind, postings, entry) = match event {
            HoldEvent::Created(event) => (Kind::Held, &event.postings, None),
            HoldEvent::Posted(event) => (Kind::Released, &event.released, Some(event.hold_id)),
            HoldEvent::Voided(event) => (Kind::Released, &event.released, None),
            HoldEvent::Expired(event) => (Kind::Released, &event.released, None),
        };
        let of_entry = |group: &Group| entry.is_some_and(|hold| group.is_released_by(row, hold));
        let finishes = self.group.as_ref().is_some_and(of_entry);
        if !finishes {
            self.settle(findings);
        }
        let (postings, ledger) = (PostingFacts::all(postings), row.merchant_id);
        let by = None;
        let moved = Moved { position: row.position, kind, ledger, by, postings: &postings };
        self.moved(&moved, findings);
        if finishes {
            self.settle(findings);
        }
    }

    fn moved(&mut self, moved: &Moved<'_>, findings: &mut Findings) {
        for (index, posting) in moved.postings.iter().enumerate() {
            let id = posting.account;
            let first = moved.postings[..index].iter().all(|other| other.account != id);
            if !first || !self.partition.holds(id) {
                continue;
            }
            let Some(state) = self.accounts.get_mut(&id) else {
                let expected = "an account opened before";
                findings.add(Check::Accounts, moved.position, named(id), expected, "none");
                continue;
            };
            let before = state.reach();
            state.take(id, moved, findings);
            match &mut self.group {
                Some(group) => group.touched(id, before),
                None if state.kept_by(moved.by) => {}
                None => state.check_limits(id, moved.position, before, findings),
            }
        }
    }

    /// Checks the limits over all that a request moved.
    fn settle(&mut self, findings: &mut Findings) {
        let Some(group) = self.group.take() else { return };
        for (id, before) in group.before() {
            if let Some(state) = self.accounts.get(id) {
                state.check_limits(*id, group.position(), *before, findings);
            }
        }
    }
}
