//! Opening an account.

use serde::{Deserialize, Serialize};

use super::{AccountCode, AccountType};
use crate::Context;
use crate::command::Decision;
use crate::currency::Currency;
use crate::event::{Event, NewEvent};
use crate::ids::{AccountId, MerchantId};
use crate::rejection::Rejection;
use crate::state::{StateKey, States};
use crate::stream::{StreamId, StreamVersion};
use crate::text::Name;

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
    /// The least its balance may be, in minor units on its normal side; may be negative (a credit line).
    pub min_balance_minor: Option<i64>,
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
    /// Its currency.
    pub currency: Currency,
    /// The least its balance may be, in minor units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_balance_minor: Option<i64>,
}

impl OpenAccount {
    /// The id that the account will have.
    pub fn account_id(&self) -> AccountId {
        AccountId::of(self.ledger, &self.code)
    }

    pub(crate) fn reads(&self) -> Vec<StateKey> {
        vec![StateKey::Account(self.account_id())]
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
                currency: self.currency,
                min_balance_minor: self.min_balance_minor,
            }),
        }]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::given_when_then::{account_opened, given, open_account};

    #[test]
    fn an_account_is_opened() {
        given([]).when(open_account("cash", None)).then([account_opened("cash", None)]);
    }

    #[test]
    fn a_code_is_used_once_in_a_ledger() {
        given([account_opened("cash", None)])
            .when(open_account("cash", Some(0)))
            .then_rejected(Rejection::AccountCodeTaken { code: "cash".parse().unwrap() });
    }
}
