//! The accounts that entries are spread over, opened through the API as a merchant would.

use std::sync::Arc;

use domain::accounts::AccountCode;
use domain::{AccountId, MerchantId};
use hyper::{StatusCode, Uri};

use super::connections::{Answer, Outgoing};
use super::generator::{Outcome, Source};
use super::splitmix::SplitMix;

/// Tells the keys of openings from those of entries, whose runs count from zero.
const RUN: u64 = u64::MAX;

/// The requests that open accounts `bench-0`, `bench-1` and so on: assets in dollars, without a limit.
#[derive(Debug)]
pub(super) struct Openings;

impl Source for Openings {
    fn request(&self, n: u64) -> anyhow::Result<Outgoing> {
        Ok(Outgoing {
            path: Uri::from_static("/v1/accounts"),
            idempotency_key: SplitMix::of(RUN, n).uuid(),
            body: format!("{{\"code\":\"bench-{n}\",\"type\":\"asset\",\"currency\":\"USD\"}}"),
        })
    }

    fn minor(&self, _: u64) -> u64 {
        0
    }

    fn keeps(&self, status: StatusCode) -> bool {
        status != StatusCode::CREATED
    }

    fn outcome(&self, answer: &Answer) -> Outcome {
        Outcome::of_one(answer.status)
    }
}

/// The ids that the first `count` of them have, which follow from their codes.
pub(super) fn ids(ledger: MerchantId, count: usize) -> anyhow::Result<Arc<[String]>> {
    let id = |n| {
        let code: AccountCode = format!("bench-{n}").parse()?;
        anyhow::Ok(AccountId::of(ledger, &code).to_string())
    };
    (0..count).map(id).collect()
}
