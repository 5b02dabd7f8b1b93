//! How often a card may be tried: the schemes' limits on attempts after declines, as data.
//!
//! Sources: Visa Core Rules, 18 April 2026, table 7-2 (20 in 30 days, until May 2025 15; acquirers still
//! publish 15, which keeps both); Mastercard Transaction Processing Excellence (10 in 24 hours and 35 in 30
//! days). Both count a card at a merchant for an amount, and Visa from the first attempt.

use serde::{Deserialize, Serialize};

use super::CardNetwork;

const HOUR_MS: i64 = 3_600_000;
const DAY_MS: i64 = 24 * HOUR_MS;

/// For how long declines count, in milliseconds: the longest window of any scheme.
pub const CARD_MEMORY_MS: i64 = 30 * DAY_MS;
/// The most declines of a card at a merchant that are kept, and with that the most attempts that a limit may
/// allow: far above what a scheme does.
pub const CARD_DECLINES_MAX: usize = 100;

/// A limit on how often a card is tried at a merchant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CardLimit {
    /// What it is called in the log.
    pub name: String,
    /// Whose cards it is for; every card's where none is named. A card of which the network is not known is
    /// under every limit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub networks: Vec<CardNetwork>,
    /// The most attempts that may be declined in the window, over all PSPs.
    pub attempts_max: usize,
    /// The window, in milliseconds.
    pub window_ms: i64,
    /// Whether attempts for other amounts are not counted.
    #[serde(default)]
    pub same_amount: bool,
}

impl CardLimit {
    /// What the schemes allow, and a bound for what nobody else bounds.
    pub fn of_schemes() -> Vec<Self> {
        let limit = |name: &str, network, attempts_max, window_ms| Self {
            name: name.to_owned(),
            networks: vec![network],
            attempts_max,
            window_ms,
            same_amount: true,
        };
        vec![
            limit("visa_30_days", CardNetwork::Visa, 15, CARD_MEMORY_MS),
            limit("mastercard_day", CardNetwork::Mastercard, 10, DAY_MS),
            limit("mastercard_30_days", CardNetwork::Mastercard, 35, CARD_MEMORY_MS),
            Self {
                name: "card_30_days".to_owned(),
                networks: Vec::new(),
                attempts_max: CARD_DECLINES_MAX,
                window_ms: CARD_MEMORY_MS,
                same_amount: false,
            },
        ]
    }

    /// Whether a card of that network is under it.
    pub(super) fn applies_to(&self, network: Option<CardNetwork>) -> bool {
        self.networks.is_empty() || network.is_none_or(|network| self.networks.contains(&network))
    }

    /// What is wrong with it, if anything.
    ///
    /// # Errors
    /// The bound that it breaks, as a sentence.
    pub fn check(&self) -> Result<(), String> {
        if !(1..=CARD_DECLINES_MAX).contains(&self.attempts_max) {
            return Err(format!("attempts_max is not between 1 and {CARD_DECLINES_MAX}"));
        }
        if !(1..=CARD_MEMORY_MS).contains(&self.window_ms) {
            return Err(format!("window_ms is not between 1 and {CARD_MEMORY_MS}"));
        }
        Ok(())
    }
}
