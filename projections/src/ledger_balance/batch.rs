//! A batch of events folded in memory: what is to be written, each row once. No I/O here.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use domain::accounts::{AccountOpened, AccountStatus, AccountType, Totals};
use domain::ledger::{EntryPosted, EntryReversed};
use domain::{AccountId, Currency, EntryId, Event, MerchantId, Timestamp};
use event_store::log::Position;

use super::entries::{EntryRow, PostingRows, ReversalRows};
use crate::projection::{AppliedEvent, ApplyError};

/// An account as the fold needs it.
#[derive(Debug, Clone)]
pub(super) struct AccountState {
    pub(super) ledger: MerchantId,
    pub(super) kind: AccountType,
    pub(super) currency: Currency,
    pub(super) totals: Totals,
    /// Status and version, where the batch changes them.
    pub(super) status: Option<(AccountStatus, i64)>,
    /// The last event of the batch that changes the account.
    pub(super) updated: Option<(Position, Timestamp)>,
}

/// An account that the batch opens; what else becomes of it is in its [`AccountState`].
#[derive(Debug)]
pub(super) struct OpenedAccount<'a> {
    pub(super) event: &'a AccountOpened,
    pub(super) at: Timestamp,
    pub(super) position: Position,
}

/// What names a row of the trial balance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct TrialBalanceKey {
    pub(super) ledger: MerchantId,
    pub(super) currency: Currency,
    pub(super) kind: &'static str,
}

/// What the batch adds to a row of the trial balance.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct TrialBalanceChange {
    pub(super) debits: i128,
    pub(super) credits: i128,
    pub(super) position: Position,
}

/// All that a batch writes.
#[derive(Debug, Default)]
pub(super) struct Batch<'a> {
    pub(super) accounts: HashMap<AccountId, AccountState>,
    pub(super) opened: Vec<OpenedAccount<'a>>,
    pub(super) entries: Vec<EntryRow<'a>>,
    pub(super) reversals: ReversalRows,
    pub(super) postings: PostingRows,
    pub(super) trial_balance: BTreeMap<TrialBalanceKey, TrialBalanceChange>,
    entry_rows: HashMap<EntryId, usize>,
}

/// Folds `events` over the accounts as they stood before.
pub(super) fn fold(
    known: HashMap<AccountId, AccountState>,
    events: &[AppliedEvent],
) -> Result<Batch<'_>, ApplyError> {
    let mut batch = Batch { accounts: known, ..Batch::default() };
    for applied in events {
        batch.fold(applied)?;
    }
    Ok(batch)
}

impl<'a> Batch<'a> {
    fn fold(&mut self, applied: &'a AppliedEvent) -> Result<(), ApplyError> {
        match &applied.event {
            Event::AccountOpened(event) => self.open(event, applied),
            Event::AccountFrozen(event) => {
                self.set_status(event.account_id, AccountStatus::Frozen, applied)
            }
            Event::AccountUnfrozen(event) => {
                self.set_status(event.account_id, AccountStatus::Open, applied)
            }
            Event::AccountClosed(event) => {
                self.set_status(event.account_id, AccountStatus::Closed, applied)
            }
            Event::EntryPosted(event) => self.post(event, applied),
            Event::EntryReversed(event) => {
                self.reverse(event, applied);
                Ok(())
            }
            // Who may do what is another projection's: `access`.
            Event::MerchantRegistered(_) | Event::ApiKeyIssued(_) | Event::ApiKeyRevoked(_) => {
                Ok(())
            }
            // What a payment moves is in the entries that come with it.
            Event::Payment(_) | Event::Card(_) | Event::Psp(_) => Ok(()),
        }
    }

    fn open(&mut self, event: &'a AccountOpened, applied: &AppliedEvent) -> Result<(), ApplyError> {
        let (position, at) = (applied.position, applied.recorded_at);
        let state = AccountState {
            ledger: event.ledger,
            kind: event.kind,
            currency: event.currency,
            totals: Totals::default(),
            status: Some((AccountStatus::Open, applied.version.number())),
            updated: Some((position, at)),
        };
        if self.accounts.insert(event.account_id, state).is_some() {
            let reason = format!("account {} was opened before", event.account_id);
            return Err(ApplyError::contradiction(reason));
        }
        self.opened.push(OpenedAccount { event, at, position });
        Ok(())
    }

    fn account(&mut self, id: AccountId) -> Result<&mut AccountState, ApplyError> {
        self.accounts
            .get_mut(&id)
            .ok_or_else(|| ApplyError::contradiction(format!("account {id} was never opened")))
    }

    fn set_status(
        &mut self,
        id: AccountId,
        status: AccountStatus,
        applied: &AppliedEvent,
    ) -> Result<(), ApplyError> {
        let account = self.account(id)?;
        account.status = Some((status, applied.version.number()));
        account.updated = Some((applied.position, applied.recorded_at));
        Ok(())
    }

    fn post(&mut self, event: &'a EntryPosted, applied: &AppliedEvent) -> Result<(), ApplyError> {
        for (index, posting) in event.postings.iter().enumerate() {
            let (direction, minor) = (posting.direction, posting.amount.minor());
            let account = self.account(posting.account_id)?;
            account.totals = account.totals.with(direction, minor).ok_or_else(|| {
                let reason = format!("account {} would overflow a total", posting.account_id);
                ApplyError::contradiction(reason)
            })?;
            account.updated = Some((applied.position, applied.recorded_at));
            let balance_after = account.totals.balance(account.kind.normal_side());
            let key = TrialBalanceKey {
                ledger: account.ledger,
                currency: account.currency,
                kind: account.kind.name(),
            };
            let change = self.trial_balance.entry(key).or_default();
            match direction {
                domain::ledger::Direction::Debit => change.debits += i128::from(minor),
                domain::ledger::Direction::Credit => change.credits += i128::from(minor),
            }
            change.position = applied.position;
            self.postings.push(applied, event.entry_id, index, posting, balance_after);
        }
        self.entry_rows.insert(event.entry_id, self.entries.len());
        self.entries.push(EntryRow::new(applied, event, metadata_json(event)?));
        Ok(())
    }

    fn reverse(&mut self, event: &EntryReversed, applied: &AppliedEvent) {
        match self.entry_rows.get(&event.entry_id) {
            Some(&row) => self.entries[row].mark_reversed(event.reversed_by, applied.version),
            None => self.reversals.push(event, applied.version),
        }
    }
}

fn metadata_json(event: &EntryPosted) -> Result<Cow<'static, str>, ApplyError> {
    if event.metadata.is_empty() {
        return Ok(Cow::Borrowed("{}"));
    }
    // Texts under texts always are JSON; should that ever change, the event is named, not skipped.
    serde_json::to_string(&event.metadata)
        .map(Cow::Owned)
        .map_err(|error| ApplyError::contradiction(format!("the metadata is not JSON: {error}")))
}
