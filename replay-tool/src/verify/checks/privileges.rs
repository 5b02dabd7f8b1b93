//! Who may do what: each role with each table of the log, and everybody with what Postgres has besides.

use std::collections::BTreeMap;

use sqlx::PgConnection;

use crate::verify::error::{VerifyError, reading};
use crate::verify::finding::{Check, Findings};

const APP: &str = "runut_app";
const PROJECTOR: &str = "runut_projector";
const QUERY: &str = "runut_query";
const AUDITOR: &str = "runut_auditor";
const PRUNER: &str = "runut_pruner";
/// The roles that services log in as.
const ROLES: [&str; 5] = [APP, AUDITOR, PROJECTOR, PRUNER, QUERY];

const READ: &[&str] = &["SELECT"];
const READ_AND_ADD: &[&str] = &["INSERT", "SELECT"];
const READ_AND_MOVE: &[&str] = &["SELECT", "UPDATE"];
const READ_AND_WRITE: &[&str] = &["INSERT", "SELECT", "UPDATE"];
const READ_AND_REMOVE: &[&str] = &["DELETE", "SELECT"];
const KEEP: &[&str] = &["DELETE", "INSERT", "SELECT", "UPDATE"];
/// To remove webhooks, it need not see what they say.
const REMOVE_WEBHOOKS: &[&str] =
    &["DELETE", "SELECT of digest", "SELECT of psp", "SELECT of received_at", "SELECT of state"];

/// What the roles may do with a table; nobody else but its owner may do anything.
type Grants = &'static [(&'static str, &'static [&'static str])];

/// The tables of the log.
const TABLES: [(&str, Grants); 8] = [
    (
        "_sqlx_migrations",
        &[(APP, READ), (AUDITOR, READ), (PROJECTOR, READ), (PRUNER, READ), (QUERY, READ)],
    ),
    ("account_balances", &[(APP, READ_AND_WRITE), (AUDITOR, READ)]),
    ("events", &[(APP, READ_AND_ADD), (AUDITOR, READ), (PROJECTOR, READ), (QUERY, READ)]),
    ("idempotency_keys", &[(APP, READ_AND_WRITE), (AUDITOR, READ), (PRUNER, READ_AND_REMOVE)]),
    (
        "log_head",
        &[(APP, READ_AND_MOVE), (AUDITOR, READ), (PROJECTOR, READ), (PRUNER, READ), (QUERY, READ)],
    ),
    ("payment_leases", &[(APP, KEEP)]),
    ("psp_health", &[(APP, KEEP), (QUERY, READ)]),
    (
        "webhooks",
        &[(APP, READ_AND_WRITE), (AUDITOR, READ), (PRUNER, REMOVE_WEBHOOKS), (QUERY, READ)],
    ),
];

/// What may be done in a database whatever its tables are, and which roles may.
const DATABASE_WIDE: [(&str, &[&str]); 7] = [
    ("advisory locks", &[APP, PROJECTOR]),
    ("large objects", &[]),
    ("messages in the write-ahead log", &[]),
    ("new schemas", &[PROJECTOR]),
    ("new tables in the schema of the log", &[]),
    ("procedures", &[]),
    ("temporary tables", &[AUDITOR]),
];

/// `PUBLIC`, as findings name it.
const EVERYBODY: &str = "everybody";

/// Reads the catalogue.
pub(super) async fn check(
    db: &mut PgConnection,
    findings: &mut Findings,
) -> Result<(), VerifyError> {
    let roles = roles(&mut *db).await.map_err(reading("the roles"))?;
    for (role, has) in roles {
        let subject = format!("role {role}");
        findings.add(Check::Guards, None, subject, "no attributes and no other role's rights", has);
    }
    let owners = owners(&mut *db).await.map_err(reading("the owners of the log's tables"))?;
    for (table, owner) in owners {
        let subject = format!("table {table}");
        findings.add(Check::Guards, None, subject, "an owner that no service logs in as", owner);
    }
    check_tables(db, findings).await?;
    let database_wide = database_wide(db).await.map_err(reading("what everybody may do"))?;
    for (what, grantee) in database_wide {
        let allowed = DATABASE_WIDE.iter().find(|(name, _)| *name == what).map(|(_, roles)| *roles);
        if allowed.is_some_and(|roles| roles.contains(&grantee.as_str())) {
            continue;
        }
        let expected = match allowed.unwrap_or_default() {
            [] => "for the owner only".to_owned(),
            roles => format!("for the owner and {} only", roles.join(", ")),
        };
        findings.add(Check::LeftToEverybody, None, what, expected, format!("for {grantee} too"));
    }
    Ok(())
}

async fn check_tables(db: &mut PgConnection, findings: &mut Findings) -> Result<(), VerifyError> {
    let mut found = BTreeMap::<(String, String), Vec<String>>::new();
    let granted = granted(db).await.map_err(reading("the privileges on the log"))?;
    for (table, grantee, privilege) in granted {
        found.entry((table, grantee)).or_default().push(privilege);
    }
    for (table, grants) in TABLES {
        let of_table = found.keys().filter(|(on, _)| on == table).map(|(_, role)| role.as_str());
        let expected_roles = grants.iter().map(|(role, _)| *role);
        let mut grantees: Vec<&str> = of_table.chain(expected_roles).collect();
        grantees.sort_unstable();
        grantees.dedup();
        for grantee in grantees {
            let expected = grants.iter().find(|(role, _)| *role == grantee);
            let expected = expected.map_or(&[][..], |(_, privileges)| *privileges);
            let has = found.get(&(table.to_owned(), grantee.to_owned()));
            let has = has.map_or(&[][..], Vec::as_slice);
            if has != expected {
                let subject = format!("table {table}, {grantee}");
                let (expected, has) = (listed(expected), listed(has));
                findings.add(Check::Guards, None, subject, expected, has);
            }
        }
    }
    Ok(())
}

