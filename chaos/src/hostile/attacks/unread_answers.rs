//! Connections that ask for the largest answers, and do not read them.

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::{Attack, Report};
use crate::hostile::ground::{Counts, Ground};
use crate::hostile::wire;

/// How many connections: more than the 50 that once held 1.1 GB.
const CONNECTIONS: u32 = 60;
const PATIENCE: Duration = Duration::from_secs(5);
/// In hundredths of the attack, by when all of them are open: what they cost to make is spread.
const OPEN_BY_PERCENT: u32 = 40;

pub(super) struct UnreadAnswers;

impl Attack for UnreadAnswers {
    fn name(&self) -> &'static str {
        "unread-answers"
    }

    fn bounds(&self) -> &'static str {
        "60 connections, each with one answer of up to 20 MB that it does not read"
    }

    fn start(&self, ground: Arc<Ground>) -> BoxFuture<'static, anyhow::Result<Report>> {
        async move {
            let counts = Arc::new(Counts::default());
            let account = &ground.prepared.accounts[0];
            let asked_for = [
                "/v1/accounts?limit=200".to_owned(),
                "/v1/ledger/entries?limit=200".to_owned(),
                format!("/v1/accounts/{account}/statement?limit=200"),
                "/v1/ledger/journal?format=csv".to_owned(),
            ];
            let pause = ground.percent(OPEN_BY_PERCENT) / CONNECTIONS;
            for path in asked_for.iter().cycle().take(usize::try_from(CONNECTIONS)?) {
                ask_and_not_read(&ground, &counts, path).await;
                tokio::time::sleep(pause).await;
            }
            ground.until_percent(100).await;
            Ok(Report::of(counts))
        }
        .boxed()
    }
}

async fn ask_and_not_read(ground: &Ground, counts: &Counts, path: &str) {
    let Ok(mut stream) = wire::connect(&ground.query, wire::ATTACKER).await else {
        return counts.add("not connected");
    };
    let request = wire::get(path, Some(&ground.merchant_key));
    let asked = wire::write(&mut stream, request.as_bytes(), PATIENCE).await;
    counts.add(if asked { "asked" } else { "not asked" });
    ground.hold(stream);
}
