//! The demonstration: two marketplaces trade on a fresh deployment, over HTTP, through what goes wrong in
//! an ordinary week, customers pay through simulated PSPs, and at the end the books are held against what
//! they kept themselves.

mod books;
pub mod client;
mod money;
mod payments;
pub mod proof;
pub mod stack;
mod trading;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::Context;
use clap::Args;

use crate::client::Client;
use crate::stack::Stack;
use crate::trading::{Marketplace, Tally};

/// Two marketplaces trade on a fresh deployment; ends with the proof.
#[derive(Debug, Args)]
pub struct Demo {
    /// Deals that the two marketplaces make between them; about one in twenty-five is refused.
    #[arg(long, default_value_t = 10_500)]
    deals: usize,
    /// Where the deployment keeps its data; a new folder that is removed again where none is given.
    #[arg(long)]
    data: Option<PathBuf>,
}

impl Demo {
    /// Runs it to its end; `false` when anything does not hold.
    ///
    /// # Errors
    /// Whatever kept it from getting to its end.
    pub async fn run(self) -> anyhow::Result<bool> {
        let started = Instant::now();
        say("starting Postgres, NATS, command-api, mirror, projections, workers and query-api");
        let mut stack = Stack::start(self.data).await?;
        say(&format!("all ready after {:.1} s", started.elapsed().as_secs_f64()));
        let held = trade_and_prove(&mut stack, self.deals).await;
        stack.stop().await?;
        let held = held?;
        let verdict = if held { "everything holds" } else { "SOMETHING DOES NOT HOLD" };
        say(&format!("{verdict}; {:.1} s in all", started.elapsed().as_secs_f64()));
        Ok(held)
    }
}

/// The trade in three parts, with something happening between them, and the proof.
async fn trade_and_prove(stack: &mut Stack, deals: usize) -> anyhow::Result<bool> {
    let endpoint = |name: &str| stack.endpoint(name);
    let merchants =
        [("Pasar Baru", endpoint("MERCHANT_KEY")?), ("Toko Lama", endpoint("OTHER_MERCHANT_KEY")?)];
    let mut commands = vec![endpoint("COMMAND_URL")?];
    let mut marketplaces = Vec::new();
    for (name, key) in merchants {
        let client = Client::new(commands.clone(), key)?;
        marketplaces.push(Arc::new(Marketplace::open(name, client).await?));
    }
    let third = deals.div_ceil(6);
    let mut tally = Tally::default();
    let mut traded = Vec::new();
    for part in 0..3 {
        match part {
            1 => {
                commands.push(stack.second_command_api().await?);
                say("a second command-api process joins");
            }
            2 => {
                stack.kill_nats()?;
                say("NATS is killed and comes back while they trade");
            }
            _ => {}
        }
        let began = Instant::now();
        let parts = marketplaces.iter().map(|marketplace| {
            let marketplace = Arc::clone(marketplace);
            let commands = commands.clone();
            tokio::spawn(async move { marketplace.trade(&commands, part, third).await })
        });
        let mut posted = 0;
        for done in futures::future::join_all(parts).await {
            let done = done.context("a marketplace")??;
            posted += done.posted();
            tally.add(done);
        }
        traded.push((posted, began.elapsed()));
    }
    let customers = marketplaces[0].client.with_bases(&commands);
    let paid = payments::pay(&customers, payments::payments_for(deals)).await?;
    Ok(proof::check(stack, &marketplaces, &tally, &traded).await?
        & payments::check(stack, &paid).await?)
}

/// Whether standard output has figures for programs, and nothing else.
static FOR_PROGRAMS: AtomicBool = AtomicBool::new(false);

/// From here on what is told goes to standard error: standard output is for the figures alone.
pub fn keep_output_for_programs() {
    FOR_PROGRAMS.store(true, Ordering::Relaxed);
}

/// What the person who watches is told.
#[expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "telling is what a demonstration is for"
)]
pub fn say(text: &str) {
    match FOR_PROGRAMS.load(Ordering::Relaxed) {
        true => eprintln!("{text}"),
        false => println!("{text}"),
    }
}
