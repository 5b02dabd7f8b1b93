//! Accounts with metadata as large as it may be: what a cache that counts only how many there are cannot
//! bound.

use std::sync::Arc;

use futures::future::BoxFuture;

use super::flood::flood;
use super::{Attack, Report};
use crate::hostile::ground::Ground;
use crate::hostile::preparation::large_account;

const PER_S: u32 = 10;

pub(super) struct LargeAccounts;

impl Attack for LargeAccounts {
    fn name(&self) -> &'static str {
        "large-accounts"
    }

    fn bounds(&self) -> &'static str {
        "10 accounts a second, each with 110 KiB of metadata, with 24 keys of one merchant in turns"
    }

    fn start(&self, ground: Arc<Ground>) -> BoxFuture<'static, anyhow::Result<Report>> {
        flood(ground, PER_S, |ground, n| {
            let name = format!("large-account-{n}");
            let keys = &ground.prepared.keys;
            let api_key = &keys[usize::try_from(n).unwrap_or(0) % keys.len()].token;
            ground.command_with(api_key, "/v1/accounts", &name, &large_account(&name))
        })
    }
}
