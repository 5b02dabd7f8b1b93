//! The times and counts by which payments are carried out: given with each command, so that the log alone
//! says what was decided.

use serde::{Deserialize, Serialize};

use crate::cards::{CARD_MEMORY_MS, CardLimit};
use crate::time::Timestamp;

const SECOND_MS: i64 = 1_000;
const MINUTE_MS: i64 = 60 * SECOND_MS;
const HOUR_MS: i64 = 60 * MINUTE_MS;
const DAY_MS: i64 = 24 * HOUR_MS;
/// The most retries after declines that pass; the schemes allow fewer.
const SOFT_RETRIES_MAX: usize = 32;

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
    /// What is wrong with it, if anything.
    ///
    /// # Errors
    /// The field, its value and what is allowed, as a sentence.
    pub fn check(&self) -> Result<(), String> {
        let bounds = [
            ("ask_after_ms", self.ask_after_ms, 100, HOUR_MS),
            ("ask_pause_ms", self.ask_pause_ms, 10, HOUR_MS),
            ("ask_pause_max_ms", self.ask_pause_max_ms, self.ask_pause_ms, DAY_MS),
            // With none, "not found" would be taken for "did not happen" while the request is on its way.
            ("not_found_grace_ms", self.not_found_grace_ms, 100, DAY_MS),
            ("keys_kept_ms", self.keys_kept_ms, MINUTE_MS, CARD_MEMORY_MS),
            ("late_check_pause_ms", self.late_check_pause_ms, SECOND_MS, CARD_MEMORY_MS),
            ("authorization_life_ms", self.authorization_life_ms, MINUTE_MS, 366 * DAY_MS),
            ("retried_within_ms", self.retried_within_ms, 0, CARD_MEMORY_MS),
            ("unsent_retry_pause_ms", self.unsent_retry_pause_ms, 10, HOUR_MS),
            ("unsent_attempts_max", i64::from(self.unsent_attempts_max), 1, 1_000),
            ("unsent_bound_attempts_max", i64::from(self.unsent_bound_attempts_max), 1, 10_000),
        ];
        let pauses = self.soft_retry_pauses_ms.iter();
        let pauses = pauses.map(|pause| ("soft_retry_pauses_ms", *pause, 10, CARD_MEMORY_MS));
        for (field, value, min, max) in bounds.into_iter().chain(pauses) {
            if !(min..=max).contains(&value) {
                return Err(format!("{field} is {value}, allowed is {min} to {max}"));
            }
        }
        let retries = self.soft_retry_pauses_ms.len();
        if retries > SOFT_RETRIES_MAX {
            return Err(format!(
                "soft_retry_pauses_ms has {retries} pauses, allowed are {SOFT_RETRIES_MAX}"
            ));
        }
        for limit in &self.card_limits {
            limit.check().map_err(|what| format!("card_limits: `{}`: {what}", limit.name))?;
        }
        Ok(())
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_out_of_bounds_is_named_with_what_is_allowed() {
        let usual = PaymentPolicy::default;
        assert_eq!(usual().check(), Ok(()));
        let odd = [
            PaymentPolicy { ask_after_ms: 0, ..usual() },
            PaymentPolicy { ask_pause_ms: -1, ..usual() },
            PaymentPolicy { ask_pause_ms: 500, ask_pause_max_ms: 499, ..usual() },
            PaymentPolicy { not_found_grace_ms: 0, ..usual() },
            PaymentPolicy { keys_kept_ms: i64::MAX, ..usual() },
            PaymentPolicy { retried_within_ms: CARD_MEMORY_MS + 1, ..usual() },
            PaymentPolicy { soft_retry_pauses_ms: vec![900_000, -900_000], ..usual() },
            PaymentPolicy { soft_retry_pauses_ms: vec![900_000; 33], ..usual() },
            PaymentPolicy { unsent_attempts_max: 0, ..usual() },
        ];
        let said: Vec<String> = odd.iter().map(|policy| policy.check().unwrap_err()).collect();
        insta::assert_snapshot!(said.join("\n"), @r"
        ask_after_ms is 0, allowed is 100 to 3600000
        ask_pause_ms is -1, allowed is 10 to 3600000
        ask_pause_max_ms is 499, allowed is 500 to 86400000
        not_found_grace_ms is 0, allowed is 100 to 86400000
        keys_kept_ms is 9223372036854775807, allowed is 60000 to 2592000000
        retried_within_ms is 2592000001, allowed is 0 to 2592000000
        soft_retry_pauses_ms is -900000, allowed is 10 to 2592000000
        soft_retry_pauses_ms has 33 pauses, allowed are 32
        unsent_attempts_max is 0, allowed is 1 to 1000
        ");
    }
}
