//! `PostgreSQL` as a child process.

mod cluster;
mod settings;

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use nix::sys::signal::Signal;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{ConnectOptions, Connection};
use tokio::process::Command;
use tokio::time::timeout;

use crate::keeper::{self, Handle};
use crate::launch::{Probe, Service};
use crate::process_table::{Process, name_of};
use crate::staging::Place;
use crate::{Binaries, DirLock, Error, Version};

/// The superuser's name; it owns everything, and no service logs in with it.
pub const SUPERUSER: &str = "runut_owner";

const PROBE_MAX: Duration = Duration::from_secs(5);

/// How to start [`Postgres`].
#[derive(Clone)]
pub struct PostgresOptions {
    /// DIR: the folder that holds `postgres/`, made if missing. Other services may share it.
    pub dir: PathBuf,
    /// Where the binaries are.
    pub binaries: Binaries,
    /// The port on 127.0.0.1; 0: the one used last if it is free, else any free one.
    pub port: u16,
    /// The superuser's password. It is set when the cluster is made and must be the same later.
    pub password: String,
    /// More settings, as name and value; they win over the built-in ones.
    pub settings: Vec<(String, String)>,
    /// The memory of all that runs beside it and of itself, in MiB; the machine's, or its container's, if `None`.
    pub memory_mib: Option<u64>,
    /// Whether the server is brought back when it ends unexpectedly.
    pub supervised: bool,
}

impl PostgresOptions {
    /// A free port, no further settings, supervised.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>, binaries: Binaries, password: impl Into<String>) -> Self {
        Self {
            dir: dir.into(),
            binaries,
            port: 0,
            password: password.into(),
            settings: Vec::new(),
            memory_mib: None,
            supervised: true,
        }
    }

    fn check(&self) -> Result<(), Error> {
        let unusable = |option, reason| Err(Error::Option { option, reason });
        if self.password.is_empty() || self.password.contains(['\n', '\r', '\0']) {
            return unusable("password", "must be one line and not empty");
        }
        for (name, value) in &self.settings {
            if !settings::is_name(name) || value.contains('\0') {
                return unusable("settings", "not the name and value of a setting");
            }
        }
        Ok(())
    }
}

/// A running `PostgreSQL`, or one that is being brought back.
///
/// Dropping it stops the server in the background; use [`Postgres::stop`] to wait for that.
pub struct Postgres {
    handle: Handle<Server>,
    dir: PathBuf,
}

impl Postgres {
    /// Starts Postgres on `options.dir` and waits until it accepts connections: about a second,
    /// plus three to make the cluster the first time, plus recovery after a crash.
    ///
    /// # Errors
    ///
    /// [`Error::Locked`] if another handle has this DIR; [`Error::Refused`] if the password is
    /// not the cluster's; [`Error::DataVersion`] if other binaries made the cluster; otherwise
    /// what went wrong while starting it, with the end of its log.
    pub async fn start(options: PostgresOptions) -> Result<Self, Error> {
        options.check()?;
        let lock = DirLock::acquire(&options.dir, "postgres")?;
        let place = Place::settle(&options.dir, &options.binaries)?;
        let home = place.home.clone();
        let on_port = |port| Server {
            place: place.clone(),
            version: options.binaries.postgres_version(),
            port,
            password: options.password.clone(),
            extra_settings: options.settings.clone(),
            memory_mib: options.memory_mib,
            wal_compression: OnceLock::new(),
        };
        let handle = keeper::start(lock, &home, options.port, options.supervised, on_port).await?;
        Ok(Self { handle, dir: options.dir })
    }

    /// The port on 127.0.0.1; the same for the life of this handle.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.handle.service.port
    }

    /// The superuser's URL for the database `postgres`. It holds the password: do not log it.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of("postgres", SUPERUSER, &self.handle.service.password)
    }

    /// The URL of a database for a user. It holds the password: do not log it.
    #[must_use]
    pub fn url_of(&self, database: &str, user: &str, password: &str) -> String {
        format!(
            "postgres://{}:{}@127.0.0.1:{}/{}?sslmode=disable",
            percent_encoded(user),
            percent_encoded(password),
            self.port(),
            percent_encoded(database),
        )
    }

    /// The postmaster's pid while the server is ready; `None` while it is down.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.handle.pid()
    }

    /// The server's log file.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.handle.service.place.home.join("postgres.log")
    }

    /// Stops the server (fast shutdown, by force after 30 s) and waits until nothing of it runs.
    ///
    /// # Errors
    ///
    /// [`Error::StillRunning`] if a process survived SIGKILL.
    pub async fn stop(self) -> Result<(), Error> {
        self.handle.stop().await
    }

    /// Stops the server, starts it on the same port and waits until it is ready.
    ///
    /// # Errors
    ///
    /// As [`Postgres::start`] and [`Postgres::stop`]. If it is supervised, attempts go on.
    pub async fn restart(&self) -> Result<(), Error> {
        self.handle.restart().await
    }

    /// Ends every process of the server with SIGKILL: a crash, for fault tests. A supervised
    /// server comes back by itself, another with [`Postgres::restart`].
    ///
    /// # Errors
    ///
    /// [`Error::StillRunning`] if a process survived SIGKILL.
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

    /// Stops the server and deletes all its files, also those outside of DIR that `DIR/postgres`
    /// links to. DIR itself stays. All data is lost.
    ///
    /// # Errors
    ///
    /// As [`Postgres::stop`], and [`Error::Io`] if a file cannot be deleted.
    pub async fn destroy(self) -> Result<(), Error> {
        let home = self.handle.service.place.home.clone();
        self.handle.stop().await?;
        let link = self.dir.join("postgres");
        if link.is_symlink() {
            std::fs::remove_file(&link).map_err(Error::io("remove", &link))?;
        }
        std::fs::remove_dir_all(&home).map_err(Error::io("remove", home))
    }
}

