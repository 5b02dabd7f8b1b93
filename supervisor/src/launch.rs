//! Starting a server until it answers, and ending it until nothing of it is left.

use std::fs::{self, OpenOptions};
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::Signal;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::process_table::{Process, working_in};
use crate::{Error, private};

/// A server that says nothing at all is given up after this.
const SILENT_MAX: Duration = Duration::from_secs(60);
/// One that says it is recovering may take this long: after a kill it replays up to
/// `max_wal_size` of log.
const RECOVERING_MAX: Duration = Duration::from_secs(15 * 60);
const RECOVERY_NOTICE_EVERY: Duration = Duration::from_secs(10);
const POLL_EVERY: Duration = Duration::from_millis(25);
/// Postgres' backends see for themselves that their postmaster is gone.
const LEFTOVERS_END_MAX: Duration = Duration::from_secs(1);
/// From SIGKILL until the kernel has taken a process away.
const KILL_MAX: Duration = Duration::from_secs(10);
/// A log is set aside at a start once it is larger than this.
const LOG_BYTES_MAX: u64 = 16 << 20;
const TAIL_BYTES: u64 = 2_000;

/// What a server answers while it starts.
pub(crate) enum Probe {
    Ready,
    Silent,
    Recovering,
    Refused(String),
}

/// A kind of server: what to run, and how to tell what it does.
pub(crate) trait Service: Send + Sync + 'static {
    /// In messages.
    const NAME: &'static str;
    /// Names of the executables that belong to it.
    const PROGRAMS: &'static [&'static str];
    /// Signals that end it, gentlest first, and how long each may take.
    const STOP: &'static [(Signal, Duration)];

    /// Canonical; the working directory of everything it runs.
    fn home(&self) -> &Path;
    /// The process the signals go to, among those found in `home`.
    fn leader(&self, found: &[Process]) -> Option<Process>;
    /// Called before each start, with no process left in `home`.
    fn prepare(&self) -> impl Future<Output = Result<(), Error>> + Send;
    /// What to run; group, working directory, input and output are added.
    fn command(&self) -> Command;
    /// Asks the server how it is.
    fn probe(&self) -> impl Future<Output = Probe> + Send;
}

/// A started server. Dropped while it runs, it is asked to stop but not waited for, so that a
/// panic or the end of the runtime leaves nothing behind.
pub(crate) struct Running {
    child: Child,
    process: Option<Process>,
    stop_signal: Signal,
}

impl Running {
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Resolves when it has ended; cancel safe.
    pub(crate) async fn ended(&mut self) -> String {
        let status = self.child.wait().await;
        self.process = None;
        status.map_or_else(|error| error.to_string(), |status: ExitStatus| status.to_string())
    }

    /// Lets it run on without us.
    pub(crate) fn abandon(mut self) {
        self.process = None;
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(process) = self.process {
            process.signal(self.stop_signal);
        }
    }
}

/// Stops what is left of an earlier run, starts the server and waits until it is ready.
pub(crate) async fn launch<S: Service>(service: &S) -> Result<Running, Error> {
    sweep(service).await?;
    service.prepare().await?;
    let log = service.home().join(format!("{}.log", S::NAME));
    set_aside_if_large(&log)?;
    let log_from = fs::metadata(&log).map_or(0, |metadata| metadata.len());
    let mut running = spawn(service, &log)?;
    let started = Instant::now();
    let mut notice_at = started + RECOVERY_NOTICE_EVERY;
    let mut bound = SILENT_MAX;
    loop {
        let answer = tokio::select! {
            biased;
            status = running.ended() => {
                let tail = log_tail(&log, log_from);
                return Err(Error::Ended { service: S::NAME, status, log, tail });
            }
            answer = service.probe() => answer,
        };
        match answer {
            Probe::Ready => return Ok(running),
            Probe::Silent => {}
            Probe::Recovering => {
                bound = RECOVERING_MAX;
                if Instant::now() >= notice_at {
                    notice_at += RECOVERY_NOTICE_EVERY;
                    let waited_s = started.elapsed().as_secs();
                    tracing::info!(service = S::NAME, waited_s, "recovering after a crash");
                }
            }
            Probe::Refused(reason) => {
                stop(service, running).await?;
                return Err(Error::Refused { service: S::NAME, reason });
            }
        }
        if started.elapsed() > bound {
            stop(service, running).await?;
            return Err(Error::NotReady { service: S::NAME, waited: bound, log });
        }
        sleep(POLL_EVERY).await;
    }
}

