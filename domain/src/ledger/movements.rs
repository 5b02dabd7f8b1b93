//! What an append does to the totals of accounts, and the rules that keeps.

use super::{Direction, Posting};
use crate::accounts::{self, Account, AccountProfile, AccountStatus, Mechanism, Totals};
use crate::ids::{AccountId, MerchantId};
use crate::rejection::Rejection;
use crate::state::{StateKey, States};

/// What an event, or all that one decision appends, moves.
#[derive(Debug, Clone, Copy, Default)]
pub struct Movements<'a> {
    /// Posted: counts from now on.
    pub posted: &'a [Posting],
    /// Held: counts against the limits until it is released.
    pub held: &'a [Posting],
    /// Held before, and no more.
    pub released: &'a [Posting],
}

/// One of [`Movements`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Posted,
    Held,
    Released,
}

impl<'a> Movements<'a> {
    /// Of postings that are posted.
    pub fn posted(postings: &'a [Posting]) -> Self {
        Self { posted: postings, ..Self::default() }
    }

    /// Of postings that are held.
    pub fn held(postings: &'a [Posting]) -> Self {
        Self { held: postings, ..Self::default() }
    }

    /// Of postings that were held.
    pub fn released(postings: &'a [Posting]) -> Self {
        Self { released: postings, ..Self::default() }
    }

    fn each(self) -> impl Iterator<Item = (Kind, &'a Posting)> {
        let of = |kind, postings: &'a [Posting]| postings.iter().map(move |one| (kind, one));
        of(Kind::Posted, self.posted)
            .chain(of(Kind::Held, self.held))
            .chain(of(Kind::Released, self.released))
    }

    /// The accounts, as often as they are named.
    pub fn accounts(self) -> impl Iterator<Item = AccountId> + 'a {
        self.each().map(|(_, posting)| posting.account_id)
    }

    /// The totals of `account` after all of this.
    #[must_use]
    pub fn applied_to(self, account: AccountId, totals: Totals) -> Totals {
        let own = self.each().filter(|(_, posting)| posting.account_id == account);
        own.fold(totals, |totals, (kind, posting)| after(totals, kind, posting))
    }

    /// The rules that all movements keep, in the order in which they win when several are broken: the
    /// account is there, in this ledger, and no mechanism's own; it is open; its currency fits; and, counting what
    /// is held, no account that this lowers is below its minimum, and none that it raises above its maximum. What
    /// is only released may be so whatever the account is.
    pub(crate) fn check(self, states: &impl States, ledger: MerchantId) -> Result<(), Rejection> {
        self.check_as(None, states, ledger)
    }

    /// The same of what `mechanism` moves: in its own accounts it does so whatever their status and limits are.
    pub(crate) fn check_by(
        self,
        mechanism: Mechanism,
        states: &impl States,
        ledger: MerchantId,
    ) -> Result<(), Rejection> {
        self.check_as(Some(mechanism), states, ledger)
    }

    fn check_as(
        self,
        by: Option<Mechanism>,
        states: &impl States,
        ledger: MerchantId,
    ) -> Result<(), Rejection> {
        let mut named: Vec<(Kind, &Posting, &Account)> = Vec::new();
        for (kind, posting) in self.each() {
            named.push((kind, posting, accounts::find(states, ledger, posting.account_id)?));
        }
        let own = |account: &Account| by.is_some() && account.profile.mechanism == by;
        let moved = named.iter().filter(|(kind, _, one)| *kind != Kind::Released && !own(one));
        for (_, _, account) in moved.clone() {
            accounts::check_owners(account)?;
        }
        for (_, _, account) in moved {
            match account.status {
                AccountStatus::Open => {}
                AccountStatus::Frozen | AccountStatus::Closed => {
                    let account_id = account.profile.id;
                    return Err(Rejection::AccountStatus { account_id, status: account.status });
                }
            }
        }
        for (_, posting, account) in &named {
            if account.profile.currency != posting.amount.currency() {
                return Err(Rejection::CurrencyMismatch {
                    account_id: posting.account_id,
                    currency: account.profile.currency,
                });
            }
        }
        named.retain(|(_, _, account)| !own(account));
        check_limits(&named)
    }
}

/// The last rules, each over all movements.
fn check_limits(named: &[(Kind, &Posting, &Account)]) -> Result<(), Rejection> {
    let mut touched: Vec<(&Account, Totals)> = Vec::with_capacity(named.len());
    for (kind, posting, account) in named {
        let account_id = account.profile.id;
        let known = touched.iter().position(|(other, _)| other.profile.id == account_id);
        let index = known.unwrap_or_else(|| {
            touched.push((account, account.totals));
            touched.len() - 1
        });
        touched[index].1 = after(touched[index].1, *kind, posting);
    }
    for (account, totals) in &touched {
        let account_id = account.profile.id;
        let normal = account.profile.normal_side();
        let (before, after) = (account.totals.lowest(normal), totals.lowest(normal));
        let minimum = account.profile.min_balance_minor.map_or(i128::MIN, i128::from);
        if after < minimum && after < before {
            return Err(Rejection::InsufficientFunds { account_id });
        }
    }
    for (account, totals) in touched {
        let normal = account.profile.normal_side();
        let (before, after) = (account.totals.highest(normal), totals.highest(normal));
        let maximum = account.profile.max_balance_minor.map_or(i128::MAX, i128::from);
        if after > maximum && after > before {
            return Err(Rejection::AboveMaximum { account_id: account.profile.id });
        }
    }
    Ok(())
}

fn after(totals: Totals, kind: Kind, posting: &Posting) -> Totals {
    let minor = posting.amount.minor();
    match kind {
        Kind::Posted => totals.with(posting.direction, minor),
        Kind::Held => totals.holding(posting.direction, minor),
        Kind::Released => totals.holding(posting.direction, -minor),
    }
}

/// How much of `minor` may be posted to that side of an account with such totals before it is at its limit; 0
/// where it is beyond.
pub(super) fn available(
    profile: &AccountProfile,
    totals: Totals,
    direction: Direction,
    minor: i64,
) -> i64 {
    let normal = profile.normal_side();
    let within_limit = if direction == normal {
        let maximum = profile.max_balance_minor;
        maximum.map(|maximum| i128::from(maximum) - totals.highest(normal))
    } else {
        let minimum = profile.min_balance_minor;
        minimum.map(|minimum| totals.lowest(normal) - i128::from(minimum))
    };
    let room = within_limit.map_or(minor.into(), |limit| limit.clamp(0, minor.into()));
    // It is not more than `minor`.
    i64::try_from(room).unwrap_or(minor)
}

/// The keys of the accounts named by `postings`, each once.
pub(crate) fn account_keys(postings: &[Posting]) -> Vec<StateKey> {
    let mut keys: Vec<StateKey> = Vec::with_capacity(postings.len());
    for posting in postings {
        let key = StateKey::Account(posting.account_id);
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys
}
