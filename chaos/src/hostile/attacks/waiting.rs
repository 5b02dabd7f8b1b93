//! Queries that wait for the newest position there is.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::Value;

use super::{Attack, Report};
use crate::hostile::ground::{Counts, Ground, paced};

const PER_S: u32 = 50;

pub(super) struct Waiting;

impl Attack for Waiting {
    fn name(&self) -> &'static str {
        "waiting"
    }

    fn bounds(&self) -> &'static str {
        "50 queries a second that wait for the log's head, at most 64 at a time"
    }

    fn start(&self, ground: Arc<Ground>) -> BoxFuture<'static, anyhow::Result<Report>> {
        async move {
            let counts = Arc::new(Counts::default());
            let one = |_| {
                let (ground, counts) = (Arc::clone(&ground), Arc::clone(&counts));
                async move {
                    match head(&ground).await {
                        Some(head) => {
                            let request =
                                ground.http.get(format!("{}/v1/accounts?limit=1", ground.query));
                            let request = request.bearer_auth(&ground.merchant_key);
                            counts.answered(request.header("Runut-Min-Position", head)).await;
                        }
                        None => counts.add("the head was not told"),
                    }
                }
            };
            paced(&ground, &counts, PER_S, one).await;
            Ok(Report::of(counts))
        }
        .boxed()
    }
}

async fn head(ground: &Ground) -> Option<i64> {
    let request = ground.http.get(format!("{}/v1/log/head", ground.query));
    let answer = request.bearer_auth(&ground.merchant_key).send().await.ok()?;
    answer.json::<Value>().await.ok()?["position"].as_i64()
}
