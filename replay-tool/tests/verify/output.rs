//! The program: what it prints, and its exit codes.

use std::process::{Command, Output};

use migrations::Role;
use serde_json::Value;

use crate::given::{World, account};
use crate::ledger::{hold_id, with_everything};

fn run(world: &World, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_replay-tool"))
        .args(arguments)
        .env("DATABASE_AUDITOR_URL", world.database.url(Role::Auditor))
        .env_remove("DATABASE_URL")
        .output()
        .expect("it runs")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

/// Times and rates differ from run to run.
fn redacted(text: &str) -> String {
    text.lines()
        .map(|line| match (line.split_once(" in "), line.split_once(" (")) {
            (Some((before, _)), _) if line.starts_with("checked") => {
                let (events, _size) = before.rsplit_once(", ").expect("a size");
                format!("{events}, [size and time]")
            }
            (_, Some((before, _))) if line.starts_with("  ") => format!("{before} ([time])"),
            _ => line.to_owned(),
        })
        .collect::<Vec<_>>()
        .join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sound_log_ends_with_0_and_a_summary() {
    let world = World::with_history().await;
    let output = run(&world, &["verify"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    insta::assert_snapshot!(redacted(&stdout(&output)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_log_ends_with_1_and_findings() {
    let world = World::with_history().await;
    world.tamper("delete from events where position = 13").await;
    let output = run(&world, &["verify"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    insta::assert_snapshot!(redacted(&stdout(&output)));
}

#[tokio::test(flavor = "multi_thread")]
async fn json_is_an_object_a_line() {
    let world = World::with_history().await;
    world.tamper("delete from events where position = 13").await;
    let output = run(&world, &["verify", "--json"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let mut lines: Vec<Value> =
        stdout(&output).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    for line in &mut lines {
        let Some(object) = line.as_object_mut() else { panic!("{line}") };
        for (key, value) in object {
            match (key.as_str(), value) {
                ("seconds" | "events_per_second" | "head_recorded_at" | "bytes", value) => {
                    *value = "[redacted]".into();
                }
                ("parts", Value::Array(parts)) => {
                    parts.iter_mut().for_each(|part| part["seconds"] = "[redacted]".into());
                }
                _ => {}
            }
        }
    }
    insta::assert_json_snapshot!(lines);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_checked_ends_with_2() {
    let world = World::new().await;
    let unreachable = ["verify", "--database-url", "postgres://nobody@127.0.0.1:1/none"];
    for arguments in [&unreachable[..], &["verify", "--from", "0"], &["verify", "--from", "9"]] {
        let output = run(&world, arguments);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert_eq!(stdout(&output), "");
        // A sentence, without colours: it is no terminal.
        let said = String::from_utf8_lossy(&output.stderr);
        let begins = ["replay-tool: this could not be checked: ", "error: "];
        assert!(begins.iter().any(|begin| said.starts_with(begin)), "{said}");
        assert!(!said.contains('\u{1b}'), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_is_shown() {
    let world = World::with_history().await;
    let stream = format!("account-{}", account("old"));
    let text = stdout(&run(&world, &["stream", &stream]));
    assert_eq!(text.matches("hash     ").count(), 4, "{text}");
    let json = stdout(&run(&world, &["stream", &stream, "--json"]));
    let types: Vec<String> = json
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["event_type"].to_string())
        .collect();
    insta::assert_snapshot!(types.join("\n"));
    let refused = |stream: &str| {
        let output = run(&world, &["stream", stream]);
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8_lossy(&output.stderr).trim().to_owned()
    };
    let nobody = "replay-tool: this could not be checked: there is no stream account-nobody";
    assert_eq!(refused("account-nobody"), nobody);
    let id = account("old").to_string();
    assert!(
        refused(&id).ends_with(&format!("there is no stream {id}; did you mean account-{id}?"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_of_holds_and_books_are_shown() {
    let (world, _) = with_everything().await;
    let card = domain::StreamId::hold(hold_id("card")).to_string();
    let books = domain::StreamId::books(crate::given::LEDGER).to_string();
    let mut shown = String::new();
    for stream in [card, books] {
        let text = stdout(&run(&world, &["stream", &stream]));
        for line in text.lines().filter(|line| line.contains(" v1")) {
            shown = shown + line + "\n";
        }
    }
    insta::assert_snapshot!(shown);
    let stats = stdout(&run(&world, &["stats"]));
    for name in ["ledger.hold_expired", "ledger.month_closed", "ledger.account_amended"] {
        assert!(stats.contains(name), "{stats}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn stats_count_what_is_there() {
    let world = World::with_history().await;
    let json: Value =
        serde_json::from_str(&stdout(&run(&world, &["stats", "--json"]))).expect("JSON");
    assert_eq!((&json["streams"], &json["accounts"]), (&10.into(), &3.into()));
    let types = json["types"].as_object().expect("types");
    let counts: Vec<String> =
        types.iter().map(|(name, count)| format!("{name} {}", count["events"])).collect();
    insta::assert_snapshot!(counts.join("\n"));
    let text = stdout(&run(&world, &["stats"]));
    assert!(text.starts_with("14 events in 10 streams, 3 of them accounts"), "{text}");
}
