//! Declines: what a PSP's reason means for what may be done next.
//!
//! The tables are data with a version, which goes into the log with each decline, so that it can be told
//! later why a payment was or was not tried again. Codes are those of Stripe's `decline_code`, which
//! gateways translate theirs to; classes follow the schemes' rules on retries.

use serde::{Deserialize, Serialize};

use crate::cards::CardNetwork;

/// The version of the tables below; raised with every change of them.
pub const DECLINES_VERSION: u16 = 3;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// A decline, as the PSP says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decline {
    /// The reason's code, in the PSP's words.
    pub code: String,
    /// What the scheme advises to do: its name, or Mastercard's merchant advice code.
    pub advice: Option<String>,
    /// The response code of the payer's bank, as the scheme passed it on (ISO 8583, field 39).
    pub network_code: Option<String>,
}

impl Decline {
    /// One of which nothing but the code is known.
    pub fn of(code: impl Into<String>) -> Self {
        Self { code: code.into(), advice: None, network_code: None }
    }

    /// What kind of reason it is: the most severe of what code, advice and response code speak of. A code that
    /// nobody knows is not tried again without another word, since it may be one that must not be.
    pub fn class(&self, network: Option<CardNetwork>) -> DeclineClass {
        let by_code =
            CODES.iter().find(|(_, codes)| codes.contains(&&*self.code)).map(|(class, _)| *class);
        let advised = self.advice.as_deref().and_then(advised);
        let said = [by_code, advised, self.by_network_code(network)];
        said.into_iter()
            .flatten()
            .max_by_key(|class| class.severity())
            .unwrap_or(DeclineClass::Hard)
    }

    /// What must not be tried again, with any PSP.
    pub fn bars(&self, network: Option<CardNetwork>) -> Option<Barred> {
        let never = match self.advice.as_deref() {
            Some("03" | "do_not_try_again") => Some(Barred::Card),
            Some("21") => Some(Barred::Amount),
            Some(_) | None => None,
        };
        let listed = |code: &str, amount: &[&str], card: &[&str]| {
            if amount.contains(&code) {
                Some(Barred::Amount)
            } else {
                card.contains(&code).then_some(Barred::Card)
            }
        };
        let fraud = (self.class(network) == DeclineClass::Fraud).then_some(Barred::Card);
        let known = listed(&self.code, REVOKED, NEVER);
        let response = self.response_code(network);
        let refused = response.and_then(|code| listed(code, RESPONSES_REVOKED, RESPONSES_NEVER));
        [never, fraud, known, refused].into_iter().flatten().max()
    }

    /// How long the scheme wants to be left alone, in milliseconds.
    pub(super) fn wait_ms(&self) -> i64 {
        let wait =
            |(code, wait): &(&str, i64)| (Some(*code) == self.advice.as_deref()).then_some(*wait);
        ADVISED_WAITS_MS.iter().find_map(wait).unwrap_or(0)
    }

    /// Whether another PSP may fare better at once. A duplicate is none elsewhere, and would be one charge more.
    pub(super) fn fails_over(&self, class: DeclineClass) -> bool {
        class == DeclineClass::SoftTemporary
            && self.code != "duplicate_transaction"
            && self.wait_ms() == 0
    }

    fn by_network_code(&self, network: Option<CardNetwork>) -> Option<DeclineClass> {
        let code = self.response_code(network)?;
        RESPONSES.iter().find(|(_, codes)| codes.contains(&code)).map(|(class, _)| *class)
    }

    /// Mastercard merges several reasons into some response codes and says in its advice which it is.
    fn response_code(&self, network: Option<CardNetwork>) -> Option<&str> {
        let code = self.network_code.as_deref()?;
        let merged = match network {
            Some(CardNetwork::Mastercard) => MERGED_BY_MASTERCARD.contains(&code),
            Some(CardNetwork::Visa | CardNetwork::Other) | None => false,
        };
        (!merged).then_some(code)
    }
}

/// A reason's code as anybody but the platform sees it, of which nothing else is known: one that would warn
/// whoever misuses a card is not said.
pub fn code_for_everybody(code: &str) -> &str {
    let known = CODES.iter().find(|(_, codes)| codes.contains(&code));
    known.map_or(code, |(class, _)| class.shown_code(code))
}

/// What must not be tried again, with any PSP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Barred {
    /// The amount that was declined: the payer withdrew that one authority.
    Amount,
    /// Anything with the card.
    Card,
}

