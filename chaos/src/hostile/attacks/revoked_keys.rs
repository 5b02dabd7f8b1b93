//! Keys that are revoked in the middle: whatever was begun with them has to end within a second.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::bail;
use futures::FutureExt;
use futures::future::{BoxFuture, join_all};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::dripping_imports::{DRIP, beginning};
use super::followers::follow;
use super::{Attack, Demand, Report};
use crate::hostile::ground::{Counts, Ground};
use crate::hostile::{sockets, wire};

/// The kinds of streams.
const KINDS: [&str; 3] = ["import", "export", "follower"];
/// How many streams of each kind: what one merchant may have of each in any case.
const OF_EACH: usize = 2;
/// When the keys are revoked, in hundredths of the attack.
const REVOKED_AT_PERCENT: u32 = 50;
/// The longest that a stream may go on after the revocation was answered.
const END_MAX: Duration = Duration::from_secs(1);
/// How long the operator tries to revoke a key.
const REVOKING_MAX: Duration = Duration::from_secs(15);
/// How long it is looked for the end.
const LOOKED_FOR_MAX: Duration = Duration::from_secs(20);
const LOOK_EVERY: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_secs(5);
/// Exports are read slowly, if with progress, so that much is left of them in the middle; the others as they come.
const EXPORT_READ_EVERY: Duration = Duration::from_millis(100);
const READ_EVERY: Duration = Duration::from_millis(1);
const READ_BYTES: usize = 4_096;
/// Line feeds, as many and as often as an import has to send to be kept.
const DRIP_EVERY: Duration = Duration::from_millis(500);
const DRIPS: usize = 128;
/// Events that come at the beginning only: a follower of these idles.
const FOLLOWED: &str = "/v1/events?type=merchant.registered";
/// The end of an answer that comes in chunks.
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

pub(super) struct RevokedKeys;

impl Attack for RevokedKeys {
    fn name(&self) -> &'static str {
        "revoked-keys"
    }

    fn bounds(&self) -> &'static str {
        "2 imports, 2 exports and 2 followers of the log with keys that are revoked in the middle"
    }

    fn start(&self, ground: Arc<Ground>) -> BoxFuture<'static, anyhow::Result<Report>> {
        async move {
            let counts = Arc::new(Counts::default());
            let streams = open_all(&ground, &counts).await;
            let mut ends = JoinSet::new();
            for (what, stream) in streams {
                ends.spawn(end_of(what, stream, Arc::clone(&ground)));
            }
            ground.until_percent(REVOKED_AT_PERCENT).await;
            while let Some(ended) = ends.try_join_next() {
                counts.add(format!("{}: ended before", ended?.0));
            }
            let keys = ground.prepared.to_be_revoked.iter();
            let all = join_all(keys.map(|key| revoke(&ground, &key.id))).await;
            let within = all.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
            let (revoked, mut latest) = (Instant::now(), Duration::ZERO);
            let (mut ended_kinds, mut still) = (BTreeSet::new(), Vec::new());
            while let Some(ended) = ends.join_next().await {
                match ended? {
                    (what, Some(at)) => {
                        counts.add(format!("{what}: ended"));
                        ended_kinds.insert(what);
                        latest = latest.max(at.saturating_duration_since(revoked));
                    }
                    (what, None) => still.push(what),
                }
            }
            let slowest_ms = within.iter().max().map_or(0, Duration::as_millis);
            let detail = format!(
                "revoked within {slowest_ms} ms; ended then: {ended_kinds:?}, the last after {} ms; \
                 still there after {} s: {still:?}",
                latest.as_millis(),
                LOOKED_FOR_MAX.as_secs(),
            );
            let held = !ended_kinds.is_empty() && still.is_empty() && latest <= END_MAX;
            let what = "streams of a revoked key end within a second".to_owned();
            let ended = Demand { what, held, detail: detail.clone() };
            // Where a slow build breaks one off by itself, nothing is shown for its kind.
            let held = KINDS.iter().all(|kind| ended_kinds.contains(kind));
            let what = "a stream of each kind was there when its key was revoked".to_owned();
            Ok(Report { counts, demands: vec![ended, Demand { what, held, detail }] })
        }
        .boxed()
    }
}

