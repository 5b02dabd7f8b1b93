//! What this process knows of its own fitness to write.

use std::error::Error;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::watch;

use crate::snapshots::OldSnapshot;

/// Whether commands can be taken, and if not, why.
#[derive(Debug, Default)]
pub struct Health {
    database_down: AtomicBool,
    reason: Mutex<Option<String>>,
    unreadable: Mutex<Option<String>>,
    unwritable: AtomicBool,
    refusal: Mutex<Option<String>>,
    old_snapshot: watch::Sender<Option<OldSnapshot>>,
}

impl Health {
    /// Why the log cannot be written now; `None` when it can.
    pub fn trouble(&self) -> Option<String> {
        let text = |slot: &Mutex<Option<String>>| slot.lock().map_or(None, |text| text.clone());
        text(&self.unreadable).or_else(|| text(&self.reason)).or_else(|| text(&self.refusal))
    }

    pub(crate) fn database_up(&self) {
        if self.database_down.swap(false, Ordering::Relaxed) {
            tracing::info!("the log's database is back");
        }
        set(&self.reason, None);
    }

    /// Logged once, when it goes; it may be tried many times while it is away.
    pub(crate) fn database_down(&self, error: &(dyn Error + 'static)) {
        if !self.database_down.swap(true, Ordering::Relaxed) {
            tracing::warn!(error, "the log's database is away");
            metrics::counter!("runut_database_lost_total").increment(1);
        }
        set(&self.reason, Some(format!("the log's database is away: {error}")));
    }

    /// The database refuses appends for a reason that passes, such as a full disk. Logged once, when it begins.
    pub(crate) fn append_refused(&self, error: &(dyn Error + 'static)) {
        if !self.unwritable.swap(true, Ordering::Relaxed) {
            tracing::warn!(error, "the database takes no append for now; it is repeated");
        }
        set(&self.refusal, Some(format!("the log's database takes no append for now: {error}")));
    }

    /// No append is repeated any more, whatever came of it: only the next one can tell how the database is.
    pub(crate) fn append_settled(&self) {
        if self.unwritable.swap(false, Ordering::Relaxed) {
            tracing::info!("no append is repeated any more");
            set(&self.refusal, None);
        }
    }

    /// Logged once, when it begins; what it says changes with every look.
    pub(crate) fn set_old_snapshot(&self, alarm: Option<OldSnapshot>) {
        let before = self.old_snapshot.send_replace(alarm.clone());
        match (before, alarm) {
            (None, Some(OldSnapshot { holders, held_for })) => {
                let held_s = held_for.as_secs();
                tracing::warn!(?holders, held_s, "an old snapshot slows appends down");
            }
            (Some(_), None) => tracing::info!("the old snapshot is gone"),
            (None, None) | (Some(_), Some(_)) => {}
        }
    }

    pub(crate) fn watch_old_snapshot(&self) -> watch::Receiver<Option<OldSnapshot>> {
        self.old_snapshot.subscribe()
    }

    pub(crate) fn log_readable(&self) {
        set(&self.unreadable, None);
    }

    pub(crate) fn log_unreadable(&self, error: &(dyn Error + 'static)) {
        set(&self.unreadable, Some(error.to_string()));
    }
}

fn set(slot: &Mutex<Option<String>>, text: Option<String>) {
    if let Ok(mut slot) = slot.lock() {
        *slot = text;
    }
}