fn advised(advice: &str) -> Option<DeclineClass> {
    match advice {
        "do_not_try_again" | "03" | "21" => Some(DeclineClass::Hard),
        "confirm_card_data" | "01" => Some(DeclineClass::DataFix),
        "try_again_later" => Some(DeclineClass::SoftTemporary),
        advice => {
            let waits = ADVISED_WAITS_MS.iter().any(|(code, _)| *code == advice);
            waits.then_some(DeclineClass::SoftTemporary)
        }
    }
}

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

    /// Which goes first where a decline speaks of several: the higher.
    const fn severity(self) -> u8 {
        match self {
            Self::SoftTemporary => 0,
            Self::SoftFunds => 1,
            Self::AuthenticationRequired => 2,
            Self::DataFix => 3,
            Self::NotSupported => 4,
            Self::Hard => 5,
            Self::Fraud => 6,
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
const CODES: &[(DeclineClass, &[&str])] = &[
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
        &[
            "lost_card",
            "stolen_card",
            "lost_or_stolen_card",
            "pickup_card",
            "fraudulent",
            "merchant_blacklist",
        ],
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

/// Of these codes, those by which the payer withdrew one authority, not the card.
const REVOKED: &[&str] =
    &["revocation_of_authorization", "revocation_of_all_authorizations", "stop_payment_order"];

/// Of these codes, those that no other attempt with the card changes.
const NEVER: &[&str] =
    &["restricted_card", "security_violation", "invalid_account", "do_not_try_again"];

/// Response codes of payers' banks. Source: Visa's categories 1 (never) and 3 (data), and of category 2 those
/// that speak of funds or of the bank's systems; what is not here is told by the PSP's own code.
const RESPONSES: &[(DeclineClass, &[&str])] = &[
    (DeclineClass::Hard, &["04", "12", "15", "46", "57", "R0", "R1", "R3"]),
    (DeclineClass::Fraud, &["07", "41", "43"]),
    (DeclineClass::DataFix, &["14", "54", "55", "70", "82", "1A", "6P", "N7"]),
    (DeclineClass::SoftFunds, &["51", "61", "65"]),
    (DeclineClass::SoftTemporary, &["91", "96"]),
];

/// Lifecycle, policy, and fraud or security. Source: Mastercard's Transaction Processing Excellence programme.
const MERGED_BY_MASTERCARD: &[&str] = &["79", "82", "83"];

/// Visa's category 1: an attempt after one of these is charged for.
const RESPONSES_NEVER: &[&str] = &["04", "07", "12", "15", "41", "43", "46", "57"];

/// Of the same category, those that end one authority.
const RESPONSES_REVOKED: &[&str] = &["R0", "R1", "R3"];

/// Mastercard's merchant advice codes that say how long to wait; for 02, "try again later", the 72 hours that
/// acquirers advise.
const ADVISED_WAITS_MS: &[(&str, i64)] = &[
    ("02", 72 * HOUR_MS),
    ("24", HOUR_MS),
    ("25", DAY_MS),
    ("26", 2 * DAY_MS),
    ("27", 4 * DAY_MS),
    ("28", 6 * DAY_MS),
    ("29", 8 * DAY_MS),
    ("30", 10 * DAY_MS),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn decline(code: &str, advice: Option<&str>, network_code: Option<&str>) -> Decline {
        let text = |text: Option<&str>| text.map(str::to_owned);
        Decline { code: code.to_owned(), advice: text(advice), network_code: text(network_code) }
    }

    #[test]
    fn the_most_severe_of_code_and_advice_counts() {
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
            let said = decline(code, advice, None).class(None);
            assert_eq!(said, class, "{code} {advice:?}");
        }
    }

    #[test]
    fn the_banks_response_code_counts_unless_the_network_merges_them() {
        let (visa, mastercard) = (Some(CardNetwork::Visa), Some(CardNetwork::Mastercard));
        for (network_code, network, class, barred) in [
            ("41", visa, DeclineClass::Fraud, Some(Barred::Card)),
            ("04", None, DeclineClass::Hard, Some(Barred::Card)),
            ("R0", visa, DeclineClass::Hard, Some(Barred::Amount)),
            ("54", visa, DeclineClass::DataFix, None),
            ("05", visa, DeclineClass::SoftTemporary, None),
            ("82", mastercard, DeclineClass::SoftTemporary, None),
            ("51", visa, DeclineClass::SoftFunds, None),
            ("43", mastercard, DeclineClass::Fraud, Some(Barred::Card)),
        ] {
            let said = decline("generic_decline", None, Some(network_code));
            assert_eq!(said.class(network), class, "{network_code}");
            assert_eq!(said.bars(network), barred, "{network_code}");
        }
    }

    #[test]
    fn what_is_never_to_be_tried_again_is_barred() {
        for (code, advice, barred) in [
            ("insufficient_funds", None, None),
            ("insufficient_funds", Some("03"), Some(Barred::Card)),
            ("insufficient_funds", Some("21"), Some(Barred::Amount)),
            ("revocation_of_authorization", None, Some(Barred::Amount)),
            ("revocation_of_authorization", Some("03"), Some(Barred::Card)),
            ("lost_card", None, Some(Barred::Card)),
            ("invalid_account", None, Some(Barred::Card)),
            ("expired_card", None, None),
            ("never_heard_of", None, None),
        ] {
            assert_eq!(decline(code, advice, None).bars(None), barred, "{code} {advice:?}");
        }
    }

    #[test]
    fn the_scheme_may_want_to_be_left_alone() {
        for (advice, hours) in [("02", 72), ("24", 1), ("27", 96), ("30", 240), ("03", 0)] {
            let waits = decline("insufficient_funds", Some(advice), None).wait_ms();
            assert_eq!(waits, hours * HOUR_MS, "{advice}");
        }
    }

    #[test]
    fn a_duplicate_does_not_go_elsewhere() {
        let at_once = |code: &str| {
            let declined = Decline::of(code);
            declined.fails_over(declined.class(None))
        };
        assert!(at_once("issuer_not_available"));
        assert!(at_once("do_not_honor"));
        assert!(!at_once("duplicate_transaction"));
        assert!(!at_once("insufficient_funds"));
        assert!(
            !decline("issuer_not_available", Some("24"), None)
                .fails_over(DeclineClass::SoftTemporary)
        );
    }

    #[test]
    fn a_code_is_in_the_table_once() {
        let mut codes: Vec<&str> =
            CODES.iter().chain(RESPONSES).flat_map(|(_, codes)| codes.iter().copied()).collect();
        let all = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), all);
    }

    #[test]
    fn what_would_tip_off_a_fraudster_is_not_shown() {
        for code in ["lost_card", "stolen_card", "fraudulent", "restricted_card"] {
            let class = Decline::of(code).class(None);
            assert_eq!(class.shown(), DeclineClass::Hard, "{code}");
            assert_eq!(class.shown_code(code), "card_declined");
        }
    }
}
