//! What a marketplace keeps of its own dealings: held against the ledger at the end.

use std::collections::BTreeMap;

use crate::money::CURRENCIES;

/// The accounts that a marketplace has in each currency: code, type, and whether it may not fall below zero.
pub(crate) const ACCOUNTS: [(&str, &str, bool); 4] = [
    ("psp_receivable", "asset", false),
    ("seller_balance", "liability", true),
    ("fee_income", "income", false),
    ("bank", "asset", false),
];

/// One side of an entry: account, side, minor units.
pub(crate) type Leg = (&'static str, &'static str, i64);

/// Balances in minor units, on the normal side of each account, by currency and account.
#[derive(Debug, Clone, Default)]
pub(crate) struct Books {
    balances: BTreeMap<(usize, &'static str), i64>,
}

impl Books {
    /// Notes an accepted entry.
    pub(crate) fn note(&mut self, currency: usize, legs: &[Leg]) {
        for (account, side, minor) in legs {
            let grows = match *account {
                "psp_receivable" | "bank" => *side == "debit",
                _ => *side == "credit",
            };
            let signed = if grows { *minor } else { -*minor };
            *self.balances.entry((currency, account)).or_default() += signed;
        }
    }

    /// The balance of an account.
    pub(crate) fn balance(&self, currency: usize, account: &'static str) -> i64 {
        self.balances.get(&(currency, account)).copied().unwrap_or(0)
    }

    /// `<account>:<currency>`, as the ledger knows it.
    pub(crate) fn code(currency: usize, account: &str) -> String {
        format!("{account}:{}", CURRENCIES[currency].0)
    }
}

/// The legs that undo `legs`.
pub(crate) fn opposite(legs: &[Leg]) -> Vec<Leg> {
    let other = |side: &str| if side == "debit" { "credit" } else { "debit" };
    legs.iter().map(|(account, side, minor)| (*account, other(side), *minor)).collect()
}
