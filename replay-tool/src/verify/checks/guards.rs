//! What guards the log against mistakes is in place: unique indexes, triggers, and that nobody may do more
//! than their part.

use sqlx::PgConnection;

use super::{privileges, row_security};
use crate::verify::error::{VerifyError, reading};
use crate::verify::finding::{Check, Findings};
use crate::verify::report::Report;

/// Unique indexes: table, name, columns.
const INDEXES: [(&str, &str, &str); 5] = [
    ("log_head", "log_head_pkey", "log_id"),
    ("events", "events_pkey", "log_id, position"),
    ("events", STREAM_VERSIONS, "log_id, stream_id, version"),
    ("idempotency_keys", "idempotency_keys_pkey", "log_id, merchant_id, key"),
    ("account_balances", "account_balances_pkey", "log_id, account_id"),
];
const STREAM_VERSIONS: &str = "events_stream_version";
/// Triggers: table, name.
const TRIGGERS: [(&str, &str); 4] = [
    ("events", "events_append_only"),
    ("events", "events_no_truncate"),
    ("log_head", "log_head_no_delete"),
    ("log_head", "log_head_never_falls"),
];

/// Which ordered scans can be done at all.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Guards {
    /// There is an index of streams and versions.
    pub(crate) stream_versions: bool,
}

/// Reads the catalogue.
pub(crate) async fn check(
    db: &mut PgConnection,
    report: &Report<'_>,
) -> Result<Guards, VerifyError> {
    let mut findings = Findings::default();
    let indexes = indexes(&mut *db).await.map_err(reading("the indexes of the log"))?;
    let there = |wanted: &str| indexes.iter().any(|(name, ..)| name == wanted);
    for (table, name, columns) in INDEXES {
        let expected = format!("a valid unique index over {columns}");
        let found = match indexes.iter().find(|(found, ..)| found == name) {
            None => "none".to_owned(),
            Some((_, on, over, _)) if on != table || over != columns => {
                format!("one on {on} over {over}")
            }
            Some((_, _, _, false)) => "one that is not unique, valid and complete".to_owned(),
            Some(_) => continue,
        };
        findings.add(Check::Guards, None, format!("index {name}"), expected, found);
    }
    let triggers = triggers(&mut *db).await.map_err(reading("the triggers of the log"))?;
    for (table, name) in TRIGGERS {
        let found = match triggers.iter().find(|(on, found, _)| on == table && found == name) {
            None => "none",
            Some((_, _, false)) => "one that is disabled or may be bypassed",
            Some(_) => continue,
        };
        let subject = format!("trigger {name} on {table}");
        findings.add(Check::Guards, None, subject, "a trigger that always fires", found);
    }
    privileges::check(db, &mut findings).await?;
    row_security::check(db, &mut findings).await?;
    report.findings(findings);
    Ok(Guards { stream_versions: there(STREAM_VERSIONS) })
}

/// Name, table, columns, and whether it is unique, valid and of all rows.
async fn indexes(
    db: &mut PgConnection,
) -> Result<Vec<(String, String, String, bool)>, sqlx::Error> {
    sqlx::query_as(
        "select i.relname::text, t.relname::text, \
             (select string_agg(a.attname, ', ' order by k.number) \
              from unnest(x.indkey::smallint[]) with ordinality as k (attnum, number) \
              join pg_attribute a on a.attrelid = x.indrelid and a.attnum = k.attnum), \
             x.indisunique and x.indisvalid and x.indisready and x.indimmediate \
                 and x.indpred is null and x.indnkeyatts = x.indnatts \
         from pg_index x \
         join pg_class i on i.oid = x.indexrelid \
         join pg_class t on t.oid = x.indrelid \
         where t.relnamespace = to_regnamespace('public')",
    )
    .fetch_all(db)
    .await
}

/// Table, name, and whether it fires whatever the session says.
async fn triggers(db: &mut PgConnection) -> Result<Vec<(String, String, bool)>, sqlx::Error> {
    sqlx::query_as(
        "select t.relname::text, g.tgname::text, g.tgenabled = 'A' \
         from pg_trigger g join pg_class t on t.oid = g.tgrelid \
         where not g.tgisinternal and t.relnamespace = to_regnamespace('public')",
    )
    .fetch_all(db)
    .await
}
