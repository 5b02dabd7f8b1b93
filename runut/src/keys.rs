//! `runut keys`: API keys, without an API key. Whoever may write to the database may do this.

use std::process::ExitCode;

use anyhow::Context;
use api_conventions::ApiKeyToken;
use clap::{Args, Subcommand};
use domain::api_keys::{IssueApiKey, RevokeApiKey, Role};
use domain::{ApiKeyId, Command, MerchantId, Name};

use crate::administration::{give, with_log};
use crate::{output, random};

const ACTOR: &str = "runut-keys";

/// Issue and revoke API keys.
#[derive(Args)]
pub(crate) struct Keys {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Subcommand)]
enum KeysCommand {
    /// Issue a key and print it; it is shown this once.
    Issue(Issue),
    /// Revoke a key, for ever; running services obey within a second.
    Revoke(Revoke),
}

#[derive(Args)]
struct Issue {
    /// What the key allows: merchant, merchant_read, operator, auditor or analyst.
    #[arg(long)]
    role: Role,
    /// Whose ledger it opens (mer_…); for the roles merchant and merchant_read.
    #[arg(long, value_name = "ID")]
    merchant: Option<MerchantId>,
    /// What it is called.
    #[arg(long, value_parser = Name::parse)]
    label: Option<Name>,
    /// The database, as the role `runut_app`.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: String,
}

#[derive(Args)]
struct Revoke {
    /// The key (key_…): the public part, not the token.
    #[arg(value_name = "KEY_ID")]
    key: ApiKeyId,
    /// The database, as the role `runut_app`.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: String,
}

impl Keys {
    /// Carries the command out.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            KeysCommand::Issue(issue) => issue.run().await?,
            KeysCommand::Revoke(revoke) => revoke.run().await?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Issue {
    async fn run(self) -> anyhow::Result<()> {
        let Self { role, merchant, label, database_url } = self;
        let token = with_log(&database_url, async move |store| {
            let key_id = ApiKeyId::from_uuid(store.ids().next());
            let token = ApiKeyToken::generate(key_id, random::secret_bytes()?);
            let merchant_id = merchant.unwrap_or(MerchantId::PLATFORM);
            let secret = token.secret_digest();
            let command = IssueApiKey { key_id, merchant_id, role, label, secret };
            give(store, ACTOR, Command::IssueApiKey(command)).await??;
            Ok(token)
        });
        let token = token.await.context("the key was not issued")?;
        output::note(format_args!("{} ({}), shown this once:", token.key_id(), role.name()));
        output::line(token.expose());
        Ok(())
    }
}

impl Revoke {
    async fn run(self) -> anyhow::Result<()> {
        let key_id = self.key;
        let revoking = with_log(&self.database_url, async move |store| {
            let command = Command::RevokeApiKey(RevokeApiKey { key_id });
            Ok(give(store, ACTOR, command).await??)
        });
        revoking.await.context("the key was not revoked")?;
        output::line(format_args!("{key_id} is revoked"));
        Ok(())
    }
}
