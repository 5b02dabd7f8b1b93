//! Generations: the tables of a projection in a schema, made by the projector and read by others.
//!
//! All SQL of a projection is unqualified; the search path of the connection says which generation it
//! means: `read` (what queries see), the schema of a rebuild, or a session's own `pg_temp`.

use event_store::log::{ConnectError, connect, look_up_options};
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::checkpoint::{self, Checkpoint, ProjectionState};
use crate::projection::Projection;

/// Where queries find the read models.
pub(crate) const LIVE_SCHEMA: &str = "read";
/// Who may read them, besides their owner.
const READERS: &str = "runut_query, runut_auditor";
/// The advisory lock under which live tables are made; any number that no other part uses.
const PREPARE_LOCK: i64 = 7_368_114;

/// The schema in which a new generation of `projection` is filled.
pub(crate) fn rebuild_schema(projection: &dyn Projection) -> String {
    format!("read_rebuild_{}", projection.name())
}

/// Statements built from the names of projections and tables, which are constants of the program.
pub(crate) async fn execute(db: &mut PgConnection, statement: String) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(db).await.map(|_| ())
}

/// A connection for events as they come, whose unqualified names mean the live tables (and the log).
pub(crate) async fn connect_live(
    database: &PgConnectOptions,
) -> Result<PgConnection, ConnectError> {
    connect(&look_up_options(within(database, LIVE_SCHEMA))).await
}

/// A connection for large batches, whose unqualified names mean `schema` (and the log).
///
/// Statements are planned anew each time: a plan made while a table was empty would scan it in full
/// when it has grown to millions of rows.
pub(crate) async fn connect_to(
    database: &PgConnectOptions,
    schema: &str,
) -> Result<PgConnection, ConnectError> {
    let options = within(database, schema).options([("plan_cache_mode", "force_custom_plan")]);
    connect(&options).await
}

fn within(database: &PgConnectOptions, schema: &str) -> PgConnectOptions {
    let search_path = format!("{schema},public");
    let settings = [("search_path", search_path.as_str()), ("client_min_messages", "warning")];
    database.clone().options(settings)
}

/// The live checkpoint; where there is none, makes the live tables, empty, and a checkpoint at 0.
/// `db` is connected to [`LIVE_SCHEMA`].
pub(crate) async fn prepare_live(
    db: &mut PgConnection,
    projection: &dyn Projection,
) -> Result<Checkpoint, sqlx::Error> {
    let mut transaction = db.begin().await?;
    sqlx::query("select pg_advisory_xact_lock($1)")
        .bind(PREPARE_LOCK)
        .execute(&mut *transaction)
        .await?;
    let there: bool = sqlx::query_scalar("select to_regclass('read.checkpoint') is not null")
        .fetch_one(&mut *transaction)
        .await?;
    if !there {
        execute(&mut transaction, checkpoint::TABLE_SQL.to_owned()).await?;
        execute(&mut transaction, format!("grant select on checkpoint to {READERS}")).await?;
    }
    if let Some(checkpoint) = checkpoint::read(&mut *transaction, projection.name()).await? {
        transaction.commit().await?;
        return Ok(checkpoint);
    }
    // Without a checkpoint, tables that are there hold nobody knows what.
    for table in projection.tables() {
        execute(&mut transaction, format!("drop table if exists {}", table.name)).await?;
    }
    create_tables(&mut transaction, projection).await?;
    grant(&mut transaction, projection).await?;
    create_indexes(&mut transaction, projection).await?;
    checkpoint::insert(&mut *transaction, projection, 1, ProjectionState::Running).await?;
    let made = checkpoint::read(&mut *transaction, projection.name()).await?;
    transaction.commit().await?;
    made.ok_or(sqlx::Error::RowNotFound)
}

/// Makes the tables where the search path says, without the indexes that only queries need.
pub(crate) async fn create_tables(
    db: &mut PgConnection,
    projection: &dyn Projection,
) -> Result<(), sqlx::Error> {
    execute(db, projection.tables_sql().to_owned()).await
}

/// Makes the indexes that queries need, one statement each: outside a transaction, each is one of its own.
pub(crate) async fn create_indexes(
    db: &mut PgConnection,
    projection: &dyn Projection,
) -> Result<(), sqlx::Error> {
    let code: Vec<&str> =
        projection.indexes_sql().lines().filter(|line| !line.starts_with("--")).collect();
    for statement in code.join("\n").split_inclusive(';').map(str::trim) {
        if !statement.is_empty() {
            execute(db, statement.to_owned()).await?;
        }
    }
    Ok(())
}

/// Lets those read the tables who read the live ones; grants stay with a table wherever it moves.
pub(crate) async fn grant(
    db: &mut PgConnection,
    projection: &dyn Projection,
) -> Result<(), sqlx::Error> {
    let names: Vec<&str> = projection.tables().iter().map(|table| table.name).collect();
    execute(db, format!("grant select on {} to {READERS}", names.join(", "))).await?;
    execute(db, projection.grants_sql().to_owned()).await
}
