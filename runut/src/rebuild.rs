//! `runut rebuild`: what is kept beside the log, made again from the log alone.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand, ValueEnum};
use domain::Timestamp;
use event_store::log::{self, Position};
use event_store::rebuild;
use projections::Progress;
use sqlx::{Connection, PgConnection};
use tokio::time::Instant;
use workers::KEYS_KEPT_FOR;

use crate::database::Database;
use crate::output;

/// How often a long run says where it is.
const PROGRESS_EVERY: Duration = Duration::from_secs(5);

/// Make what is kept beside the log again from the log alone.
#[derive(Args)]
pub(crate) struct Rebuild {
    #[command(subcommand)]
    command: RebuildCommand,
}

#[derive(Subcommand)]
enum RebuildCommand {
    /// The balances of all accounts, in the place of those that there are. Nothing may write to the
    /// log meanwhile.
    Balances {
        /// The database, as its owner.
        #[arg(long, env = "DATABASE_ADMIN_URL", hide_env_values = true)]
        database_url: String,
    },
    /// The idempotency keys of the last 72 hours that are missing or contradict the log, with their
    /// answers.
    Keys {
        /// The database, as its owner.
        #[arg(long, env = "DATABASE_ADMIN_URL", hide_env_values = true)]
        database_url: String,
    },
    /// A read model: made beside the live one, and then switched to.
    ReadModel {
        /// Its name, as `/v1/projections` shows it.
        name: String,
        /// The database, as the role `runut_projector`.
        #[arg(long, env = "DATABASE_PROJECTOR_URL", hide_env_values = true)]
        database_url: String,
    },
}

/// A table that appends write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum BesideTheLog {
    /// The balances of all accounts.
    Balances,
    /// The idempotency keys of the last 72 hours.
    Keys,
}

impl Rebuild {
    /// Carries the command out.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let done = match self.command {
            RebuildCommand::Balances { database_url } => {
                beside_the_log(&Database::named(&database_url)?, BesideTheLog::Balances).await?
            }
            RebuildCommand::Keys { database_url } => {
                beside_the_log(&Database::named(&database_url)?, BesideTheLog::Keys).await?
            }
            RebuildCommand::ReadModel { name, database_url } => {
                read_model(&name, &database_url).await?
            }
        };
        output::line(done);
        Ok(ExitCode::SUCCESS)
    }
}

/// Makes a table again; what was done, in words.
pub(crate) async fn beside_the_log(
    database: &Database,
    table: BesideTheLog,
) -> anyhow::Result<String> {
    let mut db = database.connect().await?;
    let mut said = Said::of("a table beside the log");
    let progress = |position, head| said.progress(position, head);
    let done = match table {
        BesideTheLog::Balances => {
            let made = rebuild::account_balances(&mut db, progress).await;
            let made = made.context("the balances are as they were")?;
            format!("balances of {} accounts, as of position {}", made.accounts, made.position)
        }
        BesideTheLog::Keys => {
            let (since, answer) = (keys_kept_since(&mut db).await?, command_api::recorded_answer);
            let made = rebuild::idempotency_keys(&mut db, since, answer, progress).await;
            let made = made.context("not all missing keys are there again")?;
            let restart = match made.replaced {
                0 => "",
                _ => "; restart what writes to the log: it may remember the answers of before",
            };
            format!(
                "idempotency keys of {} requests: {} were missing and are there again, {} contradicted \
                 the log and were replaced, {} of these have no answer{restart}",
                made.requests, made.restored, made.replaced, made.unanswered
            )
        }
    };
    db.close().await?;
    Ok(done)
}

/// By the database's clock: this machine's may be any.
async fn keys_kept_since(db: &mut PgConnection) -> anyhow::Result<Timestamp> {
    let kept_s = i32::try_from(KEYS_KEPT_FOR.as_secs()).unwrap_or(i32::MAX);
    let since = sqlx::query_scalar("select clock_timestamp() - $1 * interval '1 second'");
    Ok(Timestamp::from_datetime(since.bind(kept_s).fetch_one(db).await?))
}

async fn read_model(name: &str, database_url: &str) -> anyhow::Result<String> {
    let projection = projections::named(name).ok_or_else(|| {
        let known: Vec<_> = projections::all().iter().map(|known| known.name()).collect();
        anyhow!("there is no read model `{name}`; there are: {}", known.join(", "))
    })?;
    let database = log::connect_options(database_url)?;
    let said = std::sync::Mutex::new(Said::of("a read model"));
    let progress = |Progress { position, head }: Progress| {
        said.lock().unwrap_or_else(std::sync::PoisonError::into_inner).progress(position, head);
    };
    let rebuilt = projections::rebuild(&database, &*projection, &progress).await;
    let rebuilt = rebuilt.context("the live read model is as it was")?;
    let (generation, position) = (rebuilt.generation, rebuilt.position);
    Ok(format!("{name} is switched to generation {generation}, as of position {position}"))
}

/// Says every now and then where a run is.
struct Said {
    what: &'static str,
    at: Instant,
}

impl Said {
    fn of(what: &'static str) -> Self {
        Self { what, at: Instant::now() }
    }

    fn progress(&mut self, position: Position, head: Position) {
        if self.at.elapsed() >= PROGRESS_EVERY {
            self.at = Instant::now();
            tracing::info!(what = self.what, %position, %head, "rebuilding");
        }
    }
}
