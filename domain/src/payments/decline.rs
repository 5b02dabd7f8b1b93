//! Declines: what a PSP's reason means for what may be done next.
//!
//! The table is data with a version, which goes into the log with each decline, so that it can be told
//! later why a payment was or was not tried again. Codes are those of Stripe's `decline_code`, which
//! gateways translate theirs to; classes follow the schemes' rules on retries.

use serde::{Deserialize, Serialize};

/// The version of the table below; raised with every change of it.
pub const DECLINES_VERSION: u16 = 1;

/// What kind of reason a decline has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeclineClass {
    /// This method will never work.
    Hard,
    /// There is not enough money or allowance; there may be later.
    SoftFunds,
    /// Something failed that may work at once elsewhere, or later.
    SoftTemporary,
    /// What was given is wrong; it may work once it is corrected.
    DataFix,
    /// The payer has to prove who they are.
    AuthenticationRequired,
    /// The method is thought to be misused.
    Fraud,
    /// The method cannot be used for this.
    NotSupported,
}

impl DeclineClass {
    /// Every class.
    pub const ALL: [Self; 7] = [
        Self::Hard,
        Self::SoftFunds,
        Self::SoftTemporary,
        Self::DataFix,
        Self::AuthenticationRequired,
        Self::Fraud,
        Self::NotSupported,
    ];

    /// The name as stored and on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hard => "hard",
            Self::SoftFunds => "soft_funds",
            Self::SoftTemporary => "soft_temporary",
            Self::DataFix => "data_fix",
            Self::AuthenticationRequired => "authentication_required",
            Self::Fraud => "fraud",
            Self::NotSupported => "not_supported",
        }
    }

    /// The class of a PSP's `code`, or the more severe one that the scheme's advice speaks of. A code that
    /// nobody knows is not tried again without such advice, since it may be one that must not be.
    pub fn of(code: &str, advice: Option<&str>) -> Self {
        let known = TABLE.iter().find(|(_, codes)| codes.contains(&code)).map(|(class, _)| *class);
        match (known, advice) {
            (Some(Self::Fraud), _) => Self::Fraud,
            (_, Some("do_not_try_again" | "03" | "21")) => Self::Hard,
            (Some(Self::Hard), _) => Self::Hard,
            (_, Some("confirm_card_data" | "01")) => Self::DataFix,
            (None, Some("try_again_later" | "02")) => Self::SoftTemporary,
            (Some(class), _) => class,
            (None, _) => Self::Hard,
        }
    }

    /// Whether the same method may work later.
    pub const fn soft(self) -> bool {
        match self {
            Self::SoftFunds | Self::SoftTemporary => true,
            Self::Hard
            | Self::DataFix
            | Self::AuthenticationRequired
            | Self::Fraud
            | Self::NotSupported => false,
        }
    }

    /// Whether another method, or a corrected one, would help.
    pub const fn requires_method(self) -> bool {
        match self {
            Self::DataFix | Self::AuthenticationRequired | Self::NotSupported => true,
            Self::Hard | Self::SoftFunds | Self::SoftTemporary | Self::Fraud => false,
        }
    }

    /// The class as anybody but the platform sees it: whoever tries a stolen card is not told that this is
    /// known.
    #[must_use]
    pub const fn shown(self) -> Self {
        match self {
            Self::Fraud => Self::Hard,
            Self::Hard
            | Self::SoftFunds
            | Self::SoftTemporary
            | Self::DataFix
            | Self::AuthenticationRequired
            | Self::NotSupported => self,
        }
    }

    /// The code as anybody but the platform sees it, for the same reason.
    pub fn shown_code(self, code: &str) -> &str {
        match self {
            Self::Hard | Self::Fraud => "card_declined",
            Self::SoftFunds
            | Self::SoftTemporary
            | Self::DataFix
            | Self::AuthenticationRequired
            | Self::NotSupported => code,
        }
    }
}

/// Source: Stripe's published list of decline codes, grouped after WooCommerce's Stripe Terminal and the
/// schemes' categories.
const TABLE: &[(DeclineClass, &[&str])] = &[
    (
        DeclineClass::Hard,
        &[
            "restricted_card",
            "security_violation",
            "invalid_account",
            "do_not_try_again",
            "revocation_of_authorization",
            "revocation_of_all_authorizations",
            "stop_payment_order",
            "new_account_information_available",
        ],
    ),
    (
        DeclineClass::Fraud,
        &["lost_card", "stolen_card", "pickup_card", "fraudulent", "merchant_blacklist"],
    ),
    (
        DeclineClass::DataFix,
        &[
            "incorrect_number",
            "invalid_number",
            "incorrect_cvc",
            "invalid_cvc",
            "invalid_expiry_month",
            "invalid_expiry_year",
            "expired_card",
            "incorrect_zip",
            "incorrect_pin",
            "invalid_pin",
            "invalid_amount",
        ],
    ),
    (
        DeclineClass::AuthenticationRequired,
        &[
            "authentication_required",
            "authentication_not_handled",
            "offline_pin_required",
            "online_or_offline_pin_required",
            "mobile_device_authentication_required",
        ],
    ),
    (
        DeclineClass::SoftFunds,
        &["insufficient_funds", "card_velocity_exceeded", "withdrawal_count_limit_exceeded"],
    ),
    (
        DeclineClass::SoftTemporary,
        &[
            "approve_with_id",
            "issuer_not_available",
            "processing_error",
            "reenter_transaction",
            "try_again_later",
            "duplicate_transaction",
            "do_not_honor",
            "generic_decline",
            "call_issuer",
            "no_action_taken",
            "card_decline_rate_limit_exceeded",
        ],
    ),
    (
        DeclineClass::NotSupported,
        &[
            "card_not_supported",
            "currency_not_supported",
            "not_permitted",
            "service_not_allowed",
            "transaction_not_allowed",
            "pin_try_exceeded",
            "testmode_decline",
            "live_mode_test_card",
            "test_mode_live_card",
        ],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_goes_before_the_code() {
        for (code, advice, class) in [
            ("insufficient_funds", None, DeclineClass::SoftFunds),
            ("insufficient_funds", Some("03"), DeclineClass::Hard),
            ("insufficient_funds", Some("21"), DeclineClass::Hard),
            ("never_heard_of", Some("try_again_later"), DeclineClass::SoftTemporary),
            ("restricted_card", Some("try_again_later"), DeclineClass::Hard),
            ("generic_decline", Some("confirm_card_data"), DeclineClass::DataFix),
            ("stolen_card", Some("do_not_try_again"), DeclineClass::Fraud),
            ("never_heard_of", None, DeclineClass::Hard),
        ] {
            assert_eq!(DeclineClass::of(code, advice), class, "{code} {advice:?}");
        }
    }

    #[test]
    fn a_code_is_in_the_table_once() {
        let mut codes: Vec<&str> =
            TABLE.iter().flat_map(|(_, codes)| codes.iter().copied()).collect();
        let all = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), all);
    }

    #[test]
    fn what_would_tip_off_a_fraudster_is_not_shown() {
        for code in ["lost_card", "stolen_card", "fraudulent", "restricted_card"] {
            let class = DeclineClass::of(code, None);
            assert_eq!(class.shown(), DeclineClass::Hard, "{code}");
            assert_eq!(class.shown_code(code), "card_declined");
        }
    }
}
