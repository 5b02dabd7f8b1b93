//! Telling whoever runs verify what it does and finds, and counting it.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::finding::{Check, Finding, Findings};

/// How many findings of each check are told; the rest are counted. A broken log may have millions.
pub const FINDINGS_TOLD_MAX: u64 = 20;

/// A part of the work, in the order in which they are done; some are done at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    /// Every event, by position.
    Events,
    /// Accounts beyond those that fit into the first pass over the events.
    MoreAccounts,
    /// The index of streams and versions.
    Streams,
    /// Account balances.
    Balances,
    /// Idempotency keys.
    IdempotencyKeys,
    /// The mirror.
    Mirror,
    /// The read models.
    ReadModels,
}

impl Part {
    /// What is counted in it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::MoreAccounts => "events, for further accounts",
            Self::Streams => "stream versions",
            Self::Balances => "events summed for balances",
            Self::IdempotencyKeys => "idempotency keys",
            Self::Mirror => "messages of the mirror",
            Self::ReadModels => "events folded into read models",
        }
    }
}

/// Hears what verify does and finds while it runs.
pub trait Observer: Send {
    /// `done` of about `total` of a part are done; `total` is 0 where it is not known.
    fn progress(&mut self, part: Part, done: u64, total: u64);

    /// Something is not as it should be. At most [`FINDINGS_TOLD_MAX`] of each check are told.
    fn finding(&mut self, finding: &Finding);
}

/// Hears nothing; the summary says enough.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn progress(&mut self, _: Part, _: u64, _: u64) {}

    fn finding(&mut self, _: &Finding) {}
}

/// Shared by parts that run at the same time.
pub(crate) struct Report<'o> {
    state: Mutex<State<'o>>,
}

struct State<'o> {
    observer: &'o mut dyn Observer,
    counts: BTreeMap<Check, u64>,
    not_checked: Vec<String>,
}

impl<'o> Report<'o> {
    pub(crate) fn to(observer: &'o mut dyn Observer) -> Self {
        let state = State { observer, counts: BTreeMap::new(), not_checked: Vec::new() };
        Self { state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State<'o>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn progress(&self, part: Part, done: u64, total: u64) {
        self.state().observer.progress(part, done, total);
    }

    pub(crate) fn findings(&self, findings: Findings) {
        let mut state = self.state();
        for finding in findings {
            let count = state.counts.entry(finding.check).or_default();
            *count += 1;
            if *count <= FINDINGS_TOLD_MAX {
                state.observer.finding(&finding);
            }
        }
    }

    /// Says that something was left out, and why.
    pub(crate) fn not_checked(&self, what: impl Into<String>) {
        self.state().not_checked.push(what.into());
    }

    /// How many findings each check has, and what was left out.
    pub(crate) fn finish(self) -> (BTreeMap<Check, u64>, Vec<String>) {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        (state.counts, state.not_checked)
    }
}

/// A number of things as progress counts them.
pub(crate) fn number(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}

/// The length of something, as sums count it.
pub(crate) fn number_of_bytes(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
