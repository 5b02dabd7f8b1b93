//! What outlives the simulator.

use std::fs::{OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use reqwest::StatusCode;
use serde_json::json;
use simulators::psp::OpenError;

use crate::ground::{Folder, Running, charge_body, open, path_of};
use crate::receiver::Receiver;

fn append(folder: &Folder, text: &str) {
    let file = OpenOptions::new().append(true).open(folder.ledger());
    file.expect("the ledger").write_all(text.as_bytes()).expect("text is appended");
}

#[tokio::test]
async fn a_killed_simulator_knows_what_it_carried_out() {
    let folder = Folder::new();
    let psp = Running::start(&folder).await;
    let sale = psp.charge("k1", "ok", true).await;
    let declined = psp.charge("k2", "decline_soft_then_ok:1", true).await;
    let charge = psp.authorized("k3", "refund_fails").await;
    let capture = json!({"amount_minor": 2_500, "final": true});
    let captured = psp.send(&path_of(&charge, "captures"), "k4", &capture).await;
    psp.send_and_give_up("/v1/charges", "k5", &charge_body("pay_5", "timeout_after_charge", true))
        .await;
    let ledger = psp.get("/ledger").await;
    psp.kill().await;

    let psp = Running::start(&folder).await;
    assert_eq!(psp.get("/ledger").await, ledger);
    assert_eq!(psp.clearing().await, json!({"USD": 22_500}));
    for (first, again) in [
        (sale, psp.charge("k1", "ok", true).await),
        (declined, psp.charge("k2", "decline_soft_then_ok:1", true).await),
        (captured, psp.send(&path_of(&charge, "captures"), "k4", &capture).await),
    ] {
        assert!(again.replayed);
        assert_eq!((again.status, again.text), (first.status, first.text));
    }
    assert_eq!(psp.operation("k5").await.body["status"], "succeeded");
    // The token and the last capture are remembered too, and how often the reference was declined.
    let refund = psp.send(&path_of(&charge, "refunds"), "k6", &json!({"amount_minor": 1})).await;
    assert_eq!(refund.body["status"], "failed");
    let more = json!({"amount_minor": 1, "final": true});
    let more = psp.send(&path_of(&charge, "captures"), "k7", &more).await;
    assert_eq!(more.code(), "charge_already_captured");
    assert_eq!(psp.charge("k8", "decline_soft_then_ok:1", true).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn the_ledger_is_nobody_elses_to_read() {
    let folder = Folder::new();
    let mode = || {
        let metadata = std::fs::metadata(folder.ledger()).expect("the ledger");
        metadata.permissions().mode() & 0o777
    };
    Running::start(&folder).await.kill().await;
    assert_eq!(mode(), 0o600);
    // As an earlier version left it.
    std::fs::set_permissions(folder.ledger(), Permissions::from_mode(0o644)).expect("opened up");
    Running::start(&folder).await.kill().await;
    assert_eq!(mode(), 0o600);
}

#[tokio::test]
async fn everything_answered_under_load_is_known_after_a_kill() {
    let folder = Folder::new();
    let psp = Running::start(&folder).await;
    let mut answered = Vec::new();
    for round in 0..20 {
        let key = |n: u32| format!("k{round}-{n}");
        let keys = [key(0), key(1), key(2), key(3)];
        let [a, b, c, d] = &keys;
        let (a, b, c, d) = tokio::join!(
            psp.charge(a, "ok", true),
            psp.charge(b, "ok", false),
            psp.charge(c, "decline_hard", true),
            psp.charge(d, "partial_auth:10", true),
        );
        answered.extend(keys.into_iter().zip([a, b, c, d]));
    }
    psp.kill().await;
    let psp = Running::start(&folder).await;
    for (key, answer) in answered {
        assert_eq!(psp.operation(&key).await.body, answer.body);
    }
}

#[tokio::test]
async fn a_torn_last_line_is_cut_off_and_any_other_is_an_error() {
    let folder = Folder::new();
    let psp = Running::start(&folder).await;
    psp.sold("k1", "ok").await;
    psp.stop().await;
    let whole = folder.lines();
    append(&folder, &whole[..whole.len() - 2].replace("k1", "k2"));
    let psp = Running::start(&folder).await;
    assert_eq!(folder.lines(), whole);
    assert_eq!(psp.operation("k2").await.status, StatusCode::NOT_FOUND);
    psp.sold("k2", "ok").await;
    psp.stop().await;

    assert_eq!(folder.lines().lines().count(), 2);
    append(&folder, "{\"record\":\"carried_o\n");
    append(&folder, &whole);
    let opened = open(folder.ledger(), None).await;
    assert!(matches!(opened, Err(OpenError::Malformed { line: 3, .. })), "{opened:?}");
}

#[tokio::test]
async fn a_line_that_does_not_fit_is_an_error() {
    let folder = Folder::new();
    let psp = Running::start(&folder).await;
    psp.sold("k1", "ok").await;
    psp.stop().await;
    append(&folder, &folder.lines());
    let opened = open(folder.ledger(), None).await;
    assert!(matches!(opened, Err(OpenError::Misfit { line: 2, .. })), "{opened:?}");
}

#[tokio::test]
async fn a_ledger_has_one_simulator_at_a_time() {
    let folder = Folder::new();
    let psp = Running::start(&folder).await;
    let second = open(folder.ledger(), None).await;
    assert!(matches!(second, Err(OpenError::Locked { .. })), "{second:?}");
    psp.stop().await;
    open(folder.ledger(), None).await.expect("the first is gone");
}

#[tokio::test]
async fn what_was_to_change_changes_after_a_kill() {
    let folder = Folder::new();
    let psp = Running::start(&folder).await;
    psp.sold("k1", "capture_failed_later").await;
    psp.charge("k2", "webhook_only", true).await;
    psp.kill().await;
    // As if it had been killed before anything changed, however slow this test is.
    let lines = folder.lines();
    let first = lines.split_inclusive('\n').filter(|line| !line.contains("\"changed\""));
    let first: String = first.collect();
    assert_eq!(first.lines().count(), 2);
    std::fs::write(folder.ledger(), first).expect("the ledger is written");
    let psp = Running::start(&folder).await;
    psp.comes_to("k1", "failed").await;
    psp.comes_to("k2", "succeeded").await;
    assert_eq!(psp.clearing().await, json!({"USD": 10_000}));
    psp.kill().await;
    let psp = Running::start(&folder).await;
    assert_eq!(psp.clearing().await, json!({"USD": 10_000}), "it changes once");
}

#[tokio::test]
async fn webhooks_that_were_not_delivered_are_sent_after_a_kill_and_others_not() {
    let folder = Folder::new();
    let receiver = Receiver::start().await;
    let psp = Running::start_with(&folder, Some(receiver.target())).await;
    let delivered = psp.sold("k1", "ok").await;
    receiver.first(1).await;
    crate::ground::eventually(|| async { folder.lines().contains("\"delivered\"").then_some(()) })
        .await;
    psp.kill().await;

    let refusing = Receiver::refusing_first(u32::MAX).await;
    let psp = Running::start_with(&folder, Some(refusing.target())).await;
    let waiting = psp.sold("k2", "ok").await;
    psp.kill().await;

    let receiver = Receiver::start().await;
    let psp = Running::start_with(&folder, Some(receiver.target())).await;
    let fresh = psp.sold("k3", "ok").await;
    let events = receiver.first(2).await;
    let told = |operation| events.iter().filter(|event| event["operation"] == operation).count();
    assert_eq!((told(delivered), told(waiting), told(fresh)), (0, 1, 1));
}

#[tokio::test]
async fn a_request_that_is_held_does_not_hold_up_the_end() {
    let folder = Folder::new();
    let psp = Running::start(&folder).await;
    let body = charge_body("pay_1", "timeout_after_charge", true);
    let held = tokio::spawn(psp.post("/v1/charges", "k1", &body).send());
    psp.comes_to("k1", "succeeded").await;
    psp.stop().await;
    held.await.expect("no panic").expect_err("the connection is cut");
}
