//! NATS with `JetStream` as a child process.

use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::process::Command;
use tokio::time::timeout;

use crate::keeper::{self, Handle};
use crate::launch::{Probe, Service};
use crate::postgres::percent_encoded;
use crate::process_table::Process;
use crate::{Binaries, DirLock, Error, private};

/// What `JetStream` may keep on disk unless told otherwise: the mirror's window, not the history.
pub const MAX_FILE_STORE_BYTES: u64 = 16 << 30;
/// What `JetStream` may keep in memory: nothing of ours does.
const MAX_MEMORY_STORE_BYTES: u64 = 64 << 20;
/// How often what was written goes to the disk. What is left to the kernel goes there at once every half a minute, and
/// the database's commits wait for that.
const SYNC_EVERY: Duration = Duration::from_secs(5);
/// The user's name if there is a password.
const USER: &str = "runut";
const PROBE_MAX: Duration = Duration::from_secs(2);
const GREETING_BYTES: usize = 5;

/// How to start [`Nats`].
#[derive(Clone)]
pub struct NatsOptions {
    /// DIR: the folder that holds `nats/`, made if missing. Other services may share it.
    pub dir: PathBuf,
    /// Where the binaries are.
    pub binaries: Binaries,
    /// The port on 127.0.0.1; 0: the one used last if it is free, else any free one.
    pub port: u16,
    /// If set, clients must log in as `runut` with this; otherwise anybody on this machine may
    /// read and write. It may change from start to start.
    pub password: Option<String>,
    /// Disk space for `JetStream`, in bytes.
    pub max_file_store_bytes: u64,
    /// Whether the server is brought back when it ends unexpectedly.
    pub supervised: bool,
}

impl NatsOptions {
    /// A free port, no password, [`MAX_FILE_STORE_BYTES`], supervised.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>, binaries: Binaries) -> Self {
        Self {
            dir: dir.into(),
            binaries,
            port: 0,
            password: None,
            max_file_store_bytes: MAX_FILE_STORE_BYTES,
            supervised: true,
        }
    }
}

/// A running NATS server with `JetStream`, or one that is being brought back.
///
/// Dropping it stops the server in the background; use [`Nats::stop`] to wait for that.
pub struct Nats {
    handle: Handle<Server>,
}

impl Nats {
    /// Starts NATS on `options.dir` and waits until it greets: well under a second, more if
    /// `JetStream` has much to check after a crash.
    ///
    /// # Errors
    ///
    /// [`Error::Locked`] if another handle has this DIR; otherwise what went wrong while starting
    /// it, with the end of its log.
    pub async fn start(options: NatsOptions) -> Result<Self, Error> {
        if options.password.as_ref().is_some_and(|it| it.is_empty() || !it.is_ascii()) {
            let reason = "must be ASCII and not empty";
            return Err(Error::Option { option: "password", reason });
        }
        let lock = DirLock::acquire(&options.dir, "nats")?;
        let home = options.dir.join("nats");
        match DirBuilder::new().mode(0o700).create(&home) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(Error::io("create", home)(error));
            }
            Ok(()) | Err(_) => {}
        }
        let home = home.canonicalize().map_err(Error::io("resolve", home))?;
        let on_port = |port| Server {
            home: home.clone(),
            program: options.binaries.nats_server.clone(),
            port,
            password: options.password.clone(),
            max_file_store_bytes: options.max_file_store_bytes,
        };
        let handle = keeper::start(lock, &home, options.port, options.supervised, on_port).await?;
        Ok(Self { handle })
    }

    /// The port on 127.0.0.1; the same for the life of this handle.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.handle.service.port
    }

    /// The URL for clients. It holds the password, if there is one: do not log it.
    #[must_use]
    pub fn url(&self) -> String {
        let login = self.handle.service.password.as_deref();
        let login = login.map(|it| format!("{USER}:{}@", percent_encoded(it))).unwrap_or_default();
        format!("nats://{login}127.0.0.1:{}", self.port())
    }

    /// The server's pid while it is ready; `None` while it is down.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.handle.pid()
    }

    /// The server's log file.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.handle.service.home.join("nats.log")
    }

    /// Where `JetStream` keeps its files. Fault tests delete it while the server is down.
    #[must_use]
    pub fn store_dir(&self) -> PathBuf {
        self.handle.service.home.join("jetstream")
    }

    /// Stops the server (by force after 10 s) and waits until it is gone.
    ///
    /// # Errors
    ///
    /// [`Error::StillRunning`] if it survived SIGKILL.
    pub async fn stop(self) -> Result<(), Error> {
        self.handle.stop().await
    }

    /// Stops the server, starts it on the same port and waits until it is ready.
    ///
    /// # Errors
    ///
    /// As [`Nats::start`] and [`Nats::stop`]. If it is supervised, attempts go on.
    pub async fn restart(&self) -> Result<(), Error> {
        self.handle.restart().await
    }

    /// Ends the server with SIGKILL: a crash, for fault tests. A supervised server comes back by
    /// itself, another with [`Nats::restart`].
    ///
    /// # Errors
    ///
    /// [`Error::StillRunning`] if it survived SIGKILL.
    pub async fn kill(&self) -> Result<(), Error> {
        self.handle.kill().await
    }

    /// Waits until the server is ready with another pid than `pid` (0: with any).
    ///
    /// # Errors
    ///
    /// [`Error::NotReady`] after `bound`.
    pub async fn ready_after(&self, pid: u32, bound: Duration) -> Result<(), Error> {
        self.handle.ready_after(pid, bound).await
    }

    /// Lets go of the server and of DIR's lock while it runs on, as if we had been killed. For
    /// fault tests: the next start on DIR finds an orphan.
    ///
    /// # Errors
    ///
    /// [`Error::Unwatched`] if the runtime is ending.
    pub async fn abandon(self) -> Result<(), Error> {
        self.handle.abandon().await
    }
}

