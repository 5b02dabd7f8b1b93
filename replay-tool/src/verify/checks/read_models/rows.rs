//! Rows of a read model's table, as texts, in pages by key.

use event_store::log::Position;
use projections::Table;
use sqlx::{AssertSqlSafe, PgConnection, Row};

/// The most rows of a page: what is compared at one position.
const PAGE_ROWS_MAX: usize = 5_000;

/// The schema of the live tables.
const LIVE: &str = "read";
/// That of the copies.
const SCRATCH: &str = "pg_temp";

/// A row: the texts of its key and of all of it.
#[derive(Debug)]
pub(super) struct Keyed {
    pub(super) key: Vec<String>,
    pub(super) content: String,
}

/// Live rows, as they are at a position.
#[derive(Debug)]
pub(super) struct LivePage {
    pub(super) position: Position,
    pub(super) rows: Vec<Keyed>,
}

impl LivePage {
    /// The key to go on after; `None` where this was the last page.
    pub(super) fn last_key(&self) -> Option<Vec<String>> {
        let full = self.rows.len() == PAGE_ROWS_MAX;
        self.rows.last().filter(|_| full).map(|row| row.key.clone())
    }
}

/// How to read a table whose key is known by name only. Names are constants of the projections.
pub(super) struct TableRows {
    name: &'static str,
    /// `a, b`.
    columns: String,
    /// `array[a::text, b::text]`.
    key: String,
    types: Vec<String>,
}

impl TableRows {
    /// Asks for the types of the key's columns, as bound texts are cast to them.
    pub(super) async fn describe(
        db: &mut PgConnection,
        table: &Table,
    ) -> Result<Self, sqlx::Error> {
        let mut types = Vec::new();
        for column in table.key {
            let kind: String = sqlx::query_scalar(
                "select format_type(atttypid, atttypmod) from pg_attribute \
                 where attrelid = $1::regclass and attname = $2",
            )
            .bind(format!("{LIVE}.{}", table.name))
            .bind(*column)
            .fetch_one(&mut *db)
            .await?;
            types.push(kind);
        }
        let texts: Vec<String> =
            table.key.iter().map(|column| format!("t.{column}::text")).collect();
        Ok(Self {
            name: table.name,
            columns: prefixed(table.key),
            key: format!("array[{}]", texts.join(", ")),
            types,
        })
    }

    /// `(t.a, t.b) > ($2::text::uuid, …)`, its first value being number `first`.
    fn bound(&self, operator: &str, first: usize) -> String {
        let values: Vec<String> = self
            .types
            .iter()
            .enumerate()
            .map(|(index, kind)| format!("${}::text::{kind}", first + index))
            .collect();
        format!("({}) {operator} ({})", self.columns, values.join(", "))
    }

    /// The live rows after a key, and the position they are at, in one snapshot.
    pub(super) async fn live_page(
        &self,
        db: &mut PgConnection,
        projection: &str,
        after: Option<&[String]>,
    ) -> Result<LivePage, sqlx::Error> {
        let condition = after.map_or("true".to_owned(), |_| self.bound(">", 2));
        let statement = format!(
            "select c.position, page.key, page.content \
             from {LIVE}.checkpoint c left join lateral ( \
                 select {key} as key, t::text as content from {LIVE}.{name} t where {condition} \
                 order by {columns} limit {PAGE_ROWS_MAX}) as page on true \
             where c.projection = $1",
            key = self.key,
            name = self.name,
            columns = self.columns,
        );
        let mut query = sqlx::query(AssertSqlSafe(statement)).bind(projection);
        for value in after.unwrap_or_default() {
            query = query.bind(value);
        }
        let found = query.fetch_all(db).await?;
        let position = match found.first() {
            Some(row) => Position::from_number(row.try_get(0)?),
            None => Position::START,
        };
        let mut rows = Vec::with_capacity(found.len());
        for row in found {
            // Without rows there is the position alone.
            if let Some(key) = row.try_get::<Option<Vec<String>>, _>(1)? {
                rows.push(Keyed { key, content: row.try_get(2)? });
            }
        }
        Ok(LivePage { position, rows })
    }

    /// The rows of the copy after a key, up to another where there is one.
    pub(super) async fn scratch_page(
        &self,
        db: &mut PgConnection,
        after: Option<&[String]>,
        to: Option<&[String]>,
    ) -> Result<Vec<Keyed>, sqlx::Error> {
        let lower = after.map_or("true".to_owned(), |_| self.bound(">", 1));
        let first = 1 + after.map_or(0, <[String]>::len);
        let upper = to.map_or("true".to_owned(), |_| self.bound("<=", first));
        let statement = format!(
            "select {key}, t::text from {SCRATCH}.{name} t where {lower} and {upper} \
             order by {columns}",
            key = self.key,
            name = self.name,
            columns = self.columns,
        );
        let mut query = sqlx::query(AssertSqlSafe(statement));
        for value in after.unwrap_or_default().iter().chain(to.unwrap_or_default()) {
            query = query.bind(value);
        }
        let found = query.fetch_all(db).await?;
        found
            .iter()
            .map(|row| Ok(Keyed { key: row.try_get(0)?, content: row.try_get(1)? }))
            .collect()
    }
}

fn prefixed(columns: &[&str]) -> String {
    let columns: Vec<String> = columns.iter().map(|column| format!("t.{column}")).collect();
    columns.join(", ")
}
