//! The attacks: one file each, behind one trait. A new one is a file here and a line in [`all`].

mod batches;
mod clock_leaps;
mod dripping_bodies;
mod dripping_imports;
mod endless_headers;
mod flood;
mod followers;
mod large_accounts;
mod large_bodies;
mod large_entries;
mod made_up_keys;
mod rate_limit;
mod revoked_keys;
mod unknown_routes;
mod unread_answers;
mod unread_docs;
mod waiting;
mod webhooks;

use std::sync::Arc;

use futures::future::BoxFuture;

use super::ground::{Counts, Ground};

/// Something that somebody hostile does to a deployment.
pub(super) trait Attack: Send + Sync {
    /// What it is called on the command line and in the report.
    fn name(&self) -> &'static str;

    /// The most that it does.
    fn bounds(&self) -> &'static str;

    /// Does it until the ground says that the attack is over; what was counted, and what it demands.
    fn start(&self, ground: Arc<Ground>) -> BoxFuture<'static, anyhow::Result<Report>>;
}

/// What an attack did, and what has to hold because of it.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) counts: Arc<Counts>,
    pub(super) demands: Vec<Demand>,
}

/// Something that has to hold for an attack in particular.
#[derive(Debug)]
pub(super) struct Demand {
    pub(super) what: String,
    pub(super) held: bool,
    pub(super) detail: String,
}

impl Report {
    /// One that demands nothing.
    fn of(counts: Arc<Counts>) -> Self {
        Self { counts, demands: Vec::new() }
    }
}

/// All of them, in the order in which they begin. The first takes its places before others take all.
pub(super) fn all() -> Vec<Box<dyn Attack>> {
    vec![
        Box::new(revoked_keys::RevokedKeys),
        Box::new(unread_answers::UnreadAnswers),
        Box::new(unread_docs::UnreadDocs),
        Box::new(dripping_bodies::DrippingBodies),
        Box::new(dripping_imports::DrippingImports),
        Box::new(endless_headers::EndlessHeaders),
        Box::new(followers::Followers),
        Box::new(waiting::Waiting),
        Box::new(made_up_keys::MadeUpKeys),
        Box::new(unknown_routes::UnknownRoutes),
        Box::new(large_bodies::LargeBodies),
        Box::new(rate_limit::RateLimit),
        Box::new(large_accounts::LargeAccounts),
        Box::new(large_entries::LargeEntries),
        Box::new(batches::Batches),
        Box::new(webhooks::Webhooks),
        Box::new(clock_leaps::ClockLeaps),
    ]
}
