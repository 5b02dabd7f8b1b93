//! A bound in bytes for what is held for callers: commands that wait, with the states that were loaded for them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// So many bytes, of which everybody takes some.
#[derive(Debug)]
pub(crate) struct ByteBudget {
    taken: AtomicUsize,
    max: usize,
}

/// Bytes that are taken until this is dropped.
#[derive(Debug)]
pub(crate) struct TakenBytes {
    budget: Arc<ByteBudget>,
    bytes: usize,
}

impl ByteBudget {
    pub(crate) fn of(max: usize) -> Arc<Self> {
        Arc::new(Self { taken: AtomicUsize::new(0), max })
    }

    /// Takes so many; `None` where so many are not left. Whoever comes while nothing is taken gets what they need.
    pub(crate) fn take(self: &Arc<Self>, bytes: usize) -> Option<TakenBytes> {
        let before = self.taken.fetch_add(bytes, Ordering::Relaxed);
        let taken = TakenBytes { budget: Arc::clone(self), bytes };
        (before == 0 || before.saturating_add(bytes) <= self.max).then_some(taken)
    }

    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }
}

impl Drop for TakenBytes {
    fn drop(&mut self) {
        self.budget.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_taken_than_there_is_and_what_is_dropped_is_there_again() {
        let budget = ByteBudget::of(100);
        let first = budget.take(60).expect("there is room");
        assert!(budget.take(41).is_none());
        assert_eq!(budget.taken(), 60, "who is refused takes nothing");
        let second = budget.take(40).expect("there is room");
        drop(first);
        assert_eq!(budget.taken(), 40);
        drop(second);
        assert!(budget.take(1_000).is_some(), "one alone may be larger");
        assert_eq!(budget.taken(), 0);
    }
}
