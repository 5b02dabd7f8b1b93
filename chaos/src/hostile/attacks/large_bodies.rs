//! The largest bodies there are, to routes that need a key, without one or with one that is made up.

use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;

use super::flood::flood;
use super::made_up_keys::made_up;
use super::{Attack, Report};
use crate::hostile::ground::Ground;

const PER_S: u32 = 10;
/// What a batch may have; no route takes more.
const BODY_BYTES: usize = 4 * 1_024 * 1_024;

pub(super) struct LargeBodies;

impl Attack for LargeBodies {
    fn name(&self) -> &'static str {
        "large-bodies"
    }

    fn bounds(&self) -> &'static str {
        "10 batches of 4 MiB a second, without a key or with a made-up one in turns"
    }

    fn start(&self, ground: Arc<Ground>) -> BoxFuture<'static, anyhow::Result<Report>> {
        let body = Bytes::from(vec![b' '; BODY_BYTES]);
        flood(ground, PER_S, move |ground, n| {
            let request = ground.http.post(format!("{}/v1/ledger/entries:batch", ground.healthy));
            let request = request.header("Idempotency-Key", n.to_string());
            let request = request.header("Content-Type", "application/json").body(body.clone());
            match n.is_multiple_of(2) {
                true => request.bearer_auth(made_up(n)),
                false => request,
            }
        })
    }
}