fn set_aside_if_large(log: &Path) -> Result<(), Error> {
    if fs::metadata(log).is_ok_and(|metadata| metadata.len() > LOG_BYTES_MAX) {
        fs::rename(log, log.with_extension("log.1")).map_err(Error::io("rename", log))?;
    }
    Ok(())
}

fn spawn<S: Service>(service: &S, path: &Path) -> Result<Running, Error> {
    let log = private::open(OpenOptions::new().create(true).append(true), path);
    let log = log.map_err(Error::io("open", path))?;
    let log_too = log.try_clone().map_err(Error::io("open", path))?;
    let mut command = service.command();
    command
        .current_dir(service.home())
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(log_too)
        // Ctrl-C in a terminal goes to our group; we then stop the servers in order.
        .process_group(0);
    let program = command.as_std().get_program().to_owned();
    let child = command.spawn().map_err(Error::io("run", program))?;
    let process = child.id().and_then(|pid| Process::find(i32::try_from(pid).ok()?));
    let (stop_signal, _) = S::STOP[0];
    Ok(Running { child, process, stop_signal })
}

/// Stops the server in order, by force if it takes too long.
pub(crate) async fn stop<S: Service>(service: &S, mut running: Running) -> Result<(), Error> {
    for (signal, bound) in S::STOP {
        let Some(process) = running.process else { break };
        process.signal(*signal);
        if timeout(*bound, running.ended()).await.is_err() {
            tracing::warn!(service = S::NAME, %signal, ?bound, "did not stop in time");
        }
    }
    running.process = None;
    if !all_gone(service, LEFTOVERS_END_MAX).await {
        kill_all(service).await?;
    }
    Ok(())
}

/// Ends every process of the service at once, as a crash would.
pub(crate) async fn kill_all<S: Service>(service: &S) -> Result<(), Error> {
    let started = Instant::now();
    loop {
        let found = working_in(service.home(), S::PROGRAMS);
        if found.is_empty() {
            return Ok(());
        }
        if started.elapsed() > KILL_MAX {
            let pids = found.iter().map(|process| process.pid).collect();
            return Err(Error::StillRunning { service: S::NAME, pids });
        }
        // The leader first, so that it starts no more of them.
        if let Some(leader) = service.leader(&found) {
            leader.signal(Signal::SIGKILL);
        }
        for process in found {
            process.signal(Signal::SIGKILL);
        }
        sleep(POLL_EVERY).await;
    }
}

/// Stops what an earlier run, or a start that was given up, left in the service's home.
pub(crate) async fn sweep<S: Service>(service: &S) -> Result<(), Error> {
    let found = working_in(service.home(), S::PROGRAMS);
    if found.is_empty() {
        return Ok(());
    }
    let pids: Vec<i32> = found.iter().map(|process| process.pid).collect();
    tracing::warn!(service = S::NAME, ?pids, "stopping what was left running");
    match service.leader(&found) {
        None => {
            all_gone(service, LEFTOVERS_END_MAX).await;
        }
        Some(leader) => {
            for (signal, bound) in S::STOP {
                leader.signal(*signal);
                if all_gone(service, *bound).await {
                    break;
                }
            }
        }
    }
    kill_all(service).await
}

async fn all_gone<S: Service>(service: &S, bound: Duration) -> bool {
    let started = Instant::now();
    while !working_in(service.home(), S::PROGRAMS).is_empty() {
        if started.elapsed() > bound {
            return false;
        }
        sleep(POLL_EVERY).await;
    }
    true
}

/// The end of what was logged from `from` on.
fn log_tail(path: &Path, from: u64) -> String {
    let read = || {
        let mut file = fs::File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(from.max(length.saturating_sub(TAIL_BYTES))))?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        std::io::Result::Ok(String::from_utf8_lossy(&text).trim().to_owned())
    };
    read().unwrap_or_default()
}
