//! Which rows the pruner's role may remove: none that is younger than what is promised.

use sqlx::PgConnection;

use crate::verify::error::{VerifyError, reading};
use crate::verify::finding::{Check, Findings};

/// Tables, and the rows of them that may be removed, as Postgres writes conditions.
const REMOVABLE: [(&str, &str); 2] = [
    (
        "idempotency_keys",
        "((response IS NOT NULL) AND (recorded_at < (log_clock() - '72:00:00'::interval)) AND (\"position\" <= \
         ( SELECT last_position_before((log_clock() - '72:00:00'::interval)) AS last_position_before)))",
    ),
    (
        "webhooks",
        "((state = 'processed'::text) AND (received_at < (log_clock() - '30 days'::interval)))",
    ),
];

/// Whether row security is on, and what it lets the pruner remove.
const POLICIES: &str = "
    select c.relname::text, c.relrowsecurity,
        (select string_agg(pg_get_expr(p.polqual, p.polrelid), ' or ' order by p.polname)
         from pg_policy p
         where p.polrelid = c.oid and p.polcmd in ('d', '*')
             and exists (select from unnest(p.polroles) as role
                         where role = 0 or role = to_regrole('runut_pruner')::oid))
    from pg_class c
    where c.oid in (to_regclass('public.idempotency_keys'), to_regclass('public.webhooks'))";

/// Reads the catalogue.
pub(super) async fn check(
    db: &mut PgConnection,
    findings: &mut Findings,
) -> Result<(), VerifyError> {
    let found: Vec<(String, bool, Option<String>)> =
        sqlx::query_as(POLICIES)
            .fetch_all(db)
            .await
            .map_err(reading("the rows that may be removed"))?;
    for (table, enabled, removable) in found {
        let expected = REMOVABLE.iter().find(|(name, _)| *name == table).map(|(_, rows)| *rows);
        let has = match removable {
            _ if !enabled => "every row".to_owned(),
            Some(rows) => rows,
            None => "no row".to_owned(),
        };
        if expected.is_none_or(|expected| expected != has) {
            let subject = format!("rows of {table} that runut_pruner may remove");
            findings.add(Check::Guards, None, subject, expected.unwrap_or("none"), has);
        }
    }
    Ok(())
}
