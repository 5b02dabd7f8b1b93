//! What each metric is: the text that `/metrics` gives with it. Counters without labels are there from the start, at 0,
//! so that the first thing that they count is a change.

use metrics::{counter, describe_counter, describe_gauge, describe_histogram};

/// Counters without labels.
const COUNTERS: &[(&str, &str)] = &[
    ("runut_answers_finished_total", "Requests of processes that died, answered by another"),
    ("runut_appends_repeated_total", "Appends that the database refused for a reason that passes"),
    ("runut_batches_total", "Batches of commands that were appended"),
    ("runut_cache_dropped_total", "Times that the log contradicted the cache: it was loaded again"),
    ("runut_clock_refusals_total", "Commands and appends refused because the clocks disagree"),
    ("runut_commands_overloaded_total", "Commands turned away because the queue was full"),
    ("runut_commands_refused_total", "Commands of which the database refused the content"),
    ("runut_connections_too_slow_total", "Connections ended because their answers were not read"),
    ("runut_database_lost_total", "Times that the log's database went away"),
    ("runut_days_closed_total", "Days of ledgers that were closed"),
    ("runut_dead_letters_total", "Webhooks that cannot be worked off"),
    ("runut_events_appended_total", "Events that this process appended"),
    ("runut_events_followed_total", "Events that other processes appended, as this one read them"),
    ("runut_exports_broken_total", "Exports that ended before they were complete"),
    ("runut_heads_lost_total", "Batches decided anew because another process moved the head"),
    ("runut_holds_expired_total", "Holds that were ended because their time was over"),
    ("runut_idempotency_keys_pruned_total", "Idempotency keys removed after their time"),
    ("runut_key_look_ups_refused_total", "Look-ups of API keys refused: too many do not exist"),
    (
        "runut_other_histories_total",
        "Times that another history was found in the database: it was restored",
    ),
    ("runut_payment_claim_failures_total", "Times that payments that are due could not be claimed"),
    ("runut_payment_work_failures_total", "Times that a payment could not be carried on with"),
    ("runut_pruner_failures_total", "Passes of the pruner that failed"),
    ("runut_psp_answers_not_believed_total", "Answers of PSPs that cannot be read or booked"),
    ("runut_sequencer_loads_total", "Times that the sequencer itself loaded states"),
    ("runut_webhooks_pruned_total", "Webhooks removed after their time"),
];

/// Counters by label; each series is there from when it first counts, or from when its owner starts.
const COUNTERS_BY_LABEL: &[(&str, &str)] = &[
    (
        "runut_ledger_work_failures_total",
        "Holds, days and clearing accounts that could not be seen to, by kind of work",
    ),
    (
        "runut_pool_refused_total",
        "Requests refused a place in a pool, by pool and by whose share was used up",
    ),
    ("runut_projection_halts_total", "Times that a projection stopped, by its state"),
    (
        "runut_projection_messages_refused_total",
        "Messages of the mirror that were not believed, by reason",
    ),
    (
        "runut_query_waits_in_vain_total",
        "Queries that waited for their position in vain, by projection",
    ),
];

