//! What verify did, in numbers.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::Timestamp;
use serde::Serialize;

use super::finding::{Check, Severity};

/// One part of the work.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PartSummary {
    /// What was counted.
    pub name: &'static str,
    /// How many.
    pub count: u64,
    /// How long it took; parts may have run at the same time.
    pub seconds: f64,
}

/// What verify did and found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// The first position that was to be checked.
    pub from: i64,
    /// The last: the head of the log when verify started, unless less was asked for.
    pub to: i64,
    /// When the event at the head was recorded.
    pub head_recorded_at: Option<Timestamp>,
    /// How many events were checked.
    pub events: u64,
    /// Their size, in bytes.
    pub bytes: u64,
    /// How long everything took.
    pub seconds: f64,
    /// How much of it was pauses, to make way for appends.
    pub paused_seconds: f64,
    /// Events checked a second, over what is about the log itself: events and streams.
    pub events_per_second: f64,
    /// The parts.
    pub parts: Vec<PartSummary>,
    /// How many findings each check has; those without any are not listed.
    pub findings: BTreeMap<Check, u64>,
    /// What was left out, and why.
    pub not_checked: Vec<String>,
}

impl Summary {
    /// Findings of that severity.
    pub fn count(&self, severity: Severity) -> u64 {
        self.findings
            .iter()
            .filter(|(check, _)| check.severity() == severity)
            .map(|(_, count)| count)
            .sum()
    }

    /// Whether nothing was found that cannot be true.
    pub fn clean(&self) -> bool {
        self.count(Severity::Violation) == 0
    }
}

/// `count` a second.
#[expect(clippy::cast_precision_loss, reason = "a rate for people to read")]
pub(crate) fn rate(count: u64, elapsed: Duration) -> f64 {
    let seconds = elapsed.as_secs_f64();
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}
