//! Processes that are killed and servers that go away, under load, over HTTP.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use event_store::mirror::LogStream;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use replay_tool::verify::{MirrorSource, Silent, VerifyOptions, verify};
use supervisor::{Binaries, Nats, NatsOptions};
use tokio::sync::Notify;
use tokio::task::JoinSet;

use crate::ground::{Ground, PATIENCE};
use crate::merchant::{Merchant, command_api, verified};

/// How often the process is killed.
const KILLS: u32 = 50;
/// How many post at once; each round is killed after another number of answers.
const CALLERS: u32 = 16;
/// How often Postgres is killed, and how many entries each caller posts meanwhile.
const POSTGRES_KILLS: u32 = 3;
const ENTRIES_A_CALLER: u32 = 40;
/// How many entries each of two processes takes.
const ENTRIES_EACH: u32 = 10_000;
/// How long NATS is away.
const NATS_AWAY: Duration = Duration::from_secs(30);
/// While NATS is away, the read models follow Postgres: at most this behind, on a busy machine.
const VISIBLE_WITHOUT_NATS: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_api_killed_fifty_times_under_load_loses_and_doubles_nothing() {
    let ground = Ground::new(0o711);
    let mut up = ground.up();
    let endpoints = up.endpoints();
    let merchant = Merchant::of(&endpoints).await;
    let survivor = &endpoints["COMMAND_URL"];
    let mut acknowledged = 0;
    for round in 0..KILLS {
        let (mut process, url) = command_api(&ground, &endpoints);
        let returned = Arc::new((AtomicU32::new(0), Notify::new()));
        let mut callers = JoinSet::new();
        for caller in 0..CALLERS {
            let (merchant, url) = (merchant.clone(), url.clone());
            let returned = Arc::clone(&returned);
            callers.spawn(async move {
                let reference = format!("{round}-{caller}");
                let first = merchant.entry(&url, &reference).await;
                returned.0.fetch_add(1, Ordering::AcqRel);
                returned.1.notify_one();
                (reference, first)
            });
        }
        // Another moment each round: at once, after a few answers, after nearly all.
        while returned.0.load(Ordering::Acquire) < round % CALLERS {
            returned.1.notified().await;
        }
        process.signal(Signal::SIGKILL);
        process.end();
        while let Some(called) = callers.join_next().await {
            let (reference, first) = called.expect("no panic");
            acknowledged += u32::from(first.is_some());
            // Asked again of another process: the same effect, whether or not it was answered.
            let settled = merchant.insist(survivor, &reference).await;
            if let Some(first) = first {
                assert_eq!(settled, first, "acknowledged, then answered otherwise");
            }
        }
        verified(&endpoints).await;
    }
    assert!(acknowledged > 0, "some were answered before their process died");
    let last = merchant.entry(survivor, "last").await.expect("posted");
    let debits = merchant.debits(&endpoints["QUERY_URL"], &last.position).await;
    assert_eq!(debits, format!("{}.00", KILLS * CALLERS + 1));
    up.process.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_killed_under_load_loses_and_doubles_nothing() {
    let ground = Ground::new(0o711);
    let mut up = ground.up();
    let endpoints = up.endpoints();
    let merchant = Merchant::of(&endpoints).await;
    let url = &endpoints["COMMAND_URL"];
    let mut last = None;
    for round in 0..POSTGRES_KILLS {
        let mut callers = JoinSet::new();
        for caller in 0..CALLERS {
            let (merchant, url) = (merchant.clone(), url.clone());
            callers.spawn(async move {
                let references = (0..ENTRIES_A_CALLER).map(|n| format!("{round}-{caller}-{n}"));
                let mut first = Vec::new();
                for reference in references {
                    first.push((merchant.insist(&url, &reference).await, reference));
                }
                first
            });
        }
        // Another moment each round: some are answered, some are under way.
        let mut answered = Vec::new();
        let [postgres, _] = up.servers();
        merchant.insist(url, &format!("{round}-before")).await;
        kill(Pid::from_raw(postgres), Signal::SIGKILL).expect("it is there");
        while let Some(caller) = callers.join_next().await {
            answered.extend(caller.expect("no panic"));
        }
        for (first, reference) in answered {
            let again = merchant.insist(url, &reference).await;
            assert_eq!(again, first, "acknowledged, then answered otherwise");
            last = Some(again);
        }
        verified(&endpoints).await;
    }
    let debits = merchant.debits(&endpoints["QUERY_URL"], &last.expect("posted").position).await;
    let entries = POSTGRES_KILLS * (CALLERS * ENTRIES_A_CALLER + 1);
    assert_eq!(debits, format!("{entries}.00"));
    up.process.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_command_apis_take_ten_thousand_entries_each_at_once() {
    let ground = Ground::new(0o711);
    let mut up = ground.up_with(&["--rate-limit", "1000000"]);
    let endpoints = up.endpoints();
    let merchant = Merchant::of(&endpoints).await;
    let (mut second, second_url) = command_api(&ground, &endpoints);
    let urls = [&endpoints["COMMAND_URL"], &second_url];
    let mut callers = JoinSet::new();
    for (process, url) in urls.into_iter().enumerate() {
        for caller in 0..CALLERS {
            let (merchant, url) = (merchant.clone(), url.clone());
            callers.spawn(async move {
                let mut positions = Vec::new();
                for n in 0..ENTRIES_EACH / CALLERS {
                    let posted = merchant.insist(&url, &format!("{process}-{caller}-{n}")).await;
                    positions.push(posted.position.parse::<u64>().expect("a number"));
                }
                positions
            });
        }
    }
    let mut positions = Vec::new();
    while let Some(caller) = callers.join_next().await {
        positions.extend(caller.expect("no panic"));
    }
    positions.sort_unstable();
    let first = positions[0];
    let entries = u64::from(2 * ENTRIES_EACH);
    assert!(positions.iter().copied().eq(first..first + entries), "no gap, and none twice");
    let last = (first + entries - 1).to_string();
    let debits = merchant.debits(&endpoints["QUERY_URL"], &last).await;
    assert_eq!(debits, format!("{entries}.00"));
    verified(&endpoints).await;
    second.stop();
    up.process.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_nats_is_away_everything_goes_on_and_the_mirror_catches_up_after() {
    let ground = Ground::new(0o711);
    let binaries = Binaries::locate(None).expect("installed by `make services`");
    let nats_dir = ground.path("elsewhere");
    std::fs::create_dir(&nats_dir).expect("a folder");
    let mut options = NatsOptions::new(&nats_dir, binaries);
    options.port = supervisor::free_port().expect("a free port");
    options.password = Some("of-this-test-alone".to_owned());
    let nats = Nats::start(options.clone()).await.expect("NATS starts");
    let url = nats.url();
    let mut up = ground.up_with(&["--nats-url", &url]);
    let endpoints = up.endpoints();
    let merchant = Merchant::of(&endpoints).await;
    let (command_url, query_url) = (&endpoints["COMMAND_URL"], &endpoints["QUERY_URL"]);
    merchant.entry(command_url, "before").await.expect("posted");
    nats.stop().await.expect("NATS stops");

    let away = Instant::now();
    let (mut count, mut slowest) = (1, Duration::ZERO);
    while away.elapsed() < NATS_AWAY {
        let posted = merchant.entry(command_url, &format!("away-{count}")).await;
        let posted = posted.expect("commands go on");
        count += 1;
        let answered = Instant::now();
        let debits = merchant.debits(query_url, &posted.position).await;
        slowest = slowest.max(answered.elapsed());
        assert_eq!(debits, format!("{count}.00"), "each entry is there exactly once");
    }
    assert!(slowest < VISIBLE_WITHOUT_NATS, "an effect took {slowest:?} to be seen");

    let nats = Nats::start(options).await.expect("NATS starts again");
    assert_eq!(nats.url(), url);
    let last = merchant.entry(command_url, "after").await.expect("posted");
    assert_eq!(merchant.debits(query_url, &last.position).await, format!("{}.00", count + 1));
    let head: u64 = last.position.parse().expect("a position");
    let client = event_store::mirror::connect_nats(&url, "test").await.expect("NATS answers");
    let jetstream = async_nats::jetstream::new(client);
    let begun = Instant::now();
    loop {
        let stream = jetstream.get_stream(LogStream::default().name()).await;
        let mirrored = stream.map_or(0, |stream| stream.cached_info().state.last_sequence);
        if mirrored == head {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "mirrored to {mirrored} of {head}");
    }
    let mut options = VerifyOptions::of(&endpoints["DATABASE_AUDITOR_URL"]);
    options.mirror = Some(MirrorSource { nats_url: url, stream: LogStream::default() });
    let summary = verify(&options, &mut Silent).await.expect("it can be verified");
    assert!(summary.clean(), "{:?}", summary.findings);
    up.process.stop();
    nats.stop().await.expect("NATS stops");
}
