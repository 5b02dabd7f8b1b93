//! `runut serve`.

use crate::ground::{Ground, PATIENCE, get, outcome, poll, read_env, runut};

/// The roles, and which of the endpoints they need.
const ROLES: [(&str, &str, bool); 5] = [
    ("command-api", "DATABASE_URL", true),
    ("query-api", "DATABASE_QUERY_URL", false),
    ("projections", "DATABASE_PROJECTOR_URL", true),
    ("workers", "DATABASE_PRUNER_URL", false),
    ("mirror", "DATABASE_URL", true),
];

#[tokio::test]
async fn every_role_runs_in_a_process_of_its_own() {
    let ground = Ground::new(0o711);
    let mut up = ground.up();
    let endpoints = up.endpoints();
    let mut served = Vec::new();
    for (role, database, nats) in ROLES {
        let file = ground.path(role);
        let mut command = runut(&["serve", role, "--endpoints-file", &file.to_string_lossy()]);
        command.env(database, &endpoints[database]);
        if nats {
            command.env("NATS_URL", &endpoints["NATS_URL"]);
        }
        served.push((role, ground.spawn(command), file));
    }
    for (role, process, file) in &mut served {
        let url = process.wait_for(role, || read_env(file))["URL"].clone();
        let (status, report) = get(&url, "/health/ready").await;
        assert_eq!(status, 200, "{role}: {report}");
        assert_eq!(get(&url, "/metrics").await.0, 200, "{role}");
        assert!(process.output().contains(&format!("{role} {url}")), "{}", process.output());
    }
    // Services never migrate: a database without the schema is refused at once.
    let elsewhere = endpoints["DATABASE_PRUNER_URL"].replace("/runut?", "/postgres?");
    let refused = outcome(&["serve", "workers", "--pruner-database-url", &elsewhere]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("run `runut migrate`"), "{said}");

    // Without its database, no role is ready.
    up.process.stop();
    for (role, process, file) in &mut served {
        let url = read_env(file).expect("it serves")["URL"].clone();
        let away = async || get(&url, "/health/ready").await;
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let (status, report) = away().await;
            if status == 503 {
                break;
            }
            assert!(tokio::time::Instant::now() < deadline, "{role} is ready: {report}");
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        process.stop();
        assert!(!file.exists(), "{role} forgot its endpoints file");
    }
}

#[test]
fn a_role_waits_for_its_database_and_can_be_stopped_meanwhile() {
    let ground = Ground::new(0o711);
    let nowhere = format!("postgres://u:hunter2@127.0.0.1:{}/runut", free_port());
    let mut command = runut(&["serve", "command-api", "--no-mirror"]);
    command.env("DATABASE_URL", nowhere);
    let mut process = ground.spawn(command);
    poll("it says that it waits", PATIENCE, || {
        process.output().contains("waiting for the database").then_some(())
    });
    assert!(process.ended().is_none());
    process.stop();
    assert!(!process.output().contains("hunter2"));
}

fn free_port() -> u16 {
    supervisor::free_port().expect("a free port")
}