struct Server {
    home: PathBuf,
    program: PathBuf,
    port: u16,
    password: Option<String>,
    max_file_store_bytes: u64,
}

impl Server {
    /// No monitoring port: what is worth watching is asked over the client port. Nothing waits for `JetStream` to be on
    /// the disk, since it is a mirror and Postgres the truth.
    fn configuration(&self) -> String {
        let login = self.password.as_deref().map_or_else(String::new, |password| {
            format!("authorization {{ user: {USER}, password: {} }}\n", quoted(password))
        });
        format!(
            "listen: \"127.0.0.1:{}\"\n\
             server_name: runut\n\
             pid_file: {}\n\
             jetstream {{\n  store_dir: {}\n  max_file_store: {}\n  max_memory_store: {}\n  sync_interval: \"{}s\"\n}}\n\
             {login}",
            self.port,
            quoted(&self.home.join("nats.pid").to_string_lossy()),
            quoted(&self.home.join("jetstream").to_string_lossy()),
            self.max_file_store_bytes,
            MAX_MEMORY_STORE_BYTES,
            SYNC_EVERY.as_secs(),
        )
    }
}

/// A string of NATS' configuration language.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

impl Service for Server {
    const NAME: &'static str = "nats";
    const PROGRAMS: &'static [&'static str] = &["nats-server"];
    const STOP: &'static [(Signal, Duration)] =
        &[(Signal::SIGTERM, Duration::from_secs(10)), (Signal::SIGKILL, Duration::from_secs(5))];

    fn home(&self) -> &Path {
        &self.home
    }

    fn leader(&self, found: &[Process]) -> Option<Process> {
        found.first().copied()
    }

    /// Renamed into place: a server never reads half of it.
    async fn prepare(&self) -> Result<(), Error> {
        let path = self.home.join("nats.conf");
        let new = self.home.join("nats.conf.new");
        // The password is in it.
        private::write(&new, self.configuration().as_bytes())
            .and_then(|()| fs::rename(&new, &path))
            .map_err(Error::io("write", path))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("-c").arg(self.home.join("nats.conf")).env_clear();
        command
    }

    /// It greets with `INFO` once `JetStream` has recovered.
    async fn probe(&self) -> Probe {
        let greeting = async {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await?;
            let mut start = [0; GREETING_BYTES];
            stream.read_exact(&mut start).await?;
            std::io::Result::Ok(start)
        };
        match timeout(PROBE_MAX, greeting).await {
            Ok(Ok(start)) if &start == b"INFO " => Probe::Ready,
            Ok(Ok(_) | Err(_)) | Err(_) => Probe::Silent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_quoted_for_the_configuration() {
        assert_eq!(quoted(r#"a"b\c"#), r#""a\"b\\c""#);
    }
}
