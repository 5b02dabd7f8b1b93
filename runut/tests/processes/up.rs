//! `runut up`.

use std::fs;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::sys::signal::Signal;
use sqlx::{Connection, PgConnection};

use crate::ground::{Ground, get, outcome, poll, read_env, runs, runut, status_with_key};
use crate::ground::{PATIENCE, STOP_PATIENCE};

const UNAUTHORIZED: u16 = 401;
/// What a process that was interrupted exits with.
const QUIT: i32 = 130;
/// Everything that `endpoints.env` promises.
const ENDPOINTS: [&str; 22] = [
    "DATABASE_URL",
    "DATABASE_PROJECTOR_URL",
    "DATABASE_QUERY_URL",
    "DATABASE_AUDITOR_URL",
    "DATABASE_PRUNER_URL",
    "DATABASE_ADMIN_URL",
    "NATS_URL",
    "COMMAND_URL",
    "QUERY_URL",
    "MERCHANT_ID",
    "OTHER_MERCHANT_ID",
    "MERCHANT_KEY",
    "MERCHANT_READ_KEY",
    "OTHER_MERCHANT_KEY",
    "OPERATOR_KEY",
    "AUDITOR_KEY",
    "ANALYST_KEY",
    "RUNUT_PSPS_FILE",
    "PSP_ALPHA_URL",
    "PSP_BETA_URL",
    "PSP_GAMMA_URL",
    "PSP_API_SECRET",
];

#[tokio::test]
async fn an_installation_comes_up_and_stops_without_a_trace() {
    let ground = Ground::new(0o711);
    let mut up = ground.up();
    let endpoints = up.endpoints();
    for name in ENDPOINTS {
        assert!(endpoints.get(name).is_some_and(|value| !value.is_empty()), "{name} is missing");
    }
    for file in ["endpoints.env", "secrets.env"] {
        let mode = fs::metadata(ground.data().join(file)).expect(file).permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    for url in [&endpoints["COMMAND_URL"], &endpoints["QUERY_URL"]] {
        let (status, report) = get(url, "/health/ready").await;
        assert_eq!(status, 200, "{report}");
        assert!(get(url, "/metrics").await.1.contains("runut_"));
    }
    for name in ENDPOINTS.into_iter().filter(|name| name.ends_with("_KEY")) {
        let status = status_with_key(&endpoints["COMMAND_URL"], &endpoints[name]).await;
        assert_ne!(status, UNAUTHORIZED, "{name}");
    }
    let secrets = read_env(&ground.data().join("secrets.env")).expect("secrets");
    let said = up.process.output();
    assert!(said.contains(&endpoints["COMMAND_URL"]) && said.contains("endpoints.env"), "{said}");
    for (name, secret) in secrets.iter().filter(|(name, _)| !name.ends_with("_ID")) {
        assert!(!said.contains(secret.as_str()), "{name} was printed or logged");
    }

    let servers = up.servers();
    assert!(servers.into_iter().all(runs));
    up.process.stop();
    assert!(!servers.into_iter().any(runs), "a server runs on");
    assert!(!ground.data().join("endpoints.env").exists());
}

/// What others can list, read or write below a folder that they can at least pass through.
fn exposed(folder: &Path) -> Vec<(PathBuf, u32)> {
    const OTHERS_PASS: u32 = 0o011;
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let metadata = fs::metadata(&path).expect("metadata");
        let others = metadata.permissions().mode() & 0o077;
        if metadata.is_dir() && others == OTHERS_PASS {
            found.extend(exposed(&path));
        } else if others != 0 {
            found.push((path, others));
        }
    }
    found
}

