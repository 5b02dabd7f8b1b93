//! `runut merchants`: taking merchants on, without an API key.

use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use domain::merchants::{FeeTerms, RegisterMerchant};
use domain::{Command, MerchantId, Name};

use crate::administration::{give, with_log};
use crate::output;

const ACTOR: &str = "runut-merchants";

/// Register merchants.
#[derive(Args)]
pub(crate) struct Merchants {
    #[command(subcommand)]
    command: MerchantsCommand,
}

#[derive(Subcommand)]
enum MerchantsCommand {
    /// Register a merchant, without fees, and print its id.
    Register {
        /// What it trades as.
        #[arg(long, value_parser = Name::parse)]
        name: Name,
        /// The database, as the role `runut_app`.
        #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
        database_url: String,
    },
}

impl Merchants {
    /// Carries the command out.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let MerchantsCommand::Register { name, database_url } = self.command;
        let registering = with_log(&database_url, async move |store| {
            let merchant_id = MerchantId::from_uuid(store.ids().next());
            let command = RegisterMerchant { merchant_id, name, fees: FeeTerms::free() };
            give(store, ACTOR, Command::RegisterMerchant(command)).await??;
            Ok(merchant_id)
        });
        output::line(registering.await.context("the merchant was not registered")?);
        Ok(ExitCode::SUCCESS)
    }
}
