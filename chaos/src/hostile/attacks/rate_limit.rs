//! A merchant that asks for more than one key may.

use std::sync::Arc;

use futures::future::BoxFuture;

use super::flood::flood;
use super::{Attack, Report};
use crate::hostile::RATE_LIMIT_PER_S;
use crate::hostile::ground::Ground;

/// A third more than is let in.
const PER_S: u32 = RATE_LIMIT_PER_S + RATE_LIMIT_PER_S / 3;

pub(super) struct RateLimit;

impl Attack for RateLimit {
    fn name(&self) -> &'static str {
        "rate-limit"
    }

    fn bounds(&self) -> &'static str {
        "400 small queries a second with one key, of which 300 are let in"
    }

    fn start(&self, ground: Arc<Ground>) -> BoxFuture<'static, anyhow::Result<Report>> {
        flood(ground, PER_S, |ground, _| {
            let account = &ground.prepared.accounts[0];
            let request = ground.http.get(format!("{}/v1/accounts/{account}", ground.query));
            request.bearer_auth(&ground.merchant_key)
        })
    }
}
