//! What the log is made of.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::line;
use super::numbers::{grouped, rate, size};
use crate::stats::{Count, Stats};

/// The stats as one line of JSON.
pub fn stats_json(stats: &Stats) -> String {
    line("stats", stats)
}

/// The stats as text.
pub fn stats_text(stats: &Stats) -> String {
    let mut text = format!(
        "{} events in {} streams, {} of them accounts\n{} of data and metadata, {} on disk with indexes\n",
        grouped(stats.all.events),
        grouped(stats.streams),
        grouped(stats.accounts),
        size(stats.all.bytes),
        size(stats.table_bytes),
    );
    if let (Some(first), Some(last)) = (stats.first_recorded_at, stats.last_recorded_at) {
        let _ = writeln!(text, "from {first} to {last}");
    }
    if let Some(per_second) = stats.events_per_second() {
        let _ = writeln!(text, "{} events/s on average", rate(per_second));
    }
    table(&mut text, "type", &stats.types);
    table(&mut text, "day", &stats.days);
    text
}

fn table(text: &mut String, what: &str, counts: &BTreeMap<String, Count>) {
    let width = counts.keys().map(String::len).max().unwrap_or(0).max(what.len());
    let _ = writeln!(text, "\n{what:width$}  {:>14} {:>10} {:>10}", "events", "size", "largest");
    for (name, count) in counts {
        let (events, bytes) = (grouped(count.events), size(count.bytes));
        let largest = size(count.bytes_max);
        let _ = writeln!(text, "{name:width$}  {events:>14} {bytes:>10} {largest:>10}");
    }
}
