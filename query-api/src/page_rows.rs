//! The rows of a page, bounded in bytes as well as in number.

use api_conventions::Problem;
use futures::TryStreamExt;
use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::query::Query;
use sqlx::{FromRow, Postgres, Row};

use crate::database::refused;

/// The most bytes of the rows of a page, unless one alone has more: forty rows with metadata at its longest, and
/// any number of usual ones. An answer is about as large, and so is what a page takes in memory until it is read.
const PAGE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Rows, of which as many are shown as `limit` says: one more tells that there is a next page.
#[derive(Debug)]
pub(crate) struct PageRows {
    pub(crate) rows: Vec<PgRow>,
    pub(crate) limit: usize,
}

impl PageRows {
    /// Reads what `statement` finds, up to one row more than `limit`, and no further than [`PAGE_BYTES_MAX`].
    pub(crate) async fn read(
        statement: Query<'_, Postgres, PgArguments>,
        db: &mut PgConnection,
        limit: usize,
    ) -> Result<Self, Problem> {
        let mut coming = statement.fetch(db);
        let (mut rows, mut bytes) = (Vec::new(), 0);
        while let Some(row) = coming.try_next().await.map_err(refused)? {
            bytes += bytes_of(&row);
            rows.push(row);
            if bytes > PAGE_BYTES_MAX && rows.len() > 1 {
                let limit = limit.min(rows.len() - 1);
                return Ok(Self { rows, limit });
            }
        }
        Ok(Self { rows, limit })
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
