//! What the processes of the deployment have of the machine's memory.

use std::collections::HashMap;
use std::fs;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use demo::say;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// What all of it may have: Runut's processes, PostgreSQL with its buffers, and NATS.
pub(super) const MEMORY_BYTES_MAX: u64 = 2 << 30;
/// What Runut's processes may have more under attack than before: the caches of two command-apis filled up to
/// their bounds, and the bodies and answers under way.
pub(super) const GROWTH_BYTES_MAX: u64 = 512 << 20;
/// How often it is measured. Reading it takes some milliseconds.
const EVERY: Duration = Duration::from_secs(1);
/// Of `statm`, which counts in pages.
const PAGE_BYTES: u64 = 4_096;

/// What bounds the memory of this run, for people.
pub(super) fn bound() -> String {
    match kernel_bound() {
        Some((group, bytes)) if bytes <= MEMORY_BYTES_MAX => {
            format!(
                "bounded by the kernel to {} MiB (cgroup {group}, attackers included)",
                bytes >> 20
            )
        }
        Some(_) | None => format!(
            "measured once a second, the run ends as failed above {} MiB; the kernel bounds nothing here",
            MEMORY_BYTES_MAX >> 20
        ),
    }
}

/// The least bound of the cgroups (version 2) that this process and its children are in.
fn kernel_bound() -> Option<(String, u64)> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let group = groups.lines().find_map(|line| line.strip_prefix("0::"))?.trim_end_matches('/');
    let above = group.char_indices().filter(|(_, c)| *c == '/').map(|(at, _)| &group[..at]);
    let bounds = above.chain([group]).filter_map(|group| {
        let bound = fs::read_to_string(format!("/sys/fs/cgroup{group}/memory.max")).ok()?;
        Some((group.to_owned(), bound.trim().parse().ok()?))
    });
    bounds.min_by_key(|(_, bytes)| *bytes)
}

/// Of so many bytes.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Memory {
    /// `runut up` and `runut serve`.
    pub(super) runut_bytes: u64,
    /// These, PostgreSQL and NATS. Not the simulated PSPs, which stand for what is elsewhere.
    pub(super) all_bytes: u64,
}

/// What was seen since the attack began.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) highest: Memory,
    /// Whether pages that processes share were counted once; else they were not counted.
    pub(super) exact: bool,
}

/// Measures until it is ended or dropped.
#[derive(Debug)]
pub(super) struct MemoryWatch {
    seen: Arc<Mutex<Seen>>,
    task: JoinHandle<()>,
}

impl MemoryWatch {
    /// Cancels `exceeded` as soon as it is more than [`MEMORY_BYTES_MAX`].
    pub(super) fn start(exceeded: CancellationToken) -> Self {
        let seen = Arc::new(Mutex::new(Seen { highest: Memory::default(), exact: true }));
        let shared = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(EVERY);
            loop {
                ticks.tick().await;
                let Ok((memory, exact)) = tokio::task::spawn_blocking(measure).await else {
                    return;
                };
                let mut seen = shared.lock().unwrap_or_else(PoisonError::into_inner);
                seen.highest.runut_bytes = seen.highest.runut_bytes.max(memory.runut_bytes);
                seen.highest.all_bytes = seen.highest.all_bytes.max(memory.all_bytes);
                seen.exact &= exact;
                if memory.all_bytes > MEMORY_BYTES_MAX && !exceeded.is_cancelled() {
                    say(&format!("MEMORY IS {} MiB: THE RUN ENDS", memory.all_bytes >> 20));
                    exceeded.cancel();
                }
            }
        });
        Self { seen, task }
    }

    /// What there was until now; from here on the highest is counted anew.
    pub(super) fn attack_begins(&self) -> Memory {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut seen.highest)
    }

    /// The highest since the attack began.
    pub(super) fn end(&self) -> Seen {
        self.task.abort();
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for MemoryWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What a process below this one is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Runut,
    Server,
    Elsewhere,
}

fn kind(command_line: &[u8]) -> Kind {
    let mut words = command_line.split(|byte| *byte == 0);
    let program = words.next().unwrap_or_default();
    let role: &[u8] = words.next().unwrap_or_default();
    match (program.ends_with(b"/runut"), role) {
        (true, b"up" | b"serve") => Kind::Runut,
        (true, _) => Kind::Elsewhere,
        (false, _) => Kind::Server,
    }
}

fn measure() -> (Memory, bool) {
    let (mut memory, mut exact) = (Memory::default(), true);
    for pid in below(std::process::id()) {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let kind = kind(&line);
        // One that ended meanwhile has none.
        let Some((bytes, shared_once)) = bytes_of(pid) else { continue };
        match kind {
            Kind::Runut => {
                memory.runut_bytes += bytes;
                memory.all_bytes += bytes;
            }
            Kind::Server => memory.all_bytes += bytes,
            Kind::Elsewhere => continue,
        }
        exact &= shared_once;
    }
    (memory, exact)
}

/// The processes that descend from this one.
fn below(root: u32) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // Behind the name, which may hold anything: the state, and the parent.
        let parent = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1));
        if let Some(parent) = parent.and_then(|parent| parent.parse().ok()) {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = children.remove(&root).unwrap_or_default();
    let mut at = 0;
    while let Some(pid) = found.get(at).copied() {
        found.extend(children.remove(&pid).unwrap_or_default());
        at += 1;
    }
    found
}

/// The process' share of memory, in which what several share is divided among them; where that may not be read, what
/// is its own alone. Whether it is the former.
fn bytes_of(pid: u32) -> Option<(u64, bool)> {
    if let Some(kib) =
        fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok().and_then(|text| pss_kib(&text))
    {
        return Some((kib << 10, true));
    }
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let mut pages = statm.split_whitespace().skip(1).map_while(|pages| pages.parse::<u64>().ok());
    let (resident, shared) = (pages.next()?, pages.next()?);
    Some((resident.saturating_sub(shared) * PAGE_BYTES, false))
}

fn pss_kib(rollup: &str) -> Option<u64> {
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_of_memory_is_read_from_the_rollup() {
        let rollup = "55ef1b-7ffd05 ---p 00000000 00:00 0 [rollup]\nRss:  1600 kB\nPss:   317 kB\nPss_Dirty: 1 kB\n";
        assert_eq!(pss_kib(rollup), Some(317));
        assert_eq!(pss_kib("Rss: 1 kB"), None);
    }

    #[test]
    fn simulated_psps_are_elsewhere() {
        assert_eq!(kind(b"/t/runut\0serve\0workers\0"), Kind::Runut);
        assert_eq!(kind(b"/t/runut\0up\0--data\0d\0"), Kind::Runut);
        assert_eq!(kind(b"/t/runut\0simulate\0psp\0"), Kind::Elsewhere);
        assert_eq!(kind(b"postgres: runut-1: walwriter "), Kind::Server);
        assert_eq!(kind(b"/n/nats-server\0-c\0x\0"), Kind::Server);
    }

    #[test]
    fn a_child_and_its_memory_are_found() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = child.id();
        assert!(below(std::process::id()).contains(&pid));
        assert!(bytes_of(pid).is_some());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
