//! What runs on this machine, as `/proc` tells it.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::staging::short_hash;

/// A process, told apart from a later one with the same pid by when it started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    /// Clock ticks since boot: field 22 of `/proc/<pid>/stat`.
    start_ticks: u64,
}

impl Process {
    /// The live process with this pid. A zombie is not one: nobody may be there to reap it.
    pub(crate) fn find(pid: i32) -> Option<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The name in parentheses may hold anything, so count from the last one.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        let state = *fields.first()?;
        let start_ticks = fields.get(19)?.parse().ok()?;
        (!matches!(state, "Z" | "X")).then_some(Self { pid, start_ticks })
    }

    fn is_alive(self) -> bool {
        Self::find(self.pid) == Some(self)
    }

    /// Sends a signal, if this very process is still there.
    pub(crate) fn signal(self, signal: Signal) {
        if self.is_alive() {
            // It may end between the two calls; then there is nothing left to do.
            let _ = kill(Pid::from_raw(self.pid), signal);
        }
    }

    /// Whether its executable is one of `programs` and it works in `home` or below.
    ///
    /// Root in a container may lack the capability to see where another user's process works.
    /// Its command line can always be read: it names the cluster's folder, or, where Postgres
    /// wrote a title over it, the cluster.
    pub(crate) fn works_in(self, home: &Path, programs: &[&str]) -> bool {
        let link = |name: &str| fs::read_link(format!("/proc/{}/{name}", self.pid));
        // Both may end in " (deleted)": a binary was reinstalled, an unfinished initdb cleaned up.
        if let (Ok(cwd), Ok(exe)) = (link("cwd"), link("exe")) {
            return cwd.starts_with(home) && programs.contains(&program_name(&exe).as_str());
        }
        let line = fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        is_line_of(&line, home, programs)
    }
}

/// A name for what works in `home`, the same at each start: the cluster's in titles of processes.
pub(crate) fn name_of(home: &Path) -> String {
    format!("runut-{}", short_hash(&[home.as_os_str().as_bytes()]))
}

fn is_line_of(line: &[u8], home: &Path, programs: &[&str]) -> bool {
    let title = format!("postgres: {}: ", name_of(home));
    if line.starts_with(title.as_bytes()) {
        return programs.contains(&"postgres");
    }
    let mut words = line.split(|byte| *byte == 0).map(|word| Path::new(OsStr::from_bytes(word)));
    words.next().is_some_and(|program| programs.contains(&program_name(program).as_str()))
        && words.any(|word| word.starts_with(home))
}

fn program_name(exe: &Path) -> String {
    let name = exe.file_name().unwrap_or_default().to_string_lossy();
    name.trim_end_matches(" (deleted)").to_owned()
}

/// Live processes whose executable is one of `programs` and whose working directory is `home` or
/// below it. `home` must be canonical.
pub(crate) fn working_in(home: &Path, programs: &[&str]) -> Vec<Process> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(Process::find)
        .filter(|process| process.works_in(home, programs))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_found_by_pid_and_start_time() {
        let pid = i32::try_from(std::process::id()).expect("a pid");
        let this = Process::find(pid).expect("this process");
        assert!(this.is_alive());
        let other = Process { start_ticks: this.start_ticks + 1, ..this };
        assert!(!other.is_alive(), "a pid that was reused is another process");
    }

    #[test]
    fn a_process_elsewhere_or_of_another_program_is_left_alone() {
        let cwd = std::env::current_dir().expect("a folder");
        assert!(working_in(&cwd, &["no-such-program"]).is_empty());
        assert!(working_in(Path::new("/nonexistent"), &["postgres"]).is_empty());
    }

    #[test]
    fn command_lines_tell_a_cluster_from_another() {
        let home = Path::new("/d/postgres");
        let is_ours = |line: &str| is_line_of(line.as_bytes(), home, &["postgres", "initdb"]);
        assert!(is_ours("/b/postgres\0-D\0/d/postgres/data\0-c\0port=1\0"));
        assert!(is_ours("/b/initdb\0--pgdata\0/d/postgres/data.unfinished/cluster\0"));
        assert!(is_ours(&format!("postgres: {}: checkpointer ", name_of(home))));
        assert!(!is_ours("/b/postgres\0-D\0/d/postgres2/data\0"));
        assert!(!is_ours("/b/psql\0-f\0/d/postgres/data/x.sql\0"));
        assert!(!is_ours("postgres: checkpointer "));
        assert!(!is_ours(""));
    }
}
