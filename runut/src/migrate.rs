//! `runut migrate`: brings the schema up to date, as the owner of the database.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use migrations::Role;

use crate::database::Database;
use crate::env_file::EnvFile;
use crate::output;

/// Bring the schema of a database up to date. Safe to run again, and before the services are
/// updated.
#[derive(Args)]
pub(crate) struct Migrate {
    /// The database, as its owner.
    #[arg(long, env = "DATABASE_ADMIN_URL", hide_env_values = true)]
    database_url: String,
    /// A file of lines APPLICATION_PASSWORD=…, PROJECTOR_PASSWORD=…, QUERY_PASSWORD=…,
    /// AUDITOR_PASSWORD=…, PRUNER_PASSWORD=…; the passwords in it are set, others stay as they are.
    #[arg(long, value_name = "FILE")]
    role_passwords_from: Option<PathBuf>,
}

/// The name under which a file holds the password of a role.
pub(crate) const fn password_variable(role: Role) -> &'static str {
    match role {
        Role::Application => "APPLICATION_PASSWORD",
        Role::Projector => "PROJECTOR_PASSWORD",
        Role::Query => "QUERY_PASSWORD",
        Role::Auditor => "AUDITOR_PASSWORD",
        Role::Pruner => "PRUNER_PASSWORD",
    }
}

impl Migrate {
    /// Migrates; waits for the server.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let passwords = self.passwords()?;
        let database = Database::named(&self.database_url)?;
        let left = database.migrate(&passwords).await?;
        output::line("the schema is up to date");
        for what in left {
            output::line(format_args!(
                "every role may still use {what}: only a superuser can revoke it"
            ));
        }
        for (role, _) in passwords {
            output::line(format_args!("the password of {} is set", role.login()));
        }
        Ok(ExitCode::SUCCESS)
    }

    fn passwords(&self) -> anyhow::Result<Vec<(Role, String)>> {
        let Some(path) = &self.role_passwords_from else { return Ok(Vec::new()) };
        let file = EnvFile::read(path)?;
        let file = file.with_context(|| format!("there is no {}", path.display()))?;
        let password = |role| Some((role, file.get(password_variable(role))?.to_owned()));
        let passwords: Vec<_> = Role::ALL.into_iter().filter_map(password).collect();
        if passwords.is_empty() {
            bail!("{} has no password of any role", path.display());
        }
        Ok(passwords)
    }
}
