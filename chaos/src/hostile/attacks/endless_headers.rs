//! Heads of requests that never end, and ones larger than a head may be.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};

use super::{Attack, Report};
use crate::hostile::ground::{Counts, Ground};
use crate::hostile::wire;

const ENDLESS: usize = 40;
const LARGE: usize = 20;
const DRIP_EVERY: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(2);
/// More than any head may have.
const LARGE_BYTES: usize = 64 * 1_024;

pub(super) struct EndlessHeaders;

impl Attack for EndlessHeaders {
    fn name(&self) -> &'static str {
        "endless-headers"
    }

    fn bounds(&self) -> &'static str {
        "40 connections that add a header every 2 s, 20 with a head of 64 KiB"
    }

    fn start(&self, ground: Arc<Ground>) -> BoxFuture<'static, anyhow::Result<Report>> {
        async move {
            let counts = Arc::new(Counts::default());
            let endless = join_all((0..ENDLESS).map(|n| endless(&ground, &counts, n)));
            let large = join_all((0..LARGE).map(|n| large(&ground, &counts, n)));
            tokio::join!(endless, large);
            Ok(Report::of(counts))
        }
        .boxed()
    }
}

/// The APIs, one after the other.
fn server(ground: &Ground, n: usize) -> &str {
    if n.is_multiple_of(2) { &ground.healthy } else { &ground.query }
}

async fn endless(ground: &Ground, counts: &Counts, n: usize) {
    let Ok(mut stream) = wire::connect(server(ground, n), wire::ATTACKER).await else {
        return counts.add("not connected");
    };
    let head = wire::head("GET", "/v1/accounts", None);
    let mut sent = wire::write(&mut stream, head.as_bytes(), PATIENCE).await;
    while sent && !ground.is_over() {
        tokio::time::sleep(DRIP_EVERY).await;
        sent = wire::write(&mut stream, b"X-More: 1\r\n", PATIENCE).await;
    }
    counts.add(if sent { "held" } else { "cut off" });
    ground.hold(stream);
}

async fn large(ground: &Ground, counts: &Counts, n: usize) {
    let Ok(mut stream) = wire::connect(server(ground, n), wire::ATTACKER).await else {
        return counts.add("not connected");
    };
    let head = wire::head("GET", "/v1/accounts", None);
    let request = format!("{head}X-Large: {}\r\n\r\n", "x".repeat(LARGE_BYTES));
    wire::write(&mut stream, request.as_bytes(), PATIENCE).await;
    match wire::status(&mut stream, PATIENCE).await {
        Some(status) => counts.add(status.to_string()),
        None => counts.add("cut off"),
    }
    ground.hold(stream);
}
