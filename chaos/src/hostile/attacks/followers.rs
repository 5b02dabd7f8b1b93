//! Followers of the log, with an auditor's key that leaked, who do not read.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::{Attack, Report};
use crate::hostile::ground::{Counts, Ground};
use crate::hostile::wire;

/// More than a process has places.
const FOLLOWERS: usize = 80;
/// The log from its beginning.
const EVERYTHING: &str = "/v1/events";
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) struct Followers;

impl Attack for Followers {
    fn name(&self) -> &'static str {
        "followers"
    }

    fn bounds(&self) -> &'static str {
        "80 followers of the log from its beginning, with one auditor's key, who do not read"
    }

    fn start(&self, ground: Arc<Ground>) -> BoxFuture<'static, anyhow::Result<Report>> {
        async move {
            let counts = Arc::new(Counts::default());
            ground.until_percent(5).await;
            for _ in 0..FOLLOWERS {
                let Some(mut stream) =
                    follow(&ground, EVERYTHING, &ground.prepared.auditor.token).await
                else {
                    counts.add("not connected");
                    continue;
                };
                match wire::status(&mut stream, PATIENCE).await {
                    Some(status) => counts.add(status.to_string()),
                    None => counts.add("cut off"),
                }
                ground.hold(stream);
            }
            ground.until_percent(100).await;
            Ok(Report::of(counts))
        }
        .boxed()
    }
}

/// Asks to follow what is at a path.
pub(super) async fn follow(
    ground: &Ground,
    path: &str,
    key: &str,
) -> Option<tokio::net::TcpStream> {
    let mut stream = wire::connect(&ground.query, wire::ATTACKER).await.ok()?;
    let head = wire::head("GET", path, Some(key));
    let request = format!("{head}Accept: text/event-stream\r\n\r\n");
    wire::write(&mut stream, request.as_bytes(), PATIENCE).await.then_some(stream)
}
