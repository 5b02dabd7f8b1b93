//! `runut keys`, `merchants`, `migrate` and `mirror`.

use std::process::Output;

use sqlx::{Connection, PgConnection};
use url::Url;

use crate::ground::{Ground, PATIENCE, get, opens, outcome, poll, status_with_key};

const UNAUTHORIZED: u16 = 401;

/// The one line that a command printed.
#[track_caller]
fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[track_caller]
fn refused(output: &Output, because: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(because), "{said}");
    assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[tokio::test]
async fn keys_are_issued_used_and_revoked() {
    let ground = Ground::new(0o711);
    let mut up = ground.up();
    let endpoints = up.endpoints();
    let (database, command_url) = (endpoints["DATABASE_URL"].as_str(), &endpoints["COMMAND_URL"]);
    let issue = |role: &str, merchant: &[&str]| {
        let begin =
            ["keys", "issue", "--role", role, "--label", "of a test", "--database-url", database];
        outcome(&[&begin, merchant].concat())
    };
    let merchant = printed(&outcome(&[
        "merchants",
        "register",
        "--name",
        "A Shop",
        "--database-url",
        database,
    ]));
    let token = printed(&issue("merchant", &["--merchant", &merchant]));
    assert!(token.starts_with("runut_"), "the token alone is printed");
    assert_ne!(status_with_key(command_url, &token).await, UNAUTHORIZED);

    let key_id = format!("key_{}", token.split('_').nth(1).expect("an id"));
    let revoke = || outcome(&["keys", "revoke", &key_id, "--database-url", database]);
    assert_eq!(printed(&revoke()), format!("{key_id} is revoked"));
    let revoked = async || status_with_key(command_url, &token).await == UNAUTHORIZED;
    let obeyed = async {
        while !revoked().await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, obeyed).await.expect("a running service obeys");
    assert_eq!(printed(&revoke()), format!("{key_id} is revoked"), "twice is as good as once");

    refused(&issue("merchant", &[]), "the role `merchant` needs a merchant");
    let unknown = merchant.replace(&merchant[merchant.len() - 2..], "00");
    refused(&issue("merchant", &["--merchant", &unknown]), "there is no merchant");
    let unknown = format!("key_{}", &unknown["mer_".len()..]);
    refused(
        &outcome(&["keys", "revoke", &unknown, "--database-url", database]),
        "there is no API key",
    );
    up.process.stop();
}

#[tokio::test]
async fn the_schema_is_migrated_again_and_the_mirror_reset() {
    let ground = Ground::new(0o711);
    let mut up = ground.up();
    let endpoints = up.endpoints();
    let secrets = ground.data().join("secrets.env");
    let admin_url = endpoints["DATABASE_ADMIN_URL"].as_str();
    let from_file = ["--role-passwords-from", &secrets.to_string_lossy()];
    let migrated = outcome(&[&["migrate", "--database-url", admin_url], &from_file[..]].concat());
    assert!(printed(&migrated).starts_with("the schema is up to date"));
    let as_service = outcome(&["migrate", "--database-url", &endpoints["DATABASE_URL"]]);
    refused(&as_service, "is that of the role `runut_app`, not of the owner");

    let reset = ["mirror", "reset", "--nats-url", &endpoints["NATS_URL"]];
    refused(&outcome(&reset), "say --yes");
    printed(&outcome(&[&reset[..], &["--yes"]].concat()));
    // The running mirror makes the stream anew and publishes the whole log to it again.
    let metrics = async || get(&endpoints["COMMAND_URL"], "/metrics").await.1;
    assert!(metrics().await.contains("runut_mirror_alarm 0"));
    let mirrored = async || get(&endpoints["COMMAND_URL"], "/health/ready").await.1;
    let again = async {
        while !mirrored().await.contains("mirrored up to") {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, again).await.expect("the mirror goes on");
    poll("nothing else ended", PATIENCE, || up.process.ended().is_none().then_some(()));
    up.process.stop();
}

/// As on a managed server.
#[tokio::test]
async fn an_owner_that_is_no_superuser_is_told_what_cannot_be_revoked() {
    let ground = Ground::new(0o711);
    let mut up = ground.up();
    let admin_url = up.endpoints()["DATABASE_ADMIN_URL"].clone();
    let mut admin = PgConnection::connect(&admin_url).await.expect("connects");
    for statement in [
        "create role tenant login createrole password 'tenant'",
        "grant runut_app, runut_projector, runut_query, runut_auditor, runut_pruner \
         to tenant with admin option",
        "create database managed owner tenant",
    ] {
        sqlx::raw_sql(statement).execute(&mut admin).await.expect(statement);
    }
    let mut url = Url::parse(&admin_url).expect("a URL");
    url.set_username("tenant").expect("a user");
    url.set_password(Some("tenant")).expect("a password");
    url.set_path("managed");
    let said = printed(&outcome(&["migrate", "--database-url", url.as_str()]));
    let lines: Vec<&str> = said.lines().collect();
    let left = |what| format!("every role may still use {what}: only a superuser can revoke it");
    assert_eq!(lines[0], "the schema is up to date");
    for (line, what) in lines[1..].iter().zip([
        "large objects",
        "advisory locks",
        "messages in the write-ahead log",
        "procedures",
    ]) {
        assert_eq!(*line, left(what));
    }
    assert_eq!(lines.len(), 5, "{said}");
    up.process.stop();
}

#[tokio::test]
async fn what_is_beside_the_log_is_made_again() {
    let ground = Ground::new(0o711);
    let mut up = ground.up();
    let endpoints = up.endpoints();
    let rebuild = |what: &[&str], url: &str| {
        outcome(&[&["rebuild"], what, &["--database-url", &endpoints[url]]].concat())
    };
    refused(&rebuild(&["balances"], "DATABASE_ADMIN_URL"), "stop everything that writes");
    let keys = printed(&rebuild(&["keys"], "DATABASE_ADMIN_URL"));
    assert!(
        keys.ends_with("0 contradicted the log and were replaced, 0 of these have no answer"),
        "{keys}"
    );
    refused(&rebuild(&["keys"], "DATABASE_URL"), "not of the owner");

    let read_model = |name| rebuild(&["read-model", name], "DATABASE_PROJECTOR_URL");
    let switched = printed(&read_model("access"));
    assert!(switched.starts_with("access is switched to generation 2, as of "), "{switched}");
    refused(&read_model("accesses"), "there is no read model `accesses`; there are: ");
    // The running projection goes on with the new generation.
    let key = &endpoints["OPERATOR_KEY"];
    let goes_on = async {
        while !opens(&endpoints["QUERY_URL"], key).await {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, goes_on).await.expect("keys are read from it");
    up.process.stop();

    let mut up = ground.up_with(&["--rebuild", "balances,keys"]);
    up.endpoints();
    let said = up.process.output();
    assert!(said.contains("balances of 0 accounts, as of position "), "{said}");
    assert!(said.contains("idempotency keys of "), "{said}");
    up.process.stop();
}
