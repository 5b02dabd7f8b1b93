//! Opening an account.

use serde::{Deserialize, Serialize};

use super::{
    AccountCode, AccountStatus, AccountType, ClearingTerms, check_limits, check_owners, find,
};
use crate::Context;
use crate::command::Decision;
use crate::currency::Currency;
use crate::event::{Event, NewEvent};
use crate::ids::{AccountId, MerchantId};
use crate::ledger::Direction;
use crate::rejection::Rejection;
use crate::state::{StateKey, States};
use crate::stream::{StreamId, StreamVersion};
use crate::text::{Metadata, Name};

/// The most accounts above an account: a chart that is deeper is read by nobody.
pub const DEPTH_MAX: u8 = 10;

/// Opens an account in a ledger.
#[derive(Debug, Clone)]
pub struct OpenAccount {
    /// The ledger: the caller's own.
    pub ledger: MerchantId,
    /// Its code, not used in the ledger before.
    pub code: AccountCode,
    /// What it is called in statements.
    pub name: Option<Name>,
    /// What it stands for.
    pub kind: AccountType,
    /// The one currency it holds.
    pub currency: Currency,
    /// The side that makes its balance grow, where that is not its type's: a contra account.
    pub contra_side: Option<Direction>,
    /// The account above it in the chart of accounts: of the same ledger and type.
    pub parent: Option<AccountId>,
    /// What its owner wants to find with it.
    pub metadata: Metadata,
    /// The least its balance may be, in minor units on its normal side; may be negative (a credit line).
    pub min_balance_minor: Option<i64>,
    /// The most its balance may be, in minor units on its normal side.
    pub max_balance_minor: Option<i64>,
    /// When a balance in it is a reason for an alert.
    pub clearing: Option<ClearingTerms>,
}

/// An account was opened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountOpened {
    /// The account.
    pub account_id: AccountId,
    /// The ledger it is in.
    pub ledger: MerchantId,
    /// Its code.
    pub code: AccountCode,
    /// What it is called in statements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
    /// What it stands for.
    #[serde(rename = "type")]
    pub kind: AccountType,
    /// The side that makes its balance grow, where that is not its type's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub normal_side: Option<Direction>,
    /// Its currency.
    pub currency: Currency,
    /// The account above it in the chart of accounts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<AccountId>,
    /// How many accounts are above it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub depth: u8,
    /// What its owner wants to find with it.
    #[serde(default, skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
    /// The least its balance may be, in minor units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_balance_minor: Option<i64>,
    /// The most its balance may be, in minor units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_balance_minor: Option<i64>,
    /// When a balance in it is a reason for an alert.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clearing: Option<ClearingTerms>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
fn is_zero(depth: &u8) -> bool {
    *depth == 0
}

impl AccountOpened {
    /// An account of which nothing is said but what it must have.
    pub fn plain(
        ledger: MerchantId,
        code: AccountCode,
        kind: AccountType,
        currency: Currency,
    ) -> Self {
        Self {
            account_id: AccountId::of(ledger, &code),
            ledger,
            code,
            name: None,
            kind,
            normal_side: None,
            currency,
            parent: None,
            depth: 0,
            metadata: Metadata::default(),
            min_balance_minor: None,
            max_balance_minor: None,
            clearing: None,
        }
    }
}

impl OpenAccount {
    /// An account of which nothing is said but what it must have.
    pub fn plain(
        ledger: MerchantId,
        code: AccountCode,
        kind: AccountType,
        currency: Currency,
    ) -> Self {
        Self {
            ledger,
            code,
            name: None,
            kind,
            currency,
            contra_side: None,
            parent: None,
            metadata: Metadata::default(),
            min_balance_minor: None,
            max_balance_minor: None,
            clearing: None,
        }
    }

    /// The id that the account will have.
    pub fn account_id(&self) -> AccountId {
        AccountId::of(self.ledger, &self.code)
    }

    pub(crate) fn reads(&self) -> Vec<StateKey> {
        let own = StateKey::Account(self.account_id());
        std::iter::once(own).chain(self.parent.map(StateKey::Account)).collect()
    }

