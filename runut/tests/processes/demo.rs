//! The demonstration as a program: its exit code is its verdict.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::ground::{Ground, runut};

/// Few: what the trade itself shows is the demonstration's own business.
const DEALS: &str = "120";

#[test]
fn it_ends_well_only_if_the_auditors_program_says_so() {
    let ground = Ground::new(0o711);
    let data = ground.path("data").to_string_lossy().into_owned();
    let demo = ["demo", "--deals", DEALS, "--data", &data];
    let held = runut(&demo).output().expect("it runs");
    let said = String::from_utf8_lossy(&held.stdout);
    assert!(held.status.success(), "{said}{}", String::from_utf8_lossy(&held.stderr));
    assert!(said.contains("verify OK") && said.contains("everything holds"), "{said}");

    // The same program beside an auditor's program that finds something.
    let beside = ground.path("beside");
    fs::create_dir(&beside).expect("a folder");
    let program = beside.join("runut");
    fs::copy(env!("CARGO_BIN_EXE_runut"), &program).expect("a copy");
    let auditor = beside.join("replay-tool");
    fs::write(&auditor, "#!/bin/sh\necho 'violation at 7'\nexit 1\n").expect("a script");
    fs::set_permissions(&auditor, fs::Permissions::from_mode(0o755)).expect("executable");
    let other = ground.path("other").to_string_lossy().into_owned();
    let doubted = elsewhere(&program, &["demo", "--deals", DEALS, "--data", &other]);
    let said = String::from_utf8_lossy(&doubted.stdout);
    assert_eq!(doubted.status.code(), Some(1), "{said}");
    assert!(said.contains("violation at 7"), "{said}");
    assert!(said.contains("SOMETHING DOES NOT HOLD"), "{said}");
}

fn elsewhere(program: &Path, arguments: &[&str]) -> std::process::Output {
    let like = runut(arguments);
    let mut command = std::process::Command::new(program);
    command.args(like.get_args());
    for (name, value) in like.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    command.output().expect("it runs")
}
