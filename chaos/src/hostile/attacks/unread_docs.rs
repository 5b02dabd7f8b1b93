//! Pipelined requests for the documentation, without a key, whose answers nobody reads.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::{Attack, Report};
use crate::hostile::ground::{Counts, Ground};
use crate::hostile::wire;

/// How many connections, to each of the APIs in turns.
const CONNECTIONS: usize = 24;
/// How many requests each sends at once.
const PIPELINED: usize = 500;
/// The largest thing that is to be had without a key: more than a megabyte.
const PATH: &str = "/docs/swagger-ui-bundle.js";
const PATIENCE: Duration = Duration::from_secs(2);

pub(super) struct UnreadDocs;

impl Attack for UnreadDocs {
    fn name(&self) -> &'static str {
        "unread-docs"
    }

    fn bounds(&self) -> &'static str {
        "24 connections without a key, each with 500 pipelined requests that it does not read"
    }

    fn start(&self, ground: Arc<Ground>) -> BoxFuture<'static, anyhow::Result<Report>> {
        async move {
            let counts = Arc::new(Counts::default());
            let requests = wire::get(PATH, None).repeat(PIPELINED);
            let servers = [&ground.healthy, &ground.query, &ground.skewed];
            for server in servers.into_iter().cycle().take(CONNECTIONS) {
                let Ok(mut stream) = wire::connect(server, wire::ATTACKER).await else {
                    counts.add("not connected");
                    continue;
                };
                // The server may stop reading: that is not the attacker's to mind.
                let all = wire::write(&mut stream, requests.as_bytes(), PATIENCE).await;
                counts.add(if all { "asked for all" } else { "asked for some" });
                ground.hold(stream);
            }
            ground.until_percent(100).await;
            Ok(Report::of(counts))
        }
        .boxed()
    }
}
