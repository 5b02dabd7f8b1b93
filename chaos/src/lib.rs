//! The chaos gate: payments at three PSPs that do everything that PSPs do, through processes that are killed,
//! and in the end one charge each, one entry each, and the same sums on both sides.
//!
//! What goes wrong is fixed, not drawn: tokens go round, and processes die when so many payments were
//! answered. What is not fixed is where exactly that finds them.

mod deployment;
mod proof;
mod storm;

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;

use crate::deployment::Deployment;

/// Payments through PSPs and processes that fail in every way; ends well only if nothing is left undone,
/// done twice or booked otherwise than the PSPs have it.
#[derive(Debug, Args)]
pub struct Chaos {
    /// How many payments.
    #[arg(long, default_value_t = 500)]
    payments: usize,
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
        let started = Instant::now();
        let mut deployment = Deployment::start(self.data).await?;
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

/// What the person who watches is told.
#[expect(clippy::print_stdout, reason = "telling what happens is what this program is for")]
pub(crate) fn say(text: &str) {
    println!("{text}");
}
