use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::Version;

/// Why a service could not be found, started or stopped. The text says what to do where somebody
/// can do something.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No usable server binaries, neither installed by `make services` nor on the machine.
    #[error("no {program} {minimum} or newer: run `make services`, or install it ({looked_at})")]
    BinariesMissing {
        /// `postgres` or `nats-server`.
        program: &'static str,
        /// The oldest version that will do.
        minimum: Version,
        /// What was found and why it will not do.
        looked_at: String,
    },
    /// Another process holds the folder.
    #[error(
        "{} is in use by another runut (pid {holder}); stop it first, or use another folder",
        path.display()
    )]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// The pid written in the lock file, or `unknown`.
        holder: String,
    },
    /// Started as root, and no other user can run Postgres.
    #[error("PostgreSQL refuses to run as root and no other user could be used: {reason}")]
    NoUnprivilegedUser {
        /// What was tried.
        reason: String,
    },
    /// The data folder was made by another major version of Postgres.
    #[error(
        "{} was made by PostgreSQL {found}, the binaries are {binaries}: dump it with the old ones \
         and load it into a new folder, or use the old binaries",
        path.display()
    )]
    DataVersion {
        /// The data folder.
        path: PathBuf,
        /// Major version found in it.
        found: String,
        /// Version of the binaries.
        binaries: Version,
    },
    /// `initdb` failed.
    #[error("initdb failed: {output}")]
    InitDb {
        /// The end of what it printed.
        output: String,
    },
    /// The server ended while it was starting.
    #[error("{service} ended while starting ({status}), see {}: {tail}", log.display())]
    Ended {
        /// `postgres` or `nats`.
        service: &'static str,
        /// How it ended.
        status: String,
        /// Its log file.
        log: PathBuf,
        /// The log's last lines.
        tail: String,
    },
    /// The server is up but refuses us, and would go on doing so.
    #[error("{service} refuses our connection: {reason}")]
    Refused {
        /// `postgres` or `nats`.
        service: &'static str,
        /// What it said.
        reason: String,
    },
    /// The server runs but did not answer in time.
    #[error("{service} did not answer within {waited:?}, see {}", log.display())]
    NotReady {
        /// `postgres` or `nats`.
        service: &'static str,
        /// How long it was given.
        waited: Duration,
        /// Its log file.
        log: PathBuf,
    },
    /// Processes were still there after the last signal.
    #[error("{service} is still running after SIGKILL (pids {pids:?})")]
    StillRunning {
        /// `postgres` or `nats`.
        service: &'static str,
        /// The pids left.
        pids: Vec<i32>,
    },
    /// The task that watches the service is gone (the runtime is shutting down).
    #[error("the task that watches {service} has ended")]
    Unwatched {
        /// `postgres` or `nats`.
        service: &'static str,
    },
    /// An option that cannot be used.
    #[error("{option}: {reason}")]
    Option {
        /// The option's name.
        option: &'static str,
        /// Why not.
        reason: &'static str,
    },
    /// A file or a process could not be handled.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was being done.
        action: &'static str,
        /// To what.
        path: PathBuf,
        /// The operating system's answer.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// For `map_err`: what was being done, and to which path.
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { action, path, source }
    }
}
