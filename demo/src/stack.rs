//! The deployment that the demonstration runs on: real processes, started as a person would.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::time::Instant;

/// How long a deployment may take to be ready: initdb on a slow disk, and all migrations.
const START_MAX: Duration = Duration::from_secs(120);
/// How long it may take to stop.
const STOP_MAX: Duration = Duration::from_secs(30);
/// How often files are looked at.
const POLL: Duration = Duration::from_millis(50);

/// Running processes and where they answer.
#[derive(Debug)]
pub struct Stack {
    dir: PathBuf,
    remove: bool,
    up: Child,
    others: Vec<Child>,
    endpoints: HashMap<String, String>,
}

impl Stack {
    /// Starts `runut up` on a fresh folder and waits until all of it is ready.
    ///
    /// # Errors
    /// A folder in use, or a process that ends before it is ready.
    pub async fn start(data: Option<PathBuf>) -> anyhow::Result<Self> {
        Self::start_with(data, &["--command-port", "0"]).await
    }

    /// The same, with these arguments to `runut up`.
    ///
    /// # Errors
    /// A folder in use, or a process that ends before it is ready.
    pub async fn start_with(data: Option<PathBuf>, arguments: &[&str]) -> anyhow::Result<Self> {
        let remove = data.is_none();
        let dir = data.unwrap_or_else(|| fresh_dir("runut-demo"));
        ensure!(
            !dir.join("secrets.env").exists(),
            "{} is in use: name a new folder",
            dir.display()
        );
        let mut up = program()?
            .args(["up", "--query-port", "0", "--data"])
            .arg(&dir)
            .args(arguments)
            .stdout(Stdio::null())
            .spawn()
            .context("runut up")?;
        let endpoints = read_when_there(&dir.join("endpoints.env"), &mut up).await?;
        Ok(Self { dir, remove, up, others: Vec::new(), endpoints })
    }

    /// A value of `endpoints.env`.
    ///
    /// # Errors
    /// No such value.
    pub fn endpoint(&self, name: &str) -> anyhow::Result<String> {
        self.endpoints.get(name).cloned().with_context(|| format!("no {name} in endpoints.env"))
    }

    /// Starts a second command-api on the same log; where it answers.
    ///
    /// # Errors
    /// A process that ends before it is ready.
    pub async fn second_command_api(&mut self) -> anyhow::Result<String> {
        let file = self.dir.join("second-command-api.env");
        let mut child = program()?
            .args(["serve", "command-api", "--listen", "127.0.0.1:0"])
            .env("DATABASE_URL", self.endpoint("DATABASE_URL")?)
            .env("NATS_URL", self.endpoint("NATS_URL")?)
            .arg("--endpoints-file")
            .arg(&file)
            .stdout(Stdio::null())
            .spawn()
            .context("runut serve command-api")?;
        let endpoints = read_when_there(&file, &mut child).await?;
        self.others.push(child);
        endpoints.get("URL").cloned().context("no URL in the second command-api's file")
    }

    /// Kills the NATS server without warning; its supervisor brings it back.
    ///
    /// # Errors
    /// No such process.
    pub fn kill_nats(&self) -> anyhow::Result<()> {
        let text = std::fs::read_to_string(self.dir.join("nats/nats.pid"))?;
        Ok(kill(Pid::from_raw(text.trim().parse()?), Signal::SIGKILL)?)
    }

    /// Stops everything.
    ///
    /// # Errors
    /// An unclean end.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        for mut child in self.others.drain(..) {
            end(&mut child).await?;
        }
        end(&mut self.up).await?;
        if self.remove {
            std::fs::remove_dir_all(&self.dir)?;
        }
        Ok(())
    }
}

/// This very program, with its log turned down.
///
/// # Errors
/// It is not known where it is.
pub fn program() -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.kill_on_drop(true);
    if std::env::var_os("RUST_LOG").is_none() {
        command.env("RUST_LOG", "error");
    }
    Ok(command)
}

/// A folder that no other process uses.
pub fn fresh_dir(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("{name}-{}", std::process::id()))
}

/// Reads `KEY=value` lines once the file is there; it is written when everything is ready.
///
/// # Errors
/// The process ends before, or takes too long.
pub async fn read_when_there(
    file: &Path,
    child: &mut Child,
) -> anyhow::Result<HashMap<String, String>> {
    let deadline = Instant::now() + START_MAX;
    while !file.exists() {
        if let Some(status) = child.try_wait()? {
            bail!("a process ended before it was ready: {status}");
        }
        ensure!(Instant::now() < deadline, "not ready after {} s", START_MAX.as_secs());
        tokio::time::sleep(POLL).await;
    }
    let text = std::fs::read_to_string(file)?;
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    let unquoted = |value: &str| value.trim_matches(['\'', '"']).to_owned();
    Ok(pairs.map(|(name, value)| (name.to_owned(), unquoted(value))).collect())
}

/// Asks a process to end, and waits for it.
///
/// # Errors
/// It does not, or not well.
pub async fn end(child: &mut Child) -> anyhow::Result<()> {
    if let Some(id) = child.id() {
        kill(Pid::from_raw(i32::try_from(id)?), Signal::SIGTERM)?;
    }
    let status =
        tokio::time::timeout(STOP_MAX, child.wait()).await.context("it does not stop")??;
    ensure!(status.success(), "a process stopped with {status}");
    Ok(())
}
