//! Closing an account.

use serde::{Deserialize, Serialize};

use super::{AccountStatus, find_owners_at};
use crate::Context;
use crate::command::Decision;
use crate::event::{Event, NewEvent};
use crate::ids::{AccountId, MerchantId};
use crate::rejection::Rejection;
use crate::state::{StateKey, States};
use crate::stream::{StreamId, StreamVersion};

/// Ends an account whose balance is zero.
#[derive(Debug, Clone)]
pub struct CloseAccount {
    /// The ledger of the caller.
    pub ledger: MerchantId,
    /// The account.
    pub account_id: AccountId,
    /// The versions of the account at which the caller wants this done; any where it does not say.
    pub expected_versions: Option<Vec<StreamVersion>>,
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
        let expected = self.expected_versions.as_deref();
        let account = find_owners_at(states, self.ledger, self.account_id, expected)?;
        match account.status {
            AccountStatus::Open | AccountStatus::Frozen => {}
            AccountStatus::Closed => {
                return Err(Rejection::AccountStatus {
                    account_id: self.account_id,
                    status: account.status,
                });
            }
        }
        if account.balance() != 0 || !account.totals.nothing_held() {
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
        commands_at(None)
    }

    fn commands_at(expected_versions: Option<Vec<StreamVersion>>) -> [(Command, AccountStatus); 3] {
        let (ledger, account_id) = (LEDGER, account_id("cash"));
        let freeze =
            FreezeAccount { ledger, account_id, expected_versions: expected_versions.clone() };
        let unfreeze =
            UnfreezeAccount { ledger, account_id, expected_versions: expected_versions.clone() };
        let close = CloseAccount { ledger, account_id, expected_versions };
        [
            (Command::FreezeAccount(freeze), AccountStatus::Frozen),
            (Command::UnfreezeAccount(unfreeze), AccountStatus::Open),
            (Command::CloseAccount(close), AccountStatus::Closed),
        ]
    }

    fn close_in(ledger: MerchantId) -> Command {
        let account_id = account_id("cash");
        Command::CloseAccount(CloseAccount { ledger, account_id, expected_versions: None })
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
    fn a_command_for_another_version_of_the_account_is_refused_before_its_status_is_looked_at() {
        let account_id = account_id("cash");
        let second = StreamVersion::FIRST.next();
        for expected in [vec![], vec![StreamVersion::FIRST], vec![second.next()]] {
            for (command, _) in commands_at(Some(expected)) {
                in_status(AccountStatus::Frozen)
                    .when(command)
                    .then_rejected(Rejection::VersionMismatch { account_id, version: second });
            }
        }
        for (command, target) in commands_at(Some(vec![StreamVersion::FIRST, second])) {
            let decided = in_status(AccountStatus::Frozen).when(command);
            match target {
                AccountStatus::Open | AccountStatus::Closed => {
                    decided.then([status_event("cash", target)]);
                }
                AccountStatus::Frozen => decided.then_rejected(Rejection::AccountStatus {
                    account_id,
                    status: AccountStatus::Frozen,
                }),
            }
        }
    }

    #[test]
    fn an_account_that_is_not_there_is_at_no_version() {
        let account_id = account_id("cash");
        for (command, _) in commands_at(Some(vec![StreamVersion::FIRST])) {
            given([]).when(command).then_rejected(Rejection::AccountNotFound { account_id });
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
            .when(close_in(LEDGER))
            .then_rejected(Rejection::BalanceNotZero { account_id });
    }

    #[test]
    fn another_ledgers_account_does_not_exist() {
        let account_id = account_id("cash");
        for ledger in [MerchantId::PLATFORM, MerchantId::from_uuid(uuid::Uuid::from_u128(99))] {
            in_status(AccountStatus::Open)
                .when(close_in(ledger))
                .then_rejected(Rejection::AccountNotFound { account_id });
        }
    }
}
