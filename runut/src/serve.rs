//! `runut serve`: one role in a process of its own.

use std::future::ready;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use api_conventions::ReadinessCheck;
use clap::{Args, Subcommand};
use command_api::readiness_checks;
use event_store::mirror::MirrorStatus;
use projections::{Handle, ProjectionState};
use tokio::net::TcpListener;
use workers::LedgerWorkerOptions;

use crate::env_file::{self, EnvFile};
use crate::prometheus::Metrics;
use crate::roles::Limits;
use crate::roles::workers::PaymentWork;
use crate::signals::Signals;
use crate::tasks::Tasks;
use crate::{administration, clock, database, output, readiness, roles};

/// Run one role of a larger deployment; the database has to be migrated.
#[derive(Args)]
pub(crate) struct Serve {
    #[command(subcommand)]
    role: Role,
    /// Where to listen; port 0 picks a free one, which is printed.
    #[arg(long, global = true, default_value = "127.0.0.1:0", env = "RUNUT_LISTEN")]
    listen: SocketAddr,
    /// A file to write `URL=…` to when ready; removed at the end, and at the start if it is there.
    #[arg(long, global = true, value_name = "PATH")]
    endpoints_file: Option<PathBuf>,
    /// Fault injection, for the chaos gate and tests: a file with an integer, the microseconds that the clock of
    /// this process is put ahead. It is read again as long as the process runs; refused unless the database is
    /// on loopback.
    #[arg(long, global = true, hide = true, value_name = "PATH")]
    clock_offset_file: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Role {
    /// Commands over HTTP, the sequencer behind them and, unless told otherwise, the mirror.
    CommandApi(CommandApi),
    /// Queries over HTTP.
    QueryApi {
        /// The database, as the role `runut_query`.
        #[arg(long, env = "DATABASE_QUERY_URL", hide_env_values = true)]
        database_url: String,
        #[command(flatten)]
        limits: Limits,
    },
    /// The read models.
    Projections {
        /// The database, as the role `runut_projector`.
        #[arg(long, env = "DATABASE_PROJECTOR_URL", hide_env_values = true)]
        database_url: String,
        /// NATS; without it events are found by looking for them, within 250 ms.
        #[arg(long, env = "NATS_URL", hide_env_values = true)]
        nats_url: Option<String>,
    },
    /// What acts by itself: carries out payments, removes old idempotency keys.
    Workers(Workers),
    /// The mirror of the log in JetStream, alone.
    Mirror {
        /// The database, as the role `runut_app`.
        #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
        database_url: String,
        /// NATS; it may come and go.
        #[arg(long, env = "NATS_URL", hide_env_values = true)]
        nats_url: String,
    },
}

#[derive(Args)]
struct CommandApi {
    /// The database, as the role `runut_app`.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: String,
    /// NATS; it may come and go.
    #[arg(long, env = "NATS_URL", hide_env_values = true, required_unless_present = "no_mirror")]
    nats_url: Option<String>,
    /// The file of PSPs, whose webhooks are let in; none are without it.
    #[arg(long, value_name = "FILE", env = "RUNUT_PSPS_FILE")]
    psps_file: Option<PathBuf>,
    /// Leave the mirror to another process.
    #[arg(long)]
    no_mirror: bool,
    #[command(flatten)]
    limits: Limits,
}

#[derive(Args)]
struct Workers {
    /// The database, as the role `runut_pruner`.
    #[arg(long, env = "DATABASE_PRUNER_URL", hide_env_values = true)]
    pruner_database_url: String,
    /// The file of PSPs; without it no payments are carried out.
    #[arg(long, value_name = "FILE", env = "RUNUT_PSPS_FILE", requires = "database_url")]
    psps_file: Option<PathBuf>,
    /// The database, as the role `runut_app`, for payments.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
}

impl Serve {
    /// Serves until the first signal.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let signals = Signals::listen()?;
        signals.unless_quit(self.until_stopped(&signals)).await?;
        Ok(ExitCode::SUCCESS)
    }

    async fn until_stopped(self, signals: &Signals) -> anyhow::Result<()> {
        let endpoints_file = self.endpoints_file.clone();
        let forget = || match &endpoints_file {
            Some(path) => {
                env_file::remove(path).with_context(|| format!("cannot remove {}", path.display()))
            }
            None => Ok(()),
        };
        // A stale one says that nobody is there yet.
        forget()?;
        let mut tasks = Tasks::default();
        let outcome = tokio::select! {
            error = self.work(&mut tasks) => error,
            () = signals.stop() => Ok(()),
        };
        let forgotten = forget();
        let stopped = tasks.stop().await;
        outcome.and(stopped).and(forgotten)
    }

    /// Returns only with what went wrong.
    async fn work(self, tasks: &mut Tasks) -> anyhow::Result<()> {
        let name = self.role.name();
        let listener = roles::listen(self.listen).await?;
        let url = roles::url_of(&listener)?;
        let metrics = Metrics::start(tasks)?;
        self.role.start(tasks, listener, metrics, self.clock_offset_file.as_deref()).await?;
        tokio::select! {
            error = tasks.unexpected_end() => return Err(error),
            ready = readiness::await_ready(name, &url) => ready?,
        }
        if let Some(path) = &self.endpoints_file {
            let mut file = EnvFile::default();
            file.set("URL", url.as_str());
            file.write(path, &format!("Where {name} of this deployment is, as long as it runs."))?;
        }
        output::line(format_args!("{name} {url}"));
        Err(tasks.unexpected_end().await)
    }
}

