//! `runut up`: everything on one machine, in one process and the servers below it.

mod deployment;
mod first_keys;
mod psps;
mod secrets;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use event_store::{Clock, SystemClock};
use migrations::Role;
use projections::Feed;
use supervisor::{DirLock, NatsOptions, PostgresOptions, SUPERUSER};
use tokio::net::TcpListener;
use workers::LedgerWorkerOptions;

use self::deployment::Deployment;
use self::psps::Psps;
use self::secrets::Secrets;
use crate::database::{DATABASE, Database};
use crate::env_file::{self, EnvFile};
use crate::prometheus::Metrics;
use crate::rebuild::{self, BesideTheLog};
use crate::roles::Limits;
use crate::roles::workers::PaymentWork;
use crate::servers::{Servers, binaries};
use crate::signals::Signals;
use crate::tasks::Tasks;
use crate::{administration, output, readiness, roles};

const ENDPOINTS_FILE: &str = "endpoints.env";
const ENDPOINTS_COMMENT: &str = "Of the running `runut up`; it removes this file when it stops.";

/// Run everything on this machine: PostgreSQL, NATS, both APIs, the read models and the workers.
///
/// What is needed to use it is written to DIR/endpoints.env as soon as all of it is ready.
#[derive(Args)]
pub(crate) struct Up {
    /// The folder that keeps everything; made if missing.
    #[arg(long, value_name = "DIR", env = "RUNUT_DATA")]
    data: PathBuf,
    /// The port of the command API on 127.0.0.1; 0 picks a free one.
    #[arg(long, default_value_t = 8080, env = "RUNUT_COMMAND_PORT")]
    command_port: u16,
    /// The port of the query API on 127.0.0.1; 0 picks a free one.
    #[arg(long, default_value_t = 8081, env = "RUNUT_QUERY_PORT")]
    query_port: u16,
    /// A PostgreSQL to use instead of starting one, as the owner of the database. It is made if
    /// missing, migrated, and the passwords of the roles `runut_…` are set.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
    /// A NATS with JetStream to use instead of starting one.
    #[arg(long, env = "NATS_URL", hide_env_values = true)]
    nats_url: Option<String>,
    /// The file of the PSPs that payments go to; without it three are simulated.
    #[arg(long, value_name = "FILE", env = "RUNUT_PSPS_FILE")]
    psps_file: Option<PathBuf>,
    /// What is left to processes of their own.
    #[arg(long, value_enum, value_delimiter = ',')]
    leave: Vec<Left>,
    /// Tables beside the log to make again from it before anything starts.
    #[arg(long, value_enum, value_delimiter = ',')]
    rebuild: Vec<BesideTheLog>,
    #[command(flatten)]
    limits: Limits,
    /// The memory that all of this may count on, in MiB, of which the PostgreSQL that is started takes a quarter
    /// as its buffers. The machine's, or its container's, where it is not said.
    #[arg(long, value_name = "MIB")]
    memory_mib: Option<u64>,
}

/// A part that another process may take over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Left {
    /// Carrying out payments, and pruning keys.
    Workers,
    /// The mirror of the log in JetStream.
    Mirror,
}

/// Taken before anything is started, so that a port in use is said at once.
struct Listeners {
    command: TcpListener,
    query: TcpListener,
}

