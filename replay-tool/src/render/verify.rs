//! Findings and the summary of verify.

use std::fmt::Write;

use serde::Serialize;

use super::line;
use super::numbers::{grouped, rate, size};
use crate::verify::{FINDINGS_TOLD_MAX, Finding, Severity, Summary};

/// What verify can and cannot prove, said with every result.
const NOTE: &str = "This finds accidents and clumsy edits. Somebody who may change the log and makes the \
    hashes anew\nis found only where the rows then contradict each other; proof against the operator \
    comes with\nsigned checkpoints.";

/// A finding as one line.
pub fn finding_text(finding: &Finding) -> String {
    let mut text = format!("{} {}", finding.severity.name(), finding.check.name());
    // Writing to a String cannot fail.
    let _ = match finding.position {
        Some(position) => write!(text, " at {position}"),
        None => Ok(()),
    };
    if !finding.subject.is_empty() {
        let _ = write!(text, " ({})", finding.subject);
    }
    let _ = write!(text, ": expected {}, found {}", finding.expected, finding.found);
    text
}

/// A finding as one line of JSON.
pub fn finding_json(finding: &Finding) -> String {
    line("finding", finding)
}

#[derive(Serialize)]
struct Verdict<'a> {
    clean: bool,
    violations: u64,
    warnings: u64,
    #[serde(flatten)]
    summary: &'a Summary,
}

/// The summary as one line of JSON.
pub fn summary_json(summary: &Summary) -> String {
    let verdict = Verdict {
        clean: summary.clean(),
        violations: summary.count(Severity::Violation),
        warnings: summary.count(Severity::Warning),
        summary,
    };
    line("summary", &verdict)
}

/// The summary as text.
pub fn summary_text(summary: &Summary) -> String {
    let mut text = format!(
        "checked {} events, positions {} to {}, {}, in {:.1} s; the log itself at {} events/s\n",
        grouped(summary.events),
        summary.from,
        summary.to,
        size(summary.bytes),
        summary.seconds,
        rate(summary.events_per_second),
    );
    if summary.paused_seconds > 0.0 {
        let _ = writeln!(
            text,
            "paused for {:.1} s in all, to make way for appends (--full-speed does not)",
            summary.paused_seconds
        );
    }
    for part in &summary.parts {
        let _ =
            writeln!(text, "  {:>14} {} ({:.1} s)", grouped(part.count), part.name, part.seconds);
    }
    for left_out in &summary.not_checked {
        let _ = writeln!(text, "not checked: {left_out}");
    }
    for (check, count) in &summary.findings {
        let (severity, name) = (check.severity().name(), check.name());
        let told = match count.checked_sub(FINDINGS_TOLD_MAX) {
            Some(rest @ 1..) => format!(", {} of them not listed", grouped(rest)),
            _ => String::new(),
        };
        let _ = writeln!(text, "{} {severity} of {name}{told}", grouped(*count));
    }
    text.push_str(if summary.clean() { "no violations\n" } else { "the log is NOT in order\n" });
    text.push_str(NOTE);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_told_where_there_were_any() {
        let mut summary = Summary {
            from: 1,
            to: 9,
            head_recorded_at: None,
            events: 9,
            bytes: 900,
            seconds: 12.0,
            paused_seconds: 0.0,
            events_per_second: 0.75,
            parts: Vec::new(),
            findings: std::collections::BTreeMap::new(),
            not_checked: Vec::new(),
        };
        assert!(!summary_text(&summary).contains("paused"));
        summary.paused_seconds = 11.04;
        assert!(summary_text(&summary).contains("\npaused for 11.0 s in all, to make way"));
        assert!(summary_json(&summary).contains("\"paused_seconds\":11.04"));
    }
}
