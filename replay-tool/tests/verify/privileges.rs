//! Privileges that are not as the migrations grant them.

use replay_tool::render::finding_text;
use replay_tool::verify::{Check, Severity};
use sqlx::AssertSqlSafe;

use crate::given::{Verified, World};

async fn verified_after(world: &World, statements: &str) -> Verified {
    let mut owner = world.owner().await;
    let statements = AssertSqlSafe(statements.to_owned());
    sqlx::raw_sql(statements).execute(&mut owner).await.expect("changed");
    world.verified().await
}

#[tokio::test]
async fn every_privilege_on_the_log_that_is_too_much_or_missing_is_named() {
    let world = World::new().await;
    let verified = verified_after(
        &world,
        "grant update on events to runut_app; \
         grant delete on events to public; \
         grant select on idempotency_keys to runut_query; \
         revoke select on log_head from runut_projector; \
         grant select (body) on webhooks to runut_pruner; \
         alter table psp_health owner to runut_app",
    )
    .await;
    assert!(verified.findings.iter().all(|finding| finding.check == Check::Guards));
    assert!(!verified.summary.clean());
    let texts: Vec<_> = verified.findings.iter().map(finding_text).collect();
    insta::assert_snapshot!(texts.join("\n"));
}

#[tokio::test]
async fn what_is_left_to_everybody_is_named_and_no_violation() {
    let world = World::new().await;
    let verified = verified_after(
        &world,
        "do $$ begin execute format('grant temporary on database %I to public', \
             current_database()); end $$; \
         grant usage on language plpgsql to public; \
         grant create on schema public to runut_app; \
         grant execute on function lo_create(oid) to public; \
         grant execute on function pg_advisory_lock(bigint) to runut_query",
    )
    .await;
    assert!(verified.summary.clean());
    assert_eq!(Check::LeftToEverybody.severity(), Severity::Warning);
    let texts: Vec<_> = verified.findings.iter().map(finding_text).collect();
    insta::assert_snapshot!(texts.join("\n"));
}

#[tokio::test]
async fn young_rows_that_the_pruner_could_remove_are_named() {
    let world = World::new().await;
    let verified = verified_after(
        &world,
        "alter table idempotency_keys disable row level security; \
         create policy more on webhooks for delete to runut_pruner using (true)",
    )
    .await;
    assert!(verified.findings.iter().all(|finding| finding.check == Check::Guards));
    let texts: Vec<_> = verified.findings.iter().map(finding_text).collect();
    assert_eq!(texts.len(), 2, "{texts:#?}");
    assert!(texts[0].contains("idempotency_keys") && texts[0].contains("every row"), "{texts:#?}");
    assert!(texts[1].contains("webhooks") && texts[1].contains("true or "), "{texts:#?}");
}

/// A table that a migration adds is one more of which somebody has to say who may do what.
#[tokio::test]
async fn every_table_of_the_log_is_known() {
    let world = World::new().await;
    let tables: Vec<String> = sqlx::query_scalar(
        "select relname::text from pg_class \
         where relnamespace = to_regnamespace('public') and relkind in ('r', 'p')",
    )
    .fetch_all(&mut world.owner().await)
    .await
    .expect("tables");
    let known = include_str!("../../src/verify/checks/privileges.rs");
    for table in tables {
        assert!(known.contains(&format!("\"{table}\"")), "{table} is missing in TABLES");
    }
}
