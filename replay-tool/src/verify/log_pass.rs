//! The pass over the events: rows are read ahead on one task, checked on another core, and what a row alone
//! cannot tell is looked up while the next chunk is checked.

use std::sync::Arc;
use std::time::Instant;

use sqlx::PgConnection;
use tokio::sync::mpsc;

use super::checks::accounts::{self, Partition};
use super::checks::rows::{Checked, RowChecks};
use super::checks::{missing_keys, reversals, stream_order};
use super::error::{VerifyError, reading};
use super::report::{Part, Report, number};
use super::{Parts, Scope};
use crate::connection::{Auditor, Purpose};
use crate::courtesy::Courtesy;
use crate::log_rows::{Chunk, Wanted, fetch};

/// What the pass went over.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct LogPass {
    pub(crate) events: u64,
    pub(crate) bytes: u64,
}

impl LogPass {
    /// Every event once, and the ledger's once more for each further partition of the accounts.
    pub(crate) async fn run(
        auditor: &Auditor,
        scope: Scope,
        courtesy: &Arc<Courtesy>,
        report: &Report<'_>,
        parts: &mut Parts,
    ) -> Result<Self, VerifyError> {
        let mut lookups = auditor.connect(Purpose::Read).await?;
        let partitions = if scope.from_start {
            accounts::partitions(&mut lookups, scope, courtesy).await?
        } else {
            report.not_checked("states of accounts: they need the log from its beginning");
            0
        };
        let mut pass = Self::default();
        for index in 0..partitions.max(1) {
            let partition = (partitions > 0).then_some(Partition { index, of: partitions });
            let first = index == 0;
            let checks = RowChecks::new(scope, partition, first);
            let started = Instant::now();
            let part = if first { Part::Events } else { Part::MoreAccounts };
            let done = one(auditor, &mut lookups, scope, courtesy, checks, part, report).await?;
            parts.add(part, done.events, started.elapsed());
            if first {
                pass = done;
            }
        }
        Ok(pass)
    }
}

async fn one(
    auditor: &Auditor,
    lookups: &mut PgConnection,
    scope: Scope,
    courtesy: &Arc<Courtesy>,
    mut checks: RowChecks,
    part: Part,
    report: &Report<'_>,
) -> Result<LogPass, VerifyError> {
    let wanted =
        Wanted { after: scope.from - 1, to: scope.to, ledger_only: part == Part::MoreAccounts };
    let mut chunks = fetch(auditor.connect(Purpose::Read).await?, wanted, Arc::clone(courtesy));
    let total = number(scope.to + 1 - scope.from);
    let mut pass = LogPass::default();
    let mut checked = Checked::default();
    loop {
        // The next chunk is checked while what the last one left open is looked up.
        let (next, looked_up) = tokio::join!(
            check_next(&mut chunks, checks, courtesy),
            look_up(lookups, &checked, scope, courtesy)
        );
        report.findings(std::mem::take(&mut checked.findings));
        for findings in looked_up? {
            report.findings(findings);
        }
        let Some((after, outcome)) = next? else { break };
        checks = after;
        checked = outcome;
        pass.events += checked.events;
        pass.bytes += checked.bytes;
        report.progress(part, pass.events, total);
    }
    Ok(pass)
}

/// Checks the next chunk on a thread of its own; `None` at the end of the log.
async fn check_next(
    chunks: &mut mpsc::Receiver<Result<Chunk, sqlx::Error>>,
    mut checks: RowChecks,
    courtesy: &Courtesy,
) -> Result<Option<(RowChecks, Checked)>, VerifyError> {
    let Some(chunk) = chunks.recv().await else { return Ok(None) };
    let chunk = chunk.map_err(reading("events"))?;
    let started = Instant::now();
    let outcome = tokio::task::spawn_blocking(move || {
        let checked = checks.check(&chunk);
        Some((checks, checked))
    })
    .await
    .map_err(VerifyError::BrokenOff);
    courtesy.worked(started.elapsed());
    outcome
}

/// What takes other rows to tell.
async fn look_up(
    db: &mut PgConnection,
    checked: &Checked,
    scope: Scope,
    courtesy: &Courtesy,
) -> Result<Vec<super::finding::Findings>, VerifyError> {
    let started = Instant::now();
    let findings = vec![
        stream_order::look_up(&mut *db, &checked.open.predecessors, scope).await?,
        reversals::look_up_reversing(&mut *db, &checked.open.reversing).await?,
        reversals::look_up_reversed(&mut *db, &checked.open.reversed).await?,
        missing_keys::look_up(db, &checked.open.keys).await?,
    ];
    courtesy.worked(started.elapsed());
    Ok(findings)
}
