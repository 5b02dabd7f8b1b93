//! A batch of events folded in memory: what is to be written, each row once. No I/O here.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use domain::accounts::{
    AccountAmended, AccountOpened, AccountStatus, AccountType, ClearingTerms, Totals,
};
use domain::holds::HoldEvent;
use domain::ledger::{Direction, EntryPosted, EntryReversed, Movements};
use domain::{AccountId, Currency, EntryId, Event, HoldId, MerchantId, Metadata, Timestamp};
use event_store::log::Position;

use super::closes::CloseRows;
use super::dated::DatedRows;
use super::entries::{EntryRow, PostingRows};
use super::holds::{HoldRow, HoldingRows};
use super::reversals::ReversalRows;
use super::trial_balance::{Sums, TrialBalanceChange, TrialBalanceKey};
use crate::projection::{AppliedEvent, ApplyError};

/// An account as the fold needs it.
#[derive(Debug, Clone)]
pub(super) struct AccountState {
    pub(super) ledger: MerchantId,
    pub(super) kind: AccountType,
    pub(super) normal_side: Direction,
    pub(super) currency: Currency,
    pub(super) totals: Totals,
    pub(super) clearing: Option<ClearingTerms>,
    /// Since when its balance is further from zero than it should be.
    pub(super) uncleared_since: Option<Timestamp>,
    /// Status and version, where the batch changes them.
    pub(super) status: Option<AccountStatus>,
    pub(super) version: Option<i64>,
    /// The last event of the batch that changes the account.
    pub(super) updated: Option<(Position, Timestamp)>,
}

impl AccountState {
    pub(super) fn balance(&self) -> i128 {
        self.totals.balance(self.normal_side)
    }

    /// Looks whether the account is cleared, after an event at that time.
    fn watch_clearing(&mut self, at: Timestamp) {
        let over = self.clearing.is_some_and(|terms| {
            self.balance().unsigned_abs() > terms.threshold_minor().unsigned_abs().into()
        });
        self.uncleared_since = if over { self.uncleared_since.or(Some(at)) } else { None };
    }
}

/// An account that the batch opens; what else becomes of it is in its [`AccountState`].
#[derive(Debug)]
pub(super) struct OpenedAccount<'a> {
    pub(super) event: &'a AccountOpened,
    pub(super) at: Timestamp,
    pub(super) position: Position,
}

/// What was there before the batch.
#[derive(Debug, Default)]
pub(super) struct Before {
    pub(super) accounts: HashMap<AccountId, AccountState>,
    pub(super) holds: HashMap<HoldId, HoldRow>,
    pub(super) dated: HashMap<AccountId, Sums>,
}

/// All that a batch writes.
#[derive(Debug, Default)]
pub(super) struct Batch<'a> {
    pub(super) accounts: HashMap<AccountId, AccountState>,
    pub(super) opened: Vec<OpenedAccount<'a>>,
    /// The last amendment of each account.
    pub(super) amended: BTreeMap<AccountId, &'a AccountAmended>,
    pub(super) entries: Vec<EntryRow<'a>>,
    pub(super) reversals: ReversalRows,
    pub(super) postings: PostingRows,
    pub(super) dated: DatedRows,
    pub(super) holds: HashMap<HoldId, HoldRow>,
    pub(super) holdings: HoldingRows,
    pub(super) trial_balance: BTreeMap<TrialBalanceKey, TrialBalanceChange>,
    pub(super) closes: CloseRows<'a>,
    entry_rows: HashMap<EntryId, usize>,
}

/// Folds `events` over what was there before.
pub(super) fn fold(before: Before, events: &[AppliedEvent]) -> Result<Batch<'_>, ApplyError> {
    let Before { accounts, holds, dated } = before;
    let dated = DatedRows::after(dated);
    let mut batch = Batch { accounts, holds, dated, ..Batch::default() };
    for applied in events {
        batch.fold(applied)?;
    }
    Ok(batch)
}

impl<'a> Batch<'a> {
    fn fold(&mut self, applied: &'a AppliedEvent) -> Result<(), ApplyError> {
        match &*applied.event {
            Event::AccountOpened(event) => self.open(event, applied),
            Event::AccountAmended(event) => self.amend(event, applied),
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
            Event::EntryReversed(event) => self.reverse(event, applied),
            Event::Hold(event) => self.hold(event, applied),
            Event::Books(event) => {
                self.closes.push(event, applied);
                Ok(())
            }
            // Who may do what is another projection's: `access`.
            Event::MerchantRegistered(_) | Event::ApiKeyIssued(_) | Event::ApiKeyRevoked(_) => {
                Ok(())
            }
            // What a payment moves is in the entries that come with it.
            Event::Fx(_) | Event::Payment(_) | Event::Card(_) | Event::Psp(_) => Ok(()),
        }
    }

