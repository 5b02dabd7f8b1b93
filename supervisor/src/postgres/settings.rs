//! The server's settings, given on its command line, where they win over the files in the cluster.

use std::fs;

/// Of the machine's memory; the usual advice.
const SHARED_BUFFERS_DIVISOR: u64 = 4;
const SHARED_BUFFERS_MAX_MIB: u64 = 8_192;
const SHARED_BUFFERS_MIN_MIB: u64 = 32;
/// Assumed where the machine does not say.
const MEMORY_UNKNOWN_MIB: u64 = 1_024;

/// What glibc's allocator keeps in each server process instead of giving it back to the system after every
/// statement and taking it again, zeroed, for the next: a tenth of the time of an append.
pub(super) const MALLOC: [(&str, &str); 3] = [
    ("MALLOC_TRIM_THRESHOLD_", "67108864"),
    ("MALLOC_MMAP_THRESHOLD_", "33554432"),
    ("MALLOC_TOP_PAD_", "1048576"),
];

/// Name and value of every setting of ours, in the order they are given.
pub(super) fn settings(
    port: u16,
    cluster_name: &str,
    wal_compression: &str,
    memory_mib: Option<u64>,
) -> Vec<(String, String)> {
    let shared_buffers =
        format!("{}MB", shared_buffers_mib(memory_mib.unwrap_or_else(memory_there_is_mib)));
    let port = port.to_string();
    let pairs: &[(&str, &str)] = &[
        ("listen_addresses", "127.0.0.1"),
        ("port", &port),
        // A socket in a folder would be one more place to guard, and its path may be too long.
        ("unix_socket_directories", ""),
        // In every process' title: how an orphan is told from another cluster's.
        ("cluster_name", cluster_name),
        ("update_process_title", "on"),
        ("max_connections", "300"),
        // Durability is what the log rests on: never left to a default.
        ("fsync", "on"),
        ("full_page_writes", "on"),
        ("synchronous_commit", "on"),
        ("shared_buffers", &shared_buffers),
        ("huge_pages", "try"),
        // Checkpoints are spread out, so that full-page images do not dominate the log.
        ("max_wal_size", "8GB"),
        ("min_wal_size", "1GB"),
        ("checkpoint_timeout", "15min"),
        ("checkpoint_completion_target", "0.9"),
        // What tables grow by goes to the disk little by little: commits wait for what the kernel writes at once.
        ("backend_flush_after", "256kB"),
        ("wal_compression", wal_compression),
        // Short statements only: compiling them costs more than it brings.
        ("jit", "off"),
        ("shared_preload_libraries", ""),
        // An open snapshot slows the append, see design of the log.
        ("idle_in_transaction_session_timeout", "5s"),
        ("timezone", "UTC"),
        ("log_timezone", "UTC"),
        // Statements and their parameters hold secrets; an error's DETAIL holds rows.
        ("logging_collector", "off"),
        ("log_destination", "stderr"),
        ("log_statement", "none"),
        ("log_min_duration_statement", "-1"),
        ("log_min_error_statement", "panic"),
        ("log_parameter_max_length", "0"),
        ("log_parameter_max_length_on_error", "0"),
        ("log_error_verbosity", "terse"),
        ("log_line_prefix", "%m [%p] %q%u@%d "),
    ];
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Whether `name` can be a setting's name, with an extension's prefix or without.
pub(super) fn is_name(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'))
}

fn shared_buffers_mib(memory_mib: u64) -> u64 {
    (memory_mib / SHARED_BUFFERS_DIVISOR).clamp(SHARED_BUFFERS_MIN_MIB, SHARED_BUFFERS_MAX_MIB)
}

/// The machine's memory, or the container's if that is less.
fn memory_there_is_mib() -> u64 {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total_kib(&text));
    let container = fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let container = container.and_then(|text| text.trim().parse::<u64>().ok());
    [machine.map(|kib| kib >> 10), container.map(|bytes| bytes >> 20)]
        .into_iter()
        .flatten()
        .min()
        .unwrap_or(MEMORY_UNKNOWN_MIB)
}

fn total_kib(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_buffers_are_a_quarter_of_memory_within_bounds() {
        assert_eq!(shared_buffers_mib(1_024), 256);
        assert_eq!(shared_buffers_mib(64), SHARED_BUFFERS_MIN_MIB);
        assert_eq!(shared_buffers_mib(64_000), SHARED_BUFFERS_MAX_MIB);
    }

    #[test]
    fn memory_is_read_from_meminfo() {
        assert_eq!(total_kib("MemTotal:       24576000 kB\nMemFree: 1 kB\n"), Some(24_576_000));
        assert_eq!(total_kib("nothing"), None);
    }

    #[test]
    fn names_of_settings_are_checked() {
        assert!(is_name("work_mem") && is_name("pg_stat_statements.track"));
        assert!(!is_name("") && !is_name("-c") && !is_name("a b") && !is_name("a=b"));
    }
}
