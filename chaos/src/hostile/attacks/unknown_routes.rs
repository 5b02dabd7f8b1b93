//! Paths that lead nowhere, without a key.

use std::sync::Arc;

use futures::future::BoxFuture;

use super::flood::flood;
use super::{Attack, Report};
use crate::hostile::ground::Ground;

const PER_S: u32 = 200;

pub(super) struct UnknownRoutes;

impl Attack for UnknownRoutes {
    fn name(&self) -> &'static str {
        "unknown-routes"
    }

    fn bounds(&self) -> &'static str {
        "200 requests a second for paths that do not exist, each another, to both APIs in turns"
    }

    fn start(&self, ground: Arc<Ground>) -> BoxFuture<'static, anyhow::Result<Report>> {
        flood(ground, PER_S, |ground, n| {
            let server = if n.is_multiple_of(2) { &ground.healthy } else { &ground.query };
            ground.http.get(format!("{server}/v1/nowhere/{n}"))
        })
    }
}
