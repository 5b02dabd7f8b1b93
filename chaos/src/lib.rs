//! The chaos gates: deployments of real processes that meet what goes wrong, and what has to hold all the same.
//!
//! * Without `--hostile`: payments at three PSPs that do everything that PSPs do, through processes that are
//!   killed, and in the end one charge each, one entry each, and the same sums on both sides. What goes wrong is
//!   fixed, not drawn: tokens go round, and processes die when so many payments were answered. What is not
//!   fixed is where exactly that finds them.
//! * With `--hostile`: an honest merchant pays at a steady rate while others do what they can with connections,
//!   keys, webhooks and clocks ([`hostile`]).

mod deployment;
mod hostile;
mod proof;
mod storm;

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;
use demo::say;

use crate::deployment::Deployment;

/// Payments through PSPs and processes that fail in every way, or among attackers; ends well only if nothing is
/// left undone, done twice or booked otherwise than the PSPs have it.
#[derive(Debug, Args)]
pub struct Chaos {
    /// How many payments.
    #[arg(long, default_value_t = 500)]
    payments: usize,
    /// Attack the deployment instead, while an honest merchant pays.
    #[arg(long, conflicts_with = "payments")]
    hostile: bool,
    #[command(flatten)]
    attack: hostile::Options,
    /// Where the deployment keeps its data; a new folder that is removed again where none is given.
    #[arg(long)]
    data: Option<PathBuf>,
}

impl Chaos {
    /// Runs it to its end; `false` when anything does not hold.
    ///
    /// # Errors
    /// Whatever kept it from getting to its end.
    pub async fn run(self) -> anyhow::Result<bool> {
        if self.hostile {
            return hostile::run(self.attack, self.data).await;
        }
        let started = Instant::now();
        let mut deployment = Deployment::start(self.data, storm::plan()).await?;
        let ready = started.elapsed().as_secs_f64();
        say(&format!("three PSPs, two command-apis, two workers, all ready after {ready:.1} s"));
        let outcome = go(&mut deployment, self.payments).await;
        deployment.stop().await?;
        let held = outcome?;
        let verdict = if held { "everything holds" } else { "SOMETHING DOES NOT HOLD" };
        say(&format!("{verdict}; {:.1} s in all", started.elapsed().as_secs_f64()));
        Ok(held)
    }
}

async fn go(deployment: &mut Deployment, payments: usize) -> anyhow::Result<bool> {
    let began = Instant::now();
    let asked = storm::rage(deployment, payments).await?;
    say(&format!("{payments} payments asked for in {:.1} s", began.elapsed().as_secs_f64()));
    proof::check(deployment, &asked).await
}
