//! Arguments, and the environment variables that stand in for them.

use std::env::var;

use clap::{Args, Parser, Subcommand};
use event_store::mirror::LogStream;
use replay_tool::verify::MirrorSource;

/// The auditor's own URL.
const AUDITOR_VARIABLE: &str = "DATABASE_AUDITOR_URL";
/// The URL that every program knows.
const DATABASE_VARIABLE: &str = "DATABASE_URL";

/// Replays the log of a Runut deployment, read only, and says whether it is in order.
///
/// Exit codes: 0 all is in order, 1 something cannot be true, 2 it could not be checked.
#[derive(Debug, Parser)]
#[command(version, about, long_about = None, verbatim_doc_comment)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Checks the log, and what is kept beside it, for contradictions.
    Verify(Verify),
    /// Shows the events of one stream.
    Stream {
        /// The name of the stream, such as `account-acc_…`.
        stream: String,
        /// One JSON object a line.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        database: Database,
    },
    /// Counts events by type and by day, streams, accounts and bytes.
    Stats {
        /// One JSON object.
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        database: Database,
    },
}

#[derive(Debug, Args)]
pub(super) struct Verify {
    /// The first position; what needs all history is then left out.
    #[arg(long, value_name = "POSITION", value_parser = clap::value_parser!(i64).range(1..))]
    pub(super) from: Option<i64>,
    /// The last position; what needs the end of the log is then left out.
    #[arg(long, value_name = "POSITION", value_parser = clap::value_parser!(i64).range(1..))]
    pub(super) to: Option<i64>,
    /// Compares the mirror in JetStream too.
    #[arg(long, requires = "nats_url")]
    mirror: bool,
    /// The URL of the NATS server.
    #[arg(long, env = "NATS_URL", hide_env_values = true)]
    nats_url: Option<String>,
    /// The name of the mirror's stream.
    #[arg(long, default_value_t = LogStream::default().name().to_owned())]
    stream: String,
    /// Folds the read models anew and compares them too; needs a server that takes temporary tables.
    #[arg(long)]
    pub(super) read_models: bool,
    /// Makes no way for appends: else verify rests most of the time while the log grows quickly.
    #[arg(long)]
    pub(super) full_speed: bool,
    /// One JSON object a line: findings, then a summary.
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) database: Database,
}

impl Verify {
    pub(super) fn mirror(&self) -> Option<MirrorSource> {
        let nats_url = self.nats_url.clone().filter(|_| self.mirror)?;
        Some(MirrorSource { nats_url, stream: LogStream::named(&self.stream) })
    }
}

#[derive(Debug, Args)]
pub(super) struct Database {
    /// The URL of the log's Postgres or a standby of it, with the auditor's role; else taken from
    /// DATABASE_AUDITOR_URL or DATABASE_URL.
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,
}

impl Database {
    pub(super) fn url(&self) -> Result<String, String> {
        let given = self.database_url.clone();
        given
            .or_else(|| var(AUDITOR_VARIABLE).ok())
            .or_else(|| var(DATABASE_VARIABLE).ok())
            .ok_or(format!("give --database-url, or set {AUDITOR_VARIABLE} or {DATABASE_VARIABLE}"))
    }
}
