//! Closing an account.

use serde::{Deserialize, Serialize};

use super::{AccountStatus, find};
use crate::Context;
use crate::command::Decision;
use crate::event::{Event, NewEvent};
use crate::ids::{AccountId, MerchantId};
use crate::rejection::Rejection;
use crate::state::{StateKey, States};
use crate::stream::StreamId;

/// Ends an account whose balance is zero.
#[derive(Debug, Clone)]
pub struct CloseAccount {
    /// The ledger of the caller.
    pub ledger: MerchantId,
    /// The account.
    pub account_id: AccountId,
}

/// An account was closed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountClosed {
    /// The account.
    pub account_id: AccountId,
}

impl CloseAccount {
    pub(crate) fn reads(&self) -> Vec<StateKey> {
        vec![StateKey::Account(self.account_id)]
    }

    pub(crate) fn decide(
        &self,
        states: &impl States,
        context: &Context,
    ) -> Result<Decision, Rejection> {
        let account = find(states, self.ledger, self.account_id)?;
        match account.status {
            AccountStatus::Open | AccountStatus::Frozen => {}
            AccountStatus::Closed => {
                return Err(Rejection::AccountStatus {
                    account_id: self.account_id,
                    status: account.status,
                });
            }
        }
        if account.balance() != 0 {
            return Err(Rejection::BalanceNotZero { account_id: self.account_id });
        }
        Ok(Decision::Append(vec![NewEvent {
            event_id: context.event_id,
            stream: StreamId::account(self.account_id),
            version: account.version.next(),
            merchant_id: self.ledger,
            event: Event::AccountClosed(AccountClosed { account_id: self.account_id }),
        }]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::{FreezeAccount, UnfreezeAccount};
    use crate::given_when_then::{
        Given, LEDGER, account_id, account_opened, given, posted, status_event,
    };
    use crate::{Command, Event};

    fn in_status(status: AccountStatus) -> Given {
        let opened = account_opened("cash", None);
        match status {
            AccountStatus::Open => given([opened]),
            AccountStatus::Frozen => given([opened, status_event("cash", status)]),
            AccountStatus::Closed => given([opened, status_event("cash", status)]),
        }
    }

    fn commands() -> [(Command, AccountStatus); 3] {
        let (ledger, account_id) = (LEDGER, account_id("cash"));
        [
            (Command::FreezeAccount(FreezeAccount { ledger, account_id }), AccountStatus::Frozen),
            (Command::UnfreezeAccount(UnfreezeAccount { ledger, account_id }), AccountStatus::Open),
            (Command::CloseAccount(CloseAccount { ledger, account_id }), AccountStatus::Closed),
        ]
    }

    #[test]
    fn every_status_meets_every_command() {
        use AccountStatus::{Closed, Frozen, Open};
        for (command, target) in commands() {
            for from in [Open, Frozen, Closed] {
                let legal = match (from, target) {
                    (Open, Frozen | Closed) | (Frozen, Open | Closed) => true,
                    (Open, Open) | (Frozen, Frozen) | (Closed, _) => false,
                };
                let decided = in_status(from).when(command.clone());
                if legal {
                    decided.then([status_event("cash", target)]);
                } else {
                    let account_id = account_id("cash");
                    decided.then_rejected(Rejection::AccountStatus { account_id, status: from });
                }
            }
        }
    }

    #[test]
    fn an_account_with_money_in_it_stays() {
        let account_id = account_id("cash");
        let history: [Event; 3] = [
            account_opened("cash", None),
            account_opened("sales", None),
            posted("r1", "cash", "sales", 5),
        ];
        given(history)
            .when(Command::CloseAccount(CloseAccount { ledger: LEDGER, account_id }))
            .then_rejected(Rejection::BalanceNotZero { account_id });
    }

    #[test]
    fn another_ledgers_account_does_not_exist() {
        let account_id = account_id("cash");
        for ledger in [MerchantId::PLATFORM, MerchantId::from_uuid(uuid::Uuid::from_u128(99))] {
            in_status(AccountStatus::Open)
                .when(Command::CloseAccount(CloseAccount { ledger, account_id }))
                .then_rejected(Rejection::AccountNotFound { account_id });
        }
    }
}
