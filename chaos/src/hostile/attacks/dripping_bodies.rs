//! Bodies that come in byte by byte.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, join_all};

use super::{Attack, Report};
use crate::hostile::ground::{Counts, Ground};
use crate::hostile::wire;

const CONNECTIONS: usize = 40;
/// One byte as often as this: more often than a pause may last, never enough for the body to end.
const DRIP_EVERY: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(2);
const ANNOUNCED_BYTES: usize = 4_096;

pub(super) struct DrippingBodies;

impl Attack for DrippingBodies {
    fn name(&self) -> &'static str {
        "dripping-bodies"
    }

    fn bounds(&self) -> &'static str {
        "40 connections with a key, each with a body of a byte every 2 s"
    }

    fn start(&self, ground: Arc<Ground>) -> BoxFuture<'static, anyhow::Result<Report>> {
        async move {
            let counts = Arc::new(Counts::default());
            let all = (0..CONNECTIONS).map(|n| drip(&ground, &counts, n));
            join_all(all).await;
            Ok(Report::of(counts))
        }
        .boxed()
    }
}

async fn drip(ground: &Ground, counts: &Counts, n: usize) {
    let Ok(mut stream) = wire::connect(&ground.healthy, wire::ATTACKER).await else {
        return counts.add("not connected");
    };
    let head = wire::head("POST", "/v1/payments", Some(&ground.merchant_key));
    let rest = format!(
        "Idempotency-Key: drip-{n}\r\nContent-Type: application/json\r\n\
         Content-Length: {ANNOUNCED_BYTES}\r\n\r\n"
    );
    let mut sent = wire::write(&mut stream, (head + &rest).as_bytes(), PATIENCE).await;
    while sent && !ground.is_over() {
        if let Some(status) = wire::status(&mut stream, DRIP_EVERY).await {
            counts.add(status.to_string());
            break;
        }
        sent = wire::write(&mut stream, b" ", PATIENCE).await;
    }
    counts.add(if sent { "held" } else { "cut off" });
    ground.hold(stream);
}
