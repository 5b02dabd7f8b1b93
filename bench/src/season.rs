//! What a database server has that has been running for a while, and a new one has not.

use anyhow::Context;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};

/// Gives the server so many WAL files, of 16 MiB each, to write over, as one has that has been running for a while. A new
/// file is filled with zeros first, which takes some tens of milliseconds that every append waits for. `url` is that of a
/// superuser.
///
/// # Errors
/// Whatever the server says.
pub async fn season(url: &str, wal_files: usize) -> anyhow::Result<()> {
    let options: PgConnectOptions = url.parse().context("the superuser's URL")?;
    season_at(&options.disable_statement_logging(), wal_files).await
}

pub(crate) async fn season_at(
    superuser: &PgConnectOptions,
    wal_files: usize,
) -> anyhow::Result<()> {
    let mut db = PgConnection::connect_with(superuser).await?;
    for _ in 0..wal_files {
        sqlx::query("select pg_logical_emit_message(false, 'runut bench', '')")
            .execute(&mut db)
            .await?;
        sqlx::query("select pg_switch_wal()").execute(&mut db).await?;
    }
    sqlx::query("checkpoint").execute(&mut db).await?;
    Ok(())
}