impl Role {
    fn name(&self) -> &'static str {
        match self {
            Self::CommandApi(_) => "command-api",
            Self::QueryApi { .. } => "query-api",
            Self::Projections { .. } => "projections",
            Self::Workers(_) => "workers",
            Self::Mirror { .. } => "mirror",
        }
    }

    async fn start(
        self,
        tasks: &mut Tasks,
        listener: TcpListener,
        metrics: Metrics,
        offset_file: Option<&Path>,
    ) -> anyhow::Result<()> {
        match self {
            Self::QueryApi { .. } | Self::Projections { .. } | Self::Mirror { .. }
                if offset_file.is_some() =>
            {
                anyhow::bail!("{} goes by the database's clock: it has no other", self.name());
            }
            Self::CommandApi(role) => role.start(tasks, listener, metrics, offset_file).await?,
            Self::QueryApi { database_url, limits } => {
                database::await_schema(&database_url).await?;
                let (url, at) = (&database_url, (listener, tokio::runtime::Handle::current()));
                roles::query_api::start(tasks, at, url, None, metrics, limits).await?;
            }
            Self::Projections { database_url, nats_url } => {
                database::await_schema(&database_url).await?;
                let feed = roles::projections::feed_of(nats_url);
                let handle = roles::projections::start(tasks, &database_url, feed)?;
                let checks = move || ready(projection_checks(&handle));
                roles::monitor(tasks, "projections", listener, metrics, checks);
            }
            Self::Workers(role) => role.start(tasks, listener, metrics, offset_file).await?,
            Self::Mirror { database_url, nats_url } => {
                database::await_schema(&database_url).await?;
                let status = roles::mirror::start(tasks, &database_url, &nats_url, None)?;
                roles::monitor(tasks, "mirror", listener, metrics, move || {
                    ready(vec![mirror_check(&status.borrow())])
                });
            }
        }
        Ok(())
    }
}

impl CommandApi {
    async fn start(
        self,
        tasks: &mut Tasks,
        listener: TcpListener,
        metrics: Metrics,
        offset_file: Option<&Path>,
    ) -> anyhow::Result<()> {
        let clock = clock::of(offset_file, &self.database_url)?;
        let store = administration::open_log(tasks, &self.database_url, clock).await?;
        let nats_url = self.nats_url.filter(|_| !self.no_mirror);
        let mirror = nats_url
            .map(|nats| {
                roles::mirror::start(tasks, &self.database_url, &nats, Some(store.recent()))
            })
            .transpose()?;
        let psps = self.psps_file.as_deref().map(roles::workers::psps).transpose()?;
        let gateways = psps.as_ref().map(roles::workers::gateways_to).transpose()?;
        let limits = self.limits;
        roles::command_api::start(tasks, listener, store, mirror, metrics, gateways, limits);
        Ok(())
    }
}

impl Workers {
    async fn start(
        self,
        tasks: &mut Tasks,
        listener: TcpListener,
        metrics: Metrics,
        offset_file: Option<&Path>,
    ) -> anyhow::Result<()> {
        let clock = clock::of(offset_file, &self.pruner_database_url)?;
        database::await_schema(&self.pruner_database_url).await?;
        let psps = self.psps_file.as_deref().map(roles::workers::psps).transpose()?;
        let log = match self.database_url {
            Some(database_url) => {
                let clock = clock::of(offset_file, &database_url)?;
                let store = administration::open_log(tasks, &database_url, clock).await?;
                Some((database_url, store))
            }
            None => None,
        };
        let store = log.as_ref().map(|(_, store)| store.clone());
        let ledger =
            log.clone().map(|(database_url, store)| LedgerWorkerOptions { database_url, store });
        let payments = psps.as_ref().zip(log).map(|(psps, (database_url, store))| PaymentWork {
            database_url,
            store,
            psps,
        });
        roles::workers::start(tasks, &self.pruner_database_url, clock, ledger, payments)?;
        match store {
            Some(store) => {
                let checks = move || readiness_checks(store.clone(), None);
                roles::monitor(tasks, "workers", listener, metrics, checks);
            }
            None => {
                let url = self.pruner_database_url;
                let checks = move || database_checks(url.clone());
                roles::monitor(tasks, "workers", listener, metrics, checks);
            }
        }
        Ok(())
    }
}

/// A mirror that cannot copy is not ready; one that leaves it to another process is.
fn mirror_check(status: &MirrorStatus) -> ReadinessCheck {
    let ok = match status {
        MirrorStatus::Starting | MirrorStatus::Standby | MirrorStatus::Mirrored(_) => true,
        MirrorStatus::NatsAway(_) | MirrorStatus::LogAway(_) | MirrorStatus::Alarm(_) => false,
    };
    ReadinessCheck { name: "mirror", ok, detail: status.to_string() }
}

/// Whether the database answers somebody new.
async fn database_checks(url: String) -> Vec<ReadinessCheck> {
    let trouble = database::trouble(&url).await;
    let ok = trouble.is_none();
    let detail = trouble.unwrap_or_else(|| "answers".to_owned());
    vec![ReadinessCheck { name: "database", ok, detail }]
}

/// A projection that stands still is for a person to look at; one that is behind is not.
fn projection_checks(handle: &Handle) -> Vec<ReadinessCheck> {
    let check = |health: projections::ProjectionHealth| {
        let moves = matches!(health.state, ProjectionState::Running | ProjectionState::Rebuilding);
        let trouble = health.interruption.or(health.detail);
        ReadinessCheck {
            name: health.projection,
            ok: moves && health.connected,
            detail: trouble.unwrap_or_else(|| format!("applied {}", health.position)),
        }
    };
    handle.health().into_iter().map(check).collect()
}
