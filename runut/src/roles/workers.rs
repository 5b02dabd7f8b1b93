//! The workers.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use event_store::{Clock, EventStore};
use gateways::{Gateways, PspsConfig};
use workers::{
    LedgerWorkerOptions, Options, PaymentWorkerOptions, PrunerOptions, STEADY_FOR, Workers,
};

use crate::tasks::{Stage, Tasks};

/// What lets the group or everybody read or write a file.
const READABLE_BY_OTHERS: u32 = 0o066;

/// What carrying out payments takes.
pub(crate) struct PaymentWork<'a> {
    /// The URL of the application's role.
    pub(crate) database_url: String,
    /// The log.
    pub(crate) store: EventStore,
    /// The PSPs.
    pub(crate) psps: &'a PspsConfig,
}

/// Runs every worker; `pruner_url` is that of the pruner's role.
pub(crate) fn start(
    tasks: &mut Tasks,
    pruner_url: &str,
    clock: Arc<dyn Clock>,
    ledger: Option<LedgerWorkerOptions>,
    payments: Option<PaymentWork<'_>>,
) -> anyhow::Result<()> {
    let pruner =
        PrunerOptions { database_url: pruner_url.to_owned(), clock, steady_for: STEADY_FOR };
    let payments = payments.map(PaymentWork::options).transpose()?;
    let workers = Workers::new(Options { payments, ledger, pruner })?;
    tasks.spawn(Stage::Work, "the workers", |stop| workers.run(stop));
    Ok(())
}

/// The PSPs of a file.
pub(crate) fn psps(file: &Path) -> anyhow::Result<PspsConfig> {
    let cannot = || format!("cannot use the PSPs of {}", file.display());
    let mode = std::fs::metadata(file).with_context(cannot)?.mode();
    if mode & READABLE_BY_OTHERS != 0 {
        tracing::warn!(file = %file.display(), "there are keys in the file of PSPs, and others than its owner may read it: chmod 600");
    }
    PspsConfig::read(file).with_context(cannot)
}

/// The ways to them.
pub(crate) fn gateways_to(psps: &PspsConfig) -> anyhow::Result<Gateways> {
    Gateways::to(psps).context("no HTTP client can be made for the PSPs")
}

impl PaymentWork<'_> {
    fn options(self) -> anyhow::Result<PaymentWorkerOptions> {
        let Self { database_url, store, psps } = self;
        let gateways = gateways_to(psps)?;
        Ok(PaymentWorkerOptions { database_url, store, gateways, policy: psps.policy.clone() })
    }
}