    pub(crate) fn decide(
        &self,
        states: &impl States,
        context: &Context,
    ) -> Result<Decision, Rejection> {
        let account_id = self.account_id();
        if states.account(account_id).is_some() {
            return Err(Rejection::AccountCodeTaken { code: self.code.clone() });
        }
        check_limits(self.min_balance_minor, self.max_balance_minor)?;
        let depth = self.depth(states)?;
        Ok(Decision::Append(vec![NewEvent {
            event_id: context.event_id,
            stream: StreamId::account(account_id),
            version: StreamVersion::FIRST,
            merchant_id: self.ledger,
            event: Event::AccountOpened(AccountOpened {
                account_id,
                ledger: self.ledger,
                code: self.code.clone(),
                name: self.name.clone(),
                kind: self.kind,
                normal_side: self.contra_side.filter(|side| *side != self.kind.normal_side()),
                currency: self.currency,
                parent: self.parent,
                depth,
                metadata: self.metadata.clone(),
                min_balance_minor: self.min_balance_minor,
                max_balance_minor: self.max_balance_minor,
                clearing: self.clearing,
            }),
        }]))
    }

    /// How many accounts will be above it.
    fn depth(&self, states: &impl States) -> Result<u8, Rejection> {
        let Some(parent) = self.parent else { return Ok(0) };
        let above = find(states, self.ledger, parent)?;
        // What its sum is made of belongs to the mechanism too.
        check_owners(above)?;
        match above.status {
            AccountStatus::Open | AccountStatus::Frozen => {}
            AccountStatus::Closed => {
                let (account_id, status) = (parent, above.status);
                return Err(Rejection::AccountStatus { account_id, status });
            }
        }
        if above.profile.kind != self.kind {
            return Err(Rejection::ParentOfOtherType { parent, kind: above.profile.kind });
        }
        if above.profile.depth >= DEPTH_MAX {
            return Err(Rejection::ChartTooDeep { parent });
        }
        Ok(above.profile.depth + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Command;
    use crate::given_when_then::{
        LEDGER, account_id, account_opened, given, open_account, status_event,
    };

    #[test]
    fn an_account_is_opened() {
        given([]).when(open_account("cash", None)).then([account_opened("cash", None)]);
    }

    fn open_below(parent: &str, kind: AccountType) -> Command {
        let code = "drawer".parse().unwrap();
        let plain = OpenAccount::plain(LEDGER, code, kind, "USD".parse().unwrap());
        Command::OpenAccount(OpenAccount { parent: Some(account_id(parent)), ..plain })
    }

    fn drawer(depth: u8) -> Event {
        let plain = AccountOpened::plain(
            LEDGER,
            "drawer".parse().unwrap(),
            AccountType::Asset,
            "USD".parse().unwrap(),
        );
        Event::AccountOpened(AccountOpened { parent: Some(account_id("cash")), depth, ..plain })
    }

    #[test]
    fn an_account_may_be_below_another_of_its_type() {
        let parent = account_id("cash");
        given([account_opened("cash", None)])
            .when(open_below("cash", AccountType::Asset))
            .then([drawer(1)]);
        given([])
            .when(open_below("cash", AccountType::Asset))
            .then_rejected(Rejection::AccountNotFound { account_id: parent });
        given([account_opened("cash", None)])
            .when(open_below("cash", AccountType::Income))
            .then_rejected(Rejection::ParentOfOtherType { parent, kind: AccountType::Asset });
        given([account_opened("cash", None), status_event("cash", AccountStatus::Closed)])
            .when(open_below("cash", AccountType::Asset))
            .then_rejected(Rejection::AccountStatus {
                account_id: parent,
                status: AccountStatus::Closed,
            });
    }

    #[test]
    fn a_chart_has_a_last_level() {
        let deepest = |depth| match account_opened("cash", None) {
            Event::AccountOpened(opened) => Event::AccountOpened(AccountOpened { depth, ..opened }),
            other => other,
        };
        given([deepest(DEPTH_MAX - 1)])
            .when(open_below("cash", AccountType::Asset))
            .then([drawer(DEPTH_MAX)]);
        given([deepest(DEPTH_MAX)])
            .when(open_below("cash", AccountType::Asset))
            .then_rejected(Rejection::ChartTooDeep { parent: account_id("cash") });
    }

    #[test]
    fn limits_that_cross_are_refused() {
        let plain = OpenAccount::plain(
            LEDGER,
            "cash".parse().unwrap(),
            AccountType::Asset,
            "USD".parse().unwrap(),
        );
        let (min, max) = (Some(2), Some(1));
        let command = OpenAccount { min_balance_minor: min, max_balance_minor: max, ..plain };
        given([])
            .when(Command::OpenAccount(command))
            .then_rejected(Rejection::LimitsCross { min_balance_minor: 2, max_balance_minor: 1 });
    }

    #[test]
    fn a_code_is_used_once_in_a_ledger() {
        given([account_opened("cash", None)])
            .when(open_account("cash", Some(0)))
            .then_rejected(Rejection::AccountCodeTaken { code: "cash".parse().unwrap() });
    }
}
