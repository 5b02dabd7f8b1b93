//! A folder for a test, and the processes it starts; nothing of either is left at the end.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long anything may take on a machine that is busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// From the signal to the end of a process and its servers; twice what is promised on an idle
/// machine.
pub(crate) const STOP_PATIENCE: Duration = Duration::from_secs(20);
const POLL_EVERY: Duration = Duration::from_millis(20);
/// What the environment of the tests must not tell the processes.
const CLEARED: [&str; 8] = [
    "DATABASE_URL",
    "DATABASE_ADMIN_URL",
    "NATS_URL",
    "RUNUT_DATA",
    "RUNUT_LISTEN",
    "RUNUT_COMMAND_PORT",
    "RUNUT_QUERY_PORT",
    "RUST_LOG",
];

/// The binary under test, with these arguments and a clean environment.
pub(crate) fn runut(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_runut"));
    for name in CLEARED {
        command.env_remove(name);
    }
    command.args(arguments);
    command
}

/// Runs the binary to its end.
pub(crate) fn outcome(arguments: &[&str]) -> Output {
    runut(arguments).output().expect("it runs")
}

/// Looks until `found` finds something.
#[track_caller]
pub(crate) fn poll<T>(what: &str, bound: Duration, mut found: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(it) = found() {
            return it;
        }
        assert!(begun.elapsed() < bound, "{what}: not within {bound:?}");
        std::thread::sleep(POLL_EVERY);
    }
}

/// Lines `NAME=value`.
pub(crate) fn read_env(path: &Path) -> Option<BTreeMap<String, String>> {
    let text = fs::read_to_string(path).ok()?;
    let line = |line: &str| {
        let (name, value) = line.split_once('=')?;
        Some((name.to_owned(), value.trim_matches('\'').to_owned()))
    };
    Some(text.lines().filter(|line| !line.starts_with('#')).filter_map(line).collect())
}

/// Whether a process with this pid runs; a zombie does not.
pub(crate) fn runs(pid: i32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().is_some_and(|rest| rest.starts_with(" Z")))
}

/// A folder of the test's own.
pub(crate) struct Ground {
    outer: PathBuf,
}

impl Ground {
    /// `mode` 0o711 lets every user pass through, 0o700 only us.
    pub(crate) fn new(mode: u32) -> Self {
        static GROUNDS: AtomicU32 = AtomicU32::new(0);
        let number = GROUNDS.fetch_add(1, Ordering::Relaxed);
        let name = format!("runut-processes-{}-{number}", std::process::id());
        let outer = std::env::temp_dir().join(name);
        fs::create_dir(&outer).expect("a folder for the test");
        fs::set_permissions(&outer, Permissions::from_mode(mode)).expect("its mode");
        Self { outer }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.outer.join(name)
    }

    /// The folder for `--data`.
    pub(crate) fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// Starts a process whose output goes to files of the ground.
    pub(crate) fn spawn(&self, mut command: Command) -> Process {
        static PROCESSES: AtomicU32 = AtomicU32::new(0);
        let number = PROCESSES.fetch_add(1, Ordering::Relaxed);
        let output = self.path(&format!("output-{number}"));
        let file = File::create(&output).expect("a file for the output");
        let same = file.try_clone().expect("the same file");
        let child = command.stdout(file).stderr(same).spawn().expect("it starts");
        Process { child, output }
    }

    /// Starts `runut up` on the data folder.
    pub(crate) fn up(&self) -> Up {
        self.up_with(&[])
    }

    /// Starts `runut up` on the data folder, with more arguments.
    pub(crate) fn up_with(&self, more: &[&str]) -> Up {
        let mut command = self.up_command();
        command.args(more);
        Up { process: self.spawn(command), data: self.data() }
    }

    /// The same, where the system takes nothing away from the mode of a new file.
    pub(crate) fn up_without_umask(&self) -> Up {
        let command = self.up_command();
        let mut shell = Command::new("sh");
        shell.args(["-c", "umask 000; exec \"$0\" \"$@\""]).arg(command.get_program());
        shell.args(command.get_args());
        for name in CLEARED {
            shell.env_remove(name);
        }
        Up { process: self.spawn(shell), data: self.data() }
    }

