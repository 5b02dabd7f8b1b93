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
/// How often it is measured. What the kernel has counted anyway is read: to have it look at every page of every
/// process would take a tenth of a processor.
const EVERY: Duration = Duration::from_secs(1);
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

/// Measures until it is ended or dropped.
#[derive(Debug)]
pub(super) struct MemoryWatch {
    highest: Arc<Mutex<Memory>>,
    task: JoinHandle<()>,
}

impl MemoryWatch {
    /// Cancels `exceeded` as soon as it is more than [`MEMORY_BYTES_MAX`].
    pub(super) fn start(exceeded: CancellationToken) -> Self {
        let highest = Arc::new(Mutex::new(Memory::default()));
        let shared = Arc::clone(&highest);
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(EVERY);
            loop {
                ticks.tick().await;
                let Ok(memory) = tokio::task::spawn_blocking(measure).await else { return };
                let mut highest = shared.lock().unwrap_or_else(PoisonError::into_inner);
                highest.runut_bytes = highest.runut_bytes.max(memory.runut_bytes);
                highest.all_bytes = highest.all_bytes.max(memory.all_bytes);
                drop(highest);
                if memory.all_bytes > MEMORY_BYTES_MAX && !exceeded.is_cancelled() {
                    say(&format!("MEMORY IS {} MiB: THE RUN ENDS", memory.all_bytes >> 20));
                    exceeded.cancel();
                }
            }
        });
        Self { highest, task }
    }

    /// What there was until now; from here on the highest is counted anew.
    pub(super) fn attack_begins(&self) -> Memory {
        std::mem::take(&mut self.highest.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The highest since the attack began.
    pub(super) fn end(&self) -> Memory {
        self.task.abort();
        *self.highest.lock().unwrap_or_else(PoisonError::into_inner)
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

/// What processes have to themselves, and what they share: the buffers of PostgreSQL, of which each process counts as
/// its own what it has touched, are counted once, as much as the process has that touched the most.
fn measure() -> Memory {
    let (mut memory, mut shared) = (Memory::default(), 0);
    for pid in below(std::process::id()) {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let kind = kind(&line);
        // One that ended meanwhile has none.
        let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else { continue };
        let (Some(own), Some(touched)) = (bytes(&status, "RssAnon:"), bytes(&status, "RssShmem:"))
        else {
            continue;
        };
        match kind {
            Kind::Runut => memory.runut_bytes += own,
            Kind::Server => memory.all_bytes += own,
            Kind::Elsewhere => continue,
        }
        shared = shared.max(touched);
    }
    memory.all_bytes += memory.runut_bytes + shared;
    memory
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

/// A line of a process' `status`.
fn bytes(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_from_a_status() {
        let status = "VmRSS:\t    2000 kB\nRssAnon:\t     300 kB\nRssFile:\t    1600 kB\nRssShmem:\t     100 kB\n";
        assert_eq!(bytes(status, "RssAnon:"), Some(300 << 10));
        assert_eq!(bytes(status, "RssShmem:"), Some(100 << 10));
        assert_eq!(bytes("RssFile: 1 kB", "RssAnon:"), None);
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
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        assert!(bytes(&status, "RssAnon:").is_some());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
