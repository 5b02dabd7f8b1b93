//! A database for one measurement, on a server of the benchmark's own or a given one.

use std::collections::HashMap;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::Context;
use demo::stack::Stack;
use event_store::log::Durability;
use event_store::{EventStore, RandomIds, StoreOptions, SystemClock};
use migrations::Role;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use supervisor::{Binaries, Postgres, PostgresOptions, private};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::figures::Output;
use crate::season::season_at;

/// The password of the roles on a benchmark's own server, which lives for one run.
const PASSWORD: &str = "bench";

/// The settings worth knowing with a figure.
const SETTINGS: &str = "select string_agg(name || '=' || current_setting(name), ' ' order by name)
    from pg_settings where name in ('shared_buffers', 'max_wal_size', 'checkpoint_timeout',
    'wal_compression', 'wal_sync_method', 'synchronous_commit', 'fsync', 'full_page_writes')";

/// How many WAL files, of 16 MiB each, a server is given to write over: what some minutes write.
const SEASONED_WAL_FILES: usize = 192;

/// A Postgres server.
pub(crate) struct Server {
    own: Option<(Postgres, PathBuf)>,
    superuser: PgConnectOptions,
    /// How the roles of a deployment log in; empty where they are the benchmark's alone.
    deployed: HashMap<Role, PgConnectOptions>,
}

impl Server {
    /// The one at `url` (a superuser's), or one started for this run.
    pub(crate) async fn start(url: Option<&str>) -> anyhow::Result<Self> {
        if let Some(url) = url {
            let superuser = PgConnectOptions::from_str(url)?;
            return Ok(Self { own: None, superuser, deployed: HashMap::new() });
        }
        let dir = std::env::temp_dir().join(unique("runut-bench"));
        private::make_folder(&dir).context("a folder for the server")?;
        let binaries = Binaries::locate(None)?;
        let postgres = Postgres::start(PostgresOptions::new(&dir, binaries, PASSWORD)).await?;
        let superuser = PgConnectOptions::from_str(&postgres.url())?;
        Ok(Self { own: Some((postgres, dir)), superuser, deployed: HashMap::new() })
    }

    /// The one that a deployment runs on. Roles are of the whole server, so theirs keep their passwords.
    pub(crate) fn of(stack: &Stack) -> anyhow::Result<Self> {
        let options = |variable| anyhow::Ok(stack.endpoint(variable)?.parse::<PgConnectOptions>()?);
        let superuser = options("DATABASE_ADMIN_URL")?;
        let mut deployed = HashMap::new();
        for role in Role::ALL {
            deployed.insert(role, options(url_variable(role))?);
        }
        Ok(Self { own: None, superuser, deployed })
    }

    /// Prints what the figures rest on.
    pub(crate) async fn describe(&self) -> anyhow::Result<()> {
        let mut db = self.connect("postgres").await?;
        let durability = Durability::read(&mut db).await?;
        let settings: String = sqlx::query_scalar(SETTINGS).fetch_one(&mut db).await?;
        let cores = std::thread::available_parallelism()?;
        let version = durability.server_version;
        Output::remark(&format!("PostgreSQL {version}, {cores} cores; {settings}"));
        Ok(())
    }

    /// Gives the server WAL files to write over; see [`season`](crate::season()).
    pub(crate) async fn season(&self) -> anyhow::Result<()> {
        let options = self.superuser.clone().database("postgres").disable_statement_logging();
        season_at(&options, SEASONED_WAL_FILES).await
    }

    async fn connect(&self, database: &str) -> anyhow::Result<PgConnection> {
        let options = self.superuser.clone().database(database).disable_statement_logging();
        Ok(PgConnection::connect_with(&options).await?)
    }

    /// A migrated, empty log.
    pub(crate) async fn database(&self) -> anyhow::Result<LogDatabase> {
        let name = unique("bench");
        let mut admin = self.connect("postgres").await?;
        sqlx::raw_sql(AssertSqlSafe(format!("create database {name}"))).execute(&mut admin).await?;
        let mut owner = self.connect(&name).await?;
        migrations::apply(&mut owner).await?;
        if self.deployed.is_empty() {
            for role in Role::ALL {
                migrations::set_password(&mut owner, role, PASSWORD).await?;
            }
        }
        let (server, deployed) = (self.superuser.clone(), self.deployed.clone());
        Ok(LogDatabase { server, deployed, name })
    }

