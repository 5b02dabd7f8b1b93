//! `runut mirror reset`: what a person does about a mirror that stopped with an alarm.

use std::process::ExitCode;

use anyhow::{anyhow, bail};
use clap::{Args, Subcommand};
use event_store::mirror::{self, LogStream, NATS_TIMEOUT, connect_nats};

use crate::output;

/// Look after the mirror of the log in NATS.
#[derive(Args)]
pub(crate) struct Mirror {
    #[command(subcommand)]
    command: MirrorCommand,
}

#[derive(Subcommand)]
enum MirrorCommand {
    /// Remove the stream; the running mirror makes a new one from the log, which loses nothing.
    Reset {
        /// NATS.
        #[arg(long, env = "NATS_URL", hide_env_values = true)]
        nats_url: String,
        /// Really remove it.
        #[arg(long)]
        yes: bool,
    },
}

impl Mirror {
    /// Carries the command out.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let MirrorCommand::Reset { nats_url, yes } = self.command;
        let stream = LogStream::default();
        if !yes {
            bail!(
                "this removes the stream `{}` with all that is in it; say --yes if nothing in it is \
                 needed that the log does not have",
                stream.name()
            );
        }
        let client = connect_nats(&nats_url, "runut mirror reset").await?;
        let mut jetstream = async_nats::jetstream::new(client);
        jetstream.set_timeout(NATS_TIMEOUT);
        mirror::reset(&jetstream, &stream)
            .await
            .map_err(|reason| anyhow!("the stream cannot be removed: {reason}"))?;
        output::line(format_args!("the stream `{}` is removed", stream.name()));
        Ok(ExitCode::SUCCESS)
    }
}
