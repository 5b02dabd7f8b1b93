//! The times and counts by which payments are carried out: given with each command, so that the log alone
//! says what was decided.

use serde::{Deserialize, Serialize};

use crate::cards::{CARD_MEMORY_MS, CardLimit};
use crate::time::Timestamp;

const SECOND_MS: i64 = 1_000;
const MINUTE_MS: i64 = 60 * SECOND_MS;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;

/// How attempts are followed up. Durations in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PaymentPolicy {
    /// When the PSP is asked about an attempt of which nothing was heard: longer than a worker's call with
    /// all its repetitions takes, so that only what was left by a worker that died is asked for.
    pub ask_after_ms: i64,
    /// The first pause before the PSP is asked about an unknown outcome; doubled each time.
    pub ask_pause_ms: i64,
    /// The longest such pause.
    pub ask_pause_max_ms: i64,
    /// How long "not found" is no answer: the PSP may still be working on it.
    pub not_found_grace_ms: i64,
    /// How long the PSP keeps keys, and with that how long the same attempt may be sent again.
    pub keys_kept_ms: i64,
    /// The pause before the PSP is asked once more about an attempt that was given up because it never arrived.
    pub late_check_pause_ms: i64,
    /// How long an authorization holds.
    pub authorization_life_ms: i64,
    /// How long a payment is tried again, from its first attempt.
    pub retried_within_ms: i64,
    /// How often a card is tried, over all payments and PSPs.
    pub card_limits: Vec<CardLimit>,
    /// The pauses before a payment that was declined for a reason that passes is tried again. Their number
    /// is the most such retries.
    pub soft_retry_pauses_ms: Vec<i64>,
    /// The pause before an attempt that never reached its PSP is made again.
    pub unsent_retry_pause_ms: i64,
    /// The most attempts to authorize that never reach a PSP, before the payment fails.
    pub unsent_attempts_max: u32,
    /// The same of what only one PSP can do, with pauses that double up to `ask_pause_max_ms`.
    pub unsent_bound_attempts_max: u32,
}

impl Default for PaymentPolicy {
    fn default() -> Self {
        Self {
            ask_after_ms: 15 * SECOND_MS,
            ask_pause_ms: 500,
            ask_pause_max_ms: 5 * MINUTE_MS,
            not_found_grace_ms: 60 * SECOND_MS,
            keys_kept_ms: 24 * HOUR_MS,
            late_check_pause_ms: DAY_MS,
            authorization_life_ms: 7 * DAY_MS,
            retried_within_ms: CARD_MEMORY_MS,
            card_limits: CardLimit::of_schemes(),
            soft_retry_pauses_ms: vec![15 * MINUTE_MS, 6 * HOUR_MS, DAY_MS, 3 * DAY_MS],
            unsent_retry_pause_ms: SECOND_MS,
            unsent_attempts_max: 20,
            unsent_bound_attempts_max: 200,
        }
    }
}

impl PaymentPolicy {
    /// When the PSP is asked next about an outcome that was unknown `asked` times already.
    pub(super) fn ask_again_at(&self, now: Timestamp, asked: u32) -> Timestamp {
        let doubled = self.ask_pause_ms.saturating_mul(1 << asked.min(20));
        now.plus_millis(doubled.min(self.ask_pause_max_ms))
    }

    /// The pause after `before` attempts in a row that never reached the only PSP that can do it.
    pub(super) fn unsent_pause_ms(&self, before: u32) -> i64 {
        let doubled = self.unsent_retry_pause_ms.saturating_mul(1 << before.min(20));
        doubled.min(self.ask_pause_max_ms)
    }

    /// The pause after `before` reversals that came to nothing: from the longest between questions up, doubled
    /// to at most a hundredfold.
    pub(super) fn reverse_pause_ms(&self, before: u32) -> i64 {
        self.ask_pause_max_ms.saturating_mul((1 << before.min(7)).min(100))
    }
}
