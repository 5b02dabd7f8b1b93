//! Entries with as many postings as one may have.

use std::sync::Arc;

use futures::future::BoxFuture;

use super::flood::flood;
use super::{Attack, Report};
use crate::hostile::ground::Ground;
use crate::hostile::preparation::large_entry;

const PER_S: u32 = 4;

pub(super) struct LargeEntries;

impl Attack for LargeEntries {
    fn name(&self) -> &'static str {
        "large-entries"
    }

    fn bounds(&self) -> &'static str {
        "4 entries a second, each of 1,000 postings"
    }

    fn start(&self, ground: Arc<Ground>) -> BoxFuture<'static, anyhow::Result<Report>> {
        flood(ground, PER_S, |ground, n| {
            let name = format!("large-entry-{n}");
            let entry = large_entry(&ground.prepared.accounts, &name);
            ground.command("/v1/ledger/entries", &name, &entry)
        })
    }
}
