//! What each role that services log in as is refused, on a real server, and what a weaker owner achieves.

use std::str::FromStr;

use migrations::Role;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, Connection};
use testkit::{TestDatabase, unique_name};

use crate::given::{Process, check_log, opened, post};

/// What everybody may do in a new database.
const LARGE_OBJECTS: [&str; 4] = [
    "select lo_create(0)",
    "select lo_creat(-1)",
    "select lo_from_bytea(0, 'x')",
    "select lo_put(1, 0, 'x')",
];
const ADVISORY_LOCKS: [&str; 8] = [
    "select pg_advisory_lock(1)",
    "select pg_advisory_lock_shared(1)",
    "select pg_advisory_xact_lock(1)",
    "select pg_advisory_xact_lock_shared(1, 2)",
    "select pg_try_advisory_lock(1)",
    "select pg_try_advisory_lock(1, 2)",
    "select pg_try_advisory_xact_lock(1)",
    "select pg_try_advisory_lock_shared(1)",
];
const OTHERS: [&str; 4] = [
    "select pg_logical_emit_message(false, 'p', 'x')",
    "select pg_logical_emit_message(false, 'p', 'x'::bytea)",
    "do $$ begin null; end $$",
    "create table public.mine (x int)",
];
const TEMPORARY: &str = "create temporary table mine (x int)";

/// The locks that a role needs.
const fn locks_of(role: Role) -> &'static [&'static str] {
    match role {
        // The mirror.
        Role::Application => &["select pg_try_advisory_lock(1)"],
        // Making read models, and making them again.
        Role::Projector => {
            &["select pg_advisory_xact_lock(1)", "select pg_try_advisory_lock(1, 2)"]
        }
        Role::Query | Role::Auditor | Role::Pruner => &[],
    }
}

async fn attempt(db: &mut PgConnection, statement: &'static str) -> Result<(), String> {
    sqlx::raw_sql(statement).execute(db).await.map(drop).map_err(|error| error.to_string())
}

#[tokio::test]
async fn no_role_may_do_what_postgres_lets_everybody_do() {
    let database = TestDatabase::create().await;
    for role in Role::ALL {
        let mut db = database.connect(role).await;
        for statement in LARGE_OBJECTS.into_iter().chain(ADVISORY_LOCKS).chain(OTHERS) {
            let outcome = attempt(&mut db, statement).await;
            if locks_of(role).contains(&statement) {
                assert_eq!(outcome, Ok(()), "{role:?} {statement}");
                continue;
            }
            let message = outcome.expect_err(statement);
            assert!(message.contains("permission denied"), "{role:?} {statement}: {message}");
        }
        let temporary = attempt(&mut db, TEMPORARY).await;
        assert_eq!(temporary.is_ok(), role == Role::Auditor, "{role:?} {temporary:?}");
        let schema = attempt(&mut db, "create schema mine").await;
        assert_eq!(schema.is_ok(), role == Role::Projector, "{role:?} {schema:?}");
    }
}

/// The owner of a database on a managed server may not change functions of Postgres itself.
#[tokio::test]
async fn an_owner_that_is_no_superuser_migrates_and_is_told_what_is_left() {
    let server = TestDatabase::create().await;
    let mut superuser = server.owner().await;
    let (owner, name) = (unique_name("owner"), unique_name("managed"));
    for statement in [
        format!("create role {owner} login createrole password 'test'"),
        format!(
            "grant runut_app, runut_projector, runut_query, runut_auditor, runut_pruner \
             to {owner} with admin option"
        ),
        format!("create database {name} owner {owner}"),
    ] {
        sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut superuser).await.expect("prepared");
    }
    let options = PgConnectOptions::from_str(&server.owner_url()).expect("a URL").database(&name);
    let as_owner = options.clone().username(&owner).password("test");
    let mut db = PgConnection::connect_with(&as_owner).await.expect("connects");
    let left = ["large objects", "advisory locks", "messages in the write-ahead log", "procedures"];
    // Also when there is nothing more to apply.
    for _ in 0..2 {
        assert_eq!(migrations::apply(&mut db).await.expect("migrated"), left);
    }
    let query = options.clone().username(Role::Query.login()).password("test");
    let mut query = PgConnection::connect_with(&query).await.expect("connects");
    let message = attempt(&mut query, TEMPORARY).await.expect_err("what it owns it revokes");
    assert!(message.contains("permission denied"), "{message}");

    let mut superuser = PgConnection::connect_with(&options).await.expect("connects");
    let nothing: [&str; 0] = [];
    assert_eq!(migrations::apply(&mut superuser).await.expect("restricted"), nothing);
    let message = attempt(&mut query, "select lo_create(0)").await.expect_err("revoked");
    assert!(message.contains("permission denied"), "{message}");
    // The owner goes on to migrate, which takes a lock.
    assert_eq!(migrations::apply(&mut db).await.expect("migrated"), nothing);
}

/// Postgres looks for names in a schema that is named like the role, if there is one, before it looks in that of the log.
#[tokio::test]
async fn a_schema_named_like_a_role_has_nothing_that_the_role_takes_for_the_logs() {
    let database = TestDatabase::create().await;
    opened(&database).await.stop().await;
    let mut projector = database.connect(Role::Projector).await;
    for statement in [
        "create schema runut_app",
        "grant usage on schema runut_app to public",
        "create function runut_app.log_clock() returns timestamptz language sql \
         as $$ select '2000-01-01T00:00:00Z'::timestamptz $$",
        "create table runut_app.log_head (log_id smallint, position bigint, recorded_at timestamptz)",
    ] {
        attempt(&mut projector, statement).await.expect(statement);
    }
    let process = Process::on(&database).await;
    let answer = process.submit(post("e1", "cash", "sales", 1)).await;
    assert_eq!(answer.expect("by the log's own clock and head").status, 201);
    check_log(&database).await;
}
