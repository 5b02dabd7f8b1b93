//! Runut in one binary: everything on one machine, or one role of a larger deployment.
//!
//! One module a subcommand; what several of them need is in the modules of this folder, and how a
//! part of the platform is put to work is in [`roles`], the same for `up` and `serve`.

mod administration;
mod clock;
mod database;
mod env_file;
mod keys;
mod logging;
mod merchants;
mod migrate;
mod mirror;
mod output;
mod prometheus;
mod random;
mod readiness;
mod reading_side;
mod rebuild;
mod roles;
mod serve;
mod servers;
mod services;
mod signals;
mod simulate;
mod tasks;
mod up;

use std::process::ExitCode;
use std::time::Duration;

use anyhow::anyhow;
use clap::{Parser, Subcommand};

use crate::logging::LogFormat;
use crate::signals::{Quit, Signals};

/// A request's memory is taken by one thread and given back by another, which this does quicker than the
/// system's allocator: taking a batch of 150 into memory and answering it takes 0.6 ms instead of 1.0 ms.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long what is left on the runtime may take at the end of the process.
const RUNTIME_END_MAX: Duration = Duration::from_secs(1);
/// What a process that was interrupted exits with, by convention: 128 and SIGINT's number.
const INTERRUPTED: u8 = 130;

/// A payments core on one append-only log.
#[derive(Parser)]
#[command(name = "runut", version, max_term_width = 100)]
struct Cli {
    /// How log lines are written to standard error; RUST_LOG says which.
    #[arg(long, global = true, value_enum, default_value_t, env = "RUNUT_LOG_FORMAT")]
    log_format: LogFormat,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Up(up::Up),
    Serve(serve::Serve),
    Migrate(migrate::Migrate),
    Keys(keys::Keys),
    Merchants(merchants::Merchants),
    Mirror(mirror::Mirror),
    Rebuild(rebuild::Rebuild),
    Services(services::Services),
    Simulate(simulate::Simulate),
    Demo(demo::Demo),
    Chaos(chaos::Chaos),
    /// Measures, on this machine, and prints each figure beside its baseline.
    #[command(subcommand)]
    Bench(bench::Bench),
}

impl Command {
    async fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Self::Up(command) => command.run().await,
            Self::Serve(command) => command.run().await,
            Self::Migrate(command) => command.run().await,
            Self::Keys(command) => command.run().await,
            Self::Merchants(command) => command.run().await,
            Self::Mirror(command) => command.run().await,
            Self::Rebuild(command) => command.run().await,
            Self::Services(command) => command.run().await,
            Self::Simulate(command) => command.run().await,
            Self::Demo(command) => {
                let held = unless_stopped(command.run()).await?;
                Ok(if held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
            }
            Self::Chaos(command) => {
                let held = unless_stopped(command.run()).await?;
                Ok(if held { ExitCode::SUCCESS } else { ExitCode::FAILURE })
            }
            Self::Bench(command) => unless_stopped(command.run()).await.map(|()| ExitCode::SUCCESS),
        }
    }
}

/// Drops the work at the first signal, and with it the servers it started.
async fn unless_stopped<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let signals = Signals::listen()?;
    tokio::select! {
        outcome = work => outcome,
        () = signals.stop() => Err(anyhow!("stopped by a signal; its data is left where it was")),
    }
}

fn main() -> ExitCode {
    let Cli { log_format, command } = Cli::parse();
    let outcome = logging::start(log_format).and_then(|()| {
        let runtime = tokio::runtime::Runtime::new()?;
        let outcome = runtime.block_on(command.run());
        // Servers that are still up, after a second signal, are asked to stop when this drops them.
        runtime.shutdown_timeout(RUNTIME_END_MAX);
        outcome
    });
    match outcome {
        Ok(code) => code,
        Err(error) => {
            output::failure(log_format, &error);
            if error.is::<Quit>() { ExitCode::from(INTERRUPTED) } else { ExitCode::FAILURE }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