const GAUGES: &[(&str, &str)] = &[
    ("runut_cached_state_bytes", "Bytes of the states in memory"),
    ("runut_cached_states", "States in memory"),
    (
        "runut_clearing_accounts_overdue",
        "Clearing accounts that have not cleared for longer than they may",
    ),
    ("runut_clock_skew_seconds", "How far this process' clock is ahead of the database's"),
    ("runut_idempotency_keys_unanswered", "Keys past their time without an answer"),
    ("runut_known_answer_bytes", "Bytes of the answers under idempotency keys in memory"),
    (
        "runut_log_head_ahead_seconds",
        "How far the time of the log's head is ahead of the database's clock",
    ),
    ("runut_mirror_alarm", "Whether a person must see to the mirror"),
    (
        "runut_mirror_away_seconds",
        "For how long the mirror has not been able to copy; 0 while it can",
    ),
    ("runut_mirror_position", "The last position that is in the stream"),
    ("runut_oldest_snapshot_alarm", "Whether a snapshot is held that slows appends down"),
    ("runut_oldest_snapshot_seconds", "The age of the oldest snapshot on the log's server"),
    ("runut_oldest_snapshot_transactions", "The transactions since the oldest snapshot"),
    (
        "runut_payments_overdue",
        "Payments that have been due for over a minute, whatever keeps them waiting",
    ),
    (
        "runut_payments_unrecorded",
        "Payments of which the outcome could not be recorded for over a minute",
    ),
    ("runut_pool_taken", "How much of a pool is taken"),
    (
        "runut_projection_connected",
        "Whether a projection has its database, and is done with what it reads in time",
    ),
    (
        "runut_projection_failed_position",
        "The position of the event that a projection cannot apply; 0 if none",
    ),
    ("runut_projection_lag_events", "Events that a projection has not applied, as last seen"),
    (
        "runut_projection_lag_seconds",
        "For how long the first event not applied has been in the log",
    ),
    ("runut_projection_position", "The last event that a projection applied"),
    ("runut_projection_rebuild_position", "How far the rebuild of a projection is"),
    ("runut_projection_state", "1 for the state that a projection is in"),
    ("runut_psp_breaker_open", "Whether calls to a PSP are held back because it fails"),
    ("runut_psp_calls_recent", "Calls to a PSP in the last minute"),
    ("runut_psp_calls_under_way", "Calls to a PSP that are under way"),
    ("runut_psp_errors_recent", "Calls to a PSP that failed in the last minute"),
    ("runut_queued_command_bytes", "Bytes of the commands that wait to be appended"),
    ("runut_recent_event_bytes", "Bytes of the newest events in memory"),
];

const HISTOGRAMS: &[(&str, &str)] = &[
    ("runut_append_seconds", "How long the statement of an append took"),
    ("runut_http_request_seconds", "How long requests of commands took"),
    ("runut_psp_call_seconds", "How long calls to PSPs took, by operation"),
    ("runut_query_request_seconds", "How long queries took"),
    ("runut_query_wait_seconds", "How long queries waited for their position"),
];

/// Describes all of them, and has those that can be there begin at 0.
pub(super) fn describe() {
    for (name, text) in COUNTERS {
        describe_counter!(*name, *text);
        counter!(*name).increment(0);
    }
    COUNTERS_BY_LABEL.iter().for_each(|(name, text)| describe_counter!(*name, *text));
    GAUGES.iter().for_each(|(name, text)| describe_gauge!(*name, *text));
    HISTOGRAMS.iter().for_each(|(name, text)| describe_histogram!(*name, *text));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    /// The names in quotes that look like a metric's.
    fn named(text: &str) -> impl Iterator<Item = &str> {
        let kinds =
            ["_total", "_seconds", "_bytes", "_recent", "_under_way", "_position", "_alarm"];
        let others = [
            "runut_cached_states",
            "runut_clearing_accounts_overdue",
            "runut_idempotency_keys_unanswered",
            "runut_oldest_snapshot_transactions",
            "runut_payments_overdue",
            "runut_payments_unrecorded",
            "runut_pool_taken",
            "runut_projection_connected",
            "runut_projection_lag_events",
            "runut_projection_state",
            "runut_psp_breaker_open",
        ];
        text.split('"').filter(move |part| {
            part.starts_with("runut_")
                && part.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
                && (kinds.iter().any(|kind| part.ends_with(kind)) || others.contains(part))
        })
    }

    fn read(folder: &Path, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                read(&path, found);
            } else if path.extension().is_some_and(|end| end == "rs")
                && !path.ends_with("catalog.rs")
            {
                let text = fs::read_to_string(&path).expect("a file");
                found.extend(named(&text).map(str::to_owned));
            }
        }
    }

    #[test]
    fn every_metric_of_the_source_is_described_once_and_no_other_is() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
        let mut found = BTreeSet::new();
        for member in
            ["api-conventions", "command-api", "event-store", "projections", "query-api", "workers"]
        {
            read(&root.join(member).join("src"), &mut found);
        }
        let tables = [COUNTERS, COUNTERS_BY_LABEL, GAUGES, HISTOGRAMS];
        let described: Vec<&str> =
            tables.iter().flat_map(|table| table.iter()).map(|(name, _)| *name).collect();
        let once: BTreeSet<String> = described.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(once.len(), described.len(), "each once");
        assert_eq!(found, once);
    }
}
