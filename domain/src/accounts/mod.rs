//! Ledger accounts: where money is, and under which limits it moves.

mod amend;
mod clearing;
mod close;
mod code;
mod freeze;
mod mechanism;
mod open;
mod totals;
mod unfreeze;

pub use amend::{AccountAmended, AmendAccount, Change};
pub use clearing::{CLEARING_DAYS_MAX, ClearingTerms, ClearingTermsError};
pub use close::{AccountClosed, CloseAccount};
pub use code::AccountCode;
pub use freeze::{AccountFrozen, FreezeAccount};
pub use mechanism::Mechanism;
pub use open::{AccountOpened, DEPTH_MAX, OpenAccount};
pub use totals::Totals;
pub use unfreeze::{AccountUnfrozen, UnfreezeAccount};

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::currency::Currency;
use crate::ids::{AccountId, MerchantId};
use crate::ledger::{Direction, Movements};
use crate::rejection::Rejection;
use crate::state::States;
use crate::stream::StreamVersion;
use crate::text::{Metadata, Name};

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

    /// The side that makes the balance grow, unless the account says otherwise.
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

/// What an account is: given when it is opened, some of it amended later.
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
    /// The side that makes its balance grow, where that is not its type's: a contra account.
    pub contra_side: Option<Direction>,
    /// The one currency it holds.
    pub currency: Currency,
    /// The account above it in the chart of accounts.
    pub parent: Option<AccountId>,
    /// How many accounts are above it.
    pub depth: u8,
    /// What its owner wants to find with it.
    pub metadata: Metadata,
    /// The least its balance may be, in minor units on its normal side, with all that is held against it.
    pub min_balance_minor: Option<i64>,
    /// The most its balance may be, in minor units on its normal side, with all that is held for it.
    pub max_balance_minor: Option<i64>,
    /// When a balance in it is a reason for an alert.
    pub clearing: Option<ClearingTerms>,
    /// What keeps it, where its owner does not keep it alone.
    pub mechanism: Option<Mechanism>,
}

impl AccountProfile {
    /// The side that makes its balance grow.
    pub fn normal_side(&self) -> Direction {
        self.contra_side.unwrap_or(self.kind.normal_side())
    }
}

/// An account: its stream folded into `profile` and `status`, and every entry and hold that names it into
/// `totals`.
/// Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// What it is.
    pub profile: Arc<AccountProfile>,
    /// Whether it takes postings.
    pub status: AccountStatus,
    /// What was posted to it, and what is held.
    pub totals: Totals,
    /// The version of its own stream that this state is at.
    pub version: StreamVersion,
}

impl Account {
    /// The posted balance in minor units, positive on the account's normal side.
    pub fn balance(&self) -> i128 {
        self.totals.balance(self.profile.normal_side())
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
                contra_side: event.normal_side,
                currency: event.currency,
                parent: event.parent,
                depth: event.depth,
                metadata: event.metadata.clone(),
                min_balance_minor: event.min_balance_minor,
                max_balance_minor: event.max_balance_minor,
                clearing: event.clearing,
                mechanism: Mechanism::of(event.ledger, &event.code),
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

    /// The state after it was amended.
    pub(crate) fn amended(self, event: &AccountAmended, version: StreamVersion) -> Self {
        let profile = AccountProfile {
            name: event.name.clone(),
            metadata: event.metadata.clone(),
            min_balance_minor: event.min_balance_minor,
            max_balance_minor: event.max_balance_minor,
            clearing: event.clearing,
            ..AccountProfile::clone(&self.profile)
        };
        Self { profile: Arc::new(profile), version, ..self }
    }

    /// The state after what an event moved, other accounts ignored. More may be released than is held where states of
    /// different positions meet, in a batch that the log then refuses.
    pub(crate) fn with_movements(mut self, movements: Movements<'_>) -> Self {
        self.totals = movements.applied_to(self.profile.id, self.totals);
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

/// Whether some balance keeps both limits.
fn check_limits(minimum: Option<i64>, maximum: Option<i64>) -> Result<(), Rejection> {
    match (minimum, maximum) {
        (Some(min_balance_minor), Some(max_balance_minor))
            if min_balance_minor > max_balance_minor =>
        {
            Err(Rejection::LimitsCross { min_balance_minor, max_balance_minor })
        }
        (Some(_) | None, Some(_) | None) => Ok(()),
    }
}

/// Whether the owner of the account moves money in it and says how it stands, not a mechanism alone.
pub(crate) fn check_owners(account: &Account) -> Result<(), Rejection> {
    match account.profile.mechanism.filter(|mechanism| mechanism.exclusive()) {
        Some(mechanism) => Err(mechanism.refusal(account.profile.id)),
        None => Ok(()),
    }
}

/// The account as [`find_at`] has it, if its owner says how it stands.
fn find_owners_at<'a>(
    states: &'a impl States,
    ledger: MerchantId,
    account_id: AccountId,
    expected_versions: Option<&[StreamVersion]>,
) -> Result<&'a Account, Rejection> {
    let account = find_at(states, ledger, account_id, expected_versions)?;
    check_owners(account)?;
    Ok(account)
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