/// Revokes a key as an operator does: again, as long as it is not answered. How long that took.
async fn revoke(ground: &Ground, key_id: &str) -> anyhow::Result<Duration> {
    let (began, mut last) = (Instant::now(), String::new());
    while began.elapsed() < REVOKING_MAX {
        let request = ground.operator.delete(format!("{}/v1/api-keys/{key_id}", ground.healthy));
        let request = request.bearer_auth(&ground.operator_key);
        match request.header("Idempotency-Key", format!("revoke-{key_id}")).send().await {
            Ok(answer) if answer.status().is_success() => return Ok(began.elapsed()),
            Ok(answer) => last = answer.status().to_string(),
            Err(error) => last = error.to_string(),
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    bail!("a key was not revoked within {} s: {last}", REVOKING_MAX.as_secs())
}

async fn open_all(ground: &Ground, counts: &Counts) -> Vec<(&'static str, TcpStream)> {
    let [merchant, auditor] = &ground.prepared.to_be_revoked;
    let mut streams = Vec::new();
    for n in 0..OF_EACH {
        let import = async {
            let mut stream = wire::connect(&ground.healthy, wire::ATTACKER).await.ok()?;
            let request = beginning(&merchant.token, &format!("to-be-revoked-{n}"));
            wire::write(&mut stream, &request, PATIENCE).await.then_some(stream)
        };
        let export = async {
            let mut stream = wire::connect(&ground.query, wire::ATTACKER).await.ok()?;
            let head = wire::head("GET", "/v1/ledger/journal?format=csv", Some(&merchant.token));
            // Of everything that was prepared, or it could end by itself.
            let position = ground.prepared.position;
            let request = format!("{head}Runut-Min-Position: {position}\r\n\r\n");
            wire::write(&mut stream, request.as_bytes(), PATIENCE).await.then_some(stream)
        };
        let follower = follow(ground, FOLLOWED, &auditor.token);
        let opened = [import.await, export.await, follower.await];
        for (what, stream) in KINDS.into_iter().zip(opened) {
            let Some(mut stream) = stream else {
                counts.add(format!("{what}: not connected"));
                continue;
            };
            match wire::status(&mut stream, PATIENCE).await {
                Some(200) => {
                    counts.add(format!("{what}: begun"));
                    streams.push((what, stream));
                }
                Some(status) => counts.add(format!("{what}: {status}")),
                None => counts.add(format!("{what}: no answer")),
            }
        }
    }
    streams
}

/// When the server ended a stream: its answer ended, or its connection did. `None` where it did neither in time.
async fn end_of(
    what: &'static str,
    mut stream: TcpStream,
    ground: Arc<Ground>,
) -> (&'static str, Option<Instant>) {
    let servers = ground.server_ports();
    let peers: HashSet<u16> = stream.local_addr().iter().map(|address| address.port()).collect();
    let given_up = ground.ends() + LOOKED_FOR_MAX;
    // The kernel's table of all connections is long; before the revocation the end of what is read says enough.
    let looked_for = ground.at_percent(REVOKED_AT_PERCENT);
    let read_every = if what == "export" { EXPORT_READ_EVERY } else { READ_EVERY };
    let mut reads = tokio::time::interval(read_every);
    let mut looks = tokio::time::interval(LOOK_EVERY);
    let (mut drips, mut tail) = (tokio::time::interval(DRIP_EVERY), Vec::new());
    let sent_at_once = DRIP.repeat(DRIPS);
    let mut buffer = [0_u8; READ_BYTES];
    while Instant::now() < given_up {
        tokio::select! {
            _ = looks.tick(), if Instant::now() >= looked_for => {
                if sockets::open_at_servers(&servers, &peers).is_ok_and(|open| open == 0) {
                    return (what, Some(Instant::now()));
                }
            }
            _ = drips.tick(), if what == "import" => {
                // What cannot be sent is what the server does not take any more.
                wire::write(&mut stream, &sent_at_once, PATIENCE).await;
            }
            _ = reads.tick() => {
                let read = tokio::time::timeout(LOOK_EVERY, stream.read(&mut buffer)).await;
                match read {
                    Ok(Ok(0) | Err(_)) => return (what, Some(Instant::now())),
                    Ok(Ok(read)) => tail.extend_from_slice(&buffer[..read]),
                    Err(_) => {}
                }
                tail.drain(..tail.len().saturating_sub(LAST_CHUNK.len()));
                if tail == LAST_CHUNK {
                    return (what, Some(Instant::now()));
                }
            }
        }
    }
    (what, None)
}
