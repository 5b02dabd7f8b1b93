//! The database and messaging servers that run as children of this process.

use std::path::Path;

use anyhow::Context;
use supervisor::{Binaries, Nats, NatsOptions, Postgres, PostgresOptions};

/// What runs now. Stopped in order by [`Servers::stop`], or deleted by [`Servers::destroy`].
#[derive(Default)]
pub(crate) struct Servers {
    postgres: Option<Postgres>,
    nats: Option<Nats>,
}

impl Servers {
    /// Starts Postgres.
    pub(crate) async fn start_postgres(
        &mut self,
        options: PostgresOptions,
    ) -> anyhow::Result<&Postgres> {
        let started = Postgres::start(options).await.context("PostgreSQL cannot be started")?;
        Ok(self.postgres.insert(started))
    }

    /// Starts NATS.
    pub(crate) async fn start_nats(&mut self, options: NatsOptions) -> anyhow::Result<&Nats> {
        let started = Nats::start(options).await.context("NATS cannot be started")?;
        Ok(self.nats.insert(started))
    }

    /// Stops what runs, NATS first; Postgres even if that fails.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        let nats = match self.nats {
            Some(nats) => nats.stop().await.context("NATS cannot be stopped"),
            None => Ok(()),
        };
        let postgres = match self.postgres {
            Some(postgres) => postgres.stop().await.context("PostgreSQL cannot be stopped"),
            None => Ok(()),
        };
        nats.and(postgres)
    }

    /// Stops what runs and deletes all of its files in `dir`, and `dir` itself.
    pub(crate) async fn destroy(mut self, dir: &Path) -> anyhow::Result<()> {
        let postgres = match self.postgres.take() {
            // As root, its files may lie outside of `dir`.
            Some(postgres) => postgres.destroy().await.context("PostgreSQL cannot be removed"),
            None => Ok(()),
        };
        self.stop().await.and(postgres)?;
        std::fs::remove_dir_all(dir).with_context(|| format!("cannot remove {}", dir.display()))
    }
}

/// Finds the servers' binaries: of the checkout, else of the machine.
pub(crate) fn binaries() -> anyhow::Result<Binaries> {
    Ok(Binaries::locate(None)?)
}