fn listed(privileges: &[impl AsRef<str>]) -> String {
    if privileges.is_empty() {
        return "nothing".to_owned();
    }
    let names: Vec<&str> = privileges.iter().map(AsRef::as_ref).collect();
    names.join(", ")
}

/// Roles that can more than log in, and what.
async fn roles(db: &mut PgConnection) -> Result<Vec<(String, String)>, sqlx::Error> {
    sqlx::query_as(
        "select r.rolname::text, concat_ws(', ', \
             case when r.rolsuper then 'superuser' end, \
             case when r.rolcreaterole then 'creates roles' end, \
             case when r.rolcreatedb then 'creates databases' end, \
             case when r.rolreplication then 'replicates' end, \
             case when r.rolbypassrls then 'bypasses row security' end, \
             (select string_agg('member of ' || g.rolname, ', ' order by g.rolname) \
              from pg_auth_members m join pg_roles g on g.oid = m.roleid where m.member = r.oid)) \
         from pg_roles r where r.rolname = any($1) \
             and (r.rolsuper or r.rolcreaterole or r.rolcreatedb or r.rolreplication \
                 or r.rolbypassrls or exists (select from pg_auth_members where member = r.oid)) \
         order by 1",
    )
    .bind(&ROLES[..])
    .fetch_all(db)
    .await
}

/// Tables of the log that belong to a role of a service: an owner may do everything.
async fn owners(db: &mut PgConnection) -> Result<Vec<(String, String)>, sqlx::Error> {
    sqlx::query_as(
        "select t.relname::text, o.rolname::text from pg_class t join pg_roles o on o.oid = t.relowner \
         where t.relnamespace = to_regnamespace('public') and t.relname = any($1) \
             and o.rolname = any($2) order by 1",
    )
    .bind(&TABLES.map(|(table, _)| table)[..])
    .bind(&ROLES[..])
    .fetch_all(db)
    .await
}

/// Table, role and privilege, on the whole or on a column, of all but the owner.
async fn granted(db: &mut PgConnection) -> Result<Vec<(String, String, String)>, sqlx::Error> {
    sqlx::query_as(
        "with tables as (select oid, relname, relowner, relacl from pg_class \
             where relnamespace = to_regnamespace('public') and relname = any($1)), \
         grants as ( \
             select t.relname, t.relowner, a.grantee, a.privilege_type as privilege \
             from tables t cross join aclexplode(t.relacl) as a \
             union all \
             select t.relname, t.relowner, a.grantee, a.privilege_type || ' of ' || c.attname \
             from tables t join pg_attribute c on c.attrelid = t.oid \
             cross join aclexplode(c.attacl) as a) \
         select g.relname::text, coalesce(r.rolname, $2)::text, g.privilege \
         from grants g left join pg_roles r on r.oid = g.grantee where g.grantee <> g.relowner \
         order by 1, 2, g.privilege collate \"C\"",
    )
    .bind(&TABLES.map(|(table, _)| table)[..])
    .bind(EVERYBODY)
    .fetch_all(db)
    .await
}

/// What Postgres leaves to everybody unless it is revoked, and who may do it: everybody, or of the roles
/// of services and others that were granted it, those that own neither the database nor Postgres itself.
async fn database_wide(db: &mut PgConnection) -> Result<Vec<(String, String)>, sqlx::Error> {
    sqlx::query_as(
        "with grants as ( \
             select case when a.privilege_type = 'CREATE' then 'new schemas' \
                 else 'temporary tables' end as what, a.grantee from pg_database d \
             cross join aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) as a \
             where d.datname = current_database() and a.privilege_type in ('TEMPORARY', 'CREATE') \
             union \
             select 'new tables in the schema of the log', a.grantee from pg_namespace n \
             cross join aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) as a \
             where n.nspname = 'public' and a.privilege_type = 'CREATE' \
             union \
             select 'procedures', a.grantee from pg_language l \
             cross join aclexplode(coalesce(l.lanacl, acldefault('l', l.lanowner))) as a \
             where l.lanname = 'plpgsql' \
             union \
             select case when p.proname ~ '^pg_(try_)?advisory_' then 'advisory locks' \
                 when p.proname = 'pg_logical_emit_message' then 'messages in the write-ahead log' \
                 else 'large objects' end, a.grantee from pg_proc p \
             cross join aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) as a \
             where p.pronamespace = to_regnamespace('pg_catalog') and p.proname ~ \
                 '^(pg_(try_)?advisory_.*|pg_logical_emit_message|lo_.*|loread|lowrite)$') \
         select g.what, coalesce(r.rolname, $1)::text from grants g \
         left join pg_roles r on r.oid = g.grantee \
         where r.rolsuper is not true and r.rolname is distinct from 'pg_database_owner' \
             and g.grantee <> (select datdba from pg_database where datname = current_database()) \
         order by 1, 2",
    )
    .bind(EVERYBODY)
    .fetch_all(db)
    .await
}