impl Up {
    /// Runs until the first signal.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let signals = Signals::listen()?;
        signals.unless_quit(self.until_stopped(&signals)).await?;
        Ok(ExitCode::SUCCESS)
    }

    async fn until_stopped(self, signals: &Signals) -> anyhow::Result<()> {
        if self.data.exists() && !self.data.is_dir() {
            bail!("{} is not a folder", self.data.display());
        }
        let _lock = DirLock::acquire(&self.data, "runut")?;
        let data = self.data.canonicalize().context("the data folder cannot be found")?;
        let endpoints = data.join(ENDPOINTS_FILE);
        let forget = || {
            env_file::remove(&endpoints)
                .with_context(|| format!("cannot remove {}", endpoints.display()))
        };
        // One that a killed run left says that all is ready, which it is not.
        forget()?;
        let (mut servers, mut tasks) = (Servers::default(), Tasks::default());
        let outcome = tokio::select! {
            outcome = self.work(&data, &mut servers, &mut tasks) => outcome,
            () = signals.stop() => Ok(()),
        };
        if outcome.is_ok() {
            tracing::info!("stopping");
        }
        let forgotten = forget();
        let tasks_stopped = tasks.stop().await;
        let servers_stopped = servers.stop().await;
        outcome.and(tasks_stopped).and(servers_stopped).and(forgotten)
    }

    /// Returns only with what went wrong.
    async fn work(
        &self,
        data: &Path,
        servers: &mut Servers,
        tasks: &mut Tasks,
    ) -> anyhow::Result<()> {
        let listeners = Listeners {
            command: listen(self.command_port).await?,
            query: listen(self.query_port).await?,
        };
        let command_url = roles::url_of(&listeners.command)?;
        let query_url = roles::url_of(&listeners.query)?;
        // Before anything is started for nothing.
        let given = self.psps_file.as_deref().map(|file| Psps::given(file, data)).transpose()?;
        let mut secrets = Secrets::load_or_draw(data, self.database_url.is_none())?;
        let deployment = self.deployment(data, &secrets, servers).await?;
        deployment.prepare().await?;
        for table in &self.rebuild {
            output::line(rebuild::beside_the_log(&deployment.database, *table).await?);
        }
        let psps = match given {
            Some(psps) => psps,
            None => Psps::simulated(data, &secrets, &command_url, tasks)?,
        };
        let keys = self.start_parts(tasks, &deployment, listeners, &psps, &mut secrets).await?;
        let all_ready = async {
            tokio::try_join!(
                readiness::await_ready("command-api", &command_url),
                readiness::await_ready("query-api", &query_url),
            )
        };
        tokio::select! {
            error = tasks.unexpected_end() => return Err(error),
            ready = all_ready => drop(ready?),
        }
        let mut endpoints = deployment.endpoints();
        endpoints.set("COMMAND_URL", command_url.as_str());
        endpoints.set("QUERY_URL", query_url.as_str());
        endpoints.extend(keys);
        endpoints.extend(psps.endpoints());
        let path = data.join(ENDPOINTS_FILE);
        endpoints.write(&path, ENDPOINTS_COMMENT)?;
        announce(&command_url, &query_url, &deployment, &psps, &path);
        Err(tasks.unexpected_end().await)
    }

    /// Starts everything that is ours; the ids and tokens of the first keys.
    async fn start_parts(
        &self,
        tasks: &mut Tasks,
        deployment: &Deployment,
        listeners: Listeners,
        psps: &Psps,
        secrets: &mut Secrets,
    ) -> anyhow::Result<EnvFile> {
        let Listeners { command, query } = listeners;
        let url_of = |role| deployment.url_of(role);
        let (app_url, nats_url) = (url_of(Role::Application), &deployment.nats_url);
        let limits = self.limits;
        let metrics = Metrics::start(tasks)?;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let store = administration::open_log(tasks, &app_url, Arc::clone(&clock)).await?;
        let keys = first_keys::ensure(&store, secrets).await?;
        let mirror = match self.leave.contains(&Left::Mirror) {
            true => None,
            false => Some(roles::mirror::start(tasks, &app_url, nats_url, Some(store.recent()))?),
        };
        let projector_url = url_of(Role::Projector);
        let feed = Feed::Process(store.recent());
        let reading_side = tasks.reading_side()?;
        let projections = {
            let _there = reading_side.enter();
            roles::projections::start(tasks, &projector_url, feed)?
        };
        if !self.leave.contains(&Left::Workers) {
            let payments =
                PaymentWork { database_url: app_url, store: store.clone(), psps: &psps.config };
            let ledger = LedgerWorkerOptions {
                database_url: payments.database_url.clone(),
                store: store.clone(),
            };
            let pruner_url = url_of(Role::Pruner);
            roles::workers::start(tasks, &pruner_url, clock, Some(ledger), Some(payments))?;
        }
        let query_url = url_of(Role::Query);
        let progress = Some(projections);
        let to_render = metrics.clone();
        let query = (query, reading_side);
        roles::query_api::start(tasks, query, &query_url, progress, to_render, limits).await?;
        let gateways = Some(roles::workers::gateways_to(&psps.config)?);
        roles::command_api::start(tasks, command, store, mirror, metrics, gateways, limits);
        Ok(keys)
    }

    /// Starts the servers that were not given.
    async fn deployment(
        &self,
        data: &Path,
        secrets: &Secrets,
        servers: &mut Servers,
    ) -> anyhow::Result<Deployment> {
        let database = match &self.database_url {
            Some(url) => {
                let database = Database::ours(url)?;
                // A URL in the environment may have been meant for another program.
                let place = database.place();
                tracing::info!(place, "using the given PostgreSQL, none is started");
                database
            }
            None => {
                let password = secrets.owner_password()?;
                let mut options = PostgresOptions::new(data, binaries()?, password);
                options.memory_mib = self.memory_mib;
                let postgres = servers.start_postgres(options).await?;
                Database::named(&postgres.url_of(DATABASE, SUPERUSER, password))?
            }
        };
        let nats_url = match &self.nats_url {
            Some(url) => url.clone(),
            None => {
                let mut options = NatsOptions::new(data, binaries()?);
                options.password = Some(secrets.nats_password()?.to_owned());
                servers.start_nats(options).await?.url()
            }
        };
        let password = |role| Ok((role, secrets.role_password(role)?.to_owned()));
        let passwords = Role::ALL.into_iter().map(password).collect::<anyhow::Result<_>>()?;
        Ok(Deployment { database, passwords, nats_url })
    }
}

async fn listen(port: u16) -> anyhow::Result<TcpListener> {
    roles::listen(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await
}

/// Says where everything is, and nothing secret.
fn announce(
    command_url: &str,
    query_url: &str,
    deployment: &Deployment,
    psps: &Psps,
    endpoints: &Path,
) {
    output::line(format_args!("Runut is up. Ctrl-C stops it."));
    output::line(format_args!("  command API  {command_url}  (documentation: {command_url}/docs)"));
    output::line(format_args!("  query API    {query_url}  (documentation: {query_url}/docs)"));
    output::line(format_args!("  PostgreSQL   {}", deployment.database.place()));
    output::line(format_args!("  NATS         {}", deployment.nats_place()));
    let names: Vec<&str> = psps.config.psps.iter().map(|psp| psp.name.as_str()).collect();
    let simulated = if psps.simulated { " (simulated: no money moves)" } else { "" };
    output::line(format_args!("  PSPs         {}{simulated}", names.join(", ")));
    output::line(format_args!("  API keys and database URLs are in {}", endpoints.display()));
}