#[tokio::test]
async fn nothing_that_it_writes_can_be_read_by_others_whatever_the_umask_is() {
    let ground = Ground::new(0o711);
    let mut up = ground.up_without_umask();
    let endpoints = up.endpoints();
    let charge = serde_json::json!({
        "amount_minor": 100, "currency": "USD", "token": "ok", "reference": "pay_1", "capture": true,
    });
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let charged = client
        .post(format!("{}/v1/charges", endpoints["PSP_ALPHA_URL"]))
        .bearer_auth(&endpoints["PSP_API_SECRET"])
        .header("idempotency-key", "k1")
        .json(&charge)
        .send()
        .await
        .expect("an answer");
    assert_eq!(charged.status().as_u16(), 201);
    let data = ground.data();
    let of_data = fs::metadata(&data).expect("the folder").permissions().mode() & 0o777;
    assert!([0o700, 0o711].contains(&of_data), "{of_data:o}");
    assert_eq!(exposed(&data), []);
    for file in ["psps/alpha.ndjson", "psps.json", "runut.lock", "nats/nats.conf", "nats/nats.log"]
    {
        let mode = fs::metadata(data.join(file)).expect(file).permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
    up.process.stop();
}

#[test]
fn a_second_up_on_the_same_folder_is_refused() {
    let ground = Ground::new(0o711);
    let mut up = ground.up();
    up.process.wait_for("secrets.env", || read_env(&ground.data().join("secrets.env")));
    let data = ground.data();
    let arguments = ["up", "--data", &data.to_string_lossy(), "--command-port=0", "--query-port=0"];
    let second = outcome(&arguments);
    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(said.contains("is in use by another runut (pid "), "{said}");
    // It was still starting: a signal then must stop it in order, too.
    up.process.stop();
}

#[tokio::test]
async fn after_a_kill_the_next_up_recovers_with_the_same_keys() {
    let ground = Ground::new(0o711);
    let mut first = ground.up();
    let before = first.endpoints();
    let orphans = first.servers();
    let analyst = before["ANALYST_KEY"].split('_').nth(1).expect("a token").to_owned();
    let revoked = outcome(&[
        "keys",
        "revoke",
        &format!("key_{analyst}"),
        "--database-url",
        &before["DATABASE_URL"],
    ]);
    assert!(revoked.status.success(), "{}", String::from_utf8_lossy(&revoked.stderr));
    let events = count_events(&before["DATABASE_ADMIN_URL"]).await;
    first.process.signal(Signal::SIGKILL);
    first.process.end();

    let mut second = ground.up();
    // The stale file goes before anything else, so this one is the second's.
    poll("the stale endpoints.env is removed", PATIENCE, || {
        let current = read_env(&ground.data().join("endpoints.env"));
        (current.as_ref() != Some(&before)).then_some(())
    });
    let after = second.endpoints();
    assert!(!orphans.into_iter().any(runs), "an orphan runs on");
    for name in ENDPOINTS.into_iter().filter(|name| name.ends_with("_KEY")) {
        assert_eq!(before[name] == after[name], name != "ANALYST_KEY", "{name}");
        let status = status_with_key(&after["COMMAND_URL"], &after[name]).await;
        assert_ne!(status, UNAUTHORIZED, "{name}");
    }
    let issued_again = count_events(&after["DATABASE_ADMIN_URL"]).await - events;
    assert_eq!(issued_again, 1, "only the revoked key is replaced");
    second.process.stop();
}

async fn count_events(owner_url: &str) -> i64 {
    let mut owner = PgConnection::connect(owner_url).await.expect("the owner connects");
    sqlx::query_scalar("select count(*) from events").fetch_one(&mut owner).await.expect("a count")
}

#[test]
fn root_may_keep_an_installation_where_nobody_else_can_go() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let ground = Ground::new(0o700);
    let mut up = ground.up();
    up.endpoints();
    up.process.stop();
}

