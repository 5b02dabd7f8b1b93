//! The rows of a page, bounded in bytes as well as in number.

use std::time::Duration;

use api_conventions::Problem;
use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::query::Query;
use sqlx::{AssertSqlSafe, FromRow, Postgres, Row};
use tokio::time::Instant;

use crate::database::{refused, took_too_long};

/// The most bytes of the rows of a page, unless one alone has more: forty rows with metadata at its longest, and
/// any number of usual ones. An answer is about as large, and so is what a page takes in memory until it is read.
const PAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// As many rows are read at a time: about as many as a page has whatever they hold. What large rows hold Postgres reads
/// and sends only for those.
const FETCH: &str = "fetch 40 from page";
const FETCHED_ROWS: usize = 40;
/// How long the parts of a page may take before no more is read: each has the time of a statement, and a snapshot that is
/// held for long keeps the log's head from being vacuumed.
const PAGE_READ_MAX: Duration = Duration::from_secs(1);

/// Rows, of which as many are shown as `limit` says: one more tells that there is a next page.
#[derive(Debug)]
pub(crate) struct PageRows {
    pub(crate) rows: Vec<PgRow>,
    pub(crate) limit: usize,
}

impl PageRows {
    /// What `select` finds, to be read with [`PageRows::read`]. A constant of this program; values are bound.
    pub(crate) fn statement(select: &str) -> AssertSqlSafe<String> {
        AssertSqlSafe(format!("declare page no scroll cursor for {select}"))
    }

    /// Reads what `statement`, of [`PageRows::statement`], finds: up to one row more than `limit`, and no further than
    /// [`PAGE_BYTES_MAX`]. Once in a transaction.
    pub(crate) async fn read(
        statement: Query<'_, Postgres, PgArguments>,
        db: &mut PgConnection,
        limit: usize,
    ) -> Result<Self, Problem> {
        let began = Instant::now();
        statement.execute(&mut *db).await.map_err(refused)?;
        let (mut rows, mut bytes) = (Vec::new(), 0);
        loop {
            if began.elapsed() > PAGE_READ_MAX {
                return Err(took_too_long());
            }
            // Not kept: the columns of the next page on this connection may be others.
            let fetching = sqlx::query(FETCH).persistent(false).fetch_all(&mut *db);
            let fetched = fetching.await.map_err(refused)?;
            let all = fetched.len() < FETCHED_ROWS;
            for row in fetched {
                bytes += bytes_of(&row);
                rows.push(row);
                if bytes > PAGE_BYTES_MAX && rows.len() > 1 {
                    let limit = limit.min(rows.len() - 1);
                    return Ok(Self { rows, limit });
                }
            }
            if all || rows.len() > limit {
                return Ok(Self { rows, limit });
            }
        }
    }

    /// The rows as what they are.
    pub(crate) fn of<R: for<'r> FromRow<'r, PgRow>>(&self) -> Result<Vec<R>, Problem> {
        self.rows.iter().map(R::from_row).collect::<Result<_, _>>().map_err(refused)
    }
}

/// What came over the wire; a value that is null has none.
fn bytes_of(row: &PgRow) -> usize {
    let bytes = |index| row.try_get_raw(index).ok().and_then(|value| value.as_bytes().ok());
    (0..row.len()).filter_map(bytes).map(<[u8]>::len).sum()
}
