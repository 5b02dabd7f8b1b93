//! The processes that are there to be killed, or to be lied to by their clocks.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::Context;
use demo::stack::{Stack, end, fresh_dir, program, read_when_there};
use serde_json::{Value, json};
use supervisor::{free_port, private};
use tokio::process::Child;

const PSPS: [&str; 3] = ["alpha", "beta", "gamma"];
const PSP_API_KEY: &str = "chaos-psp-key";
/// What the PSPs sign their webhooks with.
pub(crate) const PSP_WEBHOOK_SECRET: &str = "whsec_chaos";

/// What a deployment consists of besides `runut up` and the PSPs.
#[derive(Debug)]
pub(crate) struct Plan {
    /// What its folder for the PSPs is called.
    pub(crate) name: &'static str,
    /// What `runut up` is told.
    pub(crate) up: Vec<String>,
    /// The roles in processes of their own: what they are called, and their arguments to `runut serve`.
    pub(crate) roles: Vec<(&'static str, Vec<String>)>,
    /// How long PSPs may take, and what follows.
    pub(crate) psps: Value,
}

/// A process of the deployment that can be killed and started again.
#[derive(Debug)]
struct Process {
    name: &'static str,
    arguments: Vec<String>,
    child: Child,
    url: String,
}

/// Everything, each role that is tried in a process of its own.
#[derive(Debug)]
pub(crate) struct Deployment {
    stack: Stack,
    psps: Vec<(&'static str, String, Child)>,
    processes: Vec<Process>,
    environment: HashMap<&'static str, String>,
    folder: PathBuf,
}

impl Deployment {
    pub(crate) async fn start(data: Option<PathBuf>, plan: Plan) -> anyhow::Result<Self> {
        let folder = fresh_dir(plan.name);
        private::make_folder(&folder)?;
        let port = free_port()?;
        let mut psps = Vec::new();
        for name in PSPS {
            psps.push(start_psp(&folder, name, port).await?);
        }
        let config = folder.join("psps.json");
        private::write(&config, psps_config(&psps, &plan.psps).to_string().as_bytes())?;
        let config = config.display().to_string();
        let port = port.to_string();
        let mut arguments = vec!["--command-port", &port, "--psps-file", &config];
        arguments.extend(plan.up.iter().map(String::as_str));
        let stack = Stack::start_with(data, &arguments).await?;
        let mut environment = HashMap::from([("RUNUT_PSPS_FILE", config.clone())]);
        for name in ["DATABASE_URL", "DATABASE_PRUNER_URL", "NATS_URL"] {
            environment.insert(name, stack.endpoint(name)?);
        }
        let processes = Vec::new();
        let mut deployment = Self { stack, psps, processes, environment, folder };
        for (name, arguments) in plan.roles {
            let (child, url) = deployment.serve(name, &arguments).await?;
            deployment.processes.push(Process { name, arguments, child, url });
        }
        Ok(deployment)
    }

    async fn serve(&self, name: &str, arguments: &Vec<String>) -> anyhow::Result<(Child, String)> {
        let file = self.folder.join(format!("{name}.env"));
        let mut command = program()?;
        command.arg("serve").args(arguments).args(["--listen", "127.0.0.1:0"]);
        command.arg("--endpoints-file").arg(&file).envs(&self.environment).stdout(Stdio::null());
        let mut child = command.spawn().with_context(|| format!("runut serve {name}"))?;
        let endpoints = read_when_there(&file, &mut child).await?;
        Ok((child, endpoints.get("URL").cloned().context("no URL")?))
    }

    /// Where the process of this name answers.
    pub(crate) fn url_of(&self, name: &str) -> anyhow::Result<String> {
        let process = self.processes.iter().find(|process| process.name == name);
        Ok(process.with_context(|| format!("no process {name}"))?.url.clone())
    }

    pub(crate) fn endpoint(&self, name: &str) -> anyhow::Result<String> {
        self.stack.endpoint(name)
    }

    /// The PSPs and where they are.
    pub(crate) fn psps(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.psps.iter().map(|(name, url, _)| (*name, url.as_str()))
    }

    pub(crate) fn psp_api_key(&self) -> &'static str {
        PSP_API_KEY
    }

    /// Kills a process with -9 and starts it anew, where it was: callers keep its address.
    pub(crate) async fn kill(&mut self, name: &str) -> anyhow::Result<()> {
        if name == "nats" {
            return self.stack.kill_nats();
        }
        let at = self.processes.iter().position(|process| process.name == name);
        let at = at.with_context(|| format!("no process {name}"))?;
        self.processes[at].child.kill().await?;
        let address = self.processes[at].url.trim_start_matches("http://").to_owned();
        let mut arguments = self.processes[at].arguments.clone();
        arguments.extend(["--listen".to_owned(), address]);
        let file = self.folder.join(format!("{name}.env"));
        // Left by the one that was killed.
        drop(std::fs::remove_file(&file));
        let mut command = program()?;
        command.arg("serve").args(&arguments).arg("--endpoints-file").arg(&file);
        command.envs(&self.environment).stdout(Stdio::null());
        self.processes[at].child =
            command.spawn().with_context(|| format!("runut serve {name}"))?;
        Ok(())
    }

    /// Stops everything.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        for process in &mut self.processes {
            end(&mut process.child).await.with_context(|| process.name)?;
        }
        self.stack.stop().await?;
        for (name, _, child) in &mut self.psps {
            end(child).await.with_context(|| format!("the PSP {name}"))?;
        }
        Ok(std::fs::remove_dir_all(&self.folder)?)
    }
}

async fn start_psp(
    folder: &Path,
    name: &'static str,
    command_port: u16,
) -> anyhow::Result<(&'static str, String, Child)> {
    let file = folder.join(format!("{name}.env"));
    let mut command = program()?;
    command.args(["simulate", "psp", "--name", name, "--ledger"]);
    command.arg(folder.join(format!("{name}.ndjson"))).arg("--endpoints-file").arg(&file);
    let webhook_url = format!("http://127.0.0.1:{command_port}/v1/webhooks/{name}");
    command.arg("--webhook-url").arg(webhook_url);
    command.env("RUNUT_PSP_API_KEY", PSP_API_KEY);
    command.env("RUNUT_PSP_WEBHOOK_SECRET", PSP_WEBHOOK_SECRET).stdout(Stdio::null());
    let mut child = command.spawn().context("runut simulate psp")?;
    let endpoints = read_when_there(&file, &mut child).await?;
    Ok((name, endpoints.get("URL").cloned().context("no URL")?, child))
}

fn psps_config(psps: &[(&'static str, String, Child)], plan: &Value) -> Value {
    let psps: Vec<Value> = psps
        .iter()
        .map(|(name, url, _)| {
            json!({
                "name": name,
                "url": url,
                "api_key": PSP_API_KEY,
                "webhook_secret": PSP_WEBHOOK_SECRET,
                "timeouts": plan["timeouts"],
            })
        })
        .collect();
    json!({"psps": psps, "policy": plan["policy"]})
}
