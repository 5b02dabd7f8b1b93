//! The most memory that this process had at once, as Linux counts it.

use std::fs;

use anyhow::Context;

/// From here on the most is counted anew (proc(5): 5 in `clear_refs` resets the peak resident set size).
pub(crate) fn reset_peak() -> anyhow::Result<()> {
    fs::write("/proc/self/clear_refs", "5").context("the peak of memory cannot be reset")
}

/// The most since then, in MiB.
pub(crate) fn peak_mib() -> anyhow::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|rest| rest.trim().strip_suffix(" kB"));
    Ok(kib.context("no VmHWM in /proc/self/status")?.parse::<u64>()? / 1_024)
}
