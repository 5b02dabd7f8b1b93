//! The hostile gate: an honest merchant pays at a steady rate while attackers do what they can with connections,
//! keys, webhooks and clocks, and the deployment stays small, quick and right.
//!
//! Everything is on loopback and bounded, in count and in time. The attackers have a runtime and addresses of
//! their own (127.0.0.66), so that what they cost is not taken for the slowness of the service, and shares for
//! each peer can be told from those for all.
//!
//! An attack is a file in [`attacks`]; what has to hold is in [`verdict`].

mod attacks;
mod ground;
mod honest;
mod live;
mod memory;
mod preparation;
mod sockets;
mod verdict;
mod webhook;
mod wire;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use clap::Args;
use demo::say;
use demo::stack::fresh_dir;
use serde_json::json;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use self::attacks::Attack;
use self::ground::Ground;
use self::honest::{Honest, Load};
use self::live::LiveWatch;
use self::memory::{MEMORY_BYTES_MAX, MemoryWatch};
use self::preparation::Preparation;
use self::verdict::Verdict;
use crate::deployment::{Deployment, Plan};
use crate::proof;

/// The command-api and the workers whose clock leaps.
const SKEWED_COMMAND_API: &str = "skewed-command-api";
const SKEWED_WORKERS: &str = "skewed-workers";
const FOLDER: &str = "runut-hostile";
/// Requests a second with one API key: three times what the honest merchant needs.
const RATE_LIMIT_PER_S: u32 = 300;
/// How long the honest merchant pays before the attack, so that caches are warm and there is something to
/// compare with.
const CALM: Duration = Duration::from_secs(5);
/// How long connections of attackers may stay after the attack: twice the longest that a connection may idle.
const CUT_OFF_MAX: Duration = Duration::from_secs(60);
const CUT_OFF_POLL: Duration = Duration::from_millis(500);
/// How long after the attack an attack's own tasks may take to end: their longest time-out.
const ATTACK_END_MAX: Duration = Duration::from_secs(30);

/// What to attack with, and for how long.
#[derive(Debug, Args)]
#[group(skip)]
pub(crate) struct Options {
    /// How long the attack lasts.
    #[arg(long, default_value_t = 60, requires = "hostile",
          value_parser = clap::value_parser!(u64).range(5..=600))]
    seconds: u64,
    /// Only these attacks; all where none is named.
    #[arg(long, value_delimiter = ',', requires = "hostile")]
    attacks: Vec<String>,
    /// How many hundredths of its rates each side keeps to, for a build that is not optimized or a slow machine.
    #[arg(long, default_value_t = 100, requires = "hostile",
          value_parser = clap::value_parser!(u32).range(1..=100))]
    percent: u32,
    /// How many hundredths of their rates attackers keep to besides: how much a machine bears beside the honest
    /// merchant.
    #[arg(long, default_value_t = 100, requires = "hostile",
          value_parser = clap::value_parser!(u32).range(1..=100))]
    attack_percent: u32,
    /// Have workers in a process of their own carry out payments too, with the clock that leaps: a third process that
    /// appends to one log, for which each payment waits.
    #[arg(long, requires = "hostile")]
    leaping_workers: bool,
    /// The longest, in milliseconds, that ninety-nine of a hundred honest payments, and answers of
    /// `/health/live`, may take.
    #[arg(long, default_value_t = 250, requires = "hostile")]
    p99_ms: u32,
    /// The figures as one JSON object a line.
    #[arg(long, requires = "hostile")]
    json: bool,
}

/// Runs it to its end; `false` when anything does not hold.
pub(crate) async fn run(options: Options, data: Option<PathBuf>) -> anyhow::Result<bool> {
    if options.json {
        demo::keep_output_for_programs();
    }
    let attacks = chosen(&options.attacks)?;
    let started = Instant::now();
    let offset_file = fresh_dir(FOLDER).join("clock-offset");
    let deployment = Deployment::start(data, plan(&offset_file, options.leaping_workers)).await?;
    let ready = started.elapsed().as_secs_f64();
    let cores = std::thread::available_parallelism()?;
    let leaping = if options.leaping_workers { "command-api and workers" } else { "command-api" };
    say(&format!(
        "runut up, beside it a {leaping} with a clock that can be moved, three PSPs: ready after {ready:.1} s; \
         {cores} cores for these, the honest merchant and the attackers; memory {}",
        memory::bound()
    ));
    let mut verdict = Verdict::new(options.json, options.p99_ms);
    verdict.figure(&json!({
        "run": "hostile", "cores": cores, "seconds": options.seconds, "percent": options.percent,
        "attack_percent": options.attack_percent, "leaping_workers": options.leaping_workers,
        "memory_bound": memory::bound(),
    }))?;
    let outcome = attacked(&deployment, attacks, &options, offset_file, &mut verdict).await;
    deployment.stop().await?;
    outcome?;
    let (held, took) = (verdict.held(), started.elapsed().as_secs_f64());
    let end = if held { "everything holds" } else { "SOMETHING DOES NOT HOLD" };
    say(&format!("{end}; {took:.1} s in all"));
    Ok(held)
}