    fn up_command(&self) -> Command {
        let mut command = runut(&["up", "--command-port=0", "--query-port=0", "--data"]);
        command.arg(self.data());
        command
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        // As root, the database may be elsewhere.
        if let Ok(home) = fs::read_link(self.data().join("postgres")) {
            let _ = fs::remove_dir_all(home);
        }
        let _ = fs::remove_dir_all(&self.outer);
    }
}

/// A running process; ended with the test, in order if that works.
pub(crate) struct Process {
    child: Child,
    output: PathBuf,
}

impl Process {
    pub(crate) fn output(&self) -> String {
        fs::read_to_string(&self.output).unwrap_or_default()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).expect("a pid");
        kill(Pid::from_raw(pid), signal).expect("it is there");
    }

    pub(crate) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("its state")
    }

    /// Its end, which is about to come.
    #[track_caller]
    pub(crate) fn end(&mut self) -> ExitStatus {
        let begun = Instant::now();
        while begun.elapsed() < STOP_PATIENCE {
            if let Some(status) = self.ended() {
                return status;
            }
            std::thread::sleep(POLL_EVERY);
        }
        panic!("it did not end within {STOP_PATIENCE:?}:\n{}", self.output())
    }

    /// Waits for something, as long as the process runs.
    #[track_caller]
    pub(crate) fn wait_for<T>(&mut self, what: &str, mut found: impl FnMut() -> Option<T>) -> T {
        poll(what, PATIENCE, || {
            let found = found();
            if found.is_none()
                && let Some(status) = self.ended()
            {
                panic!("{what}: it ended ({status}):\n{}", self.output());
            }
            found
        })
    }

    /// Ends it as an operator would; it must say that all went well.
    #[track_caller]
    pub(crate) fn stop(&mut self) {
        self.signal(Signal::SIGTERM);
        let status = self.end();
        assert!(status.success(), "{status}:\n{}", self.output());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended().is_none() {
            self.signal(Signal::SIGTERM);
            let begun = Instant::now();
            while self.ended().is_none() {
                if begun.elapsed() > STOP_PATIENCE {
                    let _ = self.child.kill();
                }
                std::thread::sleep(POLL_EVERY);
            }
        }
    }
}

/// A running `runut up`.
pub(crate) struct Up {
    pub(crate) process: Process,
    data: PathBuf,
}

impl Up {
    /// Waits until it is ready; what `endpoints.env` says then.
    #[track_caller]
    pub(crate) fn endpoints(&mut self) -> BTreeMap<String, String> {
        let path = self.data.join("endpoints.env");
        self.process.wait_for("endpoints.env", || read_env(&path))
    }

    /// The pids of PostgreSQL and NATS.
    pub(crate) fn servers(&self) -> [i32; 2] {
        ["postgres/data/postmaster.pid", "nats/nats.pid"].map(|file| {
            let text = fs::read_to_string(self.data.join(file)).expect(file);
            text.lines().next().and_then(|line| line.trim().parse().ok()).expect(file)
        })
    }
}

/// What a request with an API key is answered; 401 if the key opens nothing.
pub(crate) async fn status_with_key(command_url: &str, token: &str) -> u16 {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let request = client.post(format!("{command_url}/v1/accounts")).bearer_auth(token);
    request.send().await.expect("an answer").status().as_u16()
}

/// Whether the query API takes the key.
pub(crate) async fn opens(query_url: &str, token: &str) -> bool {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let request = client.get(format!("{query_url}/v1/projections")).bearer_auth(token);
    request.send().await.expect("an answer").status().is_success()
}

/// What a path is answered.
pub(crate) async fn get(url: &str, path: &str) -> (u16, String) {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let answer = client.get(format!("{url}{path}")).send().await.expect("an answer");
    (answer.status().as_u16(), answer.text().await.expect("a body"))
}
