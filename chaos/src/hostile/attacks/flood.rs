//! Requests at a rate, whatever the answers are: what a flood is but for what it asks.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use reqwest::RequestBuilder;

use super::Report;
use crate::hostile::ground::{Counts, Ground, paced};

/// Sends `per_second` requests a second until the attack is over, and counts their answers by status.
pub(super) fn flood(
    ground: Arc<Ground>,
    per_second: u32,
    request: impl Fn(&Ground, u64) -> RequestBuilder + Send + Sync + 'static,
) -> BoxFuture<'static, anyhow::Result<Report>> {
    async move {
        let counts = Arc::new(Counts::default());
        let one = |n| {
            let (request, counts) = (request(&ground, n), Arc::clone(&counts));
            async move { counts.answered(request).await }
        };
        paced(&ground, &counts, per_second, one).await;
        Ok(Report::of(counts))
    }
    .boxed()
}
