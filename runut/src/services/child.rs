//! The command that the servers are for.

use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, ExitStatus};
use std::time::Duration;

use anyhow::Context;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::signals::Signals;

/// How long the command may take to end once it was told to.
const END_MAX: Duration = Duration::from_secs(10);
/// What a shell adds to a signal's number to make an exit code.
const SIGNALLED: i32 = 128;

/// Runs the command to its end. The first signal to us ends it.
pub(super) async fn run(
    command: &[String],
    variables: &[(&'static str, String)],
    signals: &Signals,
) -> anyhow::Result<ExitCode> {
    let (program, arguments) = command.split_first().context("no command was given")?;
    let mut child = Command::new(program)
        .args(arguments)
        .envs(variables.iter().map(|(name, value)| (name, value)))
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot run `{program}`"))?;
    let status = tokio::select! {
        status = child.wait() => status,
        () = signals.stop() => end(&mut child).await,
    };
    Ok(exit_code(status.context("the command's end was not seen")?))
}

/// Asks the command to end, and ends it if it does not.
async fn end(child: &mut Child) -> std::io::Result<ExitStatus> {
    let pid = child.id().and_then(|pid| i32::try_from(pid).ok());
    if let Some(pid) = pid {
        // It may have ended by itself, and is not waited for yet, so the pid is still its own.
        kill(Pid::from_raw(pid), Signal::SIGTERM)?;
    }
    match timeout(END_MAX, child.wait()).await {
        Ok(status) => status,
        Err(_) => {
            child.start_kill()?;
            child.wait().await
        }
    }
}

fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().or_else(|| Some(SIGNALLED + status.signal()?));
    code.and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from)
}
