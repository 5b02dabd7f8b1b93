//! Batches with as many postings as one may have.

use std::sync::Arc;

use futures::future::BoxFuture;
use serde_json::{Value, json};

use super::flood::flood;
use super::{Attack, Report};
use crate::hostile::ground::Ground;
use crate::hostile::preparation::entry;

const PER_S: u32 = 1;
/// As many entries as a batch may have, with as many postings as all of them may have together.
const ENTRIES: usize = 1_000;
const POSTINGS_OF_EACH: usize = 10;

pub(super) struct Batches;

impl Attack for Batches {
    fn name(&self) -> &'static str {
        "batches"
    }

    fn bounds(&self) -> &'static str {
        "a batch a second, of 1,000 entries with 10,000 postings"
    }

    fn start(&self, ground: Arc<Ground>) -> BoxFuture<'static, anyhow::Result<Report>> {
        flood(ground, PER_S, |ground, n| {
            let batch = batch(&ground.prepared.accounts, n);
            ground.command("/v1/ledger/entries:batch", &format!("batch-{n}"), &batch)
        })
    }
}

fn batch(accounts: &[String; 2], n: u64) -> Value {
    let one = |at: usize| entry(accounts, &format!("batch-{n}-{at}"), POSTINGS_OF_EACH);
    json!({"entries": (0..ENTRIES).map(one).collect::<Vec<_>>()})
}