fn chosen(names: &[String]) -> anyhow::Result<Vec<Box<dyn Attack>>> {
    let mut attacks = attacks::all();
    if names.is_empty() {
        return Ok(attacks);
    }
    if let Some(unknown) = names.iter().find(|name| attacks.iter().all(|one| one.name() != **name))
    {
        let known: Vec<&str> = attacks.iter().map(|attack| attack.name()).collect();
        bail!("no attack is called `{unknown}`: there are {}", known.join(", "));
    }
    attacks.retain(|attack| names.iter().any(|name| name == attack.name()));
    Ok(attacks)
}

/// `runut up` with a right clock has everything; beside it, a command-api with one that leaps, and workers if asked for.
fn plan(offset_file: &std::path::Path, leaping_workers: bool) -> Plan {
    let offset_file = offset_file.display().to_string();
    let limit = RATE_LIMIT_PER_S.to_string();
    let memory_mib = (MEMORY_BYTES_MAX >> 20).to_string();
    let owned =
        |words: &[&str]| -> Vec<String> { words.iter().map(|word| (*word).to_owned()).collect() };
    let skewed = ["--clock-offset-file", &offset_file];
    let command_api = ["command-api", "--no-mirror", "--rate-limit", &limit];
    let mut roles = vec![(SKEWED_COMMAND_API, owned(&[&command_api[..], &skewed].concat()))];
    if leaping_workers {
        roles.push((SKEWED_WORKERS, owned(&[&["workers"][..], &skewed].concat())));
    }
    Plan {
        name: FOLDER,
        up: owned(&["--rate-limit", &limit, "--memory-mib", &memory_mib]),
        roles,
        psps: json!({
            "timeouts": {"connect_ms": 500, "request_ms": 3000, "total_ms": 8000},
            "policy": {"ask_after_ms": 9000, "ask_pause_ms": 100, "ask_pause_max_ms": 2000,
                       "not_found_grace_ms": 1000, "unsent_retry_pause_ms": 200}
        }),
    }
}

/// The attackers' own runtime, of one thread: they cannot have more than one processor.
struct Attackers(Option<Runtime>);

impl Attackers {
    fn new() -> anyhow::Result<Self> {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).thread_name("attacker").enable_all();
        Ok(Self(Some(builder.build().context("a runtime for the attackers")?)))
    }

    fn start(&self, attack: &dyn Attack, ground: &Arc<Ground>) -> anyhow::Result<Started> {
        let runtime = self.0.as_ref().context("the attackers' runtime")?;
        let work = attack.start(Arc::clone(ground));
        Ok(Started { name: attack.name(), bounds: attack.bounds(), work: runtime.spawn(work) })
    }
}

