//! Webhooks: forged, stale, with thousands of signatures, and genuine ones again and again.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;

use super::{Attack, Report};
use crate::hostile::ground::{Counts, Ground, paced};
use crate::hostile::webhook::{SIGNATURE_HEADER, signature};

/// Of each kind a second, but of those with many signatures.
const PER_S: u32 = 20;
/// Of those with many signatures a second: four at a time once stopped everything for six seconds.
const MANY_SIGNED_PER_S: u32 = 4;
/// As many signatures as fit the head of a request, each as short as it can be.
const SIGNATURES: usize = 8_000;
/// The most that a webhook may have.
const BODY_BYTES: usize = 256 * 1_024;
/// Long past the five minutes that a signature is good for.
const STALE: Duration = Duration::from_secs(3_600);

pub(super) struct Webhooks;

impl Attack for Webhooks {
    fn name(&self) -> &'static str {
        "webhooks"
    }

    fn bounds(&self) -> &'static str {
        "20 a second each of forged and stale ones of 256 KiB and of one that is genuine, 4 a second with 8,000 signatures"
    }

    fn start(&self, ground: Arc<Ground>) -> BoxFuture<'static, anyhow::Result<Report>> {
        async move {
            let counts = Arc::new(Counts::default());
            let large = Bytes::from(vec![b' '; BODY_BYTES]);
            let genuine = Bytes::from(ground.genuine.body.clone());
            let send = |what: &'static str,
                        body: &Bytes,
                        signed: fn(&[u8]) -> anyhow::Result<String>| {
                let (ground, counts) = (Arc::clone(&ground), Arc::clone(&counts));
                let body = body.clone();
                async move {
                    let Ok(value) = signed(&body) else { return counts.add("not signed") };
                    let url = format!("{}/v1/webhooks/{}", ground.healthy, ground.genuine.psp);
                    let request = ground.http.post(url).header(SIGNATURE_HEADER, value).body(body);
                    match request.header("Content-Type", "application/json").send().await {
                        Ok(answer) => counts.add(format!("{what}: {}", answer.status().as_u16())),
                        Err(_) => counts.add(format!("{what}: no answer")),
                    }
                }
            };
            tokio::join!(
                paced(&ground, &counts, PER_S, |_| send("forged", &large, forged)),
                paced(&ground, &counts, PER_S, |_| send("stale", &large, stale)),
                paced(&ground, &counts, PER_S, |_| send("genuine", &genuine, fresh)),
                paced(&ground, &counts, MANY_SIGNED_PER_S, |_| send("many", &large, many_signed)),
            );
            Ok(Report::of(counts))
        }
        .boxed()
    }
}

#[expect(clippy::disallowed_methods, reason = "a PSP signs with its own clock")]
fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

fn fresh(body: &[u8]) -> anyhow::Result<String> {
    signature(body, now_s())
}

fn stale(body: &[u8]) -> anyhow::Result<String> {
    signature(body, now_s() - STALE.as_secs())
}

fn forged(_: &[u8]) -> anyhow::Result<String> {
    Ok(format!("t={},v1={}", now_s(), "5a".repeat(32)))
}

fn many_signed(_: &[u8]) -> anyhow::Result<String> {
    Ok(format!("t={}{}", now_s(), ",v1=".repeat(SIGNATURES)))
}
