//! Reading read models whole, as text, to compare and to snapshot them.

use projections::Projection;
use sqlx::{AssertSqlSafe, PgConnection};

/// All rows of a projection's tables in `schema`, each as one line of JSON, tables in their order.
pub(crate) async fn dump(
    db: &mut PgConnection,
    projection: &dyn Projection,
    schema: &str,
) -> String {
    let mut text = String::new();
    for table in projection.tables() {
        let statement = format!(
            "select to_jsonb(t)::text from {schema}.{} as t order by {}",
            table.name,
            table.key.join(", ")
        );
        let rows: Vec<String> =
            sqlx::query_scalar(AssertSqlSafe(statement)).fetch_all(&mut *db).await.expect("reads");
        text.push_str(&format!("{} ({} rows)\n", table.name, rows.len()));
        for row in rows {
            text.push_str("  ");
            text.push_str(&row);
            text.push('\n');
        }
    }
    text
}

/// Folds the log afresh into a scratch schema, and dumps that: what the live tables must hold.
pub(crate) async fn expected(db: &mut PgConnection, projection: &dyn Projection) -> String {
    let head = event_store::log::head(&mut *db).await.expect("a head").position;
    let fresh = "discard temp";
    sqlx::raw_sql(fresh).execute(&mut *db).await.expect(fresh);
    projections::fold_into(&mut *db, projection, "pg_temp", head, |_| {}).await.expect("folds");
    dump(db, projection, "pg_temp").await
}

/// The live tables hold exactly what a fresh fold of the log yields.
#[track_caller]
pub(crate) fn same(live: &str, expected: &str) {
    if live != expected {
        panic!("the read model differs from a fresh fold\nlive:\n{live}\nexpected:\n{expected}");
    }
}
