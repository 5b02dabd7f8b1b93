//! Whether somebody waits for what a projection has not applied yet: then it does not take its time.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// Those who wait for one projection.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    waiting: AtomicUsize,
    came: Notify,
}

/// One who waits, until this is dropped.
#[derive(Debug)]
pub(super) struct Waiting<'w>(&'w Wanted);

impl Wanted {
    pub(super) fn wait(&self) -> Waiting<'_> {
        self.waiting.fetch_add(1, Ordering::AcqRel);
        self.came.notify_one();
        Waiting(self)
    }

    /// As soon as anybody waits.
    pub(super) async fn by_anybody(&self) {
        while self.waiting.load(Ordering::Acquire) == 0 {
            self.came.notified().await;
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::AcqRel);
    }
}