#[tokio::test]
async fn given_servers_are_used_and_a_replaced_database_gets_the_same_keys() {
    let ground = Ground::new(0o711);
    let mut seen = Vec::new();
    for _ in 0..2 {
        let script = "exec \"$0\" up --data \"$1\" --command-port 0 --query-port 0 \
                      --database-url \"$RUNUT_TEST_POSTGRES\" --nats-url \"$RUNUT_TEST_NATS\"";
        let data = ground.data();
        let binary = env!("CARGO_BIN_EXE_runut");
        let arguments =
            ["services", "run", "--", "sh", "-c", script, binary, &data.to_string_lossy()];
        let mut process = ground.spawn(runut(&arguments));
        let path = data.join("endpoints.env");
        let endpoints = process.wait_for("endpoints.env", || read_env(&path));
        let status = status_with_key(&endpoints["COMMAND_URL"], &endpoints["MERCHANT_KEY"]).await;
        assert_ne!(status, UNAUTHORIZED);
        assert!(!data.join("postgres").exists() && !data.join("nats").exists());
        process.stop();
        seen.push(endpoints);
    }
    assert_ne!(seen[0]["DATABASE_ADMIN_URL"], seen[1]["DATABASE_ADMIN_URL"]);
    assert_eq!(seen[0]["MERCHANT_KEY"], seen[1]["MERCHANT_KEY"]);
}

#[test]
fn a_second_signal_ends_it_at_once_and_the_servers_soon() {
    let ground = Ground::new(0o711);
    let mut up = ground.up();
    let endpoints = up.endpoints();
    let servers = up.servers();
    let address = endpoints["COMMAND_URL"].trim_start_matches("http://");
    let mut hanging = TcpStream::connect(address).expect("a connection");
    // A body that never comes holds up the orderly end.
    let key = &endpoints["MERCHANT_KEY"];
    let head = format!(
        "POST /v1/accounts HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {key}\r\n\
         Idempotency-Key: hanging\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n"
    );
    hanging.write_all(head.as_bytes()).expect("half a request");
    up.process.signal(Signal::SIGTERM);
    poll("it stops", STOP_PATIENCE, || up.process.output().contains("stopping").then_some(()));
    up.process.signal(Signal::SIGINT);
    assert_eq!(up.process.end().code(), Some(QUIT), "{}", up.process.output());
    poll("the servers end", STOP_PATIENCE, || (!servers.into_iter().any(runs)).then_some(()));
}

#[test]
fn without_its_database_a_folder_is_not_begun_anew() {
    let ground = Ground::new(0o711);
    let mut up = ground.up();
    up.endpoints();
    up.process.signal(Signal::SIGHUP);
    assert_eq!(up.process.end().code(), Some(0), "a terminal that closes ends it in order");
    fs::remove_dir_all(ground.data().join("postgres")).expect("the database is gone");
    let mut again = ground.up();
    assert_eq!(again.process.end().code(), Some(1));
    let said = again.process.output();
    assert!(said.contains("postgres/data is gone") && said.contains("secrets.env"), "{said}");
}

#[test]
fn the_file_of_its_own_simulators_is_not_taken_for_real_psps() {
    let ground = Ground::new(0o711);
    let mut up = ground.up();
    up.endpoints();
    up.process.stop();
    let file = ground.data().join("psps.json");
    let mut command = runut(&["up", "--data", &ground.data().to_string_lossy()]);
    command.args(["--command-port", "0", "--query-port", "0"]).arg("--psps-file").arg(file);
    let mut again = ground.spawn(command);
    assert_eq!(again.end().code(), Some(1));
    assert!(again.output().contains("leave --psps-file"), "{}", again.output());
}

#[test]
fn without_its_secrets_a_database_is_not_begun_anew() {
    let ground = Ground::new(0o711);
    fs::create_dir_all(ground.data().join("postgres/data")).expect("a cluster of old");
    let mut up = ground.up();
    let status = poll("its end", STOP_PATIENCE, || up.process.ended());
    assert_eq!(status.code(), Some(1));
    assert!(up.process.output().contains("secrets.env is gone"), "{}", up.process.output());
}
