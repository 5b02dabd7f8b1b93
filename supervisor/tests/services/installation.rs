use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::geteuid;
use supervisor::{Binaries, Postgres};

use crate::ground::{Ground, ask, binaries, connect};

/// Copies what the binaries came from to a folder laid out as `make services` does.
fn copy_installation(services: &Path) {
    let postgres = binaries().postgres_program("postgres").expect("postgres");
    let installation = postgres.ancestors().nth(2).expect("an installation");
    let current = services.join("current");
    fs::create_dir_all(current.join("package")).expect("folders");
    let copy = |from: &Path, to: PathBuf| {
        let status = Command::new("cp").arg("-rL").arg(from).arg(to).status().expect("cp");
        assert!(status.success(), "cp {}", from.display());
    };
    copy(installation, current.join("package/installation"));
    std::os::unix::fs::symlink("package/installation", current.join("postgres")).expect("a link");
    let nats = binaries().nats_program().to_path_buf();
    fs::create_dir(current.join("bin")).expect("a folder");
    copy(&nats, current.join("bin/nats-server"));
    // A wheel's libraries lie beside its package.
    let beside = installation.ancestors().nth(2).and_then(|dir| fs::read_dir(dir).ok());
    for entry in beside.into_iter().flatten().filter_map(Result::ok) {
        if entry.file_name().to_string_lossy().ends_with(".libs") {
            copy(&entry.path(), current.join(entry.file_name()));
        }
    }
}

#[tokio::test]
async fn binaries_in_a_folder_only_we_can_enter_work() {
    let ground = Ground::new(0o700);
    let services = ground.dir.join("services");
    copy_installation(&services);
    let mut options = ground.postgres_options();
    options.binaries = Binaries::installed_in(&services).expect("binaries");
    let found = options.binaries.postgres_program("postgres").expect("postgres");
    assert!(found.starts_with(services.canonicalize().expect("a folder")), "{found:?}");

    let postgres = Postgres::start(options.clone()).await.expect("started");
    assert_eq!(ask(&mut connect(&postgres).await, "select 'up'").await, "up");
    let pid = postgres.pid().expect("a pid");
    let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).expect("its command line");
    let executed = PathBuf::from(line.split('\0').next().expect("its executable"));
    // Found relative to the binary: libraries, time zones, extensions.
    let extension = "select count(*)::text from pg_available_extensions where name = 'plpgsql'";
    assert_eq!(ask(&mut connect(&postgres).await, extension).await, "1");
    let zone = "select ('2026-01-01 00:00+00'::timestamptz at time zone 'Asia/Jakarta')::text";
    assert_eq!(ask(&mut connect(&postgres).await, zone).await, "2026-01-01 07:00:00");
    postgres.stop().await.expect("stopped");

    if !geteuid().is_root() {
        assert_eq!(executed, found, "as an ordinary user it runs directly");
        return;
    }
    assert_ne!(executed, found, "the other user cannot execute the original");
    let copied = || executed.metadata().and_then(|it| it.modified()).expect("a copy");
    let copied_at = copied();
    Postgres::start(options).await.expect("started").stop().await.expect("stopped");
    assert_eq!(copied(), copied_at, "it is copied once");
    fs::remove_dir_all(executed.ancestors().nth(4).expect("the copy")).expect("removed");
}
