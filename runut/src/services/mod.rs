//! `runut services run`: servers for as long as a command runs, such as a test suite.

mod child;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use supervisor::{NatsOptions, PostgresOptions, private};

use crate::random;
use crate::servers::{Servers, binaries};
use crate::signals::Signals;

/// What tells a command where its servers are; the tests' crate reads the same.
const POSTGRES_VARIABLE: &str = "RUNUT_TEST_POSTGRES";
const NATS_VARIABLE: &str = "RUNUT_TEST_NATS";

/// Less memory and disk than for real use; whatever safety rests on stays as it is.
const POSTGRES_SETTINGS: [(&str, &str); 5] = [
    ("max_connections", "300"),
    ("shared_buffers", "128MB"),
    ("min_wal_size", "80MB"),
    ("max_wal_size", "1GB"),
    ("fsync", "on"),
];
/// Not what is on disk but what streams may reserve together, and each test has one of gigabytes.
const NATS_RESERVATIONS_BYTES: u64 = 1 << 50;

/// Run servers for the tests.
#[derive(Args)]
pub(crate) struct Services {
    #[command(subcommand)]
    command: ServicesCommand,
}

#[derive(Subcommand)]
enum ServicesCommand {
    /// Start PostgreSQL and NATS on a folder of their own, run a command with their URLs in
    /// RUNUT_TEST_POSTGRES and RUNUT_TEST_NATS, delete everything, and exit as the command did.
    Run {
        /// The command and its arguments.
        #[arg(last = true, required = true, value_name = "CMD")]
        command: Vec<String>,
    },
}

impl Services {
    /// Carries the command out.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let ServicesCommand::Run { command } = self.command;
        let signals = Signals::listen()?;
        signals.unless_quit(run_with_servers(&command, &signals)).await
    }
}

async fn run_with_servers(command: &[String], signals: &Signals) -> anyhow::Result<ExitCode> {
    let dir = make_folder()?;
    let mut servers = Servers::default();
    // A signal is looked at once they are up, which takes seconds: then all of them can be stopped.
    let outcome = match start(&dir, &mut servers).await {
        Ok(variables) => child::run(command, &variables, signals).await,
        Err(error) => Err(error),
    };
    let destroyed = servers.destroy(&dir).await;
    let code = outcome?;
    destroyed.map(|()| code)
}

fn make_folder() -> anyhow::Result<PathBuf> {
    let mut name = random::password()?;
    name.truncate(16);
    let dir = std::env::temp_dir().join(format!("runut-services-{name}"));
    private::make_folder(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    Ok(dir)
}

type Variables = [(&'static str, String); 2];

async fn start(dir: &std::path::Path, servers: &mut Servers) -> anyhow::Result<Variables> {
    let binaries = binaries()?;
    let mut postgres = PostgresOptions::new(dir, binaries.clone(), random::password()?);
    let setting = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    postgres.settings = POSTGRES_SETTINGS.into_iter().map(setting).collect();
    postgres.supervised = false;
    let mut nats = NatsOptions::new(dir, binaries);
    nats.max_file_store_bytes = NATS_RESERVATIONS_BYTES;
    nats.supervised = false;
    let postgres_url = servers.start_postgres(postgres).await?.url();
    let nats_url = servers.start_nats(nats).await?.url();
    Ok([(POSTGRES_VARIABLE, postgres_url), (NATS_VARIABLE, nats_url)])
}
