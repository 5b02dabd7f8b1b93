//! The switch: the new generation's tables become the live ones in one transaction.

use std::collections::BTreeSet;

use event_store::log::connect;
use sqlx::{Connection, PgConnection};

use super::load::Load;
use super::{RebuildError, Rebuilt};
use crate::checkpoint::{self, Checkpoint, ProjectionState};
use crate::fold::Halt;
use crate::generation::{LIVE_SCHEMA, execute};
use crate::page::read_page;

/// How long the switch waits for queries to let go of the live tables. New queries wait behind it, so it
/// is short; and it is shorter than Postgres' deadlock time-out (1 s), so it never costs a query its life.
pub(super) const LOCK_TIMEOUT_MS: u32 = 100;
/// The most events that are applied while the live checkpoint is locked: some milliseconds.
const CATCH_UP_EVENTS_MAX: i64 = 500;
/// What Postgres says when the lock time-out ends (`lock_not_available`).
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// What became of a try.
pub(super) enum Attempt {
    Switched(Rebuilt),
    /// The live generation got too far ahead; apply more and try again.
    TooFarBehind,
    /// A query holds a table of the live generation.
    Busy,
}

/// Tries once. What it did is undone unless it switched.
pub(super) async fn attempt(
    db: &mut PgConnection,
    load: &mut Load<'_>,
    schema: &str,
) -> Result<Attempt, RebuildError> {
    let mut log = connect(load.database).await?;
    let mut transaction = db.begin().await?;
    let attempt = match switch(&mut transaction, &mut log, load, schema).await {
        Err(RebuildError::Database(error)) if lock_not_available(&error) => Attempt::Busy,
        other => other?,
    };
    match attempt {
        Attempt::Switched(_) => transaction.commit().await?,
        Attempt::TooFarBehind | Attempt::Busy => {
            transaction.rollback().await?;
            let stands = checkpoint::read(db, load.projection.name()).await?;
            load.applier.checkpoint = stands.ok_or(RebuildError::Interfered)?;
        }
    }
    Ok(attempt)
}

fn lock_not_available(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_some_and(|code| code == LOCK_NOT_AVAILABLE)
}

async fn switch(
    db: &mut PgConnection,
    log: &mut PgConnection,
    load: &mut Load<'_>,
    schema: &str,
) -> Result<Attempt, RebuildError> {
    let name = load.projection.name();
    execute(db, format!("set local lock_timeout = {LOCK_TIMEOUT_MS}")).await?;
    // All that the rebuild wrote before comes first in the WAL, so this commit makes it durable too.
    execute(db, "set local synchronous_commit = on".to_owned()).await?;
    // The whole table, not just the row: readers hold it from before their snapshot to their end.
    execute(db, format!("lock table {LIVE_SCHEMA}.checkpoint in access exclusive mode")).await?;
    let live = in_schema(db, LIVE_SCHEMA, name).await?;
    // Leaves the search path at the new generation.
    in_schema(db, schema, name).await?;
    while load.applier.position() < live.position {
        let gap = live.position.since(load.applier.position());
        if gap > CATCH_UP_EVENTS_MAX {
            let head = event_store::log::head(&mut *log).await?.position;
            if head >= live.position || load.applier.position() < head {
                return Ok(Attempt::TooFarBehind);
            }
        }
        let page = read_page(log, load.applier.position(), gap).await.map_err(Halt::from)?;
        if page.nothing() {
            // The live generation is beyond the head: it diverged, and nothing can be as far.
            break;
        }
        load.applier.apply(db, page).await?;
    }
    replace_tables(db, load, &live, schema).await?;
    move_checkpoint(db, name, schema).await?;
    execute(db, format!("drop schema {schema} cascade")).await?;
    let Checkpoint { generation, position, .. } = load.applier.checkpoint;
    Ok(Attempt::Switched(Rebuilt { generation, position }))
}

/// The locked checkpoint in that schema, to which the search path is set until the transaction ends.
async fn in_schema(
    db: &mut PgConnection,
    schema: &str,
    projection: &str,
) -> Result<Checkpoint, RebuildError> {
    execute(db, format!("set local search_path to {schema}, public")).await?;
    checkpoint::lock(db, projection).await?.ok_or(RebuildError::Interfered)
}

async fn replace_tables(
    db: &mut PgConnection,
    load: &Load<'_>,
    live: &Checkpoint,
    schema: &str,
) -> Result<(), RebuildError> {
    let new: Vec<&str> = load.projection.tables().iter().map(|table| table.name).collect();
    let old: BTreeSet<&str> =
        live.tables.iter().map(String::as_str).chain(new.iter().copied()).collect();
    for table in old {
        let quoted = table.replace('"', "\"\"");
        execute(db, format!("drop table if exists {LIVE_SCHEMA}.\"{quoted}\"")).await?;
    }
    for table in new {
        execute(db, format!("alter table {schema}.{table} set schema {LIVE_SCHEMA}")).await?;
    }
    Ok(())
}

/// The live row becomes the new generation's, which is at the head of the search path.
async fn move_checkpoint(
    db: &mut PgConnection,
    projection: &str,
    schema: &str,
) -> Result<(), RebuildError> {
    let statement = format!(
        "update {LIVE_SCHEMA}.checkpoint as live set version = new.version, \
             generation = new.generation, position = new.position, leaf_hash = new.leaf_hash, \
             recorded_at = new.recorded_at, state = $2, detail = null, failed_position = null, \
             tables = new.tables, updated_at = clock_timestamp() \
         from {schema}.checkpoint as new where live.projection = $1 and new.projection = $1"
    );
    sqlx::query(sqlx::AssertSqlSafe(statement))
        .bind(projection)
        .bind(ProjectionState::Running.name())
        .execute(db)
        .await?;
    Ok(())
}
