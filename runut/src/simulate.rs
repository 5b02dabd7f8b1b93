//! `runut simulate`: what is outside of Runut, as real servers that behave as they are told to.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use simulators::psp::{Options, Psp, WebhookTarget};
use tokio::io::AsyncReadExt;
use tokio_util::sync::CancellationToken;

use crate::env_file::{self, EnvFile};
use crate::signals::Signals;
use crate::{output, roles};

/// Run a server that Runut would find outside of itself.
#[derive(Args)]
pub(crate) struct Simulate {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// A payment service provider with a ledger of its own; the token of a payment's method says how it
    /// behaves.
    Psp(SimulatedPsp),
}

#[derive(Args)]
struct SimulatedPsp {
    /// What it is called; part of every id that it gives out.
    #[arg(long)]
    name: String,
    /// The file of its ledger; made if missing.
    #[arg(long, value_name = "FILE")]
    ledger: PathBuf,
    /// Where to listen; port 0 picks a free one, which is printed.
    #[arg(long, default_value = "127.0.0.1:0", env = "RUNUT_LISTEN")]
    listen: SocketAddr,
    /// The key to its API.
    #[arg(long, env = "RUNUT_PSP_API_KEY", hide_env_values = true)]
    api_key: String,
    /// Where it sends its webhooks; nowhere if not given.
    #[arg(long, requires = "webhook_secret")]
    webhook_url: Option<String>,
    /// What it signs them with.
    #[arg(long, env = "RUNUT_PSP_WEBHOOK_SECRET", hide_env_values = true)]
    webhook_secret: Option<String>,
    /// A file to write `URL=…` to when ready; removed at the end, and at the start if it is there.
    #[arg(long, value_name = "PATH")]
    endpoints_file: Option<PathBuf>,
    /// Stop when standard input ends: when whoever started this is gone.
    #[arg(long)]
    with_parent: bool,
}

impl Simulate {
    /// Serves until the first signal.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let signals = Signals::listen()?;
        let What::Psp(psp) = self.what;
        signals.unless_quit(psp.serve(&signals)).await?;
        Ok(ExitCode::SUCCESS)
    }
}

impl SimulatedPsp {
    async fn serve(self, signals: &Signals) -> anyhow::Result<()> {
        let Self { name, ledger, listen, api_key, webhook_url, webhook_secret, .. } = self;
        if let Some(path) = &self.endpoints_file {
            env_file::remove(path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        let listener = roles::listen(listen).await?;
        let url = roles::url_of(&listener)?;
        let webhook = webhook_url.zip(webhook_secret);
        let webhook = webhook.map(|(url, secret)| WebhookTarget { url, secret });
        let options = Options { name: name.clone(), listener, ledger, api_key, webhook };
        let psp = Psp::open(options).context("the simulated PSP cannot be started")?;
        if let Some(path) = &self.endpoints_file {
            let mut file = EnvFile::default();
            file.set("URL", url.as_str());
            file.write(path, &format!("Where the simulated PSP {name} is, as long as it runs."))?;
        }
        output::line(format_args!("psp {name} {url}"));
        let stop = CancellationToken::new();
        let ended = async {
            tokio::select! {
                () = signals.stop() => {}
                () = parent_gone(), if self.with_parent => {}
            }
            stop.cancel();
        };
        tokio::join!(psp.run(stop.clone()), async {
            tokio::select! { () = ended => {}, () = stop.cancelled() => {} }
        });
        if let Some(path) = &self.endpoints_file {
            env_file::remove(path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        Ok(())
    }
}

/// Until the other end of standard input is closed, as it is when its process ends, however that ends.
async fn parent_gone() {
    let mut input = tokio::io::stdin();
    let mut ignored = [0_u8; 64];
    while matches!(input.read(&mut ignored).await, Ok(1..)) {}
}
