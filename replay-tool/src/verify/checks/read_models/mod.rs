//! Read models are what the log folds into: each is folded anew into temporary tables, with the same
//! program that fills the live ones, and compared row by row.
//!
//! The live tables move while this runs. So a page of live rows is read together with the checkpoint, in
//! one snapshot; then the copy is folded to exactly that position, and the rows of the same keys compared.

mod rows;
mod scratch;

use std::collections::BTreeMap;
use std::time::Instant;

use event_store::log::Position;
use projections::{Projection, ProjectionState, ProjectionStatus, Table, statuses};
use sqlx::PgConnection;

use crate::connection::{Auditor, Purpose};
use crate::courtesy::Courtesy;
use crate::verify::error::{VerifyError, reading};
use crate::verify::finding::{Check, Findings};
use crate::verify::report::{Part, Report, number};
use rows::{Keyed, TableRows};
use scratch::{Scratch, ScratchError};

/// The longest text of a row that a finding shows, in characters.
const ROW_CHARACTERS_MAX: usize = 400;

/// Compares every read model; how many events were folded, over all of them.
pub(crate) async fn check(
    auditor: &Auditor,
    courtesy: &Courtesy,
    report: &Report<'_>,
) -> Result<u64, VerifyError> {
    let mut db = auditor.connect(Purpose::Read).await?;
    let live = live(&mut db).await?;
    let mut folded = 0;
    for projection in projections::all() {
        let name = projection.name();
        let status = live.iter().find(|status| status.projection == name);
        let Some(status) = comparable(&*projection, status, report) else { continue };
        let scratch = auditor.connect(Purpose::Scratch).await?;
        let to = status.position;
        folded += compare(&mut db, scratch, &*projection, to, courtesy, report).await?;
    }
    Ok(folded)
}

/// The checkpoints of the live read models; none where no projection ever ran.
async fn live(db: &mut PgConnection) -> Result<Vec<ProjectionStatus>, VerifyError> {
    let there: bool = sqlx::query_scalar("select to_regclass('read.checkpoint') is not null")
        .fetch_one(&mut *db)
        .await
        .map_err(reading("the checkpoints of read models"))?;
    if !there {
        return Ok(Vec::new());
    }
    statuses(db).await.map_err(reading("the checkpoints of read models"))
}

/// The status of a read model that can be compared; says why of one that cannot.
fn comparable<'s>(
    projection: &dyn Projection,
    status: Option<&'s ProjectionStatus>,
    report: &Report<'_>,
) -> Option<&'s ProjectionStatus> {
    let name = projection.name();
    let Some(status) = status else {
        report.not_checked(format!("read model {name}: it was never filled"));
        return None;
    };
    if status.version != projection.version() {
        let (theirs, ours) = (status.version, projection.version());
        report.not_checked(format!("read model {name}: it is of version {theirs}, not {ours}"));
        return None;
    }
    let mut findings = Findings::default();
    let diverged = status.state == ProjectionState::Diverged;
    if status.position > status.head || diverged {
        let expected = format!("a position up to the head, {}", status.head);
        let found = match &status.detail {
            Some(detail) if diverged => format!("diverged: {detail}"),
            _ => format!("position {}", status.position),
        };
        let subject = format!("checkpoint of {name}");
        findings.add(Check::ReadModels, status.position.number(), subject, expected, found);
        report.findings(findings);
        return None;
    }
    Some(status)
}

async fn compare(
    db: &mut PgConnection,
    scratch: PgConnection,
    projection: &dyn Projection,
    to: Position,
    courtesy: &Courtesy,
    report: &Report<'_>,
) -> Result<u64, VerifyError> {
    let name = projection.name();
    let total = number(to.number());
    let progress = |at: Position| report.progress(Part::ReadModels, number(at.number()), total);
    let compared = async {
        let mut scratch = Scratch::make(scratch, projection, courtesy).await?;
        scratch.fold_on(to, progress).await?;
        for table in projection.tables() {
            compare_table(db, &mut scratch, name, table, courtesy, report).await?;
        }
        Ok(number(scratch.position().number()))
    };
    match compared.await {
        Ok(folded) => Ok(folded),
        Err(ScratchError::Event { position, reason }) => {
            let mut findings = Findings::default();
            let (subject, expected) =
                (format!("read model {name}"), "an event that can be applied");
            findings.add(Check::ReadModels, position.number(), subject, expected, reason);
            report.findings(findings);
            Ok(number(position.number()))
        }
        Err(ScratchError::Interrupted(source)) => {
            Err(VerifyError::Database { what: "a read model", source })
        }
        Err(ScratchError::Fold(source)) => Err(VerifyError::Fold { projection: name, source }),
    }
}

/// Compares a table page by page; the copy is folded on as the live table moves.
async fn compare_table(
    db: &mut PgConnection,
    scratch: &mut Scratch<'_>,
    projection: &str,
    table: &Table,
    courtesy: &Courtesy,
    report: &Report<'_>,
) -> Result<(), ScratchError> {
    let rows = TableRows::describe(&mut *db, table).await?;
    let mut after: Option<Vec<String>> = None;
    loop {
        let started = Instant::now();
        let live = rows.live_page(&mut *db, projection, after.as_deref()).await?;
        courtesy.worked(started.elapsed());
        scratch.fold_on(live.position, |_| {}).await?;
        let last = live.last_key();
        let started = Instant::now();
        let copy = rows.scratch_page(scratch.db(), after.as_deref(), last.as_deref()).await?;
        report.findings(differences(projection, table, live.rows, copy));
        courtesy.after(&mut *db, started.elapsed()).await?;
        match last {
            Some(last) => after = Some(last),
            None => return Ok(()),
        }
    }
}

/// Rows of the same keys that differ, and those that only one side has.
fn differences(projection: &str, table: &Table, live: Vec<Keyed>, copy: Vec<Keyed>) -> Findings {
    let mut findings = Findings::default();
    let mut copy: BTreeMap<_, _> = copy.into_iter().map(|row| (row.key, row.content)).collect();
    let mut add = |key: &[String], expected: String, found: String| {
        let named: Vec<String> =
            table.key.iter().zip(key).map(|(column, value)| format!("{column} {value}")).collect();
        let subject = format!("{projection}.{}: {}", table.name, named.join(", "));
        findings.add(Check::ReadModels, None, subject, expected, found);
    };
    for row in live {
        match copy.remove(&row.key) {
            Some(content) if content == row.content => {}
            Some(content) => add(&row.key, shown(&content), shown(&row.content)),
            None => add(&row.key, "no row".to_owned(), shown(&row.content)),
        }
    }
    for (key, content) in copy {
        add(&key, shown(&content), "no row".to_owned());
    }
    findings
}

fn shown(content: &str) -> String {
    match content.char_indices().nth(ROW_CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", &content[..end]),
        None => content.to_owned(),
    }
}
