//! The sequencer under callers in closed loops: each posts its next entry when the last one is answered.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use event_store::EventStore;
use migrations::Role;
use replay_tool::verify::{Silent, VerifyOptions, verify};
use tokio::task::JoinHandle;

use super::run_name;
use crate::entries::Accounts;
use crate::figures::{Latencies, Tally};
use crate::log_database::LogDatabase;

/// So many callers post, for so long; what they post in the `lead` before is not counted.
pub(super) async fn measure(
    database: &LogDatabase,
    accounts: &Accounts,
    callers: usize,
    lead: Duration,
    duration: Duration,
) -> anyhow::Result<Tally> {
    let before = database.events().await?;
    let run: Arc<str> = run_name("append", before).into();
    let writer = database.writer().await?;
    let next = Arc::new(AtomicUsize::new(0));
    let (counts, stop) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let tasks: Vec<_> = (0..callers)
        .map(|_| {
            let load = Load {
                store: writer.store.clone(),
                accounts: accounts.clone(),
                run: Arc::clone(&run),
                next: Arc::clone(&next),
                counts: Arc::clone(&counts),
                stop: Arc::clone(&stop),
            };
            tokio::spawn(load.post())
        })
        .collect();
    tokio::time::sleep(lead).await;
    let first = database.events().await?;
    counts.store(true, Ordering::Relaxed);
    let started = Instant::now();
    tokio::time::sleep(duration).await;
    stop.store(true, Ordering::Relaxed);
    let mut latencies = Latencies::new()?;
    let (mut done, mut errors) = (0, 0);
    for task in tasks {
        let (own, posted, failed) = task.await??;
        latencies.add(&own)?;
        done += posted;
        errors += failed;
    }
    let took = started.elapsed();
    writer.stop().await?;
    Ok(Tally { log_events: first, done, errors, took, latencies })
}

/// The same while an auditor verifies the log again and again.
pub(super) async fn measure_during_verify(
    database: &LogDatabase,
    accounts: &Accounts,
    callers: usize,
    lead: Duration,
    duration: Duration,
) -> anyhow::Result<Tally> {
    let options = VerifyOptions::of(database.url(Role::Auditor));
    let verifying: JoinHandle<anyhow::Result<()>> = tokio::spawn(async move {
        loop {
            let summary = verify(&options, &mut Silent).await?;
            anyhow::ensure!(summary.clean(), "the log does not verify: {:?}", summary.findings);
        }
    });
    let measured = measure(database, accounts, callers, lead, duration).await;
    anyhow::ensure!(!verifying.is_finished(), "verify ended: {:?}", verifying.await);
    verifying.abort();
    measured
}

struct Load {
    store: EventStore,
    accounts: Accounts,
    run: Arc<str>,
    next: Arc<AtomicUsize>,
    counts: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
}

impl Load {
    async fn post(self) -> anyhow::Result<(Latencies, u64, u64)> {
        let mut latencies = Latencies::new()?;
        let (mut done, mut errors) = (0, 0);
        while !self.stop.load(Ordering::Relaxed) {
            let n = self.next.fetch_add(1, Ordering::Relaxed);
            let request = self.accounts.request(&self.run, n)?;
            let (counts, sent) = (self.counts.load(Ordering::Relaxed), Instant::now());
            match self.store.submit(request).await {
                Ok(answer) if answer.status == 201 && counts => {
                    done += 1;
                    latencies.record(sent.elapsed());
                }
                Ok(answer) if answer.status == 201 => {}
                Ok(_) | Err(_) => errors += 1,
            }
        }
        Ok((latencies, done, errors))
    }
}
