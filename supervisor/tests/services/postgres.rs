use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use supervisor::{Error, Postgres};

use crate::ground::{BACK_MAX, Ground, PASSWORD, ask, binaries, connect, execute, runs};

const CREATE: &str = "create table kept as select 'here' as word";
const READ: &str = "select word from kept";

#[tokio::test]
async fn data_and_port_survive_a_stop_and_a_restart() {
    let ground = Ground::new(0o711);
    let postgres = ground.postgres().await;
    let (port, pid) = (postgres.port(), postgres.pid().expect("a pid"));
    execute(&mut connect(&postgres).await, CREATE).await;
    postgres.stop().await.expect("stopped");
    assert!(!runs(pid), "nothing outlives a stop");

    let postgres = ground.postgres().await;
    assert_eq!(postgres.port(), port);
    assert_eq!(ask(&mut connect(&postgres).await, READ).await, "here");
    postgres.restart().await.expect("restarted");
    assert_eq!(postgres.port(), port);
    assert_eq!(ask(&mut connect(&postgres).await, READ).await, "here");
    postgres.stop().await.expect("stopped");
}

#[tokio::test]
async fn the_server_is_durable_and_private() {
    let ground = Ground::new(0o711);
    let postgres = ground.postgres().await;
    let mut connection = connect(&postgres).await;
    for (sql, expected) in [
        ("show fsync", "on"),
        ("show full_page_writes", "on"),
        ("show synchronous_commit", "on"),
        ("show data_checksums", "on"),
        ("show listen_addresses", "127.0.0.1"),
        ("show unix_socket_directories", ""),
        ("show server_encoding", "UTF8"),
        ("show idle_in_transaction_session_timeout", "5s"),
        ("show log_statement", "none"),
        ("select current_user::text", "runut_owner"),
    ] {
        assert_eq!(ask(&mut connection, sql).await, expected, "{sql}");
    }
    let pid = postgres.pid().expect("a pid");
    let environment = fs::read(format!("/proc/{pid}/environ")).expect("its environment");
    let environment = String::from_utf8_lossy(&environment);
    assert!(environment.contains("MALLOC_TRIM_THRESHOLD_=67108864"), "{environment}");
    // What fails is logged without what it was.
    let failing = "select 'the-secret'::int";
    sqlx::query(failing).execute(&mut connection).await.expect_err("not a number");
    let log = fs::read_to_string(postgres.log()).expect("a log");
    assert!(log.contains("ready to accept connections"));
    assert!(!log.contains(failing) && !log.contains(PASSWORD));
    let open = "select count(*)::text from pg_hba_file_rules where auth_method <> 'scram-sha-256'";
    assert_eq!(ask(&mut connection, open).await, "0");
    postgres.stop().await.expect("stopped");
}

#[tokio::test]
async fn an_orphan_of_a_killed_run_is_stopped_and_its_data_kept() {
    let ground = Ground::new(0o711);
    let orphan = ground.postgres().await;
    let (port, pid) = (orphan.port(), orphan.pid().expect("a pid"));
    execute(&mut connect(&orphan).await, CREATE).await;
    orphan.abandon().await.expect("abandoned");
    assert!(runs(pid), "an orphan runs on");

    let postgres = ground.postgres().await;
    assert!(!runs(pid));
    assert_eq!(postgres.port(), port);
    assert_eq!(ask(&mut connect(&postgres).await, READ).await, "here");
    postgres.stop().await.expect("stopped");
}

#[tokio::test]
async fn backends_left_by_a_dead_postmaster_do_not_block_a_start() {
    let ground = Ground::new(0o711);
    let orphan = ground.postgres().await;
    let mut connection = connect(&orphan).await;
    execute(&mut connection, CREATE).await;
    let backend: i32 = sqlx::query_scalar("select pg_backend_pid()")
        .fetch_one(&mut connection)
        .await
        .expect("the backend's pid");
    let backend = Pid::from_raw(backend);
    let postmaster = i32::try_from(orphan.pid().expect("a pid")).expect("a pid");
    // A stopped backend cannot see that its postmaster is gone, and holds its shared memory.
    kill(backend, Signal::SIGSTOP).expect("stopped");
    orphan.abandon().await.expect("abandoned");
    kill(Pid::from_raw(postmaster), Signal::SIGKILL).expect("killed");

    let postgres = ground.postgres().await;
    assert_eq!(ask(&mut connect(&postgres).await, READ).await, "here");
    assert!(!runs(backend.as_raw().unsigned_abs()));
    postgres.stop().await.expect("stopped");
}

