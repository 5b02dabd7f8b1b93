//! Account codes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::currency::Currency;
use crate::ids::MerchantId;
use crate::text::{InvalidText, check_token};

/// What a ledger's owner calls an account, such as `cash` or `customers:42`; unique in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AccountCode(String);

impl AccountCode {
    /// The most characters.
    pub const CHARACTERS_MAX: usize = 100;
    /// What is allowed besides ASCII letters and digits.
    pub const PUNCTUATION: &'static str = ":._-";

    /// What the codes start with of accounts that come with conversions and wallets: nobody else opens such, or
    /// it would be of another type or currency than what they go through.
    pub const RESERVED_PREFIXES: [&'static str; 3] =
        [Self::CONVERSION_PREFIX, Self::WALLET_PREFIX, "wallets:"];
    /// What the codes start with of the accounts that conversions go through.
    pub const CONVERSION_PREFIX: &'static str = "fx:";
    /// What the codes of wallets start with.
    pub const WALLET_PREFIX: &'static str = "wallet:";
    /// What the codes of system accounts start with, in the platform's ledger: those that payments are booked in.
    pub const SYSTEM_PREFIXES: [&'static str; 4] =
        ["psp_clearing:", "merchant_payable:", "fee_income:", "unexpected_receipts:"];

    /// Takes the code of an account that a client opens in `ledger`: 1 to 100 ASCII letters, digits and
    /// `:._-`, without a prefix of accounts that are opened by themselves there.
    ///
    /// # Errors
    /// [`InvalidText`].
    pub fn chosen(text: &str, ledger: MerchantId) -> Result<Self, InvalidText> {
        let code: Self = text.parse()?;
        let system = Self::SYSTEM_PREFIXES.iter().filter(|_| ledger.platform());
        let mut reserved = Self::RESERVED_PREFIXES.iter().chain(system);
        match reserved.find(|prefix| text.starts_with(**prefix)) {
            Some(prefix) => Err(InvalidText::ReservedCode { prefix }),
            None => Ok(code),
        }
    }

    /// The code of an account of the platform that is kept for each `whose`, one a currency.
    pub(crate) fn of_system(kind: &'static str, whose: &str, currency: Currency) -> Self {
        Self(format!("{kind}:{whose}:{currency}"))
    }

    /// The code of an account that a ledger has for itself, one a currency.
    pub(crate) fn of_currency(kind: &'static str, currency: Currency) -> Self {
        Self(format!("{kind}:{currency}"))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AccountCode {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        check_token(text, Self::CHARACTERS_MAX, Self::PUNCTUATION)?;
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Display for AccountCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::given_when_then::MERCHANT;

    #[test]
    fn accounts_that_are_opened_by_themselves_are_opened_by_nobody_else() {
        for (text, prefix) in [
            ("fx:exchange:USD", "fx:"),
            ("fx:", "fx:"),
            ("wallet:customer-42", "wallet:"),
            ("wallets:cash:USD", "wallets:"),
        ] {
            for ledger in [MERCHANT, MerchantId::PLATFORM] {
                let refused = AccountCode::chosen(text, ledger);
                assert_eq!(refused, Err(InvalidText::ReservedCode { prefix }), "{text}");
            }
        }
        for text in ["fx", "wallet", "wallets", "wallet-7", "walletx:1", "Fx:1", "cash:fx:USD"] {
            assert!(AccountCode::chosen(text, MERCHANT).is_ok(), "{text}");
        }
        let max = AccountCode::CHARACTERS_MAX;
        let length = Err(InvalidText::Length { max });
        assert_eq!(AccountCode::chosen("", MERCHANT), length);
    }

    #[test]
    fn system_accounts_are_the_platforms() {
        for text in ["psp_clearing:alpha:USD", "merchant_payable:x:USD", "fee_income:USD"] {
            assert!(AccountCode::chosen(text, MERCHANT).is_ok(), "{text}");
            let refused = AccountCode::chosen(text, MerchantId::PLATFORM);
            assert!(matches!(refused, Err(InvalidText::ReservedCode { .. })), "{text}");
        }
        for text in ["psp:clearing", "fee_income"] {
            assert!(AccountCode::chosen(text, MerchantId::PLATFORM).is_ok(), "{text}");
        }
    }
}
