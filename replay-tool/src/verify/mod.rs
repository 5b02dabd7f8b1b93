//! Verify: reads the whole log, read only, and says where it contradicts itself.
//!
//! One pass over the events by position, in memory that does not grow with the log, then ordered scans of
//! the unique indexes and comparisons of what is kept beside the log. What needs memory for each account is
//! done in partitions of the accounts. Nothing holds a snapshot open, so verify runs while the log grows:
//! it takes the head at its start as the end, and makes way for appends.

mod checks;
mod error;
mod finding;
mod log_pass;
mod report;
mod summary;

use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::Timestamp;
use event_store::mirror::LogStream;

use crate::connection::{Auditor, Purpose};
use crate::courtesy::Courtesy;
pub use checks::accounts::ACCOUNTS_PER_PASS;
use checks::requests::Requests;
use checks::{balances, guards, head, idempotency, mirror, read_models, stream_versions};
pub use error::VerifyError;
pub use finding::{Check, Finding, Severity};
use log_pass::LogPass;
use report::Report;
pub use report::{FINDINGS_TOLD_MAX, Observer, Part, Silent};
use summary::rate;
pub use summary::{PartSummary, Summary};

/// Where the mirror is.
#[derive(Debug, Clone)]
pub struct MirrorSource {
    /// The URL of the NATS server.
    pub nats_url: String,
    /// The stream.
    pub stream: LogStream,
}

/// What to verify.
#[derive(Debug, Clone)]
pub struct VerifyOptions {
    /// The URL that the auditor logs in with.
    pub database_url: String,
    /// The first position; from the beginning if not given. What needs all history is then left out.
    pub from: Option<i64>,
    /// The last position; the head if not given. What needs the end of the log is then left out.
    pub to: Option<i64>,
    /// The mirror, to be compared with the log.
    pub mirror: Option<MirrorSource>,
    /// Whether read models are folded anew and compared.
    pub read_models: bool,
    /// How many accounts are kept in memory at a time, [`ACCOUNTS_PER_PASS`] if nobody says otherwise.
    pub accounts_per_pass: u64,
    /// Whether no way is made for appends while the log grows quickly, as for a standby or when in a hurry.
    pub full_speed: bool,
}

impl VerifyOptions {
    /// The whole log and what is kept beside it in the database.
    pub fn of(database_url: impl Into<String>) -> Self {
        let database_url = database_url.into();
        Self {
            database_url,
            from: None,
            to: None,
            mirror: None,
            read_models: false,
            accounts_per_pass: ACCOUNTS_PER_PASS,
            full_speed: false,
        }
    }
}

/// What part of the log is being verified.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scope {
    /// The first position.
    pub(crate) from: i64,
    /// The last.
    pub(crate) to: i64,
    /// From the very first event: states can be folded.
    pub(crate) from_start: bool,
    /// From the very first event to the head.
    pub(crate) whole: bool,
    /// The database's time when verify started.
    pub(crate) now: Timestamp,
    /// How many accounts fit into memory.
    pub(crate) accounts_per_pass: u64,
}

/// Verifies. Findings are told to `observer` as they are found and counted in the summary.
///
/// # Errors
/// [`VerifyError`] where something could not be checked.
pub async fn verify(
    options: &VerifyOptions,
    observer: &mut dyn Observer,
) -> Result<Summary, VerifyError> {
    let started = Instant::now();
    let auditor = Auditor::open(&options.database_url).await?;
    let report = Report::to(observer);
    let mut db = auditor.connect(Purpose::Read).await?;
    let guards = guards::check(&mut db, &report).await?;
    let end = head::check(&mut db, &report).await?;
    let scope = scope(options, &end)?;
    let courtesy = Arc::new(Courtesy::from(end.last, options.full_speed));
    let mut parts = Parts::default();

    let LogPass { events, bytes, requests } =
        LogPass::run(&auditor, scope, &courtesy, &report, &mut parts).await?;
    if scope.whole {
        let checked = stream_versions::check(&auditor, scope, events, &guards, &courtesy, &report);
        let (count, elapsed) = timed(checked).await?;
        parts.add(Part::Streams, count, elapsed);
    }
    let log_seconds = started.elapsed();
    if scope.whole {
        beside(&auditor, scope, requests, &courtesy, &report, &mut parts).await?;
    } else {
        report.not_checked("uniqueness, balances and idempotency keys: they need the whole log");
    }
    if let Some(source) = &options.mirror {
        let clock = Instant::now();
        let count = mirror::check(&mut db, source, &courtesy, &report).await?;
        parts.add(Part::Mirror, count, clock.elapsed());
    }
    if options.read_models {
        let clock = Instant::now();
        let count = read_models::check(&auditor, &courtesy, &report).await?;
        parts.add(Part::ReadModels, count, clock.elapsed());
    }
    let (findings, not_checked) = report.finish();
    Ok(Summary {
        from: scope.from,
        to: scope.to,
        head_recorded_at: end.recorded_at,
        events,
        bytes,
        seconds: started.elapsed().as_secs_f64(),
        paused_seconds: courtesy.paused().as_secs_f64(),
        events_per_second: rate(events, log_seconds),
        parts: parts.0,
        findings,
        not_checked,
    })
}

fn scope(options: &VerifyOptions, end: &head::End) -> Result<Scope, VerifyError> {
    let from = options.from.unwrap_or(1).max(1);
    let to = options.to.unwrap_or(end.last).min(end.last);
    if from > to && (options.from.is_some() || options.to.is_some()) {
        return Err(VerifyError::EmptyRange { from, to });
    }
    let from_start = from == 1;
    Ok(Scope {
        from,
        to,
        from_start,
        whole: from_start && to == end.last,
        now: end.now,
        accounts_per_pass: options.accounts_per_pass.max(1),
    })
}

/// What is kept beside the log, both tables at the same time.
async fn beside(
    auditor: &Auditor,
    scope: Scope,
    requests: Requests,
    courtesy: &Courtesy,
    report: &Report<'_>,
    parts: &mut Parts,
) -> Result<(), VerifyError> {
    let (balances, keys) = tokio::try_join!(
        timed(balances::check(auditor, scope, courtesy, report)),
        timed(idempotency::check(auditor, requests, courtesy, report)),
    )?;
    parts.add(Part::Balances, balances.0, balances.1);
    parts.add(Part::IdempotencyKeys, keys.0, keys.1);
    Ok(())
}

async fn timed(
    check: impl Future<Output = Result<u64, VerifyError>>,
) -> Result<(u64, Duration), VerifyError> {
    let started = Instant::now();
    Ok((check.await?, started.elapsed()))
}

/// What was done so far.
#[derive(Debug, Default)]
pub(crate) struct Parts(Vec<PartSummary>);

impl Parts {
    pub(crate) fn add(&mut self, part: Part, count: u64, elapsed: Duration) {
        self.0.push(PartSummary { name: part.name(), count, seconds: elapsed.as_secs_f64() });
    }
}
