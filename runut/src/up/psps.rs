//! The PSPs that payments go to: those of a file, or else three that are simulated.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, bail};
use domain::payments::{PaymentPolicy, PspName};
use gateways::{PspConfig, PspsConfig, Timeouts};
use supervisor::{free_port, private};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::secrets::Secrets;
use crate::env_file::EnvFile;
use crate::roles;
use crate::tasks::{Stage, Tasks};

/// What the simulated ones are called.
const SIMULATED: [&str; 3] = ["alpha", "beta", "gamma"];
/// How long a simulator that ended is left before it is started again.
const RESTART_PAUSE: Duration = Duration::from_millis(200);
/// Where their ledgers are, in the data folder.
const FOLDER: &str = "psps";
const CONFIG_FILE: &str = "psps.json";

/// The PSPs, and where they are for programs.
pub(super) struct Psps {
    pub(super) config: PspsConfig,
    pub(super) file: PathBuf,
    pub(super) simulated: bool,
}

impl Psps {
    /// Those of the file that was given.
    ///
    /// # Errors
    /// It cannot be used, or is what an earlier run wrote about simulators that are gone.
    pub(super) fn given(file: &Path, data: &Path) -> anyhow::Result<Self> {
        let ours = data.join(CONFIG_FILE).canonicalize();
        if ours.is_ok_and(|ours| file.canonicalize().is_ok_and(|file| file == ours)) {
            bail!(
                "{} is what this writes about its own simulated PSPs: leave --psps-file and RUNUT_PSPS_FILE out to \
                 have them started",
                file.display()
            );
        }
        let config = roles::workers::psps(file)?;
        Ok(Self { config, file: file.to_owned(), simulated: false })
    }

    /// Starts simulators, which are ready soon.
    pub(super) fn simulated(
        data: &Path,
        secrets: &Secrets,
        command_url: &str,
        tasks: &mut Tasks,
    ) -> anyhow::Result<Self> {
        let folder = data.join(FOLDER);
        private::make_folder(&folder)?;
        let mut psps = Vec::with_capacity(SIMULATED.len());
        for name in SIMULATED {
            let simulator = Simulator {
                name,
                ledger: folder.join(format!("{name}.ndjson")),
                port: free_port()?,
                api_key: secrets.psp_api_key()?.to_owned(),
                webhook_url: format!("{command_url}/v1/webhooks/{name}"),
                webhook_secret: secrets.psp_webhook_secret()?.to_owned(),
            };
            psps.push(simulator.config()?);
            tasks.spawn(Stage::Follow, "a simulated PSP", |stop| simulator.keep(stop));
        }
        let config = PspsConfig { psps, routing: Vec::new(), policy: PaymentPolicy::default() };
        let file = data.join(CONFIG_FILE);
        write_config(&config, &file)?;
        Ok(Self { config, file, simulated: true })
    }

    /// Where they are, for programs.
    pub(super) fn endpoints(&self) -> EnvFile {
        let mut endpoints = EnvFile::default();
        endpoints.set("RUNUT_PSPS_FILE", self.file.display().to_string());
        for psp in self.config.psps.iter().filter(|_| self.simulated) {
            let name = psp.name.as_str().to_uppercase();
            endpoints.set(&format!("PSP_{name}_URL"), psp.url.as_str().trim_end_matches('/'));
        }
        if let Some(psp) = self.config.psps.first().filter(|_| self.simulated) {
            endpoints.set("PSP_API_SECRET", psp.api_key.as_str());
        }
        endpoints
    }
}

/// Readable by its owner only: there are keys in it.
fn write_config(config: &PspsConfig, file: &Path) -> anyhow::Result<()> {
    let text = serde_json::to_string_pretty(config)?;
    let written = private::write(file, text.as_bytes());
    written.with_context(|| format!("cannot write {}", file.display()))
}

/// A simulated PSP in a process of its own.
struct Simulator {
    name: &'static str,
    ledger: PathBuf,
    port: u16,
    api_key: String,
    webhook_url: String,
    webhook_secret: String,
}

impl Simulator {
    fn config(&self) -> anyhow::Result<PspConfig> {
        Ok(PspConfig {
            name: self.name.parse::<PspName>()?,
            url: Url::parse(&format!("http://127.0.0.1:{}", self.port))?,
            api_key: self.api_key.clone(),
            webhook_secret: Some(self.webhook_secret.clone()),
            webhook_sources: Vec::new(),
            sale: true,
            timeouts: Timeouts::default(),
        })
    }

    /// Runs it until `stop`, and again if it ends before.
    async fn keep(self, stop: CancellationToken) {
        while !stop.is_cancelled() {
            match self.start() {
                Ok(mut child) => {
                    // Waiting for a child closes its standard input, unless that is somebody else's.
                    let input = child.stdin.take();
                    tokio::select! {
                        ended = child.wait() => {
                            let name = self.name;
                            tracing::warn!(name, ?ended, "a simulated PSP ended, it is started again");
                        }
                        () = stop.cancelled() => {
                            // It ends by itself when its standard input does.
                            drop(input);
                            drop(child.wait().await);
                            return;
                        }
                    }
                }
                Err(error) => {
                    let error: &dyn std::error::Error = error.as_ref();
                    tracing::error!(name = self.name, error, "a simulated PSP cannot be started");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(RESTART_PAUSE) => {}
                () = stop.cancelled() => {}
            }
        }
    }

    fn start(&self) -> anyhow::Result<Child> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["simulate", "psp", "--with-parent", "--name", self.name, "--ledger"])
            .arg(&self.ledger)
            .arg("--listen")
            .arg(format!("127.0.0.1:{}", self.port))
            .env("RUNUT_PSP_API_KEY", &self.api_key)
            .arg("--webhook-url")
            .arg(&self.webhook_url)
            .env("RUNUT_PSP_WEBHOOK_SECRET", &self.webhook_secret)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .kill_on_drop(true);
        command.spawn().context("runut simulate psp")
    }
}
