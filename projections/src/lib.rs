//! Projections: read models folded from the log, and the runner that keeps them at its head.
//!
//! A [`Projection`] turns a batch of events into set-based SQL over its own tables. The [`Runner`] feeds
//! it: JetStream carries the events quickly, Postgres decides what they are, and a checkpoint that moves
//! in the very transaction that writes the tables makes each event take effect exactly once, in order,
//! whatever JetStream loses, repeats or makes up. Every read model can be dropped and rebuilt from
//! position 1 to the same content.
//!
//! A query that needs several statements for one answer begins with [`BEGIN_READ`]: one snapshot, of one
//! generation. A single statement needs nothing of the kind.

pub mod access;
mod checkpoint;
mod copy;
mod fold;
mod generation;
pub mod ledger_balance;
mod page;
pub mod payments;
mod projection;
pub mod rebuild;
pub mod runner;

pub use access::Access;
pub use checkpoint::{
    BEGIN_READ, HOLD_GENERATION, ProjectionState, ProjectionStatus, UnknownState, applied, statuses,
};
pub use fold::{FoldError, Folded, fold_into};
pub use ledger_balance::{ALL_LEDGERS, LedgerBalance, TRIAL_BALANCE_SEGMENT};
pub use page::PageError;
pub use payments::Payments;
pub use projection::{AppliedEvent, ApplyError, Projection, Table};
pub use rebuild::{Progress, RebuildError, rebuild};
pub use runner::{Feed, Handle, NatsOptions, Options, ProjectionHealth, Retry, Runner, WaitError};

/// Every projection of this program, by name.
pub fn all() -> Vec<std::sync::Arc<dyn Projection>> {
    vec![
        std::sync::Arc::new(LedgerBalance),
        std::sync::Arc::new(Access),
        std::sync::Arc::new(Payments),
    ]
}

/// The projection called `name`.
pub fn named(name: &str) -> Option<std::sync::Arc<dyn Projection>> {
    all().into_iter().find(|projection| projection.name() == name)
}
