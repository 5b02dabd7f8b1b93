//! The benchmarks as programs: what they print is for other programs to read.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::ground::{Ground, PATIENCE, poll, runs, runut};

/// The fields of the figures of each benchmark, by its name.
fn figures(arguments: &[&str]) -> BTreeMap<String, BTreeSet<String>> {
    let run = runut(&[&["bench"], arguments, &["--json"]].concat()).output().expect("it runs");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let mut figures = BTreeMap::new();
    for line in String::from_utf8(run.stdout).expect("UTF-8").lines() {
        let figure: Value = serde_json::from_str(line).expect("one JSON object a line");
        let fields = figure.as_object().expect("an object");
        let bench = fields["bench"].as_str().expect("a name").to_owned();
        assert_eq!(fields["errors"], 0, "{line}");
        for positive in ["rate_per_s", "seconds", "p50_ms", "p999_ms"] {
            assert!(fields[positive].as_f64().is_some_and(|figure| figure > 0.0), "{line}");
        }
        figures.insert(bench, fields.keys().cloned().collect());
    }
    figures
}

#[test]
fn what_bench_append_prints() {
    let least = [
        "--log-events=300",
        "--callers=1,2",
        "--accounts=2",
        "--seconds=1",
        "--turns=2",
        "--warm-up=1",
    ];
    insta::assert_debug_snapshot!(figures(&[&["append"], &least[..]].concat()));
}

#[test]
fn what_bench_replay_prints() {
    insta::assert_debug_snapshot!(figures(&["replay", "--log-events=300", "--runs=1"]));
}

#[test]
fn what_bench_lag_prints() {
    insta::assert_debug_snapshot!(figures(&["lag", "--rate=50", "--seconds=1"]));
}

#[test]
fn what_bench_payments_prints() {
    // So few that none of them is one that its PSP has to be given a minute for.
    let least = ["payments", "--rates=5", "--seconds=1", "--faults-percent=2"];
    insta::assert_debug_snapshot!(figures(&least));
}

#[test]
fn a_benchmark_that_is_stopped_leaves_no_server_running() {
    let ground = Ground::new(0o711);
    let mut command = runut(&["bench", "append", "--log-events=0", "--warm-up=100"]);
    command.env("TMPDIR", ground.path(""));
    let mut bench = ground.spawn(command);
    let server = bench.wait_for("its server", || {
        let folders = fs::read_dir(ground.path("")).ok()?.flatten();
        let own = |folder: &fs::DirEntry| folder.file_name().to_string_lossy().contains("bench");
        let pid = folders.filter(own).find_map(|folder| {
            fs::read_to_string(folder.path().join("postgres/data/postmaster.pid")).ok()
        })?;
        pid.lines().next()?.parse::<i32>().ok()
    });
    bench.signal(Signal::SIGTERM);
    assert_eq!(bench.end().code(), Some(1), "{}", bench.output());
    poll("its server ends", PATIENCE, || (!runs(server)).then_some(()));
}
