//! Keys that nobody was ever given, well-formed and each another.

use std::sync::Arc;

use futures::future::BoxFuture;

use super::flood::flood;
use super::{Attack, Report};
use crate::hostile::ground::Ground;

const PER_S: u32 = 200;

pub(super) struct MadeUpKeys;

impl Attack for MadeUpKeys {
    fn name(&self) -> &'static str {
        "made-up-keys"
    }

    fn bounds(&self) -> &'static str {
        "200 requests a second with a new made-up key each, to both APIs in turns"
    }

    fn start(&self, ground: Arc<Ground>) -> BoxFuture<'static, anyhow::Result<Report>> {
        flood(ground, PER_S, |ground, n| {
            let request = match n.is_multiple_of(2) {
                true => ground.http.get(format!("{}/v1/accounts?limit=1", ground.query)),
                false => ground.http.post(format!("{}/v1/accounts", ground.healthy)),
            };
            request.bearer_auth(made_up(n))
        })
    }
}

/// A token as keys have them: the digits of a number are digits of an id.
pub(super) fn made_up(n: u64) -> String {
    format!("runut_01{n:024}_{}", "5a".repeat(32))
}
