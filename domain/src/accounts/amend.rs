//! Amending an account: its name, its metadata, its limits.

use serde::{Deserialize, Serialize};

use super::{AccountProfile, AccountStatus, ClearingTerms, Mechanism, check_limits, find_at};
use crate::Context;
use crate::command::Decision;
use crate::event::{Event, NewEvent};
use crate::ids::{AccountId, MerchantId};
use crate::rejection::Rejection;
use crate::state::{State, StateKey, States};
use crate::stream::{StreamId, StreamVersion};
use crate::text::{Metadata, Name};

/// What a command does with a value that may be there or not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Change<T> {
    /// It stays as it is.
    #[default]
    Keep,
    /// It is this from now on, or nothing.
    Set(Option<T>),
}

impl<T: Clone> Change<T> {
    fn of(&self, before: Option<&T>) -> Option<T> {
        match self {
            Self::Keep => before.cloned(),
            Self::Set(value) => value.clone(),
        }
    }
}

/// Changes what may be changed of an account that is not closed. A limit that the balance breaks already is
/// allowed: from then on the balance may only come nearer to it.
#[derive(Debug, Clone)]
pub struct AmendAccount {
    /// The ledger of the caller.
    pub ledger: MerchantId,
    /// The account.
    pub account_id: AccountId,
    /// What it is called in statements.
    pub name: Change<Name>,
    /// What its owner wants to find with it, as a whole.
    pub metadata: Change<Metadata>,
    /// The least its balance may be, in minor units.
    pub min_balance_minor: Change<i64>,
    /// The most its balance may be, in minor units.
    pub max_balance_minor: Change<i64>,
    /// When a balance in it is a reason for an alert.
    pub clearing: Change<ClearingTerms>,
    /// The versions of the account at which the caller wants this done; any where it does not say.
    pub expected_versions: Option<Vec<StreamVersion>>,
}

/// An account was amended: all that can be, as it is from now on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountAmended {
    /// The account.
    pub account_id: AccountId,
    /// What it is called in statements.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<Name>,
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

impl AmendAccount {
    pub(crate) fn reads(&self) -> Vec<StateKey> {
        vec![StateKey::Account(self.account_id)]
    }

    pub(crate) fn decide(
        &self,
        states: &impl States,
        context: &Context,
    ) -> Result<Decision, Rejection> {
        let (account_id, expected) = (self.account_id, self.expected_versions.as_deref());
        let account = find_at(states, self.ledger, account_id, expected)?;
        match account.status {
            AccountStatus::Open | AccountStatus::Frozen => {}
            AccountStatus::Closed => {
                return Err(Rejection::AccountStatus { account_id, status: account.status });
            }
        }
        let profile = &account.profile;
        let amended = AccountAmended {
            account_id,
            name: self.name.of(profile.name.as_ref()),
            metadata: self.metadata.of(Some(&profile.metadata)).unwrap_or_default(),
            min_balance_minor: self.min_balance_minor.of(profile.min_balance_minor.as_ref()),
            max_balance_minor: self.max_balance_minor.of(profile.max_balance_minor.as_ref()),
            clearing: self.clearing.of(profile.clearing.as_ref()),
        };
        check_mechanism(profile, &amended)?;
        check_limits(amended.min_balance_minor, amended.max_balance_minor)?;
        let after = account.clone().amended(&amended, account.version);
        if after == *account {
            return Ok(Decision::Already(State::Account(after)));
        }
        Ok(Decision::Append(vec![NewEvent {
            event_id: context.event_id,
            stream: StreamId::account(account_id),
            version: account.version.next(),
            merchant_id: self.ledger,
            event: Event::AccountAmended(amended),
        }]))
    }
}

/// Whether what keeps the account allows it: of one that a mechanism alone moves money in, its owner says only
/// when a balance is a reason for an alert; and a wallet that could not fall below zero cannot be made to.
fn check_mechanism(profile: &AccountProfile, amended: &AccountAmended) -> Result<(), Rejection> {
    let Some(mechanism) = profile.mechanism else { return Ok(()) };
    let broken = match mechanism {
        Mechanism::Payments | Mechanism::Conversions => {
            amended.name != profile.name
                || amended.metadata != profile.metadata
                || amended.min_balance_minor != profile.min_balance_minor
                || amended.max_balance_minor != profile.max_balance_minor
        }
        Mechanism::Wallets => {
            let above_zero = |minimum: Option<i64>| minimum.is_some_and(|minimum| minimum >= 0);
            above_zero(profile.min_balance_minor) && !above_zero(amended.min_balance_minor)
        }
    };
    if broken { Err(mechanism.refusal(profile.id)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Command;
    use crate::given_when_then::{
        LEDGER, account_id, account_opened, given, post, posted, status_event,
    };

    fn amend() -> AmendAccount {
        AmendAccount {
            ledger: LEDGER,
            account_id: account_id("cash"),
            name: Change::Keep,
            metadata: Change::Keep,
            min_balance_minor: Change::Keep,
            max_balance_minor: Change::Keep,
            clearing: Change::Keep,
            expected_versions: None,
        }
    }

    fn amended(min: Option<i64>, max: Option<i64>) -> Event {
        Event::AccountAmended(AccountAmended {
            account_id: account_id("cash"),
            name: None,
            metadata: Metadata::default(),
            min_balance_minor: min,
            max_balance_minor: max,
            clearing: None,
        })
    }

    fn limits(min: Change<i64>, max: Change<i64>) -> Command {
        let amend = AmendAccount { min_balance_minor: min, max_balance_minor: max, ..amend() };
        Command::AmendAccount(amend)
    }

    #[test]
    fn what_is_not_named_stays() {
        given([account_opened("cash", Some(5))])
            .when(limits(Change::Keep, Change::Set(Some(9))))
            .then([amended(Some(5), Some(9))]);
        given([account_opened("cash", Some(5)), amended(Some(5), Some(9))])
            .when(limits(Change::Set(None), Change::Keep))
            .then([amended(None, Some(9))]);
        given([account_opened("cash", Some(5))])
            .when(limits(Change::Set(Some(5)), Change::Set(None)))
            .then_already();
    }

    #[test]
    fn limits_that_leave_no_balance_are_refused() {
        given([account_opened("cash", Some(5))])
            .when(limits(Change::Keep, Change::Set(Some(4))))
            .then_rejected(Rejection::LimitsCross { min_balance_minor: 5, max_balance_minor: 4 });
    }

    #[test]
    fn a_limit_that_the_balance_breaks_already_only_lets_it_come_nearer() {
        let history = || {
            given([
                account_opened("cash", None),
                account_opened("sales", None),
                posted("r1", "cash", "sales", 10),
                amended(None, Some(5)),
            ])
        };
        let account_id = account_id("cash");
        history()
            .when(post("r2", "cash", "sales", 1))
            .then_rejected(Rejection::AboveMaximum { account_id });
        history().when(post("r2", "sales", "cash", 1)).then_accepted();
    }

    #[test]
    fn a_closed_account_stays_as_it_is() {
        let account_id = account_id("cash");
        given([account_opened("cash", None), status_event("cash", AccountStatus::Closed)])
            .when(limits(Change::Set(Some(1)), Change::Keep))
            .then_rejected(Rejection::AccountStatus { account_id, status: AccountStatus::Closed });
    }
}
