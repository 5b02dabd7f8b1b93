//! Ledger accounts: where money is, and under which limits it moves.

mod close;
mod code;
mod freeze;
mod open;
mod unfreeze;

pub use close::{AccountClosed, CloseAccount};
pub use code::AccountCode;
pub use freeze::{AccountFrozen, FreezeAccount};
pub use open::{AccountOpened, OpenAccount};
pub use unfreeze::{AccountUnfrozen, UnfreezeAccount};

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::currency::Currency;
use crate::ids::{AccountId, MerchantId};
use crate::ledger::{Direction, Posting};
use crate::rejection::Rejection;
use crate::state::States;
use crate::stream::StreamVersion;
use crate::text::Name;

/// What an account stands for; decides which side makes its balance grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountType {
    /// What is owned (cash, receivables): grows by debits.
    Asset,
    /// What is owed (customers' balances, payables): grows by credits.
    Liability,
    /// What the owners hold: grows by credits.
    Equity,
    /// What was earned: grows by credits.
    Income,
    /// What was spent: grows by debits.
    Expense,
}

impl AccountType {
    /// Every type.
    pub const ALL: [Self; 5] =
        [Self::Asset, Self::Liability, Self::Equity, Self::Income, Self::Expense];

    /// The name as stored and on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Asset => "asset",
            Self::Liability => "liability",
            Self::Equity => "equity",
            Self::Income => "income",
            Self::Expense => "expense",
        }
    }

    /// The side that makes the balance grow.
    pub const fn normal_side(self) -> Direction {
        match self {
            Self::Asset | Self::Expense => Direction::Debit,
            Self::Liability | Self::Equity | Self::Income => Direction::Credit,
        }
    }
}

impl FromStr for AccountType {
    type Err = UnknownAccountType;

    fn from_str(text: &str) -> Result<Self, UnknownAccountType> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or(UnknownAccountType)
    }
}

/// The text names no account type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected `asset`, `liability`, `equity`, `income` or `expense`")]
pub struct UnknownAccountType;

/// Whether an account takes postings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccountStatus {
    /// Takes postings.
    Open,
    /// Takes none until it is unfrozen.
    Frozen,
    /// Takes none ever again; its balance was zero when it was closed.
    Closed,
}

impl AccountStatus {
    /// The name as stored and on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Frozen => "frozen",
            Self::Closed => "closed",
        }
    }
}

impl fmt::Display for AccountStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What never changes about an account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountProfile {
    /// Its id.
    pub id: AccountId,
    /// The ledger it is in: its merchant's, or the platform's.
    pub ledger: MerchantId,
    /// What its owner calls it; unique in the ledger.
    pub code: AccountCode,
    /// What it is called in statements.
    pub name: Option<Name>,
    /// What it stands for.
    pub kind: AccountType,
    /// The one currency it holds.
    pub currency: Currency,
    /// The least its balance may be, in minor units on its normal side.
    pub min_balance_minor: Option<i64>,
}

/// All that was ever posted to an account, in minor units of its currency. Totals only grow;
/// the balance is their difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Sum of all debits.
    pub debits_posted: i64,
    /// Sum of all credits.
    pub credits_posted: i64,
    /// Sum of the debits held, not posted.
    pub debits_pending: i64,
    /// Sum of the credits held, not posted.
    pub credits_pending: i64,
}

impl Totals {
    /// The totals after one more posting; `None` if a total would exceed 2^63 − 1 minor units.
    #[must_use]
    pub fn with(self, direction: Direction, minor: i64) -> Option<Self> {
        Some(match direction {
            Direction::Debit => {
                Self { debits_posted: self.debits_posted.checked_add(minor)?, ..self }
            }
            Direction::Credit => {
                Self { credits_posted: self.credits_posted.checked_add(minor)?, ..self }
            }
        })
    }

    /// The posted balance in minor units, positive on the side `normal`.
    pub const fn balance(self, normal: Direction) -> i64 {
        // Both totals are 0 or more, so the difference always fits.
        match normal {
            Direction::Debit => self.debits_posted - self.credits_posted,
            Direction::Credit => self.credits_posted - self.debits_posted,
        }
    }
}

/// An account: its stream folded into `profile` and `status`, and every entry that names it into `totals`.
/// Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// What never changes.
    pub profile: Arc<AccountProfile>,
    /// Whether it takes postings.
    pub status: AccountStatus,
    /// What was posted to it.
    pub totals: Totals,
    /// The version of its own stream that this state is at.
    pub version: StreamVersion,
}

impl Account {
    /// The posted balance in minor units, positive on the account's normal side.
    pub fn balance(&self) -> i64 {
        self.totals.balance(self.profile.kind.normal_side())
    }

    /// The state right after it was opened.
    pub(crate) fn opened(event: &AccountOpened, version: StreamVersion) -> Self {
        Self {
            profile: Arc::new(AccountProfile {
                id: event.account_id,
                ledger: event.ledger,
                code: event.code.clone(),
                name: event.name.clone(),
                kind: event.kind,
                currency: event.currency,
                min_balance_minor: event.min_balance_minor,
            }),
            status: AccountStatus::Open,
            totals: Totals::default(),
            version,
        }
    }

    /// The state after its own stream said that `status` holds.
    pub(crate) fn with_status(self, status: AccountStatus, version: StreamVersion) -> Self {
        Self { status, version, ..self }
    }

    /// The state after the postings of an entry, those of other accounts ignored.
    pub(crate) fn with_postings(mut self, postings: &[Posting]) -> Self {
        for posting in postings.iter().filter(|posting| posting.account_id == self.profile.id) {
            let after = self.totals.with(posting.direction, posting.amount.minor());
            debug_assert!(after.is_some(), "decide refuses entries that overflow a total");
            self.totals = after.unwrap_or(self.totals);
        }
        self
    }
}

/// The account, if it is there and in that ledger: another ledger's account does not exist.
pub(crate) fn find(
    states: &impl States,
    ledger: MerchantId,
    account_id: AccountId,
) -> Result<&Account, Rejection> {
    states
        .account(account_id)
        .filter(|account| account.profile.ledger == ledger)
        .ok_or(Rejection::AccountNotFound { account_id })
}

/// The account as [`find`] has it, if it is at one of the versions that the caller insists on.
fn find_at<'a>(
    states: &'a impl States,
    ledger: MerchantId,
    account_id: AccountId,
    expected_versions: Option<&[StreamVersion]>,
) -> Result<&'a Account, Rejection> {
    let account = find(states, ledger, account_id)?;
    if expected_versions.is_some_and(|versions| !versions.contains(&account.version)) {
        return Err(Rejection::VersionMismatch { account_id, version: account.version });
    }
    Ok(account)
}
