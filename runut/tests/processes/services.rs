//! `runut services run`.

use std::fs;
use std::net::TcpStream;
use std::path::Path;

use nix::sys::signal::Signal;

use crate::ground::{Ground, runut};

/// What a shell says of a command that SIGTERM ended.
const TERMINATED: i32 = 128 + 15;

/// The arguments to run a shell script with servers.
fn with_servers(script: &str) -> [&str; 6] {
    ["services", "run", "--", "sh", "-c", script]
}

/// Starts it so that its folder is made within the ground.
fn tmp(ground: &Ground) -> std::path::PathBuf {
    let tmp = ground.path("tmp");
    fs::create_dir(&tmp).expect("a folder for temporary ones");
    tmp
}

#[track_caller]
fn nothing_left(tmp: &Path, urls: &str) {
    assert_eq!(fs::read_dir(tmp).expect("the folder").count(), 0, "files are left");
    for url in urls.split_whitespace() {
        let address = url.split(['@', '/']).find(|part| part.starts_with("127.0.0.1:"));
        let address = address.expect("an address");
        assert!(TcpStream::connect(address).is_err(), "{address} still answers");
    }
}

const SAY_URLS: &str = "echo $RUNUT_TEST_POSTGRES $RUNUT_TEST_NATS > \"$TMPDIR/../urls\"";

#[test]
fn the_commands_exit_code_is_forwarded_and_nothing_is_left() {
    let ground = Ground::new(0o711);
    let tmp = tmp(&ground);
    let script = format!("{SAY_URLS}; exit 7");
    let output = runut(&with_servers(&script)).env("TMPDIR", &tmp).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(7), "{said}");
    let urls = fs::read_to_string(ground.path("urls")).expect("URLs");
    assert!(urls.starts_with("postgres://") && urls.contains(" nats://"), "{urls}");
    nothing_left(&tmp, &urls);
}

#[test]
fn a_signal_ends_the_command_and_the_servers() {
    let ground = Ground::new(0o711);
    let tmp = tmp(&ground);
    let script =
        format!("{SAY_URLS}.new; mv \"$TMPDIR/../urls.new\" \"$TMPDIR/../urls\"; exec sleep 600");
    let mut command = runut(&with_servers(&script));
    command.env("TMPDIR", &tmp);
    let mut process = ground.spawn(command);
    let file = ground.path("urls");
    let urls = process.wait_for("URLs", || fs::read_to_string(&file).ok());
    process.signal(Signal::SIGTERM);
    assert_eq!(process.end().code(), Some(TERMINATED), "{}", process.output());
    nothing_left(&tmp, &urls);
}

#[test]
fn a_command_that_cannot_be_run_leaves_nothing_either() {
    let ground = Ground::new(0o711);
    let tmp = tmp(&ground);
    let mut command = runut(&["services", "run", "--", "/no/such/command"]);
    let output = command.env("TMPDIR", &tmp).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot run `/no/such/command`"), "{said}");
    nothing_left(&tmp, "");
}