    fn open(&mut self, event: &'a AccountOpened, applied: &AppliedEvent) -> Result<(), ApplyError> {
        let (position, at) = (applied.position, applied.recorded_at);
        let state = AccountState {
            ledger: event.ledger,
            kind: event.kind,
            normal_side: event.normal_side.unwrap_or(event.kind.normal_side()),
            currency: event.currency,
            totals: Totals::default(),
            clearing: event.clearing,
            uncleared_since: None,
            status: Some(AccountStatus::Open),
            version: Some(applied.version.number()),
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
        account.status = Some(status);
        account.version = Some(applied.version.number());
        account.updated = Some((applied.position, applied.recorded_at));
        Ok(())
    }

    fn amend(
        &mut self,
        event: &'a AccountAmended,
        applied: &AppliedEvent,
    ) -> Result<(), ApplyError> {
        let account = self.account(event.account_id)?;
        account.clearing = event.clearing;
        account.version = Some(applied.version.number());
        account.updated = Some((applied.position, applied.recorded_at));
        account.watch_clearing(applied.decided_at);
        self.amended.insert(event.account_id, event);
        Ok(())
    }

    fn post(&mut self, event: &'a EntryPosted, applied: &AppliedEvent) -> Result<(), ApplyError> {
        for (index, posting) in event.postings.iter().enumerate() {
            let (direction, minor) = (posting.direction, posting.amount.minor());
            let account = self.account(posting.account_id)?;
            account.totals = account.totals.with(direction, minor);
            account.updated = Some((applied.position, applied.recorded_at));
            let balance_after = account.balance();
            let key = TrialBalanceKey {
                ledger: account.ledger,
                currency: account.currency,
                kind: account.kind.name(),
            };
            self.trial_balance.entry(key).or_default().add(direction, minor, applied.position);
            self.postings.push(applied, event.entry_id, index, posting, balance_after);
            if let Some(effective_at) = event.effective_at {
                self.dated.push(applied, key, index, posting, effective_at);
            }
        }
        // Only once all of it is posted: an entry may pass through an account and leave it as it was.
        for posting in &event.postings {
            self.account(posting.account_id)?.watch_clearing(applied.decided_at);
        }
        self.entry_rows.insert(event.entry_id, self.entries.len());
        self.entries.push(EntryRow::new(applied, event, metadata_json(&event.metadata)?));
        Ok(())
    }

    fn reverse(&mut self, event: &EntryReversed, applied: &AppliedEvent) -> Result<(), ApplyError> {
        match self.entry_rows.get(&event.entry_id) {
            Some(&row) => self.entries[row].mark_reversed(event, applied.version),
            None => self.reversals.push(event, applied.version),
        }
    }

    fn hold(&mut self, event: &HoldEvent, applied: &AppliedEvent) -> Result<(), ApplyError> {
        let id = event.hold_id();
        let row = HoldRow::after(self.holds.remove(&id), event, applied)?;
        self.holds.insert(id, row);
        let movements = event.movements();
        let mut accounts: Vec<AccountId> = movements.accounts().collect();
        accounts.sort_unstable();
        accounts.dedup();
        for id in accounts {
            self.move_held(id, movements, applied)?;
        }
        Ok(())
    }

    fn move_held(
        &mut self,
        id: AccountId,
        movements: Movements<'_>,
        applied: &AppliedEvent,
    ) -> Result<(), ApplyError> {
        let account = self.account(id)?;
        account.totals = movements.applied_to(id, account.totals);
        if account.totals.released_too_much() {
            let reason = format!("account {id} would have less than nothing held");
            return Err(ApplyError::contradiction(reason));
        }
        account.updated = Some((applied.position, applied.recorded_at));
        let totals = account.totals;
        self.holdings.push(id, applied.position, totals);
        Ok(())
    }
}

pub(super) fn metadata_json(metadata: &Metadata) -> Result<Cow<'static, str>, ApplyError> {
    if metadata.is_empty() {
        return Ok(Cow::Borrowed("{}"));
    }
    // Texts under texts always are JSON; should that ever change, the event is named, not skipped.
    serde_json::to_string(metadata)
        .map(Cow::Owned)
        .map_err(|error| ApplyError::contradiction(format!("the metadata is not JSON: {error}")))
}