#[tokio::test]
async fn a_supervised_server_comes_back_on_its_port_after_a_crash() {
    let ground = Ground::new(0o711);
    let postgres = ground.postgres().await;
    let port = postgres.port();
    execute(&mut connect(&postgres).await, CREATE).await;
    let first = postgres.pid().expect("a pid");
    postgres.kill().await.expect("killed");
    postgres.ready_after(first, BACK_MAX).await.expect("back");
    assert_eq!(ask(&mut connect(&postgres).await, READ).await, "here");

    // Only the postmaster this time, and not by us.
    let second = postgres.pid().expect("a pid");
    let postmaster = Pid::from_raw(i32::try_from(second).expect("a pid"));
    kill(postmaster, Signal::SIGKILL).expect("killed");
    postgres.ready_after(second, BACK_MAX).await.expect("back");
    assert_eq!(postgres.port(), port);
    assert_eq!(ask(&mut connect(&postgres).await, READ).await, "here");
    postgres.stop().await.expect("stopped");
}

#[tokio::test]
async fn an_unsupervised_server_stays_down_until_it_is_restarted() {
    let ground = Ground::new(0o711);
    let mut options = ground.postgres_options();
    options.supervised = false;
    let postgres = Postgres::start(options).await.expect("started");
    postgres.kill().await.expect("killed");
    assert_eq!(postgres.pid(), None);
    postgres.restart().await.expect("restarted");
    assert_eq!(ask(&mut connect(&postgres).await, "select 'up'").await, "up");
    postgres.destroy().await.expect("destroyed");
    assert!(fs::symlink_metadata(ground.dir.join("postgres")).is_err());
}

#[tokio::test]
async fn a_second_start_on_the_same_folder_is_refused() {
    let ground = Ground::new(0o711);
    let postgres = ground.postgres().await;
    let error = Postgres::start(ground.postgres_options()).await.err().expect("refused");
    assert!(matches!(error, Error::Locked { .. }), "{error}");
    assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
    postgres.stop().await.expect("stopped");
}

#[tokio::test]
async fn a_wrong_password_is_refused_at_once_and_nothing_is_left_running() {
    let ground = Ground::new(0o711);
    ground.postgres().await.stop().await.expect("stopped");
    let mut options = ground.postgres_options();
    options.password = "another".into();
    let error = Postgres::start(options).await.err().expect("refused");
    assert!(matches!(error, Error::Refused { .. }), "{error}");
    ground.postgres().await.stop().await.expect("stopped");
}

#[tokio::test]
async fn an_interrupted_initdb_is_begun_again() {
    let ground = Ground::new(0o711);
    let home = ground.dir.join("postgres");
    let unfinished = home.join("data.unfinished/cluster");
    fs::create_dir_all(&unfinished).expect("folders");
    fs::write(unfinished.join("PG_VERSION"), "18\n").expect("half a cluster");
    fs::set_permissions(&home, std::os::unix::fs::PermissionsExt::from_mode(0o711)).expect("mode");

    let postgres = ground.postgres().await;
    assert!(!home.join("data.unfinished").exists());
    assert_eq!(ask(&mut connect(&postgres).await, "select 'up'").await, "up");
    postgres.stop().await.expect("stopped");
}

#[tokio::test]
async fn a_pid_file_that_names_another_program_does_not_block_a_start() {
    let ground = Ground::new(0o711);
    let postgres = ground.postgres().await;
    postgres.stop().await.expect("stopped");
    let home = ground.dir.join("postgres").canonicalize().expect("a home");
    let pid_file = home.join("data/postmaster.pid");
    // This very process: alive, but no Postgres. Were it taken for one, it would be killed.
    let content = format!("{}\n{}\n1\n1\n\n\n  1 1\n", std::process::id(), home.display());
    fs::write(&pid_file, content).expect("written");
    ground.postgres().await.stop().await.expect("stopped");
}

#[tokio::test]
async fn a_folder_only_we_can_enter_works() {
    let ground = Ground::new(0o700);
    let postgres = ground.postgres().await;
    execute(&mut connect(&postgres).await, CREATE).await;
    let inside = ground.dir.join("postgres");
    let owner = inside.join("data").metadata().expect("data").uid();
    if geteuid().is_root() {
        assert!(inside.is_symlink(), "the other user cannot pass through to DIR");
        assert_ne!(owner, 0, "PostgreSQL refuses root");
        assert_ne!(fs::read_link(&inside).expect("a link"), Path::new(""));
    } else {
        assert!(!inside.is_symlink());
        assert_eq!(owner, geteuid().as_raw());
    }
    postgres.stop().await.expect("stopped");
    let postgres = ground.postgres().await;
    assert_eq!(ask(&mut connect(&postgres).await, READ).await, "here");
    postgres.destroy().await.expect("destroyed");
    assert!(fs::symlink_metadata(inside).is_err());
}

#[tokio::test]
async fn options_that_cannot_work_are_refused() {
    let ground = Ground::new(0o711);
    let mut options = ground.postgres_options();
    options.settings.push(("fsync off -c x".into(), "1".into()));
    let error = Postgres::start(options).await.err().expect("refused");
    assert!(matches!(error, Error::Option { option: "settings", .. }), "{error}");
    assert!(binaries().postgres_program("psql").is_some());
}
