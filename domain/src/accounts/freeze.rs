//! Freezing an account.

use serde::{Deserialize, Serialize};

use super::{AccountStatus, find_owners_at};
use crate::Context;
use crate::command::Decision;
use crate::event::{Event, NewEvent};
use crate::ids::{AccountId, MerchantId};
use crate::rejection::Rejection;
use crate::state::{StateKey, States};
use crate::stream::{StreamId, StreamVersion};

/// Stops postings to an open account until it is unfrozen.
#[derive(Debug, Clone)]
pub struct FreezeAccount {
    /// The ledger of the caller.
    pub ledger: MerchantId,
    /// The account.
    pub account_id: AccountId,
    /// The versions of the account at which the caller wants this done; any where it does not say.
    pub expected_versions: Option<Vec<StreamVersion>>,
}

/// An account was frozen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountFrozen {
    /// The account.
    pub account_id: AccountId,
}

impl FreezeAccount {
    pub(crate) fn reads(&self) -> Vec<StateKey> {
        vec![StateKey::Account(self.account_id)]
    }

    pub(crate) fn decide(
        &self,
        states: &impl States,
        context: &Context,
    ) -> Result<Decision, Rejection> {
        let expected = self.expected_versions.as_deref();
        let account = find_owners_at(states, self.ledger, self.account_id, expected)?;
        match account.status {
            AccountStatus::Open => {}
            AccountStatus::Frozen | AccountStatus::Closed => {
                return Err(Rejection::AccountStatus {
                    account_id: self.account_id,
                    status: account.status,
                });
            }
        }
        Ok(Decision::Append(vec![NewEvent {
            event_id: context.event_id,
            stream: StreamId::account(self.account_id),
            version: account.version.next(),
            merchant_id: self.ledger,
            event: Event::AccountFrozen(AccountFrozen { account_id: self.account_id }),
        }]))
    }
}
