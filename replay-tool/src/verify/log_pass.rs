//! The pass over the events: rows are read ahead on one task, checked on another core, and what a row alone
//! cannot tell is looked up while the next chunk is checked.

use std::sync::Arc;
use std::time::Instant;

use sqlx::PgConnection;
use tokio::sync::mpsc;

use super::checks::accounts::{self, Partition};
use super::checks::closes::Closes;
use super::checks::requests::Requests;
use super::checks::rows::{Checked, RowChecks};
use super::checks::{holds, requests, reversals, stream_order};
use super::error::{VerifyError, reading};
use super::report::{Part, Report, number};
use super::{Parts, Scope};
use crate::connection::{Auditor, Purpose};
use crate::courtesy::Courtesy;
use crate::log_rows::{Chunk, Wanted, fetch};

/// What the pass went over, and what it leaves to the checks after it.
#[derive(Debug)]
pub(crate) struct LogPass {
    pub(crate) events: u64,
    pub(crate) bytes: u64,
    /// The rows of `idempotency_keys` are compared with them.
    pub(crate) requests: Requests,
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
        let (mut of, mut closes) = (0, None);
        if scope.from_start {
            of = accounts::partitions(&mut lookups, scope, courtesy).await?;
            closes = Closes::read(&mut lookups, scope, of, courtesy).await?;
            if closes.is_none() {
                report.not_checked("closes of books: there are more than fit into memory");
            }
        } else {
            report
                .not_checked("states of accounts and books: they need the log from its beginning");
        }
        let mut pass = Pass { auditor, lookups, scope, courtesy, report, parts };
        let first = (of > 0).then_some(Partition { index: 0, of });
        let checks = RowChecks::first(scope, first, closes);
        let (first, mut closes) = pass.over(checks, Part::Events).await?;
        for index in 1..of {
            let further = RowChecks::further(scope, Partition { index, of }, closes);
            (_, closes) = pass.over(further, Part::MoreAccounts).await?;
        }
        Ok(first)
    }
}

struct Pass<'p, 'o> {
    auditor: &'p Auditor,
    lookups: PgConnection,
    scope: Scope,
    courtesy: &'p Arc<Courtesy>,
    report: &'p Report<'o>,
    parts: &'p mut Parts,
}

impl Pass<'_, '_> {
    /// What the pass went over, and the closes for the next one.
    async fn over(
        &mut self,
        mut checks: RowChecks,
        part: Part,
    ) -> Result<(LogPass, Option<Closes>), VerifyError> {
        let (started, scope) = (Instant::now(), self.scope);
        let ledger_only = part == Part::MoreAccounts;
        let wanted = Wanted { after: scope.from - 1, to: scope.to, ledger_only };
        let db = self.auditor.connect(Purpose::Read).await?;
        let mut chunks = fetch(db, wanted, Arc::clone(self.courtesy));
        let total = number(scope.to + 1 - scope.from);
        let (mut events, mut bytes) = (0, 0);
        let mut checked = Checked::default();
        loop {
            // The next chunk is checked while what the last one left open is looked up.
            let (next, looked_up) = tokio::join!(
                check_next(&mut chunks, checks, self.courtesy),
                look_up(&mut self.lookups, &checked, scope, self.courtesy)
            );
            self.report.findings(std::mem::take(&mut checked.findings));
            for findings in looked_up? {
                self.report.findings(findings);
            }
            let outcome;
            (checks, outcome) = next?;
            let Some(outcome) = outcome else { break };
            checked = outcome;
            events += checked.events;
            bytes += checked.bytes;
            self.report.progress(part, events, total);
        }
        self.report.findings(checks.end(scope));
        for left_out in checks.left_out() {
            self.report.not_checked(left_out);
        }
        self.parts.add(part, events, started.elapsed());
        let (requests, closes) = checks.into_rest();
        Ok((LogPass { events, bytes, requests }, closes))
    }
}

/// Checks the next chunk on a thread of its own; `None` at the end of the log.
async fn check_next(
    chunks: &mut mpsc::Receiver<Result<Chunk, sqlx::Error>>,
    mut checks: RowChecks,
    courtesy: &Courtesy,
) -> Result<(RowChecks, Option<Checked>), VerifyError> {
    let Some(chunk) = chunks.recv().await else { return Ok((checks, None)) };
    let chunk = chunk.map_err(reading("events"))?;
    let started = Instant::now();
    let outcome = tokio::task::spawn_blocking(move || {
        let checked = checks.check(&chunk);
        (checks, Some(checked))
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
        reversals::look_up(&mut *db, &checked.open.reversals).await?,
        holds::look_up(&mut *db, &checked.open.holds).await?,
        requests::look_up(db, &checked.open.keys).await?,
    ];
    courtesy.worked(started.elapsed());
    Ok(findings)
}