    /// Removes a database that is not needed any more.
    pub(crate) async fn remove(&self, database: LogDatabase) -> anyhow::Result<()> {
        let mut admin = self.connect("postgres").await?;
        let drop = format!("drop database {} with (force)", database.name);
        sqlx::raw_sql(AssertSqlSafe(drop)).execute(&mut admin).await?;
        Ok(())
    }

    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        if let Some((postgres, dir)) = self.own {
            postgres.destroy().await?;
            std::fs::remove_dir_all(dir)?;
        }
        Ok(())
    }
}

#[expect(clippy::disallowed_methods, reason = "a benchmark takes its names from the machine")]
fn unique(kind: &str) -> String {
    format!("{kind}_{}", Uuid::now_v7().simple())
}

/// The variable of `endpoints.env` that has a role's URL.
const fn url_variable(role: Role) -> &'static str {
    match role {
        Role::Application => "DATABASE_URL",
        Role::Projector => "DATABASE_PROJECTOR_URL",
        Role::Query => "DATABASE_QUERY_URL",
        Role::Auditor => "DATABASE_AUDITOR_URL",
        Role::Pruner => "DATABASE_PRUNER_URL",
    }
}

/// A log.
#[derive(Debug)]
pub(crate) struct LogDatabase {
    server: PgConnectOptions,
    deployed: HashMap<Role, PgConnectOptions>,
    name: String,
}

impl LogDatabase {
    pub(crate) async fn owner(&self) -> anyhow::Result<PgConnection> {
        let options = self.server.clone().database(&self.name).disable_statement_logging();
        Ok(PgConnection::connect_with(&options).await?)
    }

    pub(crate) fn url(&self, role: Role) -> String {
        let login = self
            .deployed
            .get(&role)
            .cloned()
            .unwrap_or_else(|| self.server.clone().username(role.login()).password(PASSWORD));
        login.database(&self.name).to_url_lossy().to_string()
    }

    pub(crate) async fn connect(&self, role: Role) -> anyhow::Result<PgConnection> {
        let options = event_store::log::connect_options(&self.url(role))?;
        Ok(event_store::log::connect(&options).await?)
    }

    /// A connection as the sequencer has one.
    pub(crate) async fn connect_to_append(&self) -> anyhow::Result<PgConnection> {
        let options = event_store::log::connect_options(&self.url(Role::Application))?;
        let options = event_store::log::append_options(options);
        Ok(event_store::log::connect(&options).await?)
    }

    /// Writes dirty pages and takes statistics, so that no measurement pays for what came before it.
    pub(crate) async fn settle(&self) -> anyhow::Result<()> {
        let mut owner = self.owner().await?;
        sqlx::raw_sql("vacuum analyze").execute(&mut owner).await?;
        sqlx::raw_sql("checkpoint").execute(&mut owner).await?;
        Ok(())
    }

    /// How many events the log holds.
    pub(crate) async fn events(&self) -> anyhow::Result<i64> {
        Ok(event_store::log::head(&mut self.owner().await?).await?.position.number())
    }

    /// A process that writes to this log.
    pub(crate) async fn writer(&self) -> anyhow::Result<Writer> {
        let options = StoreOptions {
            database_url: self.url(Role::Application),
            clock: Arc::new(SystemClock),
            ids: Arc::new(RandomIds),
        };
        let (store, sequencer) = EventStore::open(options).await?;
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(sequencer.run(shutdown.clone()));
        Ok(Writer { store, running, shutdown })
    }
}

/// A store and its sequencer.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) store: EventStore,
    running: JoinHandle<()>,
    shutdown: CancellationToken,
}

impl Writer {
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.shutdown.cancel();
        Ok(self.running.await?)
    }
}
