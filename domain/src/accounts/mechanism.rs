//! Mechanisms that keep accounts of their own in a ledger: what they promise of those accounts nobody else may
//! break, not even the ledger's owner.

use std::fmt;

use super::AccountCode;
use crate::ids::{AccountId, MerchantId};
use crate::rejection::Rejection;

/// What keeps an account, where its owner does not keep it alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// Payments, disputes and settlements, in the platform's ledger.
    Payments,
    /// Conversions: the exchange, and what rounding costs.
    Conversions,
    /// Wallets: what customers own, which is never less than nothing.
    Wallets,
}

impl Mechanism {
    const ALL: [Self; 3] = [Self::Payments, Self::Conversions, Self::Wallets];

    /// The mechanism that keeps an account, which its code tells: nobody else opens accounts with such codes.
    pub fn of(ledger: MerchantId, code: &AccountCode) -> Option<Self> {
        let keeps = |mechanism: &Self| {
            let prefixes = match mechanism {
                Self::Payments if !ledger.platform() => &[][..],
                Self::Payments => &AccountCode::SYSTEM_PREFIXES[..],
                Self::Conversions => &[AccountCode::CONVERSION_PREFIX][..],
                Self::Wallets => &[AccountCode::WALLET_PREFIX][..],
            };
            prefixes.iter().any(|prefix| code.as_str().starts_with(prefix))
        };
        Self::ALL.into_iter().find(keeps)
    }

    /// Whether it alone moves money in its accounts and says how they stand. It does so whatever their status and
    /// their limits are, since nothing but a mistake of the past could have changed them.
    pub const fn exclusive(self) -> bool {
        match self {
            Self::Payments | Self::Conversions => true,
            // Their owner moves money in wallets by entries and holds too, and freezes and closes them.
            Self::Wallets => false,
        }
    }

    /// The name in messages.
    const fn name(self) -> &'static str {
        match self {
            Self::Payments => "payments",
            Self::Conversions => "conversions",
            Self::Wallets => "wallets",
        }
    }

    /// What a command is told that would do to `account_id` what only this mechanism may.
    pub(crate) const fn refusal(self, account_id: AccountId) -> Rejection {
        match self {
            Self::Payments => Rejection::SystemAccount { account_id },
            Self::Conversions | Self::Wallets => {
                Rejection::MechanismAccount { account_id, mechanism: self }
            }
        }
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