impl Drop for Attackers {
    fn drop(&mut self) {
        // A runtime may not be waited for where other tasks run.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// An attack under way.
struct Started {
    name: &'static str,
    bounds: &'static str,
    work: tokio::task::JoinHandle<anyhow::Result<attacks::Report>>,
}

/// Calm, attack, the end of what attackers left, and what has to hold then.
async fn attacked(
    deployment: &Deployment,
    attacks: Vec<Box<dyn Attack>>,
    options: &Options,
    offset_file: PathBuf,
    verdict: &mut Verdict,
) -> anyhow::Result<()> {
    let (span, percent) = (Duration::from_secs(options.seconds), options.percent);
    let attack_percent = (percent * options.attack_percent / 100).max(1);
    let prepared = Preparation::make(deployment).await?;
    let honest = Arc::new(Honest::open(deployment, percent).await?);
    let exceeded = CancellationToken::new();
    let memory = MemoryWatch::start(exceeded.clone());
    say(&format!("the honest merchant pays for {} s in peace", CALM.as_secs()));
    let mut load = Arc::clone(&honest).pay_steadily("calm", CALM).await?;
    verdict.figure(&load.figure("honest merchant, before the attack"))?;
    let calm_p99_ms = load.latencies.millis(0.99);
    let before = memory.attack_begins();

    let genuine = webhook::genuine(deployment, &load).await?;
    let ground =
        Arc::new(Ground::new(deployment, prepared, genuine, offset_file, (span, attack_percent))?);
    let live = LiveWatch::start(deployment, &ground, options.leaping_workers)?;
    let attackers = Attackers::new()?;
    let started: Vec<Started> = attacks
        .iter()
        .map(|attack| attackers.start(attack.as_ref(), &ground))
        .collect::<anyhow::Result<_>>()?;
    say(&format!("{} attacks for {} s", started.len(), span.as_secs()));
    let all = async {
        let under_attack = tokio::try_join!(
            Arc::clone(&honest).pay_steadily("attacked", span),
            Arc::clone(&honest).pay_through_both(span),
            Arc::clone(&honest).run_errands(span),
        )?;
        reports(started, verdict).await?;
        anyhow::Ok(under_attack)
    };
    let (paid, through_both, errands) = tokio::select! {
        ended = all => ended?,
        () = exceeded.cancelled() => {
            verdict.memory(before, memory.end())?;
            return Ok(());
        }
    };
    let live = live.end().await?;
    let cut = tokio::select! {
        cut = cut_off(&ground) => cut?,
        () = exceeded.cancelled() => (0, 0),
    };
    verdict.honest(calm_p99_ms, &paid, &through_both, &errands)?;
    verdict.live(&live)?;
    verdict.memory(before, memory.end())?;
    verdict.cut_off(cut.0, cut.1)?;
    load.add(paid);
    load.add(through_both.load);
    prove(deployment, &honest, load, verdict).await
}

/// What the attacks report, each in time.
async fn reports(started: Vec<Started>, verdict: &mut Verdict) -> anyhow::Result<()> {
    let deadline = tokio::time::Instant::now() + ATTACK_END_MAX;
    for Started { name, bounds, work } in started {
        let ended = tokio::time::timeout_at(deadline, work).await;
        let report = match ended {
            Ok(joined) => joined.context("an attack")?,
            Err(_) => Err(anyhow::anyhow!("it did not end {} s after", ATTACK_END_MAX.as_secs())),
        };
        verdict.attack(name, bounds, report)?;
    }
    Ok(())
}

/// Waits until the attackers' connections are cut; how many there were, and how many stayed.
async fn cut_off(ground: &Ground) -> anyhow::Result<(usize, usize)> {
    let deadline = Instant::now() + CUT_OFF_MAX;
    let held = ground.held_ports();
    loop {
        let open = sockets::open_at_servers(&ground.server_ports(), &held)?;
        if open == 0 || Instant::now() >= deadline {
            return Ok((held.len(), open));
        }
        tokio::time::sleep(CUT_OFF_POLL).await;
    }
}

/// The books, once all is at rest; what keeps them from that is said, and is no reason not to say the rest.
async fn prove(
    deployment: &Deployment,
    honest: &Honest,
    load: Load,
    verdict: &mut Verdict,
) -> anyhow::Result<()> {
    let (asked, unanswered) = honest.ask_for_all(load).await?;
    let detail = format!("{} are, {unanswered} are not", asked.len());
    verdict.check("payments: each is answered when it is asked again", unanswered == 0, &detail)?;
    let found = match proof::at_rest(deployment, asked.len()).await {
        Ok(payments) => {
            let others = payments.iter().filter(|payment| payment["state"] != "captured").count();
            let detail = format!("{} payments, {others} are not", payments.len());
            verdict.check("every payment is captured", others == 0, &detail)?;
            proof::examine(deployment, &asked, &payments).await
        }
        Err(error) => {
            verdict.check("payments come to rest", false, &format!("{error:#}"))?;
            proof::audit(deployment).await
        }
    };
    match found {
        Ok(found) => found.into_iter().try_for_each(|(what, held)| verdict.check(what, held, "")),
        Err(error) => verdict.check("the books can be examined", false, &format!("{error:#}")),
    }
}