/// For the user information and path of a URL.
pub(crate) fn percent_encoded(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

struct Server {
    place: Place,
    version: Version,
    port: u16,
    password: String,
    extra_settings: Vec<(String, String)>,
    memory_mib: Option<u64>,
    /// `lz4` if these binaries were built with it; found out once.
    wal_compression: OnceLock<&'static str>,
}

impl Server {
    async fn connect(&self) -> Result<(), sqlx::Error> {
        let connection: PgConnection = PgConnectOptions::new_without_pgpass()
            .host("127.0.0.1")
            .port(self.port)
            .username(SUPERUSER)
            .password(&self.password)
            .database("postgres")
            .ssl_mode(PgSslMode::Disable)
            .disable_statement_logging()
            .connect()
            .await?;
        connection.close().await
    }

    /// `lz4`, if this build has it: `pglz` takes more time than the bytes that it saves.
    async fn find_wal_compression(&self) -> Result<&'static str, Error> {
        let mut command = cluster::command(&self.place, "postgres");
        command
            .arg("-D")
            .arg(self.place.home.join("data"))
            .args(["-c", "wal_compression=lz4", "-C", "wal_compression"])
            .current_dir(&self.place.home);
        let output = command.output().await.map_err(Error::io("run", "postgres"))?;
        Ok(if output.status.success() { "lz4" } else { "off" })
    }
}

impl Service for Server {
    const NAME: &'static str = "postgres";
    const PROGRAMS: &'static [&'static str] = &["postgres", "initdb"];
    /// Fast shutdown (sessions are ended, a checkpoint written), immediate shutdown, the end.
    const STOP: &'static [(Signal, Duration)] = &[
        (Signal::SIGINT, Duration::from_secs(30)),
        (Signal::SIGQUIT, Duration::from_secs(10)),
        (Signal::SIGKILL, Duration::from_secs(5)),
    ];

    fn home(&self) -> &Path {
        &self.place.home
    }

    fn leader(&self, found: &[Process]) -> Option<Process> {
        let pid = cluster::postmaster_pid(&self.place.home)?;
        found.iter().find(|process| process.pid == pid).copied()
    }

    async fn prepare(&self) -> Result<(), Error> {
        cluster::ensure(&self.place, self.version, &self.password).await?;
        cluster::remove_stale_pid_file(&self.place.home)?;
        if self.wal_compression.get().is_none() {
            // Another caller may have been first; the answer is the same.
            let _ = self.wal_compression.set(self.find_wal_compression().await?);
        }
        Ok(())
    }

    fn command(&self) -> Command {
        let mut command = cluster::command(&self.place, "postgres");
        command.envs(settings::MALLOC);
        command.arg("-D").arg(self.place.home.join("data"));
        let compression = self.wal_compression.get().unwrap_or(&"off");
        let cluster_name = name_of(&self.place.home);
        let ours = settings::settings(self.port, &cluster_name, compression, self.memory_mib);
        for (name, value) in ours.iter().chain(&self.extra_settings) {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        command
    }

    async fn probe(&self) -> Probe {
        let error = match timeout(PROBE_MAX, self.connect()).await {
            Ok(Ok(())) => return Probe::Ready,
            Ok(Err(error)) => error,
            Err(_) => return Probe::Silent,
        };
        let code = error.as_database_error().and_then(|error| error.code());
        match code.as_deref() {
            // Starting up, recovering, or (an instant before it ends) shutting down.
            Some("57P03") => Probe::Recovering,
            // Wrong password, or a superuser of another name.
            Some("28P01" | "28000") => Probe::Refused(error.to_string()),
            // Every connection is taken: it works, if for others.
            Some("53300") => Probe::Ready,
            _ => Probe::Silent,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_encoded_for_urls() {
        assert_eq!(percent_encoded("aZ9-_.~"), "aZ9-_.~");
        assert_eq!(percent_encoded("p@ss:/?#é"), "p%40ss%3A%2F%3F%23%C3%A9");
    }
}
