//! Those who wait until a state changes, woken when an event that changes it is committed or followed.

use dashmap::DashMap;
use domain::StateKey;
use tokio::sync::{Notify, watch};

/// Who waits for what; shared by the sequencer, which wakes them, and everybody else.
#[derive(Debug, Default)]
pub(crate) struct Watchers {
    by_key: DashMap<StateKey, watch::Sender<()>>,
    added: Notify,
}

/// One that waits; stops waiting when it is dropped.
#[derive(Debug)]
pub(crate) struct Watching<'w> {
    watchers: &'w Watchers,
    key: StateKey,
    changes: watch::Receiver<()>,
}

impl Watchers {
    /// Begins to wait: no change from now on is missed.
    pub(crate) fn watch(&self, key: StateKey) -> Watching<'_> {
        let changes = {
            let sender = self.by_key.entry(key.clone()).or_insert_with(|| watch::channel(()).0);
            sender.subscribe()
        };
        self.added.notify_one();
        Watching { watchers: self, key, changes }
    }

    /// Wakes those who wait for this.
    pub(super) fn changed(&self, key: &StateKey) {
        if !self.by_key.is_empty()
            && let Some(sender) = self.by_key.get(key)
        {
            sender.send_replace(());
        }
    }

    /// Whether anybody waits.
    pub(super) fn any(&self) -> bool {
        !self.by_key.is_empty()
    }

    /// Until somebody begins to wait.
    pub(super) async fn added(&self) {
        self.added.notified().await;
    }
}

impl Watching<'_> {
    /// Until the state changes, or did since this was last called.
    pub(crate) async fn changed(&mut self) {
        if self.changes.changed().await.is_err() {
            // The sender lives as long as anybody waits.
            std::future::pending().await
        }
    }
}

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        // This one's own receiver still counts.
        self.watchers.by_key.remove_if(&self.key, |_, sender| sender.receiver_count() <= 1);
    }
}
