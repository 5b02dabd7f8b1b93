//! A simulator in a process of its own, killed with SIGKILL while it works.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};

use reqwest::Method;
use serde_json::Value;
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use crate::ground::{Caller, Folder, answer, charge_body, eventually, open};

/// Set for the process that is to be killed: the ledger that it opens.
const LEDGER: &str = "RUNUT_TEST_PSP_LEDGER";
const THIS_TEST: &str = "killed::what_a_killed_process_answered_is_known_to_the_next";
const CALLERS: u32 = 4;
/// How many requests are answered before each kill, at least.
const ANSWERED: usize = 200;
const KILLS: u32 = 3;

/// Calls itself in other processes, which serve.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_process_answered_is_known_to_the_next() {
    if let Some(ledger) = std::env::var_os(LEDGER) {
        return serve(Path::new(&ledger)).await;
    }
    let folder = Folder::new();
    let mut answered = Vec::new();
    for round in 0..KILLS {
        let (mut process, caller) = start(&folder).await;
        answered.extend(charge_until_killed(&mut process, &caller, round).await);
    }
    let (mut process, caller) = start(&folder).await;
    for (key, operation) in &answered {
        let found = caller.operation(key).await;
        assert_eq!(found.body, *operation, "{key}");
    }
    process.kill().await.expect("it is killed");
}

async fn serve(ledger: &Path) {
    let (psp, url) = open(ledger.to_owned(), None).await.expect("the simulator opens");
    let written = address(ledger).with_extension("new");
    std::fs::write(&written, url).expect("the address is written");
    std::fs::rename(written, address(ledger)).expect("the address is put in place");
    psp.run(CancellationToken::new()).await;
}

fn address(ledger: &Path) -> PathBuf {
    ledger.with_extension("address")
}

async fn start(folder: &Folder) -> (Child, Caller) {
    let address = address(&folder.ledger());
    // Of the process before, if there was one.
    let _ = std::fs::remove_file(&address);
    let process = Command::new(std::env::current_exe().expect("this binary"))
        .args(["--exact", THIS_TEST])
        .env(LEDGER, folder.ledger())
        .stdout(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("a process starts");
    let url = eventually(|| async { std::fs::read_to_string(&address).ok() }).await;
    (process, Caller::of(url))
}

/// Charges from several callers at once, kills the process in the middle and tells what was
/// answered until then.
async fn charge_until_killed(
    process: &mut Child,
    caller: &Caller,
    round: u32,
) -> Vec<(String, Value)> {
    let count = std::sync::Arc::new(AtomicUsize::new(0));
    let mut callers = Vec::new();
    for number in 0..CALLERS {
        let (caller, count) = (caller.clone(), count.clone());
        callers.push(tokio::spawn(async move {
            let mut answered = Vec::new();
            for n in 0_u32.. {
                let key = format!("k-{round}-{number}-{n}");
                let body = charge_body(&key, "ok", true);
                let Ok(answer) = answer(caller.post("/v1/charges", &key, &body)).await else {
                    break;
                };
                answered.push((key, answer.body));
                count.fetch_add(1, Ordering::Relaxed);
            }
            answered
        }));
    }
    eventually(|| async { (count.load(Ordering::Relaxed) >= ANSWERED).then_some(()) }).await;
    process.kill().await.expect("it is killed");
    let gone = caller.request(Method::GET, "/health/live").send().await;
    gone.expect_err("nobody answers any more");
    let mut answered = Vec::new();
    for caller in callers {
        answered.extend(caller.await.expect("no panic"));
    }
    answered
}
